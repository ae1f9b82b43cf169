from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import FIELD_SIZES
from avatarkit_rtc.testing.clip import JSON_KEYS, load_clip


def keyframe(rng: np.random.Generator) -> dict[str, list[float]]:
    return {key: rng.normal(size=FIELD_SIZES[field]).tolist() for field, key in JSON_KEYS.items()}


def write(path: Path, document: Any) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.fixture
def keyframes() -> list[dict[str, list[float]]]:
    rng = np.random.default_rng(5)
    return [keyframe(rng) for _ in range(3)]


def test_values_are_the_files_to_the_last_bit(
    tmp_path: Path, keyframes: list[dict[str, list[float]]]
) -> None:
    document = {"reqId": "r", "startTime": 1, "endTime": 2, "keyframesCount": 3, "keyframes": keyframes}
    utterance = load_clip(write(tmp_path / "clip.json", document))
    assert len(utterance.frames) == 3
    for frame, source in zip(utterance.frames, keyframes, strict=True):
        for field, key in JSON_KEYS.items():
            assert np.array_equal(getattr(frame, field), np.array(source[key], np.float32))


def test_without_sound_it_is_silent(tmp_path: Path, keyframes: list[dict[str, list[float]]]) -> None:
    utterance = load_clip(write(tmp_path / "clip.json", {"keyframes": keyframes}), sample_rate=16000)
    assert utterance.sample_rate == 16000
    assert len(utterance.pcm) == 3 * 640
    assert not utterance.pcm.any()


def test_sound_is_read_as_it_is(tmp_path: Path, keyframes: list[dict[str, list[float]]]) -> None:
    samples = np.array([1, -2, 32767, -32768], "<i2")
    (tmp_path / "clip.pcm").write_bytes(samples.tobytes())
    utterance = load_clip(write(tmp_path / "clip.json", {"keyframes": keyframes}), tmp_path / "clip.pcm")
    assert utterance.pcm.tolist() == samples.tolist()
    assert utterance.pcm.dtype == np.int16
    assert utterance.sample_rate == 24000


@pytest.mark.parametrize("name", ["clip.wav", "clip.pcm"])
def test_a_wav_file_tells_its_own_rate(
    tmp_path: Path, keyframes: list[dict[str, list[float]]], name: str
) -> None:
    with wave.open(str(tmp_path / name), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.arange(10, dtype="<i2").tobytes())
    utterance = load_clip(write(tmp_path / "clip.json", {"keyframes": keyframes}), tmp_path / name)
    assert utterance.sample_rate == 16000
    assert utterance.pcm.tolist() == list(range(10))


def test_short_and_missing_fields_are_zero(tmp_path: Path) -> None:
    document = {"keyframes": [{"jawPose": [0.25], "mood": "fine"}]}
    (frame,) = load_clip(write(tmp_path / "clip.json", document)).frames
    assert frame.jaw_pose.tolist() == [0.25, 0, 0]
    assert np.count_nonzero(frame.values) == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "keyframes"),
        ("{}", "keyframes"),
        ('{"keyframes": []}', "keyframes"),
        ('{"keyframes": {"jawPose": [1]}}', "keyframes"),
        ('{"keyframes": [{"jawPose": [0]}, {}]}', "keyframe 1"),
        ('{"keyframes": [7]}', "keyframe 0"),
        ('{"keyframes": [{"jawPose": 0.5}]}', "jawPose must be a list"),
        ('{"keyframes": [{"jawPose": ["a"]}]}', "jawPose must be a list"),
        ('{"keyframes": [{"jawPose": [true]}]}', "jawPose must be a list"),
        ('{"keyframes": [{"jawPose": [0, 0, 0, 0]}]}', "jawPose has 4 values; at most 3"),
        ('{"keyframes": [{"eyeLid": [NaN]}]}', "not finite"),
        ('{"keyframes": [{"eyeLid": [1e300]}]}', "not finite"),
        (f'{{"keyframes": [{{"eyeLid": [1{"0" * 400}]}}]}}', "not finite"),
    ],
)
def test_a_malformed_clip_says_where_it_is_wrong(tmp_path: Path, document: str, message: str) -> None:
    path = write(tmp_path / "broken.json", document)
    with pytest.raises(ConfigurationError, match=message) as error:
        load_clip(path)
    assert "broken.json" in str(error.value)


def test_missing_files_are_named(tmp_path: Path, keyframes: list[dict[str, list[float]]]) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.json"):
        load_clip(tmp_path / "none.json")
    path = write(tmp_path / "clip.json", {"keyframes": keyframes})
    with pytest.raises(ConfigurationError, match=r"none\.pcm"):
        load_clip(path, tmp_path / "none.pcm")
    with pytest.raises(ConfigurationError, match=r"none\.wav"):
        load_clip(path, tmp_path / "none.wav")


def test_sound_that_is_none_is_refused(tmp_path: Path, keyframes: list[dict[str, list[float]]]) -> None:
    path = write(tmp_path / "clip.json", {"keyframes": keyframes})
    (tmp_path / "odd.pcm").write_bytes(b"abc")
    with pytest.raises(ConfigurationError, match="odd number of bytes"):
        load_clip(path, tmp_path / "odd.pcm")
    (tmp_path / "text.wav").write_bytes(b"hello")
    with pytest.raises(ConfigurationError, match="WAV"):
        load_clip(path, tmp_path / "text.wav")
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(8))
    with pytest.raises(ConfigurationError, match="2 channels"):
        load_clip(path, tmp_path / "stereo.wav")
    with pytest.raises(ConfigurationError, match="sample_rate"):
        load_clip(path, sample_rate=1)
