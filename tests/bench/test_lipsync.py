"""The short form of ``bench.lipsync``: the face follows its voice, in the cases that need no root."""

from __future__ import annotations

import numpy as np
import pytest

from bench.lipsync import CASES, QUICK, offsets_ms, quick
from bench.report import Report
from tests.support.system import require
from tests.support.tries import STALL_S, Stalls

ENOUGH_MS = 40.0
"""Of 15 s on a machine that may be busy; the goals are those of minutes on a quiet one."""
TRIES = 3


def test_a_mouth_is_matched_with_its_beep() -> None:
    heard = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(offsets_ms([1.01, 1.98, 9.0], heard), [10.0, -20.0], atol=1e-6)
    assert len(offsets_ms([], heard)) == 0
    assert len(offsets_ms([0.5, 1.5, 2.5], heard)) == 0
    np.testing.assert_allclose(offsets_ms([0.5, 1.5, 2.5], heard, -0.5), [-500.0] * 3, atol=1e-6)


def test_the_cases_are_what_they_say() -> None:
    rounds = next(case for case in CASES if case.name == "rounds")
    assert min(rounds.silences_s) == 0.0
    assert 0.3 <= max(rounds.silences_s) <= 0.32
    assert 0.0 in rounds.pauses_s


def in_step(report: Report, case: str) -> bool:
    """Whether the face that follows is where its voice is, and the one that does not is not."""
    ours, theirs = (report.figure(f"{case}, {way}: median").value for way in ("following", "on arrival"))
    return ours < ENOUGH_MS < theirs and report.figure(f"{case}, following: beeps without a mouth").value == 0


@pytest.mark.alone
@pytest.mark.parametrize("case", QUICK)
def test_the_face_that_follows_is_in_step_with_its_voice(case: str) -> None:
    require("pulseaudio", "parec", "pactl")
    found: list[str] = []
    stalled = 0
    for _ in range(TRIES):
        with Stalls() as stalls:
            try:
                report = quick([case])
            except RuntimeError as error:  # a program did not come to its end
                found.append(str(error))
                continue
        if in_step(report, case):
            return
        found.append(report.table())
        # Not the speaker's underruns: those may be ours.
        stalled += stalls.worst_s > STALL_S
    if stalled == TRIES:
        pytest.skip(f"the machine stalls for more than {1000 * STALL_S:.0f} ms in each try")
    pytest.fail("\n\n".join(found))
