"""What must hold of any motion stream and any playout, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from avatarkit_rtc.motion.events import (
    FrameArrived,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    StreamEvent,
    TransitionArrived,
)
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.buffer import BufferedPose
from avatarkit_rtc.playout.pose import Pose, PoseKind

NEW = frozenset({PoseKind.RECEIVED, PoseKind.RECOVERED, PoseKind.INTERPOLATED})
"""Kinds that show something for the first time."""

FROM_FRAMES = frozenset({PoseKind.RECEIVED, PoseKind.RECOVERED})


def frames_in(events: Iterable[StreamEvent], number: int | None = None) -> list[FrameArrived]:
    """The frames of a round, or of all."""
    return [e for e in events if isinstance(e, FrameArrived) and number in (None, e.round)]


def seqs_in(events: Iterable[StreamEvent], number: int | None = None) -> list[int]:
    """Their numbers, in the order of arrival."""
    return [each.seq for each in frames_in(events, number)]


def opened_in(events: Iterable[StreamEvent]) -> list[RoundOpened]:
    """Rounds that opened."""
    return [e for e in events if isinstance(e, RoundOpened)]


def closed_in(events: Iterable[StreamEvent]) -> list[tuple[int, RoundEndReason]]:
    """Rounds that closed, and why."""
    return [(e.round, e.reason) for e in events if isinstance(e, RoundClosed)]


def assert_rounds_in_order(events: Iterable[StreamEvent]) -> None:
    """Rounds are numbered 1, 2, …; one at a time is open; each closes once; a transition comes once, right
    behind the opening; a frame belongs to the newest round."""
    newest, is_open = 0, False
    before: StreamEvent | None = None
    for event in events:
        if isinstance(event, RoundOpened):
            assert not is_open, f"round {event.round} opens while {newest} is open"
            assert event.round == newest + 1
            newest, is_open = event.round, True
        elif isinstance(event, RoundClosed):
            assert is_open, f"round {event.round} closes twice"
            assert event.round == newest
            is_open = False
        else:
            assert event.round == newest
            if isinstance(event, TransitionArrived):
                assert isinstance(before, RoundOpened)
        before = event


def assert_each_frame_once(events: Iterable[StreamEvent]) -> None:
    """No number of a round comes twice."""
    counts = Counter((each.round, each.seq) for each in frames_in(events))
    assert not [key for key, count in counts.items() if count > 1]


def assert_values(events: Iterable[StreamEvent], source: Mapping[int, Sequence[MotionFrame]]) -> None:
    """Each frame that came by its own packet, or by a copy of it, is that of ``source[round][seq]``."""
    for each in frames_in(events):
        frames = source[each.round]
        assert each.seq >= 0
        if each.seq < len(frames) and each.frame == frames[each.seq]:
            continue
        # The transition-end stands in for a last frame, and cannot know how many were lost before it.
        assert each.recovered
        assert each.frame == frames[-1]


def assert_positions_rise(poses: Iterable[Pose | BufferedPose]) -> None:
    """Within a round the positions of new poses rise, and those of held ones do not fall."""
    last: dict[object, float] = {}
    for pose in poses:
        if pose.position is None:
            continue
        number = pose.round if isinstance(pose, Pose) else None
        before = last.get(number)
        if before is not None:
            rises = pose.position > before if pose.kind in NEW else pose.position == before
            assert rises, f"{pose.kind} at {pose.position} after {before} in round {number}"
        last[number] = pose.position


def assert_no_burst(times: Sequence[float], *, at_least: float = 0.0119) -> None:
    """Nothing is shown right after something else: 40 ms at the fastest speed, less half a frame of catching
    up with the grid."""
    gaps = [b - a for a, b in pairwise(times)]
    assert all(gap >= at_least for gap in gaps), min(gaps)


def assert_shown_exactly(poses: Iterable[Pose | BufferedPose], source: Sequence[MotionFrame]) -> None:
    """Poses of received frames are the source's, bit for bit."""
    for pose in poses:
        if pose.kind in FROM_FRAMES:
            assert pose.position is not None
            assert pose.frame.values.tobytes() == source[int(pose.position)].values.tobytes()


def kinds(poses: Iterable[Pose | BufferedPose]) -> list[PoseKind]:
    """What the poses are, in order."""
    return [pose.kind for pose in poses]


def positions(poses: Iterable[Pose | BufferedPose]) -> list[float]:
    """Positions of new poses."""
    return [pose.position for pose in poses if pose.kind in NEW and pose.position is not None]
