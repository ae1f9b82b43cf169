"""Video files in tests: a face that can be seen in them, and what ffprobe and ffmpeg say about them.

They are other programs than the FFmpeg inside PyAV, which writes the files. Debian and Ubuntu: ffmpeg.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.playout.pose import Pose
from renderers import Image
from tests.support.system import require

RATE = 48000


class Flash:
    """A face that is white while the jaw is open, and quick."""

    size = (64, 48)

    def render(self, pose: Pose) -> Image:
        return np.full((48, 64, 3), 255 if pose.frame.jaw_pose[0] > 0 else 0, np.uint8)


def block(t: float, loud: bool, rate: int = 24000, channels: int = 1) -> AudioBlock:
    """10 ms of a tone or of silence."""
    n = rate // 100
    tone = 12000 * np.sin(2 * np.pi * 1000 * np.arange(n) / rate) * loud
    return AudioBlock(np.repeat(tone.astype(np.int16)[:, None], channels, axis=1), rate, t)


def probe(path: Path, *, whole: bool = True) -> dict[str, dict[str, Any]]:
    """What ffprobe says about the streams, by kind, with their packets' times; of several sound tracks the
    last. ``whole``: nothing may be wrong with the file."""
    require("ffprobe")
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_packets", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert not (whole and done.stderr), done.stderr
    found = json.loads(done.stdout)
    streams: dict[str, dict[str, Any]] = {stream["codec_type"]: stream for stream in found["streams"]}
    for stream in streams.values():
        packets = [each for each in found["packets"] if each["stream_index"] == stream["index"]]
        stream["times"] = [float(packet["pts_time"]) for packet in packets]
        stream["keys"] = [float(each["pts_time"]) for each in packets if "K" in each["flags"]]
    return streams


def bright(path: Path) -> list[float]:
    """Times of the pictures that are bright."""
    command = ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-fps_mode", "passthrough", "-vf"]
    command += ["signalstats,metadata=print:file=-", "-f", "null", "/dev/null"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    times = re.findall(r"pts_time:([\d.]+)", printed)
    levels = re.findall(r"signalstats\.YAVG=([\d.]+)", printed)
    return [float(time) for time, level in zip(times, levels, strict=True) if float(level) > 128]


def sound_of(path: Path, track: int = 0) -> np.ndarray:
    """The decoded sound of a track, float, 48 kHz, from time 0."""
    # The encoder's priming lies before time 0.
    command = ["ffmpeg", "-v", "error", "-copyts", "-i", str(path), "-map", f"0:a:{track}"]
    command += ["-af", "atrim=start=0", "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return np.frombuffer(raw, "<i2").astype(float)


def onsets(sound: np.ndarray, level: float = 4000) -> list[float]:
    """When loud stretches of ``sound`` begin, in seconds."""
    loud = np.flatnonzero(np.abs(sound) > level)
    if not len(loud):
        return []
    first = loud[np.concatenate([[True], np.diff(loud) > RATE // 10])]
    return [float(at) for at in first / RATE]


def plays(path: Path) -> str:
    """Decode all of it; what ffmpeg complains of."""
    require("ffmpeg")
    # vfr: the null muxer complains of pictures that follow each other within its own frame.
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "vfr", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr
