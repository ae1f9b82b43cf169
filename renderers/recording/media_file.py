"""One file: pictures and sound tracks with times, in fragments that play however the process ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from renderers.face import Image
from renderers.recording.formats import KEY_PICTURE_S, Format
from renderers.recording.sound import SAMPLE_RATE, SoundTrack
from renderers.recording.video import CLOCK, VideoEncoder

SOUND_LAG_S: Final = 2.0
"""So far a track may stay behind the pictures before silence is put into it. The sound of a picture comes
later than the picture, on bad networks by half a second."""

NO_SOUND_LAG_S: Final = 0.1
"""The same before the first sound, which comes before its picture: an MP4 file has its header once there is
something in every track."""

LONGEST_PICTURE_S: Final = 3600.0
"""A picture that is shown for longer is written again. In an MP4 file FFmpeg's muxer aborts the process at
one for more than 2**31 - 1 ticks, 6.6 h."""

MIN_STEP: Final = round(0.001 * CLOCK)
"""Pictures have times that differ by this much at least, in ticks; Matroska counts milliseconds."""


class MediaFile:
    """A file that is being written. Times are seconds since its beginning. Not thread-safe.

    Each fragment is on disk when the next one begins, so a process that is killed leaves a file that lacks at
    most a fragment (0.5 s), and what waited for the slowest track.
    """

    def __init__(
        self,
        av: Any,
        path: Path,
        format_: Format,
        size: tuple[int, int],
        fps: float,
        *,
        tracks: Sequence[str] = ("avatar",),
        level: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            av: the module PyAV.
            path: the file, which is overwritten.
            size: width and height of the pictures; the file has even numbers, one less if need be.
            fps: pictures a second that are usual.
            tracks: titles of the sound tracks.
            level: how little the encoder shall work, see :class:`~renderers.recording.video.VideoEncoder`.
            check: called for each packet, within long stretches of silence, too; may raise to end it.

        Raises:
            OSError: the file cannot be written.
        """
        self.path: Final = path
        self._check = check
        path.open("wb").close()
        self._container: Any = av.open(
            os.fspath(path), "w", format=format_.muxer, options=dict(format_.options)
        )
        # 4:2:0 has a colour for every four pixels.
        even = (size[0] // 2 * 2, size[1] // 2 * 2)
        rate = Fraction(fps).limit_denominator(1001)
        stream = self._container.add_stream(format_.video.encoder, rate=rate)
        self._video = VideoEncoder(av, stream, format_.video, even, fps, level)
        self._tracks: list[SoundTrack] = []
        for title in tracks:
            added = self._container.add_stream(format_.audio, rate=SAMPLE_RATE, layout="mono")
            added.metadata["title"] = added.metadata["handler_name"] = title
            self._tracks.append(SoundTrack(av, added, format_.audio_bit_rate))
        self._frame_s = 1 / fps
        self._last_pts = -1
        self._last_image: Image | Any = None
        self._next_key = 0
        self._closed = False
        self.pictures = 0
        """Pictures written."""

    @property
    def video(self) -> VideoEncoder:
        """The encoder of the pictures."""
        return self._video

    @property
    def tracks(self) -> Sequence[SoundTrack]:
        """The sound tracks, in the order of their titles."""
        return self._tracks

    @property
    def end_s(self) -> float:
        """The time of the last picture or the end of the longest track, whichever is later."""
        return max(self._last_pts / CLOCK, *(track.end_s for track in self._tracks), 0.0)

    @property
    def bytes_written(self) -> int:
        """Size of the file so far."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def picture(self, image: Image | Any, t: float) -> bool:
        """Add a picture that is shown from ``t`` on, as :meth:`VideoEncoder.encode` takes it.

        Returns:
            Whether it was written: its time must be later than the one before, by a millisecond or more.
        """
        pts = round(t * CLOCK)
        if pts < 0 or (self._last_pts >= 0 and pts - self._last_pts < MIN_STEP):
            return False
        while self._last_pts >= 0 and pts - self._last_pts > LONGEST_PICTURE_S * CLOCK:
            self._picture(self._last_image, self._last_pts + round(LONGEST_PICTURE_S * CLOCK))
        self._picture(image, pts)
        return True

    def _picture(self, image: Image | Any, pts: int) -> None:
        t = pts / CLOCK
        key = pts >= self._next_key
        if key:
            self._next_key = pts + round(KEY_PICTURE_S * CLOCK) - round(0.5 * self._frame_s * CLOCK)
        self._last_pts, self._last_image = pts, image
        self._mux(self._video.encode(image, pts, key=key))
        self.pictures += 1
        for track in self._tracks:
            if t - track.end_s > (SOUND_LAG_S if track.heard else NO_SOUND_LAG_S):
                self._mux(track.fill_to(t - SOUND_LAG_S / 2 if track.heard else t))

    def sound(self, track: int, samples: npt.NDArray[np.int16], rate: int, t: float) -> None:
        """Add sound, shape (n, channels), whose first sample belongs at ``t``, to track number ``track``."""
        self._mux(self._tracks[track].add(samples, rate, t))

    def change_level(self, level: int) -> bool:
        """Let the encoder work at ``level`` from the next picture on; returns whether it can."""
        changed, packets = self._video.change_level(level)
        self._mux(packets)
        if changed:
            self._next_key = self._last_pts + 1
        return changed

    def close(self) -> None:
        """Write what the encoders still hold, and end the file; more than once is fine. A file without a
        picture stays empty.

        Raises:
            OSError: it could not be ended; it plays as far as it was written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self.pictures:
                self._end_tracks()
        finally:
            self._container.close()

    def abandon(self) -> None:
        """Give the file up after an error: release it, and cut off what is no whole fragment. Never
        raises."""
        self._closed = True
        with contextlib.suppress(Exception):
            self._container.close()
        with contextlib.suppress(OSError):
            cut_to_whole_boxes(self.path)

    def _end_tracks(self) -> None:
        end = self._last_pts / CLOCK + self._frame_s
        for track in self._tracks:
            if end - track.end_s > self._frame_s:
                self._mux(track.fill_to(end))
        self._mux(self._video.flush())
        for track in self._tracks:
            self._mux(track.flush())

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            self._check()
            self._container.mux_one(packet)


def cut_to_whole_boxes(path: Path) -> int:
    """Cut an MP4 file off after its last whole fragment; other files stay as they are.

    A file is a row of boxes: four bytes of size, big-endian, four letters of type; a fragment is a ``moof``
    and its ``mdat`` (ISO/IEC 14496-12, 4.2 and 8.8.4).

    Returns:
        Bytes cut off.
    """
    if not path.is_file() or path.suffix.lower() not in (".mp4", ".m4v"):
        return 0
    size = path.stat().st_size
    whole = 0
    with path.open("r+b") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length < 8 or at + length > size:
                break
            at += length
            if kind != b"moof":
                whole = at
        if whole:
            file.truncate(whole)
    return size - whole if whole else 0


def check_writable(path: Path) -> None:
    """Raises OSError if ``path`` cannot be written. It is not touched: what is there may be needed still."""
    if not path.parent.is_dir():
        number = errno.ENOENT
    elif path.is_dir():
        number = errno.EISDIR
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        number = errno.EACCES
    else:
        return
    raise OSError(number, os.strerror(number), os.fspath(path))
