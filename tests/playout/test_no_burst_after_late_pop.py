from __future__ import annotations

import pytest

from avatarkit_rtc.playout.delay import QuantileDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from tests.support.assertions import assert_no_burst
from tests.support.frames import face


@pytest.mark.parametrize("late", [0.005, 0.019, 0.021, 0.05, 0.3, 0.9, 3.0])
def test_a_busy_loop_does_not_make_frames_pile_up(late: float) -> None:
    made = JitterBuffer(QuantileDelay())
    for number in range(150):
        made.push(number, face(number), 10 + 0.04 * number)
    times, now = [], 10.04
    while now < 10.8:
        assert made.pop(now) is not None
        times.append(now)
        due = made.next_deadline()
        assert due is not None
        assert due > now
        now = due + (late if len(times) == 5 else 0.0)
    times = times[5:]
    assert_no_burst(times)
