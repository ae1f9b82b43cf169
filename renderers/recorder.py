"""A view that writes what it is shown, and the avatar's sound, into a video file."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.playout.pose import Pose
from renderers._log import ThinnedLog
from renderers._mp4 import Mp4Writer
from renderers._worker import Worker
from renderers.face import DEFAULT_SIZE, Face, hearing, make_face

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock

_QUEUE: Final = 256
"""Poses and blocks that may wait: about two seconds."""
_QUEUE_POSES: Final = _QUEUE // 2
"""Beyond this poses are dropped first: a missing picture is seen less than missing sound is heard."""
_CLOSE_S: Final = 20.0


class Recorder:
    """Writes an MP4 file (H.264 and AAC) from poses and sound blocks, on a thread of its own.

    Pictures carry the times of their poses, sound is counted from the arrival of its first block; both begin
    with whatever came first. A gap of more than 200 ms in the sound becomes silence. The file is written in
    fragments of a second: when the process is killed, what was written before plays.

    If writing fails (a full disk), :attr:`error` says why, what comes is dropped, and playing goes on.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        face: str | Face = "cartoon",
        size: tuple[int, int] = DEFAULT_SIZE,
        fps: float = 25,
    ) -> None:
        """Begin a recording in the file ``path``, which is overwritten.

        Args:
            path: The file, named ``….mp4``.
            face: A name (see :func:`renderers.make_face`, not ``"null"``) or a face.
            size: Width and height of the pictures in pixels; the file has even numbers (one less if need be).
            fps: Pictures a second (1 to 120); poses that come faster are thinned.

        Raises:
            MissingDependencyError: PyAV is missing, or what the face needs.
            ConfigurationError: the file cannot be written, or an argument cannot be right.
        """
        self.path: Final = Path(path)
        if self.path.suffix.lower() not in (".mp4", ".m4v"):
            raise ConfigurationError(f"the recording is an MP4 file: name it ….mp4, not {self.path.name!r}")
        if not 1 <= fps <= 120:
            raise ConfigurationError(f"fps must be 1 to 120, not {fps!r}")
        chosen = make_face(face, size)
        if chosen is None:
            raise ConfigurationError("a recording needs a face that draws: face='cartoon', for instance")
        self._face = chosen
        self._hear = hearing(chosen)
        self._writer = Mp4Writer(self.path, self._face.size, fps)
        self._epoch: float | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._dropped_poses = 0
        self._log = ThinnedLog(logging.getLogger("avatarkit_rtc"))
        self._worker: Worker[Pose | AudioBlock] = Worker(
            "avatarkit-recorder", self._write, max_queue=_QUEUE, log=self._log
        )
        self.error: Exception | None = None
        """What ended the recording before :meth:`close`; None while all is well."""

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    @property
    def pictures(self) -> int:
        """Pictures written."""
        return self._writer.pictures

    @property
    def dropped(self) -> int:
        """Poses and sound blocks left out because the encoder could not keep up, or had failed."""
        return self._dropped_poses + self._worker.dropped + self._worker.errors

    @property
    def inserted_silence_s(self) -> float:
        """Seconds of silence in the file where no sound had come."""
        return self._writer.inserted_s

    def show(self, pose: Pose) -> None:
        """Record ``pose``; never blocks. Ignored once closed."""
        if self._closed:
            return
        if self.error is not None or self._worker.queued >= _QUEUE_POSES:
            self._dropped_poses += 1
            return
        self._worker.put(pose)

    def sound(self, block: AudioBlock) -> None:
        """Record the avatar's sound; never blocks. Ignored once closed."""
        if not self._closed and self.error is None:
            if self._hear is not None:
                self._hear(block)
            self._worker.put(block)

    def _write(self, item: Pose | AudioBlock) -> None:
        if self.error is not None:
            self._dropped_poses += 1
            return
        if self._epoch is None:
            self._epoch = item.t
        t = item.t - self._epoch
        try:
            if isinstance(item, Pose):
                self._writer.picture(self._face.render(item), t)
            else:
                self._writer.sound(item.samples, item.sample_rate, t)
        except Exception as error:
            self.error = error
            raise

    def close(self) -> None:
        """Write what is queued and end the file; more than once is fine, never raises.

        May take a second or more: on an event loop use :meth:`aclose`.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._worker.close(drain=True, timeout_s=_CLOSE_S):
                return
            try:
                self._writer.close()
            except Exception as error:
                self.error = self.error or error
                self._log.warning("close", f"the recording {self.path} could not be ended: {error}", error)

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
