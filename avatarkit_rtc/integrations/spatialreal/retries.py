"""After which failures a new connection is worth a try. One table, which the session and its errors read."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Retry(Enum):
    """What to do after a failure."""

    NO = "no"
    """It would fail again."""
    AT_ONCE = "at once"
    """The service expects it."""
    BACKOFF = "backoff"
    """After a pause that grows."""


CLOSE_CODES: Final = (
    # first, last, what to do; the first row that fits counts
    (1000, 1000, Retry.NO),  # the service has ended it on purpose
    (4002, 4002, Retry.AT_ONCE),  # the session token's time is over: a new one is "allowed and expected"
    (4000, 4499, Retry.NO),  # the request itself is at fault: credits, sessions at once, authentication
    (4500, 4599, Retry.BACKOFF),  # trouble on their side
    (0, 4999, Retry.BACKOFF),  # the transport's own: a server that goes (1001), a broken connection (1006)
)
"""WebSocket close codes, as the vendor's package documents them (``CloseCode``, spatialreal 0.2.2)."""

STATUSES: Final = (
    (408, 408, Retry.BACKOFF),
    (500, 599, Retry.BACKOFF),
    (100, 499, Retry.NO),
)
"""HTTP statuses of the token request and of the WebSocket's opening."""

_NEVER_SAID: Final = Retry.BACKOFF
"""No code at all: nobody there, no answer in time, the connection just gone."""


def retry_after_close(code: int | None) -> Retry:
    """After a WebSocket that was closed with ``code``; None if it just broke."""
    return _NEVER_SAID if code is None else _row(CLOSE_CODES, code)


def retry_after_status(status: int | None) -> Retry:
    """After an HTTP answer of ``status``; None if there was none."""
    return _NEVER_SAID if status is None else _row(STATUSES, status)


def _row(table: tuple[tuple[int, int, Retry], ...], number: int) -> Retry:
    return next((retry for first, last, retry in table if first <= number <= last), Retry.NO)
