"""Addresses are checked, and the SDK's words are turned into errors that say what to do."""

from __future__ import annotations

import pytest

from avatarkit_rtc.errors import ConfigurationError, ConnectError, ConnectTimeoutError
from avatarkit_rtc.providers.connect_errors import checked_url, connect_error, shown_url


@pytest.mark.parametrize("url", ["ws://host", "wss://host:443/path", "http://[::1]:7880", "https://host"])
def test_server_addresses_pass(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url", [None, "", "host:7880", "ftp://host", "ws://", "not a url", "ws://host:99999", "ws://["]
)
def test_other_things_do_not(url: str | None) -> None:
    with pytest.raises(ConfigurationError, match="server address"):
        checked_url(url)


def test_address_is_shown_without_login_and_query() -> None:
    assert shown_url("wss://me:pass@host:7880/rtc?access_token=abc") == "wss://host:7880"
    assert shown_url("wss://host") == "wss://host"


def test_kinds_of_failure() -> None:
    refused = connect_error("client error: 401 Unauthorized - bad", "ws://h")
    assert type(refused) is ConnectError
    assert "refused the token" in str(refused)
    assert "it expired" in str(connect_error("401 Unauthorized", "ws://h", "it expired"))
    assert type(connect_error("transport timed out", "ws://h")) is ConnectTimeoutError
    assert "check the address" in str(connect_error("Connection refused (os error 111)", "ws://h"))
