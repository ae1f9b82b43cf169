"""Parts of what an OpenAI-style realtime server says: what must be there, what may, words, errors. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from avatarkit_rtc.errors import RealtimeServerError

Message: TypeAlias = Mapping[str, Any]
"""An event, or an object in one."""

_SHOWN: Final = 300
"""Characters of a server's own words that go into an error."""


def object_of(value: Any) -> dict[str, Any]:
    """
    Raises:
        TypeError: ``value`` is no object.
    """
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def object_or_empty(value: Any) -> dict[str, Any]:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(message: Message, name: str) -> str:
    """
    Raises:
        KeyError: there is no ``name``.
        TypeError: it is no text.
    """
    value = message[name]
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def text_or_none(message: Message, name: str) -> str | None:
    """The text ``name``; None where there is none."""
    value = message.get(name)
    return value if isinstance(value, str) else None


def words_of(items: Iterable[Message]) -> str:
    """All words of a response's messages."""
    parts: list[str] = []
    for item in items:
        content = item.get("content")
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                said = part.get("transcript") or part.get("text")
                parts += [said] if isinstance(said, str) else []
    return "\n".join(parts)


def reported_error(error: Message) -> RealtimeServerError:
    """What the object ``error`` of an error event says."""
    return RealtimeServerError(
        f"the realtime server reports: {_shown(error.get('message'))}",
        server_code=text_or_none(error, "code"),
        event_id=text_or_none(error, "event_id"),
    )


def failure_of(response: Message) -> RealtimeServerError:
    """Why ``response`` did not end well."""
    details = object_or_empty(response.get("status_details"))
    error = object_or_empty(details.get("error"))
    code = error.get("code") or details.get("reason")
    return RealtimeServerError(
        f"a response of the realtime server ended as {response.get('status')}: "
        f"{_shown(error.get('message') or code)}",
        server_code=code if isinstance(code, str) else None,
    )


def _shown(said: Any) -> str:
    return " ".join(str(said or "no more is said").split())[:_SHOWN]
