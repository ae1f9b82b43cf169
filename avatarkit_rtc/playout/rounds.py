"""The state machine of what is on show, as a table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PlayState(StrEnum):
    """What is on show."""

    IDLE = "idle"
    TRANSITION_IN = "transition-in"
    """From idle to the pose the speech begins with."""
    SPEECH = "speech"
    TRANSITION_OUT = "transition-out"
    """From the last pose of the speech to idle."""
    DISCONNECT_TRANSITION = "disconnect-transition"
    """To idle because the stream broke off."""


class PlayInput(StrEnum):
    """What can happen to it."""

    TRANSITION = "transition"
    """The round on show has a pose to begin with."""
    FRAME_DUE = "frame-due"
    """The first frame of the round on show is due."""
    DRAINED = "drained"
    """The round on show is over and everything of it was shown."""
    CUT = "cut"
    """The round on show broke off: a stall, a lost connection, a flush."""
    BLEND_DONE = "blend-done"
    """The transition on show has reached its target."""


_S, _I = PlayState, PlayInput

TRANSITIONS: Final[dict[tuple[PlayState, PlayInput], PlayState]] = {
    (_S.IDLE, _I.TRANSITION): _S.TRANSITION_IN,
    (_S.IDLE, _I.FRAME_DUE): _S.SPEECH,
    (_S.IDLE, _I.DRAINED): _S.IDLE,
    (_S.IDLE, _I.CUT): _S.IDLE,
    (_S.TRANSITION_IN, _I.TRANSITION): _S.TRANSITION_IN,
    (_S.TRANSITION_IN, _I.FRAME_DUE): _S.SPEECH,
    (_S.TRANSITION_IN, _I.DRAINED): _S.TRANSITION_OUT,
    (_S.TRANSITION_IN, _I.CUT): _S.DISCONNECT_TRANSITION,
    (_S.TRANSITION_IN, _I.BLEND_DONE): _S.TRANSITION_IN,
    (_S.SPEECH, _I.TRANSITION): _S.TRANSITION_IN,
    (_S.SPEECH, _I.FRAME_DUE): _S.SPEECH,
    (_S.SPEECH, _I.DRAINED): _S.TRANSITION_OUT,
    (_S.SPEECH, _I.CUT): _S.DISCONNECT_TRANSITION,
    (_S.TRANSITION_OUT, _I.TRANSITION): _S.TRANSITION_IN,
    (_S.TRANSITION_OUT, _I.FRAME_DUE): _S.SPEECH,
    (_S.TRANSITION_OUT, _I.DRAINED): _S.TRANSITION_OUT,
    (_S.TRANSITION_OUT, _I.CUT): _S.DISCONNECT_TRANSITION,
    (_S.TRANSITION_OUT, _I.BLEND_DONE): _S.IDLE,
    (_S.DISCONNECT_TRANSITION, _I.TRANSITION): _S.TRANSITION_IN,
    (_S.DISCONNECT_TRANSITION, _I.FRAME_DUE): _S.SPEECH,
    (_S.DISCONNECT_TRANSITION, _I.DRAINED): _S.DISCONNECT_TRANSITION,
    (_S.DISCONNECT_TRANSITION, _I.CUT): _S.DISCONNECT_TRANSITION,
    (_S.DISCONNECT_TRANSITION, _I.BLEND_DONE): _S.IDLE,
}
"""State and input to the next state. What is not listed cannot happen: only transitions blend."""


def next_state(state: PlayState, happened: PlayInput) -> PlayState:
    """The state after ``happened``.

    Raises:
        KeyError: the table has no such row; a bug of the caller.
    """
    return TRANSITIONS[state, happened]
