"""Writes pictures and sound with times into a fragmented MP4 file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from avatarkit_rtc.pyav import load_av
from renderers.face import Image

SAMPLE_RATE: Final = 48000
"""Of the sound in the file; mono."""

_VIDEO_CLOCK: Final = 90000
_AAC_FRAME: Final = 1024
_FRAGMENT_S: Final = 1.0
"""A fragment begins with a key picture each second: this much is missing when the process is killed."""
_GAP_S: Final = 0.2
"""Sound that is later than this after the sound before it has a gap before it, which becomes silence."""
_AHEAD_S: Final = 0.5
"""Sound in the file this far ahead of its arrival is not appended to: it came faster than real time."""
_LAG_S: Final = 1.0
"""How far sound may stay behind the pictures before silence is put in; a file needs both side by side."""


class Mp4Writer:
    """H.264 and AAC in an MP4 file that plays up to its last whole fragment, however the process ends.

    Times are seconds since the beginning of the recording. Not thread-safe.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        """Raises MissingDependencyError without PyAV, ConfigurationError if ``path`` cannot be written."""
        try:
            av = load_av()
        except ImportError as error:
            raise MissingDependencyError(
                f"recording needs PyAV ({error}): pip install 'avatarkit-rtc[record]'"
            ) from error
        try:
            path.open("wb").close()
        except OSError as error:
            raise ConfigurationError(f"the recording cannot be written: {error}") from error
        self._av = av
        self._container: Any = av.open(
            str(path),
            "w",
            format="mp4",
            options={
                # delay_moov: the header is written with the first fragment, when encoder delays are known.
                "movflags": "+frag_keyframe+delay_moov+default_base_moof",
                "max_interleave_delta": str(int(2 * _LAG_S * 1e6)),
                "flush_packets": "1",
            },
        )
        # 4:2:0 needs even sides.
        self._width, self._height = size[0] // 2 * 2, size[1] // 2 * 2
        self._video: Any = self._container.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1001),
            options={"preset": "veryfast", "crf": "23", "tune": "zerolatency", "forced-idr": "1"},
        )
        self._video.width, self._video.height = self._width, self._height
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = Fraction(1, _VIDEO_CLOCK)
        self._video.codec_context.gop_size = max(1, round(10 * fps))
        self._video.codec_context.thread_count = 2
        self._audio: Any = self._container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        self._audio.bit_rate = 96_000
        self._resampler: tuple[int, Any] | None = None
        self._frame_s = 1 / fps
        self._min_step = round(0.75 * _VIDEO_CLOCK / fps)
        self._last_pts: int | None = None
        self._last_key = 0
        self._pending: list[npt.NDArray[np.float32]] = []
        self._pending_samples = 0
        self._queued = 0
        self._encoded = 0
        self.pictures = 0
        """Pictures written."""
        self.thinned = 0
        """Pictures left out because they came faster than the frame rate."""
        self.inserted_s = 0.0
        """Seconds of silence put in where no sound was."""
        self.cut_s = 0.0
        """Seconds of sound left out because it came much faster than real time."""

    def picture(self, image: Image, t: float) -> None:
        """Add a picture that is shown from ``t`` on; one that comes too soon after the last is left out."""
        pts = max(0, round(t * _VIDEO_CLOCK))
        if self._last_pts is not None and pts - self._last_pts < self._min_step:
            self.thinned += 1
            return
        frame = self._av.VideoFrame.from_ndarray(
            np.ascontiguousarray(image[: self._height, : self._width]), format="bgr24"
        )
        frame.pts, frame.time_base = pts, Fraction(1, _VIDEO_CLOCK)
        if self._last_pts is None or pts - self._last_key >= _FRAGMENT_S * _VIDEO_CLOCK:
            frame.pict_type = self._av.video.frame.PictureType.I
            self._last_key = pts
        self._last_pts = pts
        self._container.mux(self._video.encode(frame))
        self.pictures += 1
        behind = t - self._queued / SAMPLE_RATE
        if behind > _LAG_S:
            self._silence(round((behind - _LAG_S / 2) * SAMPLE_RATE))

    def sound(self, samples: npt.NDArray[np.int16], rate: int, t: float) -> None:
        """Add sound, shape (n, channels), that arrived at ``t``."""
        gap = t - self._queued / SAMPLE_RATE
        if gap > _GAP_S or (self._queued == 0 and gap > 0):
            self._silence(round(gap * SAMPLE_RATE))
        elif gap < -_AHEAD_S:
            self.cut_s += len(samples) / rate
            return
        mono = samples.mean(axis=1, dtype=np.float32) / np.float32(32768)
        if self._resampler is None or self._resampler[0] != rate:
            resampler = self._av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
            self._resampler = (rate, resampler)
        frame = self._av.AudioFrame.from_ndarray(mono[None, :], format="fltp", layout="mono")
        frame.sample_rate = rate
        for part in self._resampler[1].resample(frame):
            self._queue(part.to_ndarray()[0])

    def _silence(self, count: int) -> None:
        if count > 0:
            self.inserted_s += count / SAMPLE_RATE
            for start in range(0, count, SAMPLE_RATE):
                self._queue(np.zeros(min(SAMPLE_RATE, count - start), np.float32))

    def _queue(self, samples: npt.NDArray[np.float32]) -> None:
        self._pending.append(samples)
        self._pending_samples += len(samples)
        self._queued += len(samples)
        if self._pending_samples >= _AAC_FRAME:
            self._encode_sound()

    def _encode_sound(self, *, all_of_it: bool = False) -> None:
        waiting = np.concatenate(self._pending) if self._pending else np.zeros(0, np.float32)
        whole = len(waiting) if all_of_it else len(waiting) // _AAC_FRAME * _AAC_FRAME
        for start in range(0, whole, _AAC_FRAME):
            part = waiting[start : min(whole, start + _AAC_FRAME)]
            frame = self._av.AudioFrame.from_ndarray(part[None, :], format="fltp", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            frame.pts, frame.time_base = self._encoded, Fraction(1, SAMPLE_RATE)
            self._encoded += len(part)
            self._container.mux(self._audio.encode(frame))
        self._pending = [waiting[whole:]]
        self._pending_samples = len(waiting) - whole

    def close(self) -> None:
        """Write what the encoders still hold, and end the file. A file without a picture stays empty."""
        try:
            if self._last_pts is not None:
                end = self._last_pts / _VIDEO_CLOCK + self._frame_s
                self._silence(round(end * SAMPLE_RATE) - self._queued)
                self._encode_sound(all_of_it=True)
                self._container.mux(self._video.encode(None))
                self._container.mux(self._audio.encode(None))
        finally:
            self._container.close()
