"""Plays a sidecar again: its poses through any face, as fast as the machine can, into another file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError, RecordingError
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.pyav import load_av
from renderers.face import Face, hearing
from renderers.recording.formats import format_of
from renderers.recording.media_file import MediaFile, check_writable
from renderers.recording.pace import Pace
from renderers.recording.pictures import checked
from renderers.recording.sidecar import SUFFIX, Line, read_sidecar
from renderers.recording.sound import SAMPLE_RATE

BLOCK_S: Final = 0.010
"""Sound is handed on in blocks of this length, as a player does."""

AHEAD_S: Final = 0.2
"""Sound is handed on so long before its pose, as a face that moves by it needs."""

LEAP_S: Final = 7 * 86400.0
"""Poses that are so far apart, or from the beginning, are not from a recording. It has gaps: where nobody is
connected no poses come, over a weekend, say. They are filled with silence as it is written."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of it."""

    pictures: int
    duration_s: float


class Replay:
    """A sidecar, and the sound of its recording."""

    def __init__(self, path: Path, *, sound: Path | None = None, with_sound: bool = True) -> None:
        """
        Args:
            path: the sidecar.
            sound: the file whose first sound track is taken; None for the recording beside the sidecar, if it
                is there.
            with_sound: take sound at all.

        Raises:
            ConfigurationError: a file cannot be read, or is none of these.
        """
        self.path: Final = path
        first = next(read_sidecar(path), None)
        if first is None:
            raise ConfigurationError(f"{path} is empty")
        self.header: Final[Mapping[str, Any]] = first.content
        """The sidecar's first line."""
        beside = path.with_name(Path(str(first.content.get("file", "none"))).name)
        if with_sound and sound is None and beside.is_file():
            sound = beside
        self.sound: Final = sound if with_sound else None
        """Where sound is taken from."""
        if self.sound is not None and not self.sound.is_file():
            raise ConfigurationError(f"there is no file {self.sound} to take the sound from")

    def lines(self) -> Iterator[Line]:
        """The lines after the first.

        Raises:
            ConfigurationError: one cannot be understood.
        """
        lines = read_sidecar(self.path)
        next(lines, None)
        return lines

    def poses(self) -> Iterator[Pose]:
        """The poses; ``t`` and ``presentation_time`` are seconds since the beginning of the recording.

        Raises:
            ConfigurationError: a line cannot be understood, or its time goes back or leaps by more than a
                week.
        """
        before = None
        for line in self.lines():
            if line.type != "pose":
                continue
            if before is not None and line.t < before:
                raise ConfigurationError(f"{self.path}: times go back, from {before:g} s to {line.t:g} s")
            if abs(line.t - (before or 0.0)) > LEAP_S:
                raise ConfigurationError(
                    f"{self.path}: from {before or 0.0:g} s the time leaps to {line.t:g} s, "
                    "which no recording does"
                )
            before = line.t
            yield line.pose()

    def blocks(self) -> Iterator[ReceivedAudio]:
        """The sound in blocks of 10 ms, mono; none where there is no sound.

        Raises:
            ConfigurationError: the file has no sound that can be read.
            MissingDependencyError: PyAV is missing.
        """
        if self.sound is None:
            return
        av = _pyav()
        size = round(BLOCK_S * SAMPLE_RATE)
        try:
            with av.open(str(self.sound)) as container:
                if not container.streams.audio:
                    raise ConfigurationError(f"{self.sound} has no sound")
                resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE, frame_size=size)
                position: int | None = None
                for frame in container.decode(container.streams.audio[0]):
                    if position is None:
                        position = round(float(frame.pts * frame.time_base) * SAMPLE_RATE)
                    for block in resampler.resample(frame):
                        samples = block.to_ndarray().reshape(-1, 1)
                        at = position / SAMPLE_RATE
                        position += len(samples)
                        yield ReceivedAudio(samples.astype(np.int16), SAMPLE_RATE, at, at)
        except av.FFmpegError as error:
            raise ConfigurationError(f"cannot read the sound of {self.sound}: {error}") from error

    def to_file(
        self,
        out: Path,
        face: Face,
        *,
        fps: float = 25,
        codec: str | None = None,
        progress: Callable[[float], None] = lambda t: None,
        check: Callable[[], None] = lambda: None,
    ) -> Replayed:
        """Draw the poses with ``face`` into the file ``out``, with the sound.

        It is written beside, as ``out`` with ``….part``, and takes its name once it is whole: whatever goes
        wrong, what is there under that name stays as it was.

        Args:
            fps: pictures a second at most; the poses' own times are kept.
            codec: as :class:`renderers.Recorder` takes it.
            progress: called with the time of each pose; may raise to end it.
            check: called more often than that, within long stretches of silence, too; may raise to end it.

        Raises:
            ConfigurationError: a file cannot be read, ``out`` is no name for one, or that of another
                recording, or the face does not draw pictures of its size.
            MissingDependencyError: PyAV is missing.
            RecordingError: ``out`` cannot be written.
        """
        av = _pyav()
        if out.resolve() in (self.path.resolve(), self.sound and self.sound.resolve()):
            raise ConfigurationError(f"{out} is what is being read; give another name")
        form, target = format_of(out, codec), out.resolve()
        beside = out.with_suffix(SUFFIX)
        if beside.exists() and beside.resolve() != self.path.resolve():
            # Its poses and our pictures would be taken for one recording.
            raise ConfigurationError(
                f"{beside} is there already, another recording's sidecar; give another name"
            )
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        try:
            check_writable(target)
            part.open("xb").close()  # nobody else's
            try:
                file = MediaFile(av, part, form, face.size, fps, check=check)
                try:
                    done = self._write(file, face, fps, progress)
                    file.close()
                except BaseException:
                    file.abandon()
                    raise
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise RecordingError(f"{out} cannot be written: {error.strerror or error}") from error
        return done

    def _write(self, file: MediaFile, face: Face, fps: float, progress: Callable[[float], None]) -> Replayed:
        blocks = self.blocks()
        hear = hearing(face)
        waiting = next(blocks, None)
        last, pace, seen = 0.0, Pace(), 0
        for pose in self.poses():
            seen += 1
            while waiting is not None and waiting.presentation_time <= pose.t + AHEAD_S:
                waiting = self._hand_on(file, hear, waiting, blocks)
            progress(pose.t)
            if pace.wants(pose.t, 1 / fps) and self._drawn(file, face, pose):
                last = pose.t
        if seen and not file.pictures:
            raise ConfigurationError(
                f"{self.path}: all its poses are before the beginning of the file (t < 0)"
            )
        if not file.pictures:
            raise ConfigurationError(f"{self.path} holds no pose")
        end = last + 1 / fps
        while waiting is not None and waiting.presentation_time < end:
            waiting = self._hand_on(file, hear, waiting, blocks)
        return Replayed(file.pictures, end)

    @staticmethod
    def _drawn(file: MediaFile, face: Face, pose: Pose) -> bool:
        try:
            image = checked(face.render(pose), face.size)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"the face failed to draw the pose at {pose.t:g} s: {error}") from error
        return file.picture(image, pose.t)

    @staticmethod
    def _hand_on(
        file: MediaFile,
        hear: Callable[[Any], None] | None,
        block: ReceivedAudio,
        blocks: Iterator[ReceivedAudio],
    ) -> ReceivedAudio | None:
        if hear is not None:
            hear(block)
        file.sound(0, block.samples, block.sample_rate, block.presentation_time)
        return next(blocks, None)


def _pyav() -> Any:
    try:
        return load_av()
    except ImportError as error:
        raise MissingDependencyError(
            f"a replay into a file needs PyAV ({error}): pip install 'avatarkit-rtc[record]'"
        ) from error
