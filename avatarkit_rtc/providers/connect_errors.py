"""Checking a server's address, and turning the SDK's words for a failed connect into ours."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from avatarkit_rtc.errors import ConfigurationError, ConnectError, ConnectTimeoutError
from avatarkit_rtc.providers.join_token import redacted

REFUSALS: Final = ("401", "403")
_LOGIN: Final = re.compile(r"^([^:/?#]*://)?.*@", re.DOTALL)


def checked_url(url: str | None) -> str:
    """``url`` if it can be a server's address.

    Raises:
        ConfigurationError: it cannot.
    """
    if not url:
        raise ConfigurationError("no server address; pass url='wss://…'")
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("ws", "wss", "http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"{without_secrets(url)!r} is no server address; one looks like wss://host or ws://host:7880"
        )
    return url


def without_secrets(url: str) -> str:
    """What is legible of ``url``, which may be no address at all: neither login nor query."""
    hidden = _LOGIN.sub(r"\1<hidden>@", url)  # first: there may be a ? or # in a password
    return redacted(re.split("[?#]", hidden, maxsplit=1)[0])


def shown_url(url: str | None) -> str:
    """``url`` without what may be secret in it."""
    parts = urlsplit(url or "")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def is_refusal(problem: str) -> bool:
    """The server did answer, and did not let us in."""
    return any(f"{status} " in problem for status in REFUSALS)


def connect_error(problem: str, url: str | None, complaint: str | None = None) -> ConnectError:
    """What a failed connect means.

    Args:
        problem: the SDK's words, without any token in them.
        url: the server's address.
        complaint: what is wrong with the token, if that is known.
    """
    where = shown_url(url)
    problem = problem.replace(url, where) if url else problem
    if complaint is not None:
        return ConnectError(f"{where} refused the token: {complaint}")
    if is_refusal(problem):
        return ConnectError(
            f"{where} refused the token: {problem}; check that its key and secret are this server's"
        )
    if "400 Bad Request" in problem:
        return ConnectError(
            f"{where} answers, and refused what it was asked: {problem}; change what it names"
        )
    if "timed out" in problem:
        return ConnectTimeoutError(f"{where} does not answer: {problem}; check the address and the network")
    return ConnectError(f"cannot join at {where}: {problem}; check the address and that the server runs")
