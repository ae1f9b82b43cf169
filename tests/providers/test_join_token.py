"""Join tokens are read, and stay out of every message."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.errors import ConfigurationError, RoomMismatchError
from avatarkit_rtc.providers.join_token import (
    JoinToken,
    TokenFilter,
    keep_tokens_out_of_logs,
    read_join_token,
    redacted,
)
from tests.support.livekit import ExternalServer, mint_token

SERVER = ExternalServer("ws://unused", "key", "secret-that-is-at-least-32-characters-long")


def encoded(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.c2lnbmF0dXJl"


def test_reads_what_livekit_mints() -> None:
    before = time.time()
    said = read_join_token(mint_token(SERVER, "lobby", "visitor", ttl_s=600))
    assert (said.room, said.identity) == ("lobby", "visitor")
    assert said.expires is not None
    assert before + 590 < said.expires < time.time() + 610


def test_token_may_name_no_room() -> None:
    said = read_join_token(encoded({"sub": "me", "video": {"roomJoin": True}}))
    assert said == JoinToken(None, "me", None, None)
    said.check_room("anything")


@pytest.mark.parametrize(
    "token", ["", "secret", "a.b.c", "a.b", encoded([1]), encoded("x"), "eyJ.é.x", "a.b.c.d", "devkey:secret"]
)
def test_malformed_token_is_a_clear_error_without_the_token(token: str) -> None:
    with pytest.raises(ConfigurationError, match="three parts") as caught:
        read_join_token(token)
    assert len(token) < 8 or token not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        read_join_token(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["video", "sub", "exp"]), inner)
        ),
        max_leaves=5,
    )
)
def test_any_claims_are_read_or_refused(claims: object) -> None:
    try:
        read_join_token(encoded(claims))
    except ConfigurationError:
        assert not isinstance(claims, dict)


def test_room_is_compared_where_both_sides_name_one() -> None:
    said = read_join_token(encoded({"video": {"room": "lobby"}}))
    said.check_room("lobby")
    said.check_room(None)
    with pytest.raises(RoomMismatchError, match=r"'lobby'.*'hall'"):
        said.check_room("hall")


def test_refusal_is_explained_by_the_dates() -> None:
    said = JoinToken(None, None, not_before=1000.0, expires=2000.0)
    assert said.complaint(1500.0) is None
    assert "expired 5 minutes ago" in (said.complaint(2300.0) or "")
    assert "expired 3 days ago" in (said.complaint(2000.0 + 3 * 86400) or "")
    assert "valid only in 40 s" in (said.complaint(960.0) or "")
    assert JoinToken(None, None, None, None).complaint(0.0) is None


def test_secrets_are_taken_out_of_text() -> None:
    token = mint_token(SERVER, "lobby", "visitor")
    assert token not in redacted(f"401: invalid token: {token}, error: expired")
    assert redacted("opaque-thing is bad", "opaque-thing") == "<token> is bad"
    assert (
        redacted("wss://me:pass@host/rtc?access_token=abc&x=1")
        == "wss://<hidden>@host/rtc?access_token=<hidden>&x=1"
    )
    assert redacted("nothing here", "") == "nothing here"


def test_log_records_of_the_sdk_lose_their_tokens(caplog: pytest.LogCaptureFixture) -> None:
    token = mint_token(SERVER, "lobby", "visitor")
    keep_tokens_out_of_logs()
    keep_tokens_out_of_logs()
    logger = logging.getLogger("livekit")
    assert len([f for f in logger.filters if isinstance(f, TokenFilter)]) == 1
    with caplog.at_level(logging.ERROR, logger="livekit"):
        logger.error("refused: %s", token)
        logger.error("fine: %s", 1)
    assert [record.getMessage() for record in caplog.records] == ["refused: <token>", "fine: 1"]


def test_log_record_that_cannot_be_formatted_passes() -> None:
    record = logging.LogRecord("livekit", logging.ERROR, __file__, 1, "%s %s", ("one",), None)
    assert TokenFilter().filter(record)
    assert record.args == ("one",)
