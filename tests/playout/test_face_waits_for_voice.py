"""With sound playing, the delay that the voice asks for is the target, beyond the cap if need be."""

from __future__ import annotations

import random

import pytest

from avatarkit_rtc.motion.events import FrameArrived, RoundCause, RoundOpened
from avatarkit_rtc.playout import Playout, PlayoutOptions
from avatarkit_rtc.playout.jitter_buffer import BEHIND_VOICE_S
from avatarkit_rtc.playout.strategy import make_strategy
from tests.support.assertions import NEW, assert_no_burst, assert_positions_rise
from tests.support.frames import face, play


def on_time(count: int, begin: float = 10.0) -> list[tuple[float, int, object]]:
    return [(begin + 0.04 * n, n, face(n)) for n in range(count)]


def test_the_first_frame_is_shown_when_its_sound_is_heard() -> None:
    strategy = make_strategy("adaptive")
    strategy.sync.delay_s = 0.19
    shown = play(strategy.new_buffer(), on_time(50), 12.3)
    for at, pose in shown[:50]:
        assert at == pytest.approx(10 + 0.04 * pose.position + 0.19, abs=0.004)
    assert strategy.target_delay_s == 0.19
    assert strategy.jitter_delay_s <= 0.08


def test_a_voice_that_becomes_later_is_followed_without_a_jump() -> None:
    strategy = make_strategy("adaptive")
    strategy.sync.delay_s = 0.15
    made = strategy.new_buffer()
    shown = play(made, on_time(50), 11.9)
    strategy.sync.delay_s = 0.30
    shown += play(made, [(12 + 0.04 * n, 50 + n, face(50 + n)) for n in range(100)], 15.9)
    assert_positions_rise(pose for _, pose in shown)
    assert_no_burst([at for at, _ in shown], at_least=0.0319)
    at, pose = next((at, pose) for at, pose in reversed(shown) if pose.kind in NEW)
    assert at - (10 + 0.04 * pose.position) == pytest.approx(0.30, abs=0.01)
    assert made.counters.freezes == 0


def test_jitter_does_not_move_the_face_off_its_voice() -> None:
    """Sound takes as long as motion does on average: 20 ms more than the fastest packet here."""
    rng = random.Random(5)
    strategy = make_strategy("adaptive")
    strategy.sync.delay_s = 0.2
    sent = [10 + 0.04 * n for n in range(250)]
    arrivals = sorted((at + rng.uniform(0, 0.04), n, face(n)) for n, at in enumerate(sent))
    shown = play(strategy.new_buffer(), arrivals, 20.5)
    off = [at - (10 + 0.04 * pose.position) - 0.220 for at, pose in shown if pose.kind in NEW]
    assert max(abs(each) for each in off) < 0.020
    assert abs(sum(off[50:]) / len(off[50:])) < 0.004


def test_a_sender_that_goes_on_later_is_followed_soon() -> None:
    strategy = make_strategy("adaptive")
    strategy.sync.delay_s = 0.25
    sent = [10 + 0.04 * n + (0.08 if n >= 50 else 0.0) for n in range(150)]
    shown = play(strategy.new_buffer(), [(at, n, face(n)) for n, at in enumerate(sent)], 17.0)
    off = {
        round(pose.position): at - (10.08 + 0.04 * pose.position) - 0.25
        for at, pose in shown
        if pose.kind in NEW
    }
    assert abs(off[49] + 0.08) < 0.005
    assert max(abs(off[n]) for n in range(125, 150) if n in off) < 0.015


def test_the_offset_of_face_and_voice_is_told() -> None:
    playout = Playout(PlayoutOptions())
    assert playout.av_offset_s is None
    events = [RoundOpened(1, RoundCause.START), *(FrameArrived(1, n, face(n), False) for n in range(3))]
    playout.handle(events[:2], 10.0)
    playout.tick(10.0)
    assert playout.av_offset_s is None, "no voice"
    playout.strategy.sync.delay_s = 0.2
    playout.handle(events[2:], 10.04)
    offset = playout.av_offset_s
    assert offset is not None
    assert offset == pytest.approx((playout.current_delay_s or 0) - 0.2, abs=0.05)


def test_a_buffer_that_cannot_wait_is_told_of_as_well() -> None:
    playout = Playout(PlayoutOptions(strategy="fixed", max_buffer_delay_ms=0))
    playout.strategy.sync.delay_s = 0.2
    playout.handle([RoundOpened(1, RoundCause.START), FrameArrived(1, 0, face(0), False)], 10.0)
    playout.tick(10.0)
    assert playout.av_offset_s == pytest.approx(-0.2, abs=0.01)


def test_jitter_beyond_the_voice_is_the_floor() -> None:
    strategy = make_strategy("quantile", max_delay_s=0.4)
    strategy.sync.delay_s = 0.05
    strategy.estimator.observe(0.2, 0.0)
    assert strategy.target_delay_s == pytest.approx(0.2)


def test_a_face_far_behind_its_voice_skips() -> None:
    strategy = make_strategy("adaptive")
    strategy.sync.delay_s = 0.19
    made = strategy.new_buffer()
    sent = [10 + 0.04 * n for n in range(150)]
    held_up = [(max(at, 12.6) if at >= 12.0 else at, n, face(n)) for n, at in enumerate(sent)]
    shown = play(made, held_up, 16.0)
    late = [at - (10 + 0.04 * pose.position) for at, pose in shown if at >= 12.6 and pose.kind in NEW]
    assert max(late) <= 0.19 + BEHIND_VOICE_S + 0.001
    assert made.counters.skipped > 0


def test_without_sound_it_is_as_before() -> None:
    strategy = make_strategy("adaptive")
    shown = play(strategy.new_buffer(), on_time(50), 12.3)
    assert shown[0][0] == pytest.approx(10.04)
