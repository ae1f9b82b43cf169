"""Speech performed on a virtual clock: what goes out, when, and that the mouth goes with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.motion.events import FrameArrived, RoundClosed, RoundEndReason, RoundOpened
from avatarkit_rtc.motion.stream import MotionStream
from avatarkit_rtc.providers.speech_performer import (
    BLOCK_S,
    LINGER_S,
    MAX_QUEUED_S,
    Began,
    Ended,
    Packet,
    Sound,
    SpeechPerformer,
)
from avatarkit_rtc.testing.performer import mouth_opening
from avatarkit_rtc.testing.voice import speak

RATE = 24000
VOICE = speak(1, 3.0, RATE).pcm


class Stage:
    """A performer, its clock, and what has come of it."""

    def __init__(self) -> None:
        self.performer = SpeechPerformer()
        self.now = 100.0
        self.stream = MotionStream()
        self.events: list[tuple[float, object]] = []
        self.sounds: list[tuple[float, Sound]] = []
        self.turns: list[tuple[float, object]] = []

    def run(self, seconds: float, step: float = BLOCK_S) -> None:
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.take(self.performer.tick(self.now))
            self.now += step

    def take(self, outputs: list[object]) -> None:
        for each in outputs:
            if isinstance(each, Packet):
                self.events += [(self.now, event) for event in self.stream.receive(each.data, self.now)]
            elif isinstance(each, Sound):
                self.sounds.append((self.now, each))
            else:
                self.turns.append((self.now, each))

    @property
    def sound(self) -> npt.NDArray[np.int16]:
        return np.concatenate([each.samples for _, each in self.sounds])

    @property
    def frames(self) -> list[tuple[float, FrameArrived]]:
        return [(t, each) for t, each in self.events if isinstance(each, FrameArrived)]

    @property
    def rounds(self) -> list[object]:
        return [each for _, each in self.events if isinstance(each, RoundOpened | RoundClosed)]


def test_silence_goes_out_all_the_time() -> None:
    stage = Stage()
    stage.run(0.5)
    assert len(stage.sounds) == 50
    assert not stage.sound.any()
    assert all(each.name is None and each.rms == 0 for _, each in stage.sounds)
    assert stage.stream.counters.packets == 13  # idle, one each 40 ms
    assert not stage.performer.speaking


def test_speech_goes_out_with_the_next_block_and_frame_0_with_it() -> None:
    stage = Stage()
    stage.run(0.123)
    said_at = stage.now
    stage.performer.say(VOICE, RATE, "a")
    assert stage.performer.queued_s == pytest.approx(3.0)
    stage.performer.end()
    stage.run(4.0)
    first = next(t for t, each in stage.sounds if each.name == "a")
    assert first - said_at <= BLOCK_S + 1e-6
    assert stage.frames[0][0] == first
    loud = [each.samples for _, each in stage.sounds if each.name == "a"]
    assert np.array_equal(np.concatenate(loud), VOICE)
    assert [each.seq for _, each in stage.frames] == list(range(75))
    assert np.allclose(np.diff([t for t, _ in stage.frames]), 0.04)
    opened, closed = stage.rounds
    assert isinstance(opened, RoundOpened)
    assert closed == RoundClosed(1, RoundEndReason.TRANSITION_END)
    assert [type(each) for _, each in stage.turns] == [Began, Ended]
    assert stage.performer.late == 0


def test_the_mouth_opens_with_the_sound_that_goes_out_one_frame_later() -> None:
    stage = Stage()
    stage.performer.say(VOICE, RATE)
    stage.performer.end()
    stage.run(3.2)
    jaw = np.array([float(each.frame.jaw_pose[0]) for _, each in stage.frames])
    loudness = mouth_opening(VOICE, RATE, len(jaw) + 1)
    correlation = {
        late: float(np.corrcoef(jaw[: len(jaw) - 3], loudness[late : late + len(jaw) - 3])[0, 1])
        for late in range(4)
    }
    assert max(correlation, key=lambda late: correlation[late]) == 1, correlation
    assert correlation[1] > 0.6
    assert jaw.min() >= 0
    assert 0.02 < jaw.max() < 0.4


def test_speech_that_comes_bit_by_bit_loses_nothing() -> None:
    stage = Stage()
    for start in range(0, len(VOICE), 1001):
        stage.performer.say(VOICE[start : start + 1001], RATE, "a")
        stage.run(0.04)
    stage.performer.end()
    stage.run(1.0)
    loud = np.concatenate([each.samples for _, each in stage.sounds if each.name == "a"])
    assert np.array_equal(loud[: len(VOICE)], VOICE)
    assert not loud[len(VOICE) :].any()
    assert stage.performer.rounds == 1


def test_speech_that_is_late_leaves_a_silence_in_its_round() -> None:
    stage = Stage()
    stage.performer.say(VOICE[:2400], RATE)
    stage.run(0.2)
    stage.performer.say(VOICE[2400:4800], RATE)
    stage.performer.end()
    stage.run(0.5)
    assert stage.performer.rounds == 1
    assert stage.performer.late == 1
    assert len([each for each in stage.rounds if isinstance(each, RoundClosed)]) == 1


def test_a_round_does_not_wait_for_ever() -> None:
    stage = Stage()
    stage.performer.say(VOICE[:2400], RATE)
    stage.run(0.1 + LINGER_S + 0.05)
    assert not stage.performer.speaking
    stage.performer.say(VOICE[:2400], RATE)
    stage.run(0.05)
    assert stage.performer.rounds == 2


def test_other_names_and_rates_are_kept_apart() -> None:
    stage = Stage()
    stage.performer.say(VOICE[:250], RATE, "a")
    stage.performer.say(VOICE[:170], 16000, "b")
    stage.performer.say(VOICE[:170], 16000, "c")
    stage.performer.end()
    stage.run(0.2)
    spoken = [(each.name, each.sample_rate, len(each.samples)) for _, each in stage.sounds if each.name]
    assert spoken == [("a", RATE, 240)] * 2 + [("b", 16000, 160)] * 2 + [("c", 16000, 160)] * 2
    assert stage.sounds[-1][1].sample_rate == 16000


def test_cut_is_at_once_and_the_next_speech_is_another_round() -> None:
    stage = Stage()
    stage.performer.say(VOICE, RATE)
    stage.run(0.3)
    assert stage.performer.cut()
    stage.take(stage.performer.take())
    assert isinstance(stage.rounds[-1], RoundClosed)
    assert not stage.performer.cut()
    before = len(stage.sounds)
    stage.run(0.1)
    assert not any(each.samples.any() for _, each in stage.sounds[before:])
    stage.performer.say(VOICE[:100], RATE)  # less than a block
    assert stage.performer.cut()
    stage.performer.say(VOICE, RATE)
    stage.run(0.1)
    assert stage.performer.rounds == 2
    assert stage.frames[-1][1].seq == 2


def test_more_than_there_is_room_for_is_dropped_and_counted() -> None:
    performer = SpeechPerformer()
    performer.say(np.zeros(round((MAX_QUEUED_S + 1) * 8000), np.int16), 8000)
    assert performer.queued_s == pytest.approx(MAX_QUEUED_S)
    assert performer.dropped_s == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0, 4000, 22051, 24001])
def test_rates_without_whole_blocks_are_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="steps of 100"):
        SpeechPerformer().say(VOICE, rate)


def test_held_up_for_long_it_goes_on_later() -> None:
    stage = Stage()
    stage.run(0.1)
    stage.now += 2.0
    stage.run(0.1)
    assert len(stage.sounds) == 20
    assert stage.performer.held_up_s == pytest.approx(2.0, abs=0.02)
    stage.now += 0.1  # a hiccup is caught up
    stage.run(0.1)
    assert len(stage.sounds) == 40


def test_time_may_stand_still() -> None:
    stage = Stage()
    assert stage.performer.next_deadline() is None
    stage.performer.say(VOICE, RATE)
    stage.run(0.1)
    assert stage.performer.next_deadline() == pytest.approx(100.1)
    stage.performer.restart()
    assert stage.performer.next_deadline() is None
    assert not stage.performer.speaking
    stage.now += 50
    stage.run(0.1)
    assert stage.performer.held_up_s == 0
