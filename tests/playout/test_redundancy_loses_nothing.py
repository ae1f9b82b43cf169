"""Each packet carries the two frames before its own: what any packet brought in time is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.motion.events import FrameArrived
from avatarkit_rtc.motion.stream import MotionStream
from avatarkit_rtc.playout.adaptive_delay import AdaptiveDelay
from avatarkit_rtc.playout.delay import DelayEstimator, FixedDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from tests.support.assertions import FROM_FRAMES, assert_positions_rise
from tests.support.frames import faces, speech

COUNT = 60
FRAMES = faces(COUNT)
PACKETS = speech(FRAMES)


def assert_nothing_lost_that_came_in_time(
    estimator: DelayEstimator, cap_s: float, fates: Sequence[float | None]
) -> JitterBuffer:
    """``fates``: how late each packet comes, None for never."""
    stream, made = MotionStream(), JitterBuffer(estimator, max_delay_s=cap_s)
    arrivals = sorted((10 + 0.04 * n + late, n) for n, late in enumerate(fates) if late is not None)
    in_time: set[int] = set()
    shown: list[object] = []
    reached = -math.inf

    def pop_until(moment: float) -> None:
        nonlocal reached
        while (due := made.next_deadline()) is not None and due <= moment:
            pose = made.pop(due)
            assert pose is not None
            shown.append(pose)
            reached = pose.position

    for at, number in arrivals:
        pop_until(math.nextafter(at, -math.inf))
        for event in stream.receive(PACKETS[number], at):
            if isinstance(event, FrameArrived):
                if event.seq > reached:
                    in_time.add(event.seq)
                made.push(event.seq, event.frame, at, recovered=event.recovered)
    made.end()
    pop_until(60.0)
    assert_positions_rise(shown)  # type: ignore[arg-type]
    from_frames = {int(pose.position) for pose in shown if pose.kind in FROM_FRAMES}  # type: ignore[attr-defined]
    assert len(in_time - from_frames) == made.counters.skipped + made.counters.hurried
    return made


lateness = st.one_of(
    st.none(),
    st.sampled_from([0.0, 0.0, 0.0, 0.01]),
    st.floats(0.0, 0.3, allow_nan=False),
)


@settings(deadline=None, max_examples=150)
@given(
    fates=st.lists(lateness, min_size=COUNT, max_size=COUNT),
    target_s=st.sampled_from([0.004, 0.02, 0.06, 0.2, None]),
)
def test_every_frame_that_came_before_its_place_was_passed_is_shown(
    fates: list[float | None], target_s: float | None
) -> None:
    fates[0] = 0.0  # the start
    estimator = AdaptiveDelay() if target_s is None else FixedDelay(target_s)
    made = assert_nothing_lost_that_came_in_time(estimator, 0.4, fates)
    assert made.counters.skipped == 0, "nothing was that late"


@settings(deadline=None, max_examples=60)
@given(
    begin=st.integers(3, 30),
    length=st.floats(0.0, 2.2),
    lost=st.sets(st.integers(1, COUNT - 1), max_size=20),
)
def test_after_an_outage_nothing_is_left_out(begin: int, length: float, lost: set[int]) -> None:
    fates: list[float | None] = []
    for number in range(COUNT):
        since = 0.04 * (number - begin)
        fates.append(None if number in lost else max(0.0, length - since) if since >= 0 else 0.0)
    made = assert_nothing_lost_that_came_in_time(FixedDelay(0.02), 0.08, fates)
    assert made.counters.skipped == 0


@pytest.mark.parametrize("every", [3, 4, 7])
def test_at_a_target_of_80_ms_losses_are_not_seen(every: int) -> None:
    fates = [None if n % every in (1, 2) and n > 2 else 0.0 for n in range(COUNT)]
    made = assert_nothing_lost_that_came_in_time(FixedDelay(0.085), 0.1, fates)
    assert made.counters.interpolated == 0
    assert made.counters.held == 0
    assert made.counters.shown == COUNT - (fates[-1] is None) - (fates[-1] is None and fates[-2] is None)
