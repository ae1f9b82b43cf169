"""Stalls at a steady period: found, foreseen, and dropped when they no longer come."""

from __future__ import annotations

import random

import pytest

from avatarkit_rtc.playout.periodic_stalls import MISSES_TO_DOUBT, REMEMBERED, PeriodicStalls


class Link:
    """A network that sends each 40 ms; stalls at given times."""

    def __init__(self) -> None:
        self.stalls = PeriodicStalls()
        self.sent = 1000.0

    def run(self, seconds: float) -> None:
        """Packets in time."""
        end = self.sent + seconds
        while self.sent < end - 0.001:
            self.stalls.observe(0.0, self.sent)
            self.sent += 0.04

    def stall(self, length: float) -> None:
        """Packets of one stall, that all come at its end."""
        end = self.sent + length
        while self.sent < end - 0.001:
            self.stalls.observe(end - self.sent, end)
            self.sent += 0.04

    def periodic(self, period: float, count: int, length: float = 0.2) -> None:
        for _ in range(count):
            self.stall(length)
            self.run(period - length)


@pytest.mark.parametrize("period", [4.4, 11.0, 15.0, 39.0])
def test_the_period_is_found_after_four_stalls(period: float) -> None:
    link = Link()
    link.periodic(period, 3)
    assert link.stalls.period_s is None
    link.periodic(period, 1)
    assert link.stalls.period_s == pytest.approx(period, abs=0.05)


@pytest.mark.parametrize("period", [1.0, 3.0, 50.0])
def test_periods_out_of_range_are_not_believed(period: float) -> None:
    link = Link()
    link.periodic(period, 3)
    assert link.stalls.period_s is None or link.stalls.period_s != pytest.approx(period, abs=0.5)


def test_one_missing_among_four_is_no_obstacle() -> None:
    link = Link()
    link.periodic(11.0, 2)
    link.run(11.0)
    link.periodic(11.0, 2)
    assert link.stalls.period_s == pytest.approx(11.0, abs=0.05)


def test_a_drifting_period_is_followed() -> None:
    link = Link()
    link.periodic(11.0, 5)
    for step in range(30):
        link.periodic(11.0 + 0.01 * step, 1)
    assert link.stalls.period_s == pytest.approx(11.29, abs=0.15)


def test_more_delay_is_wanted_before_the_stall_and_none_between_two() -> None:
    link = Link()
    link.periodic(11.0, 5, length=0.24)
    due, stalls = link.sent, link.stalls
    assert stalls.wanted_delay_s(due - 0.1) == pytest.approx(0.252, abs=0.045)
    assert stalls.wanted_delay_s(due - 4.0) == 0.0
    assert stalls.wanted_delay_s(due + 1.0) == 0.0


def test_nothing_is_wanted_while_no_period_is_known() -> None:
    stalls = PeriodicStalls()
    assert stalls.wanted_delay_s(5.0) == 0.0
    assert stalls.foreseen_s(0.2, 5.0) == 0.0


def test_the_lateness_of_a_predicted_stall_is_foreseen_and_no_other() -> None:
    link = Link()
    link.periodic(11.0, 5)
    assert link.stalls.foreseen_s(0.2, link.sent + 0.2) == pytest.approx(0.212, abs=0.001)
    link.stall(0.2)
    # Right behind it, too, for the tail of a longer one; but not in the middle of nowhere.
    assert link.stalls.foreseen_s(0.2, link.sent + 0.2) > 0.0
    assert link.stalls.foreseen_s(0.2, link.sent + 5.0) == 0.0


def test_a_period_that_stops_is_dropped() -> None:
    link = Link()
    link.periodic(11.0, 6)
    link.run(11.0 * (MISSES_TO_DOUBT - 1))
    assert link.stalls.period_s is not None
    link.run(11.0 + 1.0)
    assert link.stalls.period_s is None
    assert link.stalls.wanted_delay_s(link.sent) == 0.0


def test_a_stall_that_comes_again_ends_the_doubt() -> None:
    link = Link()
    link.periodic(11.0, 6)
    for _ in range(6):
        link.run(11.0)
        link.periodic(11.0, 1)
        assert link.stalls.period_s is not None


def test_pauses_without_packets_are_no_misses() -> None:
    link = Link()
    link.periodic(11.0, 6)
    due = link.sent
    for _ in range(8):
        # Nobody sends while the stall would be due.
        link.run(0.0)
        link.sent += 2.0
        link.run(6.0)
        link.sent += 3.0
    assert link.stalls.period_s == pytest.approx(11.0, abs=0.05)
    assert link.sent == pytest.approx(due + 88.0)
    link.periodic(11.0, 1)
    assert link.stalls.wanted_delay_s(link.sent - 0.1) > 0.0


def test_a_long_pause_moves_the_next_stall_to_its_place() -> None:
    link = Link()
    link.periodic(11.0, 6)
    link.sent += 110.0 - 5.0
    link.run(4.8)
    assert link.stalls.wanted_delay_s(link.sent) > 0.0


def test_a_stall_out_of_turn_changes_nothing() -> None:
    link = Link()
    link.periodic(11.0, 6)
    link.run(5.0)
    link.stall(0.4)
    link.run(5.6)
    assert link.stalls.period_s == pytest.approx(11.0, abs=0.05)
    assert link.stalls.wanted_delay_s(link.sent - 0.1) == pytest.approx(0.212, abs=0.001)


def test_late_packets_close_together_are_one_stall() -> None:
    stalls = PeriodicStalls()
    for now, late in ((10.3, 0.3), (10.3, 0.26), (10.5, 0.1), (10.8, 0.35)):
        stalls.observe(late, now)
    assert len(stalls._onsets) == 1
    assert list(stalls._lengths) == [0.35]


def test_stalls_at_random_times_have_no_period() -> None:
    rng, link, with_period = random.Random(2), Link(), 0
    for _ in range(60):
        link.stall(0.2)
        link.run(rng.uniform(1.0, 20.0))
        with_period += link.stalls.period_s is not None
    assert with_period <= 15


def test_memory_is_bounded() -> None:
    rng, link = random.Random(2), Link()
    for _ in range(500):
        link.stall(0.1)
        link.run(rng.uniform(0.7, 3.0))
    assert len(link.stalls._onsets) == len(link.stalls._lengths) <= REMEMBERED


def test_after_the_clock_was_set_back_a_period_is_learnt_anew() -> None:
    link = Link()
    link.periodic(11.0, 6)
    link.sent -= 900.0
    link.run(1.0)
    assert link.stalls.period_s is None
    link.periodic(7.0, 4)
    assert link.stalls.period_s == pytest.approx(7.0, abs=0.05)
