"""What the stage does, as a table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class StageState(StrEnum):
    """What is going on."""

    SILENT = "silent"
    """Nothing is to be said."""
    GATHERING = "gathering"
    """Something is; it waits for enough of its motion and sound."""
    SPEAKING = "speaking"
    """Motion and sound go to the player."""
    PAUSED = "paused"
    """Nothing goes on until it is resumed."""


class StageInput(StrEnum):
    """What can happen to it."""

    SAID = "said"
    """There is something to say."""
    READY = "ready"
    """There is enough of it, or it was waited for long enough."""
    STARVED = "starved"
    """The sound's source is late."""
    OVER = "over"
    """It is said."""
    PAUSE = "pause"
    RESUME = "resume"
    CUT = "cut"
    """Everything that was to be said is dropped."""


_S, _I = StageState, StageInput

STEPS: Final[dict[tuple[StageState, StageInput], StageState]] = {
    (_S.SILENT, _I.SAID): _S.GATHERING,
    (_S.SILENT, _I.PAUSE): _S.PAUSED,
    (_S.SILENT, _I.RESUME): _S.SILENT,
    (_S.SILENT, _I.CUT): _S.SILENT,
    (_S.GATHERING, _I.SAID): _S.GATHERING,
    (_S.GATHERING, _I.READY): _S.SPEAKING,
    (_S.GATHERING, _I.OVER): _S.SILENT,
    (_S.GATHERING, _I.PAUSE): _S.PAUSED,
    (_S.GATHERING, _I.RESUME): _S.GATHERING,
    (_S.GATHERING, _I.CUT): _S.SILENT,
    (_S.SPEAKING, _I.SAID): _S.SPEAKING,
    (_S.SPEAKING, _I.STARVED): _S.GATHERING,
    (_S.SPEAKING, _I.OVER): _S.SILENT,
    (_S.SPEAKING, _I.PAUSE): _S.PAUSED,
    (_S.SPEAKING, _I.RESUME): _S.SPEAKING,
    (_S.SPEAKING, _I.CUT): _S.SILENT,
    (_S.PAUSED, _I.SAID): _S.PAUSED,
    (_S.PAUSED, _I.PAUSE): _S.PAUSED,
    (_S.PAUSED, _I.OVER): _S.PAUSED,
    (_S.PAUSED, _I.RESUME): _S.SILENT,
    (_S.PAUSED, _I.CUT): _S.SILENT,
}
"""State and input to the next state. What is not listed cannot happen."""


def next_state(state: StageState, happened: StageInput) -> StageState:
    """The state after ``happened``.

    Raises:
        KeyError: the table has no such row; a bug of the caller.
    """
    return STEPS[state, happened]
