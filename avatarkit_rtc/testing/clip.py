"""Recorded utterances from files: FLAME keyframes in JSON, sound in PCM or WAV."""

from __future__ import annotations

import json
import wave
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import FIELD_SIZES, FIELD_SLICES, FRAME_INTERVAL_S, FRAME_SIZE, MotionFrame
from avatarkit_rtc.testing.performer import Utterance

JSON_KEYS: Final = {
    "translation": "translation",
    "rotation": "rotation",
    "neck_pose": "neckPose",
    "jaw_pose": "jawPose",
    "eye_pose": "eyePose",
    "eye_lid": "eyeLid",
    "expression": "expression",
}
"""What the fields of a motion frame are called in a clip file."""


def load_clip(
    json_path: str | PathLike[str], pcm_path: str | PathLike[str] | None = None, sample_rate: int = 24000
) -> Utterance:
    """Read one utterance.

    Args:
        json_path: an object with a list ``keyframes`` at 25 fps; each keyframe is an object of number lists
            by the names of :data:`JSON_KEYS`. Missing and short lists are filled with zeros, other keys are
            ignored. Values are kept exactly, as float32.
        pcm_path: its sound: signed 16-bit little-endian mono samples without a header, or a mono 16-bit WAV
            file, whose own rate then counts. None for silence.
        sample_rate: samples per second of headerless sound, 8000 … 192000.

    Raises:
        ConfigurationError: a file is missing or malformed; the message says which and where.
    """
    if not 8000 <= sample_rate <= 192000:
        raise ConfigurationError(f"sample_rate must be 8000 … 192000, not {sample_rate}")
    frames = _read_frames(Path(json_path))
    if pcm_path is None:
        samples = round(len(frames) * FRAME_INTERVAL_S * sample_rate)
        return Utterance(frames, np.zeros(samples, np.int16), sample_rate)
    pcm, sample_rate = _read_sound(Path(pcm_path), sample_rate)
    return Utterance(frames, pcm, sample_rate)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"cannot read {path}: {exc.strerror or exc}") from exc


def _read_frames(path: Path) -> tuple[MotionFrame, ...]:
    data = _read_bytes(path)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(f"{path} is not JSON: {exc}") from exc
    keyframes = document.get("keyframes") if isinstance(document, dict) else None
    if not isinstance(keyframes, list) or not keyframes:
        raise ConfigurationError(f'{path} is not a motion clip: it needs an object with a list "keyframes"')
    return tuple(_frame(path, number, keyframe) for number, keyframe in enumerate(keyframes))


def _frame(path: Path, number: int, keyframe: Any) -> MotionFrame:
    where = f"{path}, keyframe {number}"
    if not isinstance(keyframe, dict) or not any(key in keyframe for key in JSON_KEYS.values()):
        raise ConfigurationError(f"{where}: not an object with {', '.join(JSON_KEYS.values())}")
    values = np.zeros(FRAME_SIZE, np.float32)
    for field, key in JSON_KEYS.items():
        numbers = keyframe.get(key, [])
        if not isinstance(numbers, list) or not all(type(n) in (int, float) for n in numbers):
            raise ConfigurationError(f"{where}: {key} must be a list of numbers")
        if len(numbers) > FIELD_SIZES[field]:
            raise ConfigurationError(
                f"{where}: {key} has {len(numbers)} values; at most {FIELD_SIZES[field]} are allowed"
            )
        start = FIELD_SLICES[field].start
        try:
            with np.errstate(over="ignore"):
                values[start : start + len(numbers)] = numbers
        except OverflowError:  # an integer too large for any float
            values[start] = np.inf
        if not np.isfinite(values[FIELD_SLICES[field]]).all():
            raise ConfigurationError(f"{where}: {key} holds a number that is not finite")
    return MotionFrame.adopt(values)


def _read_sound(path: Path, sample_rate: int) -> tuple[npt.NDArray[np.int16], int]:
    if path.suffix.lower() == ".wav" or _starts_as_wav(path):
        return _read_wav(path)
    data = _read_bytes(path)
    if len(data) % 2:
        raise ConfigurationError(f"{path} has an odd number of bytes, so it is not 16-bit PCM")
    return np.frombuffer(data, "<i2").astype(np.int16), sample_rate


def _starts_as_wav(path: Path) -> bool:
    head = _read_bytes(path)[:12]
    return head[:4] == b"RIFF" and head[8:] == b"WAVE"


def _read_wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    try:
        with wave.open(str(path), "rb") as file:
            if file.getnchannels() != 1 or file.getsampwidth() != 2:
                form = f"{file.getnchannels()} channels of {8 * file.getsampwidth()} bits"
                raise ConfigurationError(f"{path} has {form}; it must have one channel of 16 bits")
            data = file.readframes(file.getnframes())
            samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)
            return samples, file.getframerate()
    except (wave.Error, EOFError, OSError) as exc:
        raise ConfigurationError(f"cannot read {path} as a WAV file: {exc}") from exc
