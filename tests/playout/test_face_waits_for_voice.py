"""With sound playing, the delay that the voice asks for is the target, beyond the cap if need be."""

from __future__ import annotations

import pytest

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
