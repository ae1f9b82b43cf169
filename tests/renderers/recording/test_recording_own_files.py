"""What a recorder overwrites, and what it leaves alone: files that are there, others' sidecars."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.errors import ConfigurationError, ConnectError
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.testing import MockProvider
from renderers import HeadlessSink, Image, Recorder, Tee
from renderers.recording.lookahead import OTHERS_KEPT
from renderers.recording.parts import EARLY_BLOCKS
from renderers.recording.session import EARLY_LINES
from tests.renderers.test_recorder import wait_for_room
from tests.support.video import Flash, block, onsets, plays, probe, sound_of

MakePose = Callable[..., Pose]

pytestmark = pytest.mark.usefixtures("all_pictures")


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def header(video: str) -> str:
    return json.dumps({"type": "recording", "version": 1, "file": video}) + "\n"


@pytest.fixture
def yesterday(tmp_path: Path) -> dict[str, bytes]:
    """A recording that is there already."""
    (tmp_path / "talk.mp4").write_bytes(b"of yesterday")
    (tmp_path / "talk.jsonl").write_text(header("talk.mp4"), encoding="utf-8")
    return contents(tmp_path)


def test_without_a_picture_nothing_is_touched(tmp_path: Path, yesterday: dict[str, bytes]) -> None:
    with Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True) as recorder:
        for k in range(100):
            recorder.sound(block(k / 100, True))
    assert contents(tmp_path) == yesterday
    assert (recorder.error, recorder.pictures, recorder.stats().files) == (None, 0, 0)


def test_the_first_picture_begins_the_file_with_the_sound_that_came_before(
    tmp_path: Path, yesterday: dict[str, bytes], pose: MakePose
) -> None:
    path = tmp_path / "talk.mp4"
    with Recorder(path, face=Flash(), sidecar=True) as recorder:
        for k in range(300):
            recorder.sound(block(k / 100, 50 <= k < 70))
            wait_for_room(recorder)
        for k in range(75):
            recorder.show(pose(k / 25))
            wait_for_room(recorder)
    assert onsets(sound_of(path)) == pytest.approx([0.5], abs=0.015)
    assert recorder.inserted_silence_s < 0.1
    assert len(path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()) == 1 + 75 + 1


def sound_for(recorder: Recorder, blocks: int) -> None:
    """A beep in the last 0.2 s."""
    for k in range(blocks):
        recorder.sound(block(k / 100, k >= blocks - 20))
        wait_for_room(recorder, 100)


def test_however_long_there_is_only_sound_nothing_is_touched(
    tmp_path: Path, yesterday: dict[str, bytes], pose: MakePose
) -> None:
    class Wrong(Flash):
        def render(self, pose: Pose) -> Image:
            return np.zeros((48, 64, 3), np.float32)  # type: ignore[return-value]

    with Recorder(tmp_path / "talk.mp4", face=Wrong(), sidecar=True) as recorder:
        recorder.show(pose(0.0))
        sound_for(recorder, EARLY_BLOCKS + 150)
    assert contents(tmp_path) == yesterday
    assert (recorder.error, recorder.stats().face_errors, recorder.stats().files) == (None, 1, 0)
    assert recorder.dropped == recorder.stats().dropped_blocks == 150


def test_a_first_picture_that_comes_late_begins_the_file_with_the_sound_that_is_left(
    tmp_path: Path, pose: MakePose
) -> None:
    path = tmp_path / "talk.mp4"
    with Recorder(path, face=Flash(), sidecar=True) as recorder:
        sound_for(recorder, EARLY_BLOCKS + 200)
        for k in range(25):
            recorder.show(pose((EARLY_BLOCKS + 180) / 100 + k / 25))
    assert recorder.dropped == recorder.stats().dropped_blocks == 200
    assert recorder.stats().duration_s == pytest.approx((EARLY_BLOCKS + 180) / 100 + 1.0 - 2.0, abs=0.02)
    assert onsets(sound_of(path)) == pytest.approx([EARLY_BLOCKS / 100 - 0.2], abs=0.015)
    assert probe(path)["video"]["times"][0] == pytest.approx(EARLY_BLOCKS / 100 - 0.2, abs=0.015)
    lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["start"] == pytest.approx(2.0)
    assert lines[1]["t"] == pytest.approx(EARLY_BLOCKS / 100 - 0.2)


def test_lines_wait_for_the_first_picture_and_not_without_bound(tmp_path: Path, pose: MakePose) -> None:
    with Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True) as recorder:
        for k in range(EARLY_LINES + 10):
            recorder._note("event", {"event": "x", "payload": k})
            wait_for_room(recorder, 100)
        recorder.show(pose(0))
        recorder.show(pose(2))
    lines = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["type"] == "recording"
    assert [line["payload"] for line in lines if line["type"] == "event"] == list(range(EARLY_LINES))
    assert recorder._session.work.sidecar_lost == 11, "the first pose, too"


async def test_before_the_connection_nothing_is_recorded(
    tmp_path: Path, yesterday: dict[str, bytes], pose: MakePose
) -> None:
    recorder, provider = Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True), MockProvider()
    provider.fail_next_connect(ConnectError("nobody is there"))
    async with AvatarPlayer(provider, Tee(HeadlessSink(), recorder), play_audio=False) as player:
        with pytest.raises(ConnectError):
            await player.connect()
        for k in range(50):  # as a player that joins for two seconds
            recorder.show(pose(k / 25))
            recorder.sound(block(k / 25, True))
        wait_for_room(recorder, 0)
        assert (recorder.pictures, contents(tmp_path)) == (0, yesterday)
        await player.connect()
        recorder.show(pose(100))
    await recorder.aclose()
    assert plays(tmp_path / "talk.mp4") == ""
    assert probe(tmp_path / "talk.mp4")["video"]["times"][0] == 0
    lines = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text(encoding="utf-8").splitlines()]
    assert "connected" in [line.get("event") for line in lines], "what happened before the first picture"


async def test_it_begins_when_it_is_asked_to_where_that_was_wanted(
    tmp_path: Path, yesterday: dict[str, bytes], pose: MakePose
) -> None:
    recorder = Recorder(tmp_path / "talk.mp4", face=Flash(), wait=True)
    async with AvatarPlayer(MockProvider(), recorder, play_audio=False) as player:
        await player.connect()
        recorder.show(pose(0.0))
        wait_for_room(recorder, 0)
        assert (recorder.pictures, contents(tmp_path)) == (0, yesterday)
        recorder.begin()
        recorder.show(pose(100))
    await recorder.aclose()
    assert recorder.pictures > 0
    assert plays(tmp_path / "talk.mp4") == ""


@pytest.mark.parametrize("wait", [False, True])
async def test_asked_to_before_it_is_given_to_a_player_it_does_not_wait_for_the_connection(
    tmp_path: Path, pose: MakePose, wait: bool
) -> None:
    recorder = Recorder(tmp_path / "talk.mp4", face=Flash(), wait=wait)
    recorder.begin()
    async with AvatarPlayer(MockProvider(), recorder, play_audio=False):
        recorder.show(pose(0.0))
    await recorder.aclose()
    assert recorder.pictures == 1


def test_events_before_the_connection_wait_within_bounds(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True, wait=True)
    for k in range(2 * OTHERS_KEPT):
        recorder._event("reconnect-attempt", k)
        wait_for_room(recorder, 100)
    wait_for_room(recorder, 0)
    recorder._worker.close(drain=True, timeout_s=20)
    assert len(recorder._session._lookahead) == OTHERS_KEPT
    assert recorder._session.work.sidecar_lost == OTHERS_KEPT
    recorder.close()


@pytest.mark.parametrize(
    "other", ["[1, 2]\n", "hello", "[" * 99_000, header("talk.webm"), '{"type":"recording"}\n']
)
def test_a_sidecar_overwrites_nothing_else(tmp_path: Path, other: str) -> None:
    (tmp_path / "talk.jsonl").write_text(other, encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(ConfigurationError, match="is not the sidecar of"):
        Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True)
    with Recorder(tmp_path / "talk.mp4", face=Flash()):
        pass
    assert contents(tmp_path) == before


@pytest.mark.parametrize("own", ["", header("talk.mp4")])
def test_a_sidecar_overwrites_its_own_and_an_empty_one(tmp_path: Path, pose: MakePose, own: str) -> None:
    (tmp_path / "talk.jsonl").write_text(own, encoding="utf-8")
    with Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True) as recorder:
        recorder.show(pose(0))
    assert '"type":"pose"' in (tmp_path / "talk.jsonl").read_text(encoding="utf-8")


def test_two_at_once_do_not_share_a_sidecar(
    tmp_path: Path, pose: MakePose, caplog: pytest.LogCaptureFixture
) -> None:
    first = Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True)
    second = Recorder(tmp_path / "talk.webm", face=Flash(), sidecar=True)
    for recorder in (first, second):
        recorder.show(pose(0))
        recorder.close()
        assert recorder.error is None
    assert (
        json.loads((tmp_path / "talk.jsonl").read_text(encoding="utf-8").splitlines()[0])["file"]
        == "talk.mp4"
    )
    assert plays(tmp_path / "talk.webm") == ""
    assert any("is not the sidecar of talk.webm" in record.message for record in caplog.records)


def test_two_that_take_a_number_at_the_same_moment_do_not_share_it(
    tmp_path: Path, pose: MakePose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renderers.recording.parts._highest", lambda path: 0)  # as both have looked
    for name in ("talk.mp4", "talk.webm", "talk.mp4"):
        with Recorder(tmp_path / name, face=Flash(), sidecar=True, rotate_s=2) as recorder:
            recorder.show(pose(0))
    made = ["talk-0001.jsonl", "talk-0001.mp4", "talk-0002.jsonl", "talk-0002.webm"]
    assert sorted(contents(tmp_path)) == [*made, "talk-0003.jsonl", "talk-0003.mp4"]
    assert all(size > 100 for size in map(len, contents(tmp_path).values()))


def test_two_at_once_that_rotate_do_not_share_a_number(tmp_path: Path, pose: MakePose) -> None:
    recorders = [
        Recorder(tmp_path / f"talk{suffix}", face=Flash(), sidecar=True, rotate_s=2)
        for suffix in (".mp4", ".webm", ".mp4")
    ]
    for k in range(100):
        for recorder in recorders:
            recorder.show(pose(k / 25))
            wait_for_room(recorder, 0)
    for recorder in recorders:
        recorder.close()
        assert (recorder.error, recorder.stats().files) == (None, 2)
    numbers = sorted(each.stem for each in tmp_path.iterdir() if each.suffix != ".jsonl")
    assert numbers == [f"talk-000{n}" for n in range(1, 7)]
    for sidecar in tmp_path.glob("*.jsonl"):
        name = json.loads(sidecar.read_text(encoding="utf-8").splitlines()[0])["file"]
        assert (sidecar.with_name(name)).is_file()
        assert Path(name).stem == sidecar.stem


def test_a_file_that_followed_for_sound_alone_is_removed_with_its_sidecar(
    tmp_path: Path, pose: MakePose
) -> None:
    with Recorder(tmp_path / "talk.mp4", face=Flash(), sidecar=True, rotate_s=2) as recorder:
        for k in range(230):
            if k % 4 == 0 and k < 196:
                recorder.show(pose(k / 100))
            recorder.sound(block(k / 100, False))
            wait_for_room(recorder)
        wait_for_room(recorder, 0)
        while len(contents(tmp_path)) < 4:
            time.sleep(0.001)
    assert sorted(contents(tmp_path)) == ["talk-0001.jsonl", "talk-0001.mp4"]


@pytest.mark.parametrize("left", ["talk-0007.webm", "talk-0007.jsonl", "talk-0007.MKV"])
def test_numbers_go_on_behind_other_kinds_and_sidecars(tmp_path: Path, pose: MakePose, left: str) -> None:
    (tmp_path / left).write_bytes(b"of yesterday")
    with Recorder(tmp_path / "talk.mp4", face=Flash(), rotate_s=2) as recorder:
        recorder.show(pose(0))
    assert recorder.file.name == "talk-0008.mp4"
    assert (tmp_path / left).read_bytes() == b"of yesterday"
