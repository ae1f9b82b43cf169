"""Fields, words and errors of a realtime server's messages, whatever stands there. The decoder's tests have
the messages around them."""

from __future__ import annotations

from typing import Any

import pytest

from avatarkit_rtc.integrations.realtime.message_parts import (
    failure_of,
    object_of,
    object_or_empty,
    reported_error,
    text,
    text_or_none,
    words_of,
)

NO_OBJECTS = (None, 5, "{}", [])


def test_what_must_be_there() -> None:
    assert object_of({"a": 1}) == {"a": 1}
    assert text({"a": ""}, "a") == ""
    for value in NO_OBJECTS:
        with pytest.raises(TypeError):
            object_of(value)
    with pytest.raises(TypeError):
        text({"a": 5}, "a")
    with pytest.raises(KeyError):
        text({}, "a")


def test_what_may_be_there() -> None:
    assert object_or_empty({"a": 1}) == {"a": 1}
    assert [object_or_empty(value) for value in NO_OBJECTS] == [{}] * 4
    assert [text_or_none(message, "a") for message in ({"a": "b"}, {"a": 5}, {})] == ["b", None, None]


def test_words_are_those_spoken_and_written() -> None:
    spoken, written = {"transcript": "One."}, {"text": "Two."}
    assert words_of([{"content": [spoken, 6, {"text": 5}]}, {}, {"content": [written]}]) == "One.\nTwo."


@pytest.mark.parametrize(
    ("response", "code", "said"),
    [
        (
            {"status_details": {"error": {"code": "c", "message": "Too\n much."}, "reason": "r"}},
            "c",
            "Too much.",
        ),
        ({"status_details": {"reason": "r"}}, "r", "r"),
        ({"status_details": {"error": {"code": 5}}}, None, "5"),
        ({}, None, "no more is said"),
    ],
)
def test_why_a_response_failed(response: dict[str, Any], code: str | None, said: str) -> None:
    error = failure_of({"status": "failed"} | response)
    assert error.server_code == code
    assert str(error).endswith(f"ended as failed: {said}")


def test_an_error_holds_some_of_a_servers_words() -> None:
    error = reported_error({"message": "no " * 1000, "code": "c", "event_id": "e"})
    assert (error.server_code, error.event_id) == ("c", "e")
    assert 250 < len(str(error)) < 350
