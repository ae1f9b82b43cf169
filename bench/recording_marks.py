"""A face that can be read back from a video file: it flashes while the mouth is open, and shows the number of
its frame in black and white fields."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc import Pose
from avatarkit_rtc.testing.beeps import OPEN_JAW

SIZE: Final = (128, 64)
RATE: Final = 48_000

NUMBER_SCALE: Final = 1000.0
"""``translation`` x of frame N is N over this: the number comes all the way from the avatar."""

_FIELD: Final = 8
_ROUND_BITS: Final = 3
_NUMBER_BITS: Final = 12
_LOUD: Final = 2000
_QUIET_S: Final = 0.2


class MarkFace:
    """Top half: white while the mouth is open. Bottom half, fields of 8 pixels: whether the pose is one of a
    round, the round's number modulo 8, the frame's number, the lowest bit first."""

    size = SIZE

    def render(self, pose: Pose) -> npt.NDArray[np.uint8]:
        """Draw ``pose``."""
        width, height = SIZE
        image = np.zeros((height, width, 3), np.uint8)
        if pose.frame.jaw_pose[0] > OPEN_JAW / 2:
            image[: height // 2] = 255
        if pose.position is not None and pose.round is not None:
            number = round(float(pose.frame.translation[0]) * NUMBER_SCALE)
            code = 1 | (pose.round % 8) << 1 | number << (1 + _ROUND_BITS)
            for bit in range(1 + _ROUND_BITS + _NUMBER_BITS):
                if code >> bit & 1:
                    image[height // 2 :, _FIELD * bit : _FIELD * (bit + 1)] = 255
        return image


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture of a file."""

    t: float
    """Seconds since the beginning of the file."""
    flash: bool
    round: int | None
    """Number of the round modulo 8; None between rounds."""
    number: int | None
    """Number of the frame, as the avatar sent it."""


def pictures(path: Path) -> list[Seen]:
    """The pictures of a file, as ffprobe and ffmpeg read them.

    Raises:
        RuntimeError: they do not read it.
    """
    asked = ["-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "json"]
    printed = _run(["ffprobe", "-v", "error", *asked, str(path)])
    times = [float(frame["pts_time"]) for frame in json.loads(printed)["frames"]]
    decode = ["-map", "0:v", "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    raw = _run(["ffmpeg", "-v", "error", "-copyts", "-i", str(path), *decode])
    width, height = SIZE
    images = np.frombuffer(raw, np.uint8).reshape(-1, height, width)
    if len(images) != len(times):
        raise RuntimeError(f"ffprobe counts {len(times)} pictures, ffmpeg {len(images)}")
    return [_seen(t, image) for t, image in zip(times, images, strict=True)]


def _seen(t: float, image: npt.NDArray[np.uint8]) -> Seen:
    height = SIZE[1]
    flash = bool(image[: height // 2].mean() > 128)
    fields = image[height // 2 + 4 :].reshape(height // 2 - 4, -1, _FIELD)[:, :, 2:-2].mean(axis=(0, 2)) > 128
    if not fields[0]:
        return Seen(t, flash, None, None)
    bits = [int(bit) for bit in fields[1:]]
    number = sum(bit << n for n, bit in enumerate(bits[_ROUND_BITS:]))
    return Seen(t, flash, sum(bit << n for n, bit in enumerate(bits[:_ROUND_BITS])), number)


def beeps_heard(path: Path) -> npt.NDArray[np.float64]:
    """When beeps begin in a file, in seconds, as ffmpeg decodes its first sound track.

    Raises:
        RuntimeError: it does not.
    """
    # An encoder's priming lies before time 0.
    form = ["-map", "0:a:0", "-af", "atrim=start=0", "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    raw = _run(["ffmpeg", "-v", "error", "-copyts", "-i", str(path), *form])
    samples = np.abs(np.frombuffer(raw, "<i2").astype(np.int32))
    loud = np.flatnonzero(samples > _LOUD)
    if not len(loud):
        return np.zeros(0)
    first = loud[np.concatenate([[True], np.diff(loud) > _QUIET_S * RATE])]
    return np.asarray(first / RATE, np.float64)


def about(path: Path) -> dict[str, Any]:
    """What ffprobe says about a file: its streams and its packets.

    Raises:
        RuntimeError: it does not read it.
    """
    asked = ["-show_streams", "-show_packets", "-show_format", "-of", "json"]
    told: dict[str, Any] = json.loads(_run(["ffprobe", "-v", "error", *asked, str(path)]))
    return told


def _run(command: list[str]) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")
    return done.stdout
