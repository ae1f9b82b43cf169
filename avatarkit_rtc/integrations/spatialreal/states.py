"""The life of a session as a table: which state follows which, and nothing else."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class SessionState(StrEnum):
    """Where a session stands."""

    NEW = "new"
    """Nothing was asked of the service yet."""
    STARTING = "starting"
    """On the way to the first connection."""
    RUNNING = "running"
    """The service is connected and takes speech."""
    RETRYING = "retrying"
    """The connection was lost; the next one is on its way."""
    ENDING = "ending"
    """The connection is being closed."""
    ENDED = "ended"
    """Over, as it was asked for."""
    FAILED = "failed"
    """Over: the service ended it, or could not be reached (again)."""


class SessionInput(StrEnum):
    """What moves a session on."""

    START = "start"
    CONNECTED = "connected"
    LOST = "lost"
    """The connection is gone, or did not come about; another try is worth it."""
    GIVE_UP = "give-up"
    """No other try."""
    END = "end"
    """It is to end."""
    CLOSED = "closed"
    """Everything is closed."""


_S = SessionState
_I = SessionInput

TRANSITIONS: Final = {
    (_S.NEW, _I.START): _S.STARTING,
    (_S.NEW, _I.END): _S.ENDED,
    (_S.STARTING, _I.CONNECTED): _S.RUNNING,
    (_S.STARTING, _I.LOST): _S.STARTING,
    (_S.STARTING, _I.GIVE_UP): _S.FAILED,
    (_S.STARTING, _I.END): _S.ENDING,
    (_S.RUNNING, _I.LOST): _S.RETRYING,
    (_S.RUNNING, _I.GIVE_UP): _S.FAILED,
    (_S.RUNNING, _I.END): _S.ENDING,
    (_S.RETRYING, _I.CONNECTED): _S.RUNNING,
    (_S.RETRYING, _I.LOST): _S.RETRYING,
    (_S.RETRYING, _I.GIVE_UP): _S.FAILED,
    (_S.RETRYING, _I.END): _S.ENDING,
    (_S.ENDING, _I.END): _S.ENDING,
    (_S.ENDING, _I.CLOSED): _S.ENDED,
    (_S.ENDED, _I.END): _S.ENDED,
    (_S.ENDED, _I.CLOSED): _S.ENDED,
    (_S.FAILED, _I.END): _S.FAILED,
    (_S.FAILED, _I.CLOSED): _S.FAILED,
}
"""(state, input) to the next state. What is not in it cannot happen."""

OVER: Final = frozenset({_S.ENDING, _S.ENDED, _S.FAILED})
"""States in which nothing more is said."""
