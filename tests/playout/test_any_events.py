"""Whatever a stream reports and whenever the playout is ticked: nothing raises and nothing gets stuck."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.motion.events import (
    FrameArrived,
    RoundCause,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    StreamEvent,
    TransitionArrived,
)
from avatarkit_rtc.playout import Playout, PlayoutOptions, PoseKind
from avatarkit_rtc.playout.playout import MAX_ROUNDS_WAITING
from avatarkit_rtc.playout.rounds import PlayState
from tests.support.frames import Stage, arrived, face, ramp

numbers = st.integers(1, 6)
events: st.SearchStrategy[StreamEvent] = st.one_of(
    st.builds(RoundOpened, numbers, st.sampled_from(RoundCause)),
    st.builds(
        lambda number, seq, recovered, rebased: FrameArrived(
            number, seq, ramp(seq % 100), recovered, rebased
        ),
        numbers,
        st.sampled_from([*range(12), 300, 10**6]),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(TransitionArrived, numbers, st.builds(face, st.integers(0, 3))),
    st.builds(RoundClosed, numbers, st.sampled_from(RoundEndReason)),
)
times = st.one_of(
    st.just("tick"),
    st.sampled_from([0.001, 0.02, 0.04, 0.04, 0.1, 0.5, 2.0, -0.02, -10.0, math.nan, math.inf]),
    st.sampled_from([RoundEndReason.FLUSHED, RoundEndReason.STALLED]),
)


def make(direct: bool, short: bool) -> Playout:
    frames = 0 if short else 8
    return Playout(
        PlayoutOptions(
            enable_jitter_buffer=not direct,
            start_transition_frames=frames,
            end_transition_frames=frames,
            disconnect_transition_frames=frames,
        )
    )


@settings(deadline=None, max_examples=500)
@given(st.booleans(), st.booleans(), st.lists(events | times, max_size=60))
def test_any_sequence_of_events_and_ticks(direct: bool, short: bool, inputs: list[object]) -> None:
    playout, now = make(direct, short), 1000.0
    for each in inputs:
        if each == "tick":
            playout.tick(now)
        elif isinstance(each, RoundEndReason):
            playout.cut(each, now)
        elif isinstance(each, float):
            if math.isfinite(each):
                now += each
            playout.tick(now if math.isfinite(each) else each)
        else:
            playout.handle([each], now)  # type: ignore[list-item]
        assert len(playout._waiting) <= MAX_ROUNDS_WAITING
        assert not math.isnan(playout.next_deadline())
        assert playout.stats().state in set(PlayState)
    # A frame of a new round is on show within a second or so, and idle comes back in the end.
    playout.tick(now)
    stage = Stage(playout, now)
    stage.handle(RoundOpened(99, RoundCause.START), arrived(99, 0, face(0)))
    assert any(pose.round == 99 and pose.kind is PoseKind.RECEIVED for pose in stage.run(1.5))
    stage.handle(RoundClosed(99, RoundEndReason.END_FLAG))
    stage.run(1.0)
    assert stage.playout.state is PlayState.IDLE
    assert stage.poses[-1].kind is PoseKind.IDLE


@settings(deadline=None, max_examples=200)
@given(st.booleans(), st.lists(st.tuples(events, st.sampled_from([0.0, 0.01, 0.04, 0.3])), max_size=60))
def test_ticked_at_its_deadlines_it_never_asks_for_ticks_without_end(
    direct: bool, inputs: list[tuple[StreamEvent, float]]
) -> None:
    stage = Stage(make(direct, False))
    seen: set[int] = set()
    for event, pause in inputs:
        if isinstance(event, RoundOpened):
            if event.round in seen:
                continue  # a stream opens each round once
            seen.add(event.round)
        stage.handle(event)
        stage.run(pause)
    times_shown = [pose.t for pose in stage.poses]
    assert times_shown == sorted(times_shown)


def test_a_day_of_rounds_takes_no_memory() -> None:
    stage = Stage(Playout())
    for number in range(1, 400):
        stage.handle(RoundOpened(number, RoundCause.START), arrived(number, 0, face(0)))
        stage.handle(RoundClosed(number, RoundEndReason.END_FLAG))
        stage.run(0.2)
    playout = stage.playout
    assert len(playout._waiting) == 0
    assert len(playout._news) == 0
    assert playout.stats().rounds_ended == {RoundEndReason.END_FLAG: 399}
