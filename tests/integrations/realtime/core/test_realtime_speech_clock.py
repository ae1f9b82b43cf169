"""When speech that comes in a burst is heard, and how loud, on a clock of the test's."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.integrations.realtime.core.speech_clock import GAP_S, MAX_QUEUED_S, SpeechClock
from avatarkit_rtc.integrations.realtime.events import AudioDelta
from avatarkit_rtc.integrations.realtime.output import (
    Heard,
    OutputEnded,
    OutputEvent,
    OutputLevel,
    OutputStarted,
)


def sound(seconds: float, level: float = 0.5, rate: int = 24000, item: str | None = "i") -> AudioDelta:
    samples = np.full(round(seconds * rate), round(level * 32768), "<i2")
    return AudioDelta(samples.tobytes(), rate, "r", item)


def run(clock: SpeechClock) -> list[tuple[float, OutputEvent]]:
    """All that is still heard, each event with its time."""
    heard = []
    while (deadline := clock.deadline) is not None:
        heard += [(round(deadline, 6), event) for event in clock.due(deadline)]
    return heard


def test_a_burst_is_heard_in_its_own_time() -> None:
    clock = SpeechClock()
    clock.play(sound(0.1, 0.5), 10.0)
    clock.play(sound(0.1, 0.25), 10.0)
    clock.end()
    heard = run(clock)
    assert heard[0] == (10.0, OutputStarted())
    levels = [(at, event.rms) for at, event in heard if isinstance(event, OutputLevel)]
    assert [at for at, _ in levels] == pytest.approx([10 + 0.02 * number for number in range(10)])
    assert [rms for _, rms in levels] == pytest.approx([0.5] * 5 + [0.25] * 5)
    assert heard[-1] == (10.2, OutputEnded())


def test_pieces_of_any_size_are_one_speech() -> None:
    clock, whole = SpeechClock(), sound(0.1).pcm
    for start in range(0, len(whole), 34):
        clock.play(AudioDelta(whole[start : start + 34], 24000, "r", "i"), 0.0)
    clock.end()
    assert sum(isinstance(event, OutputLevel) for _, event in run(clock)) == 5


def test_a_rest_shorter_than_a_window_is_heard_at_the_end() -> None:
    clock = SpeechClock()
    clock.play(sound(0.03), 0.0)
    clock.end()
    assert run(clock)[-1] == (0.03, OutputEnded())


def test_speech_that_starves_goes_on_when_more_comes() -> None:
    clock = SpeechClock()
    clock.play(sound(0.1), 0.0)
    assert clock.due(0.3)[-1] == OutputLevel(0.5)  # late: only the last level
    clock.play(sound(0.02), 0.5)
    clock.end()
    assert run(clock) == [(0.5, OutputLevel(0.5)), (0.52, OutputEnded())]


def test_speech_that_nobody_ends_ends_by_itself() -> None:
    clock = SpeechClock()
    clock.play(sound(0.1), 0.0)
    assert run(clock)[-1] == (pytest.approx(0.1 + GAP_S), OutputEnded())


def test_a_flush_says_how_much_was_heard() -> None:
    clock = SpeechClock()
    assert clock.flush() is None
    clock.play(sound(0.2, item="a"), 0.0)
    clock.play(sound(0.2, item="b"), 0.0)
    assert clock.flush() == Heard("a", 0)
    clock.play(sound(0.2, item="a"), 0.0)
    clock.play(sound(0.2, item="b"), 0.0)
    clock.due(0.24)
    assert clock.flush() == Heard("b", 60)
    assert (clock.deadline, clock.due(5.0), clock.flush()) == (None, [], None)


def test_an_end_without_speech() -> None:
    clock = SpeechClock()
    clock.end()
    assert run(clock) == []
    clock.play(AudioDelta(b"\x01", 24000), 0.0)  # half a sample
    clock.end()
    assert run(clock) == []


def test_what_is_kept_is_bounded() -> None:
    clock = SpeechClock()
    for _ in range(int(MAX_QUEUED_S / 60) + 1):
        clock.play(sound(60.0, rate=8000), 0.0)
    assert clock.dropped_s == pytest.approx(60.0)
    clock.due(MAX_QUEUED_S - 1.0)
    clock.play(sound(0.5, rate=8000), MAX_QUEUED_S - 1.0)
    assert clock.dropped_s == pytest.approx(60.0)  # there is room again
    clock.end()
    assert run(clock)[-1] == (pytest.approx(MAX_QUEUED_S + 0.5), OutputEnded())
