"""One lost frame on a clean link costs one interpolated or recovered pose, and no delay for long."""

from __future__ import annotations

from itertools import pairwise

import pytest

from avatarkit_rtc.playout.adaptive_delay import AdaptiveDelay
from avatarkit_rtc.playout.delay import FixedDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.playout.pose import PoseKind
from tests.support.assertions import NEW
from tests.support.frames import Shown, face

LOST = 100
COUNT = 200
ROUNDING_S = 1e-6
"""Arrivals and deadlines are sums of different terms: what comes just when it is due must not depend on how
they are rounded."""


def played(made: JitterBuffer, *, copies: int) -> list[Shown]:
    """A clean link that loses one packet; each packet carries ``copies`` earlier frames."""
    shown: list[Shown] = []
    for number in range(COUNT):
        now = 10 + 0.04 * number - (ROUNDING_S if number > LOST else 0)
        while (due := made.next_deadline()) is not None and due < now:
            pose = made.pop(due)
            assert pose is not None
            shown.append((due, pose))
        if number == LOST:
            continue
        if number - LOST in range(1, copies + 1):
            made.push(LOST, face(LOST), now, recovered=True)
        made.push(number, face(number), now)
    return shown


@pytest.mark.parametrize("copies", [0, 2], ids=["without-redundancy", "with-redundancy"])
@pytest.mark.parametrize("target_ms", [10, 20, 40, 60, 80])
def test_one_lost_frame(target_ms: int, copies: int) -> None:
    target = target_ms / 1000
    made = JitterBuffer(FixedDelay(target), max_delay_s=target)
    shown = played(made, copies=copies)
    new = [(at, pose) for at, pose in shown if pose.kind in NEW]
    assert [pose.position for _, pose in new] == list(range(len(new)))
    instead = PoseKind.RECOVERED if copies else PoseKind.INTERPOLATED
    made_up = [pose for _, pose in new if pose.kind is not PoseKind.RECEIVED]
    assert [(pose.position, pose.kind) for pose in made_up] == [(LOST, instead)]
    gap = max(b - a for (a, _), (b, _) in pairwise(new))
    assert gap <= max(0.080 - target, 0.050) + 0.005
    # Back at the target within 2 s of the loss.
    lost_at = 10 + 0.04 * LOST
    after = [at - (10 + 0.04 * pose.position) for at, pose in new if at > lost_at + 2.0 - 0.04]
    assert max(after) <= target + 0.006
    assert made.current_delay_s == pytest.approx(target, abs=0.006)


@pytest.mark.parametrize("copies", [0, 2], ids=["without-redundancy", "with-redundancy"])
def test_one_lost_frame_hardly_moves_the_adaptive_target(copies: int) -> None:
    estimator = AdaptiveDelay()
    made = JitterBuffer(estimator, max_delay_s=0.08)
    played(made, copies=copies)
    assert estimator.target_s <= 0.045
    assert made.counters.freezes <= 1
    assert made.counters.worst_freeze_s <= 0.041
    delay = made.current_delay_s
    assert delay is not None
    assert delay <= estimator.target_s + 0.006
