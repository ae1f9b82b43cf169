from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.pyav import load_av
from renderers.recording.formats import format_of
from renderers.recording.media_file import SOUND_LAG_S, MediaFile, cut_to_whole_boxes
from tests.support.video import onsets, plays, probe, sound_of

SIZE = (64, 48)


def grey(level: int) -> np.ndarray:
    return np.full((48, 64, 3), level, np.uint8)


def tone(seconds: float) -> np.ndarray:
    wave = 12000 * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * 48000)) / 48000)
    return wave.astype(np.int16)[:, None]


def make(path: Path, **options: object) -> MediaFile:
    return MediaFile(load_av(), path, format_of(path), SIZE, 25, **options)  # type: ignore[arg-type]


def fill(file: MediaFile, seconds: float) -> None:
    for k in range(round(seconds * 25)):
        file.sound(0, tone(0.04), 48000, k / 25)
        assert file.picture(grey(k % 200), k / 25)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_what_is_written_is_on_disk_within_two_seconds(tmp_path: Path, name: str) -> None:
    """As it would be found after a power cut, without any ending."""
    path = tmp_path / name
    file = make(path)
    fill(file, 6)
    left = tmp_path / f"left-{name}"
    left.write_bytes(path.read_bytes())
    file.close()
    assert plays(left) == ""
    streams = probe(left)
    assert streams["video"]["times"][-1] > 4.0
    assert streams["audio"]["times"][-1] > 4.0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_with_little_in_it_plays_soon(tmp_path: Path, name: str) -> None:
    """Without any sound, too: the header of an MP4 file waits for something in each track."""
    path = tmp_path / name
    file = make(path, tracks=("avatar", "user"))
    for k in range(60):
        file.picture(grey(k), k / 25)
    left = tmp_path / f"left-{name}"
    left.write_bytes(path.read_bytes())
    file.close()
    assert plays(left) == ""
    assert probe(left)["video"]["times"][-1] > 0.4


def test_late_sound_is_waited_for_and_not_replaced_by_silence(tmp_path: Path) -> None:
    """On a bad network the sound of a picture comes up to half a second and more behind it."""
    path = tmp_path / "late.mp4"
    file = make(path)
    late = 1.5
    assert late < SOUND_LAG_S
    for k in range(150):
        file.picture(grey(k), k / 25)
        at = k / 25 - late
        if k == 0:
            file.sound(0, tone(0.04), 48000, 0.0)
        elif at >= 0.04:
            file.sound(0, tone(0.04), 48000, at)
    file.close()
    sound = np.abs(sound_of(path))[960 : 48000 * 4] > 2000
    assert max(np.diff(np.flatnonzero(sound))) < 100
    assert file.tracks[0].cut_s == 0
    assert probe(path)["video"]["times"] == pytest.approx([k / 25 for k in range(150)], abs=0.001)


def test_sound_that_overlaps_is_cut_and_what_follows_is_in_time(tmp_path: Path) -> None:
    path = tmp_path / "overlap.mkv"
    file = make(path)
    file.picture(grey(0), 0.0)
    file.sound(0, 0 * tone(1.0), 48000, 0.0)
    file.sound(0, tone(0.5), 48000, 0.7)  # 0.3 s of it are taken
    file.sound(0, 0 * tone(1.0), 48000, 1.2)
    file.picture(grey(0), 2.2)
    file.close()
    assert file.tracks[0].cut_s == pytest.approx(0.3)
    assert onsets(sound_of(path)) == pytest.approx([1.0], abs=0.01)
    assert np.flatnonzero(np.abs(sound_of(path)) > 4000)[-1] / 48000 == pytest.approx(1.2, abs=0.01)


def test_pictures_before_the_beginning_and_out_of_order_are_left_out(tmp_path: Path) -> None:
    file = make(tmp_path / "order.mp4")
    assert not file.picture(grey(0), -0.04)
    assert file.picture(grey(0), 0.04)
    assert not file.picture(grey(0), 0.04)
    assert not file.picture(grey(0), 0.0)
    assert file.picture(grey(0), 0.05)
    file.close()
    file.close()
    assert file.pictures == 2
    assert file.end_s == pytest.approx(0.09, abs=0.03)


def test_a_file_that_broke_off_is_cut_after_its_last_whole_fragment(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    file = make(path)
    fill(file, 5)
    file.close()
    whole = path.read_bytes()
    for lost in (1, 100, len(whole) // 3):
        path.write_bytes(whole[:-lost])
        assert cut_to_whole_boxes(path) > 0
        assert plays(path) == ""
        left = path.stat().st_size
        assert whole[:left] == path.read_bytes()
        assert cut_to_whole_boxes(path) == 0
    # Without its mdat a moof is of no use.
    at = whole.rindex(b"moof")
    path.write_bytes(whole[: at + 200])
    cut_to_whole_boxes(path)
    assert plays(path) == ""
    other = tmp_path / "no.mp4"
    other.write_bytes(b"this is no such file at all")
    assert cut_to_whole_boxes(other) == 0
    assert other.stat().st_size == 27


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_a_picture_that_stays_for_long_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """After 6.6 hours the next one would end the process, in an MP4 file."""
    monkeypatch.setattr("renderers.recording.media_file.LONGEST_PICTURE_S", 10.0)
    file = make(tmp_path / name)
    for t in (0.0, 0.04, 25.0):
        assert file.picture(grey(40 if t < 1 else 200), t)
    file.close()
    assert file.pictures == 5
    assert probe(tmp_path / name)["video"]["times"] == pytest.approx([0, 0.04, 10.04, 20.04, 25], abs=0.002)
    assert plays(tmp_path / name) == ""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_encoder_may_work_less_before_its_first_picture(tmp_path: Path, name: str) -> None:
    """A recording that rotates begins a file with sound, whose pictures wait."""
    file = make(tmp_path / name)
    assert file.change_level(2)
    fill(file, 1)
    assert file.video.level == 2
    assert file.change_level(1)
    assert file.picture(grey(200), 1.0)
    file.close()
    assert file.video.level == 1
    assert len(probe(tmp_path / name)["video"]["times"]) == 26
    assert plays(tmp_path / name) == ""
