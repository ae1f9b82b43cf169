"""The avatar does not interrupt itself while the echo canceller learns."""

from __future__ import annotations

import pytest

from avatarkit_rtc.integrations.realtime.echo_guard import LEARNING_S, RELEARNING_S, TAIL_S, EchoGuard


def speak(guard: EchoGuard, start: float, seconds: float, rms: float = 0.1) -> list[tuple[float, bool]]:
    """The avatar speaks; when the microphone was shut."""
    shut = []
    for step in range(round(seconds / 0.02)):
        now = start + step * 0.02
        guard.heard(now, 0.02, rms)
        shut.append((now - start, guard.closed(now)))
    return shut


def test_the_first_speech_is_not_heard_and_the_user_is_in_its_pauses() -> None:
    guard = EchoGuard()
    assert not guard.closed(0.0)  # nobody speaks yet
    shut = speak(guard, 10.0, 1.0)
    assert all(closed for _, closed in shut)
    assert guard.closed(11.0 + TAIL_S / 2)
    assert not guard.closed(11.1 + TAIL_S)
    rest = speak(guard, 20.0, LEARNING_S)
    opened = next(at for at, closed in rest if not closed)
    assert opened == pytest.approx(LEARNING_S - 1.0 + TAIL_S, abs=0.05)
    assert guard.learnt
    assert not any(closed for _, closed in speak(guard, 30.0, 3.0))


def test_a_gap_shuts_it_for_a_moment() -> None:
    guard = EchoGuard()
    speak(guard, 0.0, 5.0)
    guard.gap()
    assert not guard.learnt
    shut = [at for at, closed in speak(guard, 10.0, 3.0) if closed]
    assert max(shut) == pytest.approx(RELEARNING_S + TAIL_S, abs=0.05)
    guard.begin()
    shut = [at for at, closed in speak(guard, 20.0, 5.0) if closed]
    assert max(shut) == pytest.approx(LEARNING_S + TAIL_S, abs=0.05)


def test_silence_teaches_nothing() -> None:
    guard = EchoGuard()
    assert not any(closed for _, closed in speak(guard, 0.0, 5.0, rms=0.001))
    assert not guard.learnt
