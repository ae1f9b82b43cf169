"""Sound lies sample behind sample, whatever the jitter of its hand-out; only missing sound makes a gap."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.playout.sample_clock import GAP_S, SampleClock

BLOCK_S = 0.01
EPOCH = 500.0


def started(first_at: float = 502.0) -> SampleClock:
    clock = SampleClock(EPOCH)
    assert clock.place(first_at, BLOCK_S) == pytest.approx(first_at - EPOCH)
    return clock


@given(st.lists(st.floats(0.0, 0.08), min_size=1, max_size=400))
def test_jitter_is_not_in_the_times(delays: list[float]) -> None:
    clock = started()
    places = [
        clock.place(now, BLOCK_S) for now in handed_out([502.01 + BLOCK_S * k for k in range(400)], delays)
    ]
    for k, place in enumerate(places):
        assert place == pytest.approx(2.01 + BLOCK_S * k, abs=1e-9)


@given(st.lists(st.floats(0.0, 0.08), min_size=200, max_size=200))
def test_the_most_prompt_block_tells_how_time_lies(delays: list[float]) -> None:
    clock = started()
    for now in handed_out([502.01 + BLOCK_S * k for k in range(len(delays))], delays):
        clock.place(now, BLOCK_S)
    assert clock.offset_s == pytest.approx(EPOCH, abs=1e-9)  # the very first one came without delay


def handed_out(moments: list[float], delays: list[float]) -> list[float]:
    """The moments with their delays, in order."""
    found: list[float] = []
    for moment, delay in zip(moments, delays, strict=False):
        found.append(max(moment + delay, found[-1] if found else 0.0))
    return found


def test_a_first_block_that_was_late_is_seen_by_those_after_it() -> None:
    clock = started(502.05)
    for k in range(1, 50):
        assert clock.place(502.0 + BLOCK_S * k, BLOCK_S) == pytest.approx(2.05 + BLOCK_S * k)
    assert clock.offset_s == pytest.approx(EPOCH - 0.05)


def test_of_blocks_handed_out_together_the_first_tells() -> None:
    clock = started()
    for k in range(1, 100):
        clock.place(502.0 + 0.04 * (k // 4), BLOCK_S)
    assert clock.offset_s == pytest.approx(EPOCH)


def test_dropped_blocks_leave_a_gap_of_their_length() -> None:
    clock = started()
    assert clock.place(502.31, BLOCK_S, lost_s=0.3) == pytest.approx(2.31)
    assert clock.place(502.32, BLOCK_S) == pytest.approx(2.32)


def test_another_track_begins_when_it_comes() -> None:
    clock = started()
    clock.interrupted()
    assert clock.place(507.5, BLOCK_S) == pytest.approx(7.5)


def test_time_never_goes_back_for_another_track() -> None:
    clock = started()
    for _ in range(99):
        clock.place(502.0, BLOCK_S)  # all of a second at once
    clock.interrupted()
    assert clock.place(502.5, BLOCK_S) == pytest.approx(3.0)


def test_a_burst_after_a_busy_loop_is_no_gap() -> None:
    clock = started()
    for k in range(1, 500):
        now = max(502.0 + BLOCK_S * k, 504.5 if k < 250 else 0.0)  # nothing was handed out for 2.5 s
        assert clock.place(now, BLOCK_S) == pytest.approx(2.0 + BLOCK_S * k)
    assert clock.offset_s == pytest.approx(EPOCH)


def test_sound_that_is_missing_for_good_becomes_a_gap_after_a_second() -> None:
    clock = started()
    places = [clock.place(502.01 + 0.5 + BLOCK_S * k, BLOCK_S) for k in range(150)]
    steps = [after - before for before, after in itertools.pairwise(places)]
    jumps = [(k, step) for k, step in enumerate(steps) if step > BLOCK_S + 1e-6]
    assert len(jumps) == 1
    assert jumps[0][1] == pytest.approx(BLOCK_S + 0.5)
    assert jumps[0][0] == pytest.approx(100, abs=2)
    assert places[-1] == pytest.approx(2.51 + BLOCK_S * 149)
    assert clock.offset_s == pytest.approx(EPOCH)


def test_a_little_that_is_missing_moves_the_offset_and_not_the_samples() -> None:
    clock = started()
    missing = 0.8 * GAP_S
    for k in range(500):
        assert clock.place(502.01 + missing + BLOCK_S * k, BLOCK_S) == pytest.approx(2.01 + BLOCK_S * k)
    assert clock.offset_s == pytest.approx(EPOCH + missing)


def test_a_clock_that_was_set_changes_nothing() -> None:
    clock = started()
    clock.clock_set(-400.0)
    assert clock.place(102.01, BLOCK_S) == pytest.approx(2.01)
    assert clock.offset_s == pytest.approx(EPOCH - 400.0)
