"""Sound to packets: one track whose time is the count of its samples."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final = 48_000
"""Samples per second in the file; all tracks are mono."""

GAP_S: Final = 0.060
"""Sound later than this after the end of what is there has a gap before it, which becomes silence. What is
less is the clocks' jitter: samples are counted, not timed."""

Floats = npt.NDArray[np.float32]

_FULL_SCALE: Final = np.float32(1 / 32768)


class SoundTrack:
    """Encodes one track. Its samples follow each other without a gap from the time 0 of the file; the
    encoder's own delay is named in the file's header. Not thread-safe."""

    def __init__(self, av: Any, stream: Any, bit_rate: int) -> None:
        """
        Args:
            av: the module PyAV.
            stream: of the container, mono, not yet opened.
            bit_rate: bits a second.
        """
        self._av = av
        self._stream = stream
        stream.bit_rate = bit_rate
        self._context: Any = stream.codec_context
        aac = self._context.codec.name == "aac"
        self._format = "fltp" if aac else "flt"
        self._context.format = self._format
        if aac:  # half the work at this bit rate, and for one voice no worse
            self._context.options = {"aac_coder": "fast"}
            stream.options = {"aac_coder": "fast"}
        self._frame = 0
        self._resampler: tuple[int, Any] | None = None
        self._pending: list[Floats] = []
        self._pending_samples = 0
        self._encoded = 0
        self.heard = False
        """Sound has come, and not only silence for want of it."""
        self.position = 0
        """Samples so far: the time of the next one."""
        self.silence_s = 0.0
        """Seconds of silence put in where no sound was."""
        self.cut_s = 0.0
        """Seconds of sound left out because its time was already taken."""

    @property
    def end_s(self) -> float:
        """Seconds of sound in the track, what is not yet encoded included."""
        return self.position / SAMPLE_RATE

    def add(self, samples: npt.NDArray[np.int16], rate: int, t: float) -> Iterator[Any]:
        """Add sound whose first sample belongs at ``t`` seconds; yields packets, and must be gone through.

        It follows what is there as long as its time is within 60 ms; otherwise silence is put in before it,
        or as much of it is cut off as overlaps.

        Args:
            samples: shape (n, channels), int16.
            rate: samples per second.
        """
        self.heard = True
        off = t - self.end_s
        if off > GAP_S or (self.position == 0 and off > 0):
            yield from self.fill_to(t)
        elif off < -GAP_S or (self.position == 0 and off < 0):
            skip = min(len(samples), round(-off * rate))
            self.cut_s += skip / rate
            samples = samples[skip:]
        if not len(samples):
            return
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        floats = mono.astype(np.float32) * _FULL_SCALE
        yield from self._append(floats if rate == SAMPLE_RATE else self._resampled(floats, rate))

    def fill_to(self, t: float) -> Iterator[Any]:
        """Put in silence up to ``t`` seconds; yields packets as they are made, and must be gone through."""
        missing = round(t * SAMPLE_RATE) - self.position
        while missing > 0:
            count = min(missing, SAMPLE_RATE)
            self.silence_s += count / SAMPLE_RATE
            yield from self._append(np.zeros(count, np.float32))
            missing -= count

    def flush(self) -> list[Any]:
        """Encode what is left. The track takes no more sound."""
        packets: list[Any] = []
        if self._pending_samples:
            packets += self._encode(np.concatenate(self._pending))
            self._pending, self._pending_samples = [], 0
        if self._context.is_open:
            packets += self._own(self._context.encode(None))
        return packets

    def _resampled(self, samples: Floats, rate: int) -> Floats:
        if self._resampler is None or self._resampler[0] != rate:
            resampler = self._av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            self._resampler = (rate, resampler)
        frame = self._av.AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
        frame.sample_rate = rate
        parts = [part.to_ndarray()[0] for part in self._resampler[1].resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _append(self, samples: Floats) -> list[Any]:
        self._pending.append(samples)
        self._pending_samples += len(samples)
        self.position += len(samples)
        if not self._frame:
            if not self._context.is_open:
                self._context.open()
            self._frame = self._context.frame_size or 960
        if self._pending_samples < self._frame:
            return []
        waiting = np.concatenate(self._pending)
        whole = len(waiting) // self._frame * self._frame
        self._pending, self._pending_samples = [waiting[whole:]], len(waiting) - whole
        packets: list[Any] = []
        for start in range(0, whole, self._frame):
            packets += self._encode(waiting[start : start + self._frame])
        return packets

    def _encode(self, samples: Floats) -> list[Any]:
        frame = self._av.AudioFrame.from_ndarray(samples[None, :], format=self._format, layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts, frame.time_base = self._encoded, Fraction(1, SAMPLE_RATE)
        self._encoded += len(samples)
        return self._own(self._context.encode(frame))

    def _own(self, packets: list[Any]) -> list[Any]:
        for packet in packets:
            packet.stream = self._stream
        return packets
