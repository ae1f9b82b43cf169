"""Motion made of sound, and its way over the WebSocket; on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.testing import perform
from avatarkit_rtc.testing.performer import mouth_opening
from avatarkit_rtc.testing.spatialreal_service import Behaviour, ClipPerformance, SoundPerformance, Turn
from avatarkit_rtc.testing.spatialreal_service.keyframe_stream import KeyframeStream
from avatarkit_rtc.testing.spatialreal_service.performance import Performance, performer_of
from avatarkit_rtc.testing.spatialreal_service.turn import MAX_TURN_S
from tests.support.frames import faces
from tests.support.virtual_loop import VirtualLoop

RATE = 24000
SIZE = 960
SPEECH = perform(1, 2.0)


def made(performance: Performance, pieces: Sequence[np.ndarray[Any, Any]]) -> list[MotionFrame]:
    frames = [frame for piece in pieces for frame in performance.hear(piece)]
    return frames + performance.finish()


# ---- motion of sound --------------------------------------------------------------------------------------


def test_motion_is_the_same_however_the_sound_is_cut() -> None:
    whole = made(SoundPerformance(RATE), [SPEECH.pcm])
    for pieces in (7, 100, 3001):
        again = made(SoundPerformance(RATE), np.array_split(SPEECH.pcm, pieces))
        assert [frame.values.tobytes() for frame in again] == [frame.values.tobytes() for frame in whole]
    assert len(whole) == 50


def test_the_mouth_opens_with_the_sound() -> None:
    frames = made(SoundPerformance(RATE), [SPEECH.pcm])
    jaw = [float(frame.jaw_pose[0]) for frame in frames]
    assert np.corrcoef(jaw, mouth_opening(SPEECH.pcm, RATE, len(frames)))[0, 1] > 0.9
    assert 0.1 < max(jaw) <= 0.35
    assert min(jaw) >= 0.0


def test_the_face_lives_while_it_is_silent() -> None:
    frames = made(SoundPerformance(RATE), [np.zeros(100 * SIZE, np.int16)])
    assert all(frame.jaw_pose[0] == 0 for frame in frames)
    assert any(frame.eye_lid[0] for frame in frames)
    assert len({frame.rotation.tobytes() for frame in frames}) == 100


def test_a_frame_needs_the_sound_of_the_next_one_too() -> None:
    performance = SoundPerformance(RATE)
    assert [len(performance.hear(np.zeros(SIZE, np.int16))) for _ in range(3)] == [0, 1, 1]
    assert len(performance.finish()) == 1


def test_a_begun_frame_is_filled_with_silence() -> None:
    assert len(made(SoundPerformance(RATE), [np.full(SIZE + 1, 9, np.int16)])) == 2
    assert made(SoundPerformance(RATE), []) == []


def test_a_clip_comes_with_its_sound_and_wholly_in_the_end() -> None:
    clip = faces(5)
    performance = ClipPerformance(clip, RATE)
    assert performance.hear(np.zeros(SIZE - 1, np.int16)) == []
    assert performance.hear(np.zeros(SIZE + 1, np.int16)) == clip[:2]
    assert performance.finish() == clip[2:]
    assert made(ClipPerformance(clip, RATE), [np.zeros(99 * SIZE, np.int16)]) == clip


def test_performers_by_what_is_given() -> None:
    assert isinstance(performer_of(None)(RATE), SoundPerformance)
    assert performer_of(SPEECH)(RATE).finish() == list(SPEECH.frames)
    assert performer_of(SPEECH)(RATE).finish() == list(SPEECH.frames)
    assert performer_of(SoundPerformance) is SoundPerformance


# ---- a turn -----------------------------------------------------------------------------------------------


def test_samples_may_be_cut_in_two() -> None:
    turn = Turn("one", ClipPerformance(SPEECH.frames, RATE), RATE, 0.0)
    data = SPEECH.pcm.tobytes()
    for start in range(0, len(data), 1111):
        turn.hear(data[start : start + 1111])
    turn.end()
    turn.end()
    assert turn.sound.tobytes() == data
    assert turn.frames == list(SPEECH.frames)
    assert turn.sound_of(3).tobytes() == SPEECH.pcm[3 * SIZE : 4 * SIZE].tobytes()
    assert turn.sound_after(49).tobytes() == SPEECH.pcm[49 * SIZE :].tobytes()
    assert len(turn.sound_of(50)) == SIZE
    assert not turn.sound_of(50).any()


def test_a_turn_without_end_is_cut() -> None:
    turn = Turn("one", ClipPerformance([], 8000), 8000, 0.0)
    minute = bytes(2 * 8000 * 60)
    for _ in range(12):
        turn.hear(minute)
    assert len(turn.sound) == MAX_TURN_S * 8000
    assert turn.dropped_s == pytest.approx(12 * 60 - MAX_TURN_S)


# ---- over the WebSocket -----------------------------------------------------------------------------------


class Stage:
    """A stream, and what it sent."""

    def __init__(self, loop: VirtualLoop, behaviour: Behaviour) -> None:
        self.loop = loop
        self.sent: list[tuple[str, tuple[MotionFrame, ...], bool, float]] = []
        self.told: list[tuple[str, str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.stream = KeyframeStream(self._send, self, behaviour)

    async def _send(self, turn: Turn, frames: Sequence[MotionFrame], end: bool) -> None:
        await self.open.wait()
        self.sent.append((turn.req_id, tuple(frames), end, self.loop.time()))

    def on_started(self, turn: Turn) -> None:
        self.told.append(("started", turn.req_id))

    def on_progress(self, turn: Turn) -> None:
        raise AssertionError("a stream has no progress but its frames")

    def on_frame(self, turn: Turn) -> None:
        self.told.append(("frame", turn.req_id))

    def on_ended(self, turn: Turn) -> None:
        self.told.append(("ended", turn.req_id))

    def say(self, name: str, frames: Sequence[MotionFrame], *, end: bool = True) -> Turn:
        turn = Turn(name, ClipPerformance(frames, RATE), RATE, self.loop.time())
        self.stream.add(turn)
        turn.hear(bytes(2 * SIZE * len(frames)))
        if end:
            turn.end()
        self.stream.changed()
        return turn


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def play(
    loop: VirtualLoop, script: Callable[[Stage], Awaitable[Any]], after_s: float = 3.0, **behaviour: Any
) -> Stage:
    async def run() -> Stage:
        stage = Stage(loop, Behaviour(**behaviour))
        running = asyncio.create_task(stage.stream.run())
        await script(stage)
        await asyncio.sleep(after_s)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        await stage.stream.aclose()
        return stage

    return loop.run_until_complete(run())


def test_motion_comes_in_messages_ahead_of_time(loop: VirtualLoop) -> None:
    clip = faces(45)

    async def speak(stage: Stage) -> None:
        stage.say("one", clip)
        assert stage.stream.busy

    stage = play(loop, speak)
    assert [len(frames) for _, frames, _, _ in stage.sent] == [10, 10, 10, 10, 5]
    assert [end for _, _, end, _ in stage.sent] == [False] * 4 + [True]
    assert [frame for _, frames, _, _ in stage.sent for frame in frames] == clip
    times = [at for _, _, _, at in stage.sent]
    assert times[0] == pytest.approx(0.1)
    assert np.diff(times) == pytest.approx(0.1)
    assert stage.told == [("started", "one"), *[("frame", "one")] * 5, ("ended", "one")]
    assert not stage.stream.busy


def test_motion_waits_for_its_sound(loop: VirtualLoop) -> None:
    clip = faces(25)

    async def speak(stage: Stage) -> None:
        turn = stage.say("one", clip[:0], end=False)
        performance = ClipPerformance(clip, RATE)
        for _ in range(25):
            turn.frames += performance.hear(np.zeros(SIZE, np.int16))
            stage.stream.changed()
            await asyncio.sleep(0.04)
        assert [len(frames) for _, frames, _, _ in stage.sent] == [10, 10]
        turn.end()
        stage.stream.changed()

    stage = play(loop, speak)
    assert [(len(frames), end) for _, frames, end, _ in stage.sent] == [(10, False), (10, False), (5, True)]


@pytest.mark.parametrize("stale", [0, 2])
def test_an_interrupted_turn_sends_no_more_but_what_was_asked_for(loop: VirtualLoop, stale: int) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.say("one", faces(200))
        await asyncio.sleep(0.15)
        stage.stream.interrupt(turn, "explicit")
        stage.stream.interrupt(turn, "explicit")
        assert (turn.interrupted, turn.over) == ("explicit", True)
        stage.say("two", faces(10))

    stage = play(loop, speak, stale_messages=stale)
    assert [name for name, _, _, _ in stage.sent] == ["one"] * (1 + stale) + ["two"]
    assert ("ended", "one") not in stage.told


def test_a_turn_interrupted_while_it_waits_sends_nothing(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.say("one", faces(20))
        await asyncio.sleep(0.05)
        stage.stream.interrupt(turn, "explicit")

    assert play(loop, speak).sent == []


def test_a_client_that_does_not_read_is_not_sent_to(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        stage.open.clear()
        turn = stage.say("one", faces(500))
        await asyncio.sleep(60.0)
        assert turn.played == 10
        stage.open.set()

    assert len(play(loop, speak, 10.0).sent) == 50


def test_turns_one_after_the_other_and_an_empty_one(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        for name, count in (("one", 12), ("empty", 0), ("two", 3)):
            stage.say(name, faces(count))
        assert [turn.req_id for turn in stage.stream.turns()] == ["one", "empty", "two"]

    stage = play(loop, speak)
    assert [(name, len(frames), end) for name, frames, end, _ in stage.sent] == [
        ("one", 10, False),
        ("one", 2, True),
        ("empty", 0, True),
        ("two", 3, True),
    ]


def test_keyframes_and_speed_as_asked(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        stage.say("one", faces(100))

    stage = play(loop, speak, keyframes=25, speed=float("inf"))
    assert [len(frames) for _, frames, _, _ in stage.sent] == [25] * 4
    assert {at for _, _, _, at in stage.sent} == {stage.sent[0][3]}
