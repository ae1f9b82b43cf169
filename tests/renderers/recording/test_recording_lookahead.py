from __future__ import annotations

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers.recording.lookahead import LOOKAHEAD_S, OTHERS_KEPT, SOUND_AHEAD_S, Lookahead


def frame(position: float, of_round: int = 1, kind: PoseKind = PoseKind.RECEIVED) -> Pose:
    return Pose(0.0, kind, MotionFrame.neutral(), of_round, position)


IDLE = Pose(0.0, PoseKind.IDLE, MotionFrame.neutral())


def times(lookahead: Lookahead, *, all_of_it: bool = False) -> list[float]:
    return [round(each.t, 6) for each in lookahead.released(all_of_it=all_of_it)]


def test_poses_wait_in_their_own_time() -> None:
    lookahead = Lookahead(0.25)
    released: list[list[float]] = []
    for k in range(8):
        lookahead.pose(IDLE, k / 16)
        released.append(times(lookahead))
    assert released == [[], [], [], [], [0.0], [0.0625], [0.125], [0.1875]]
    assert len(lookahead) == 4
    assert times(lookahead, all_of_it=True) == [0.25, 0.3125, 0.375, 0.4375]


def test_a_frame_has_the_time_that_is_known_a_little_later() -> None:
    """A round is thought to begin at 1.00 and, from its tenth frame on, at 1.05."""
    lookahead = Lookahead(0.22)
    got: list[float] = []
    for n in range(40):
        lookahead.pose(frame(n), (1.0 if n < 10 else 1.05) + n * 0.04)
        got += times(lookahead)
    got += times(lookahead, all_of_it=True)
    steps = [round(t - n * 0.04, 3) for n, t in enumerate(got)]
    assert steps == [1.0] * 4 + [1.05] * 36


def test_a_round_that_begins_sooner_than_thought_passes_over_what_was_before() -> None:
    lookahead = Lookahead(0.5)
    for k in range(10):
        lookahead.pose(IDLE, k * 0.04)
    for n in range(30):
        lookahead.pose(frame(n), 0.4 - 0.005 * min(n, 20) + n * 0.04)
    got = times(lookahead, all_of_it=True)
    assert got == sorted(got)
    assert got[:7] == [round(k * 0.04, 6) for k in range(7)]
    assert lookahead.passed_over == 2
    assert got[8:] == [round(0.3 + n * 0.04, 6) for n in range(30)]


def test_rounds_in_a_row_do_not_mix() -> None:
    lookahead = Lookahead(0.5)
    for of_round in range(150):
        lookahead.pose(frame(0, of_round), of_round * 0.04)
    assert times(lookahead, all_of_it=True) == [round(k * 0.04, 6) for k in range(150)]


def test_time_never_goes_back() -> None:
    lookahead = Lookahead(0.1)
    for t, pose in (
        (0.0, frame(0)),
        (0.04, frame(1)),
        (0.04, frame(1, kind=PoseKind.HELD)),
        (0.0, frame(0, 2)),
    ):
        lookahead.pose(pose, t)
    assert times(lookahead, all_of_it=True) == [0.0, 0.04, 0.04, 0.04]


def test_other_things_keep_their_place() -> None:
    lookahead = Lookahead(0.2)
    lookahead.other("begin", 0.0)
    assert [each.other for each in lookahead.released()] == ["begin"], "nothing is before it"
    lookahead.pose(IDLE, 0.0)
    lookahead.other("note", 0.0)
    assert list(lookahead.released()) == []
    lookahead.pose(IDLE, 0.3)
    assert [each.other for each in lookahead.released()] == [None, "note"]


def test_other_things_wait_but_not_without_bound() -> None:
    lookahead = Lookahead(0.2)
    lookahead.pose(IDLE, 0.0)
    assert [lookahead.other(k, 0.0) for k in range(OTHERS_KEPT + 5)] == [True] * OTHERS_KEPT + [False] * 5
    assert len(lookahead) == 1 + OTHERS_KEPT
    lookahead.pose(IDLE, 0.3)
    assert [each.other for each in lookahead.released()] == [None, *range(OTHERS_KEPT)]
    assert lookahead.other("again", 0.3)


def test_sound_far_ahead_releases_the_last_poses() -> None:
    lookahead = Lookahead()
    for k in range(10):
        lookahead.pose(IDLE, k * 0.04)
    assert LOOKAHEAD_S > 0.4
    lookahead.sound(0.04 + SOUND_AHEAD_S)
    assert times(lookahead) == [0.0, 0.04]
    lookahead.sound(10.0)
    assert len(times(lookahead)) == 8
