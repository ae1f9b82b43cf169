"""A recorder as the view of a player, in one process: its sidecar, its events, the user's voice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, LoopbackProvider, Pose
from avatarkit_rtc.errors import ConfigurationError, RecordingError
from avatarkit_rtc.testing.beeps import beeps
from avatarkit_rtc.testing.stand_in import StandInAvatar, StandInOptions
from renderers import HeadlessSink, Image, Recorder, Tee
from tests.support.livekit import until
from tests.support.playing import Record
from tests.support.video import Flash, bright, onsets, sound_of


@contextlib.asynccontextmanager
async def playing(view: Any, seconds: float = 3.0) -> AsyncIterator[tuple[AvatarPlayer, Record]]:
    """A player of a stand-in avatar with a beep a second; round after round."""
    provider = LoopbackProvider()
    avatar = StandInAvatar(provider.avatar, [beeps(seconds, silence_s=0.4)], StandInOptions(pause_s=0.5))
    async with AvatarPlayer(provider, view, play_audio=False, log_level="error") as player:
        record = Record(player)
        await player.connect()
        speaking = asyncio.create_task(avatar.run())
        try:
            yield player, record
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


async def record_a_round(folder: Path) -> tuple[Recorder, HeadlessSink, list[dict[str, Any]]]:
    recorder = Recorder(folder / "talk.mp4", face=Flash(), sidecar=True)
    sink = HeadlessSink()
    async with playing(Tee(sink, recorder)) as (_, record):
        await until(lambda: record.count("round-ended") == 1, "a round")
    await recorder.aclose()
    return recorder, sink, read(folder / "talk.jsonl")


def held_up(recorder: Recorder, lines: list[dict[str, Any]]) -> bool:
    """Whether the round met a pause of the machine: frames that came far too late are hurried, skipped or
    dropped by design, and where sound did not come there is silence within a beep."""
    if np.ptp(np.diff(onsets(sound_of(recorder.path)))) > 0.05:
        return True
    counters = next(line for line in lines if line["type"] == "round-ended")["stats"]["counters"]
    return any(counters[name] for name in ("skipped", "hurried", "late"))


@pytest.mark.alone
@pytest.mark.usefixtures("all_pictures")
async def test_a_session_with_its_sidecar_beside_another_view(tmp_path: Path) -> None:
    for attempt in ("1", "2", "3"):  # a fault of ours would show each time
        (tmp_path / attempt).mkdir()
        recorder, sink, lines = await record_a_round(tmp_path / attempt)
        if not held_up(recorder, lines):
            break
    kinds = Counter(line["type"] for line in lines)
    assert lines[0]["type"] == "recording"
    assert lines[-1]["type"] == "end"
    # The round may begin a little sooner than the idle poses before it thought.
    assert sink.shown - 5 <= kinds["pose"] <= sink.shown
    assert kinds["stats"] >= 1
    started = next(line for line in lines if line["type"] == "round-started")
    ended = next(line for line in lines if line["type"] == "round-ended")
    assert (started["round"], ended["round"]) == (1, 1)
    assert ended["t"] - started["t"] > 2.5
    assert ended["stats"]["counters"]["received"] == 75
    events = [line["event"] for line in lines if line["type"] == "event"]
    assert events.index("connected") < events.index("avatar-joined") < events.index("disconnected")
    # Every frame of the round, in the sidecar and in the file.
    positions = [line["position"] for line in lines if "position" in line and line["kind"] != "held"]
    assert positions == [float(n) for n in range(75)]
    stats = recorder.stats()
    assert stats.pictures + stats.thinned == sink.shown
    flashes = bright(recorder.path)
    opens = [t for before, t in zip([-1.0, *flashes], flashes, strict=False) if t - before > 0.1]
    heard = onsets(sound_of(recorder.path))
    assert len(opens) == len(heard) >= 2
    # The offset is measured by bench.recording; here they only belong together.
    assert opens == pytest.approx(heard, abs=0.2)


async def test_what_the_user_publishes_is_recorded_when_asked_for(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "both.mp4", face=Flash(), own_voice=True)
    tone = (12000 * np.sin(2 * np.pi * 500 * np.arange(12000) / 24000)).astype(np.int16)
    async with playing(recorder) as (player, record):
        await asyncio.sleep(0.5)
        await player.publish_audio(tone, sample_rate=24000)
        await until(lambda: record.count("audio-ended"), "the end of the user's sound")
    await recorder.aclose()
    said = sound_of(recorder.path, track=1)
    loud = np.flatnonzero(np.abs(said) > 4000) / 48000
    # A sine of 12000 is beyond 4000 for 78 % of the time; all of it is there, whenever it was sent.
    assert len(loud) / 48000 == pytest.approx(0.5 * 0.78, abs=0.04)
    assert loud[0] > 0.3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
async def test_a_recording_that_breaks_off_is_an_error_event_and_playing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "full.mp4"
    path.symlink_to("/dev/full")
    recorder = Recorder(path, face=Flash())
    async with playing(recorder) as (player, record):
        await until(lambda: record.count("error"), "the error")
        shown = player.stats().poses_shown
        await asyncio.sleep(0.5)
        assert player.stats().poses_shown > shown
    await recorder.aclose()
    problems = record.payloads("error")
    assert [type(problem) for problem in problems] == [RecordingError]
    assert problems[0] is recorder.error
    assert record.count("disconnected") == 1


async def test_a_face_too_slow_for_the_machine_is_an_event_before_anything_is_dropped(tmp_path: Path) -> None:
    class Slow(Flash):
        def render(self, pose: Pose) -> Image:
            time.sleep(0.06)
            return super().render(pose)

    recorder = Recorder(tmp_path / "slow.mp4", face=Slow(), rotate_s=2)
    dropped: list[int] = []
    async with playing(recorder) as (player, record):
        player.on("recorder-load", lambda load: dropped.append(recorder.dropped))
        await until(lambda: record.count("recorder-load") >= 3, "less work", 20)
        await until(lambda: record.count("recorder-file"), "another file", 20)
    await recorder.aclose()
    loads = record.payloads("recorder-load")
    assert [load.level for load in loads[:3]] == [1, 2, 2]
    # One step at a time, whatever the machine does: every second picture, which such a face can draw.
    assert loads[2].picture_rate == 12.5
    assert all(load.less for load in loads[:3])
    # What comes later is up to the machine.
    assert dropped[:3] == [0, 0, 0]
    assert record.payloads("recorder-file")[0].number == 2


async def test_only_events_that_exist_can_be_reported() -> None:
    player = AvatarPlayer(LoopbackProvider(), play_audio=False)
    with pytest.raises(ConfigurationError, match="no event"):
        player.report("recorder-exploded")
    player.report("error", RecordingError("before connecting nobody hears it"))
