from __future__ import annotations

import dataclasses

import pytest

from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.playout.stats import PlayoutCounters, ShownMeter


def test_poses_are_counted_by_kind_and_pauses_between_new_ones_as_freezes() -> None:
    meter = ShownMeter()
    for kind, now in [
        (PoseKind.RECEIVED, 1.00),
        (PoseKind.RECOVERED, 1.04),
        (PoseKind.HELD, 1.08),
        (PoseKind.HELD, 1.12),
        (PoseKind.INTERPOLATED, 1.14),
        (PoseKind.RECEIVED, 1.19),
    ]:
        meter.shown(kind, now)
    counters = meter.counters
    assert (counters.received, counters.recovered, counters.interpolated, counters.held) == (2, 1, 1, 2)
    assert counters.shown == 4
    assert counters.freezes == 1
    assert counters.frozen_s == counters.worst_freeze_s == pytest.approx(0.06)
    assert counters.played_s == pytest.approx(0.19)


def test_time_won_and_lost_without_a_freeze_is_warped() -> None:
    meter = ShownMeter()
    for now, step in [(1.0, 1.0), (1.036, 1.0), (1.086, 1.0), (1.126, 1.5), (1.166, 9.0), (1.3, 1.0)]:
        meter.shown(PoseKind.RECEIVED, now, step)
    assert meter.counters.warped_s == pytest.approx(0.004 + 0.010 + 0.020)


def test_a_clock_that_was_set_makes_no_time_played() -> None:
    meter = ShownMeter()
    meter.shown(PoseKind.RECEIVED, 100.0)
    meter.shown(PoseKind.RECEIVED, 3.0)
    assert meter.counters.played_s == 0.0


def test_summing_up_takes_every_figure() -> None:
    names = [each.name for each in dataclasses.fields(PlayoutCounters)]
    a = PlayoutCounters(**{name: index + 1 for index, name in enumerate(names)})
    b = PlayoutCounters(**dict.fromkeys(names, 100))
    a.add(b)
    for index, name in enumerate(names):
        assert getattr(a, name) == (100 if name == "worst_freeze_s" else index + 101)
