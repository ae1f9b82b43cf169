"""The sidecar of a recording: JSON lines with poses, rounds, events and figures, beside the video file.

The format is told in ``docs/recording.md``. Each line is one object with a ``type`` and, but for the first,
``t``: seconds since the beginning of the video file.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import FIELD_SLICES, MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind

VERSION: Final = 1
"""Of the format: a reader refuses a higher one."""

SUFFIX: Final = ".jsonl"
"""A recording ``talk.mp4`` has the sidecar ``talk.jsonl``."""

FLUSH_S: Final = 1.0
"""Lines are handed to the system this often, in the recording's own time."""

LONGEST_S: Final = 1e9
"""A time beyond this, thirty years, is none."""

_DIGITS: Final = 5
_LONGEST_HEADER: Final = 100_000


class SidecarWriter:
    """Writes one sidecar. Not thread-safe."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """
        Args:
            path: the file, which is overwritten; see :func:`check_own`.
            header: what the first line says beside its type and the version.

        Raises:
            OSError: the file cannot be written.
        """
        self.path: Final = path
        self._file: IO[str] = path.open("w", encoding="utf-8")
        self._flushed = 0.0
        self.write("recording", None, version=VERSION, **header)
        self._file.flush()

    def pose(self, pose: Pose, t: float) -> None:
        """A pose shown from ``t`` on."""
        line: dict[str, Any] = {"kind": pose.kind.value}
        if pose.round is not None:
            line["round"] = pose.round
        if pose.position is not None:
            line["position"] = round(pose.position, 3)
        self.write("pose", t, **line, pose=fields_of(pose.frame))

    def write(self, type_: str, t: float | None, **line: Any) -> None:
        """One line.

        Raises:
            OSError: it could not be written.
        """
        begin: dict[str, Any] = {"type": type_}
        if t is not None:
            begin["t"] = round(t, 6)
        text = json.dumps({**begin, **line}, separators=(",", ":"), ensure_ascii=False, default=plain)
        self._file.write(text + "\n")
        if t is not None and not 0 <= t - self._flushed < FLUSH_S:
            self._flushed = t
            self._file.flush()

    def close(self) -> None:
        """Close the file; more than once is fine.

        Raises:
            OSError: the last lines could not be written.
        """
        self._file.close()


def check_own(path: Path, video: str) -> None:
    """See that writing the sidecar ``path`` of the recording named ``video`` overwrites nothing but its own.

    Raises:
        ConfigurationError: there is something else: ``talk.mp4`` and ``talk.webm`` would share one, say.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
    except FileNotFoundError:
        return
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        first = None
    own = isinstance(first, dict) and first.get("type") == "recording" and first.get("file") == video
    if line and not own:
        raise ConfigurationError(
            f"{path} is there already and is not the sidecar of {video}: move it away, give the recording "
            "another name, or record without a sidecar"
        )


def fields_of(frame: MotionFrame) -> dict[str, list[float]]:
    """The FLAME fields of ``frame`` for JSON: five significant digits, without the zeros at their ends, and
    without fields that are all zero."""
    result: dict[str, list[float]] = {}
    for name, where in FIELD_SLICES.items():
        used = np.flatnonzero(frame.values[where])
        if len(used):
            values = frame.values[where][: used[-1] + 1].tolist()
            result[name] = [float(f"{value:.{_DIGITS}g}") for value in values]
    return result


def plain(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # A shallow dict: an enumeration within it is plain text already, or comes here.
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "code": getattr(value, "code", None), "message": str(value)}
    return str(value)


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of a sidecar."""

    type: str
    t: float
    """Seconds since the beginning of the video file; 0 for the first line."""
    content: Mapping[str, Any]
    """The whole object."""

    def pose(self) -> Pose:
        """The pose of a line of type ``pose``; its ``t`` is that of the line.

        Raises:
            ConfigurationError: it is none.
        """
        content = self.content
        try:
            return Pose(
                self.t,
                PoseKind(content["kind"]),
                MotionFrame.from_fields(content["pose"]),
                content.get("round"),
                content.get("position"),
                self.t,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"a line of type pose at {self.t:g} s holds no pose: {error!r}"
            ) from error


def read_sidecar(path: Path) -> Iterator[Line]:
    """The lines of a sidecar, the first one included. A last line that was cut off (the process was killed)
    is left out.

    Raises:
        ConfigurationError: the file cannot be read, or is no sidecar.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file):
                whole = text.endswith("\n")
                try:
                    yield _parse(text, first=number == 0)
                except (ValueError, RecursionError) as error:
                    if not whole and number:
                        return
                    raise ConfigurationError(
                        f"{path}, line {number + 1}, is not from the sidecar of a recording: {error}"
                    ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def _parse(text: str, *, first: bool) -> Line:
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise ValueError("no object with a type")
    if first:
        version = content.get("version")
        if content["type"] != "recording" or not isinstance(version, int):
            raise ValueError("it does not begin with a line of type recording")
        if version > VERSION:
            raise ValueError(f"its version is {version}; this program reads up to {VERSION}")
        return Line("recording", 0.0, content)
    t = content.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float) or not abs(t) < math.inf:
        raise ValueError("no time t")
    if abs(t) > LONGEST_S:
        raise ValueError(
            f"its time is {t:.3g} s" if isinstance(t, float) else "its time is beyond all measure"
        )
    return Line(content["type"], float(t), content)
