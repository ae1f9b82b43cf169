"""Addresses are checked, and the SDK's words are turned into errors that say what to do."""

from __future__ import annotations

import pytest

from avatarkit_rtc.errors import ConfigurationError, ConnectError, ConnectTimeoutError
from avatarkit_rtc.providers.connect_errors import checked_url, connect_error, shown_url, without_secrets


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
    assert shown_url("ws://me@[::1]:7880") == "ws://[::1]:7880"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ftp://me:geheim@host/x?key=geheim", "ftp://<hidden>@host/x"),
        ("me:geheim@host:7880#geheim", "<hidden>@host:7880"),
        ("ws://me:ge/he@im@host", "ws://<hidden>@host"),
        ("wss://me:ge#heim@host", "wss://<hidden>@host"),
        ("\nme:ge?heim@host", "<hidden>@host"),
        ("nonsense", "nonsense"),
    ],
)
def test_what_is_no_address_is_shown_without_them_too(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    with pytest.raises(ConfigurationError) as error:
        checked_url(f"no{url}")
    assert "geheim" not in str(error.value)


def test_the_librarys_words_are_shown_without_them_too() -> None:
    url = "ws://me:geheim@host/?key=geheim"
    assert str(connect_error(f"no way to {url}", url)).startswith(
        "cannot join at ws://host: no way to ws://host;"
    )


def test_a_request_that_is_refused_is_no_matter_of_the_address() -> None:
    said = str(connect_error("client error: 400 Bad Request - room name length exceeds limits", "ws://h"))
    assert "room name length" in said
    assert "address" not in said


def test_kinds_of_failure() -> None:
    refused = connect_error("client error: 401 Unauthorized - bad", "ws://h")
    assert type(refused) is ConnectError
    assert "refused the token" in str(refused)
    assert "it expired" in str(connect_error("401 Unauthorized", "ws://h", "it expired"))
    assert type(connect_error("transport timed out", "ws://h")) is ConnectTimeoutError
    assert "check the address" in str(connect_error("Connection refused (os error 111)", "ws://h"))
