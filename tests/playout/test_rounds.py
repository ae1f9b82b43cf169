from __future__ import annotations

import itertools

import pytest

from avatarkit_rtc.playout.rounds import TRANSITIONS, PlayInput, PlayState, next_state

UNREACHABLE = {
    # Only transitions blend; in the other two states nothing is on its way that could be done.
    (PlayState.IDLE, PlayInput.BLEND_DONE),
    (PlayState.SPEECH, PlayInput.BLEND_DONE),
}


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(PlayState, PlayInput)))
def test_every_input_in_every_state_is_listed_or_cannot_happen(state: PlayState, happened: PlayInput) -> None:
    assert ((state, happened) in TRANSITIONS) != ((state, happened) in UNREACHABLE)
    if (state, happened) in TRANSITIONS:
        assert next_state(state, happened) is TRANSITIONS[state, happened]
    else:
        with pytest.raises(KeyError):
            next_state(state, happened)


def test_idle_is_reached_from_everywhere() -> None:
    ways = {(a, b) for (a, _), b in TRANSITIONS.items()}
    reach = {PlayState.IDLE}
    while more := {a for a, b in ways if b in reach} - reach:
        reach |= more
    assert reach == set(PlayState)
