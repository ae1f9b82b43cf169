"""Sample formats, channel counts and sample rates.

Resampling is LiveKit's ``AudioResampler`` (the SoX resampler, inside the library that is a dependency
anyway): measured 84 dB of signal over error and 11-24 us per 10 ms block, exact lengths after a flush, and
no package more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError

if TYPE_CHECKING:
    from livekit import rtc

Samples = npt.NDArray[np.int16]

MAX_CHANNELS = 32
"""More columns than this are taken for samples: the array has the wrong orientation."""


def to_int16(samples: npt.NDArray[Any]) -> Samples:
    """``samples`` as int16 of shape (n, channels).

    Args:
        samples: shape (n,) or (n, channels); int16, or float32 or float64 in -1 … 1 (more is clipped, NaN is
            0).

    Raises:
        ConfigurationError: the shape or the type is another.
    """
    if samples.ndim == 1:
        samples = samples[:, np.newaxis]
    if samples.ndim != 2 or not 1 <= samples.shape[1] <= MAX_CHANNELS:
        raise ConfigurationError(
            f"sound must have the shape (samples,) or (samples, channels), not {samples.shape}; "
            "transpose an array that has its channels first"
        )
    if samples.dtype == np.int16:
        return samples.astype(np.int16, copy=False)
    if samples.dtype in (np.float32, np.float64):
        clipped = np.clip(np.nan_to_num(samples, nan=0.0), -1.0, 1.0)
        as_int16: Samples = np.rint(clipped * 32767.0).astype(np.int16)
        return as_int16
    raise ConfigurationError(
        f"sound must be int16, float32 or float64, not {samples.dtype}; convert it with astype"
    )


def from_bytes(data: bytes | bytearray | memoryview, channels: int) -> Samples:
    """Interleaved little-endian 16-bit PCM as int16 of shape (n, channels).

    Raises:
        ConfigurationError: the length is not a whole number of samples.
    """
    size = 2 * channels
    if len(data) % size:
        raise ConfigurationError(
            f"{len(data)} bytes are not a whole number of 16-bit samples of {channels} channel(s)"
        )
    return np.frombuffer(data, "<i2").astype(np.int16, copy=False).reshape(-1, channels)


def to_channels(samples: Samples, channels: int) -> Samples:
    """``samples``, shape (n, m), as (n, ``channels``): as it is, or the mean of its channels on each."""
    if samples.shape[1] == channels:
        return samples
    if samples.shape[1] > 1:
        mean = samples.sum(axis=1, dtype=np.int32) // samples.shape[1]
        samples = mean.astype(np.int16)[:, np.newaxis]
    return np.repeat(samples, channels, axis=1)


class Converter:
    """Turns a stream of samples of any rate and channel count into one of a fixed rate and channel count."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Convert to ``sample_rate`` samples per second and ``channels`` channels."""
        self.sample_rate = sample_rate
        self.channels = channels
        self._resampler: rtc.AudioResampler | None = None
        self._input_rate = sample_rate

    def convert(self, samples: Samples, sample_rate: int) -> Samples:
        """The next ``samples``, shape (n, any number of channels), of ``sample_rate``.

        Returns:
            What is ready, shape (m, channels). A resampler holds some 10-80 ms back; see :meth:`flush`.

        Raises:
            ConfigurationError: the sample rate cannot be converted.
        """
        samples = to_channels(samples, self.channels)
        if sample_rate == self._input_rate and self._resampler is None:
            return samples
        rest = None
        if sample_rate != self._input_rate:
            rest = self.flush()
            self._input_rate = sample_rate
            if sample_rate != self.sample_rate:
                self._resampler = self._make_resampler(sample_rate)
        if self._resampler is not None:
            samples = self._collect(self._resampler.push(bytearray(samples.astype("<i2").tobytes())))
        return samples if rest is None or not len(rest) else np.concatenate([rest, samples])

    def flush(self) -> Samples:
        """What the resampler holds back, shape (m, channels); the next samples begin a new stream."""
        resampler, self._resampler = self._resampler, None
        self._input_rate = self.sample_rate
        return self._collect(resampler.flush() if resampler is not None else [])

    def reset(self) -> None:
        """Forget what is held back."""
        self._resampler = None
        self._input_rate = self.sample_rate

    def _make_resampler(self, sample_rate: int) -> rtc.AudioResampler:
        from livekit import rtc

        if sample_rate < 1:  # which the resampler would take and then fail on
            raise ConfigurationError(f"a sample rate must be positive, not {sample_rate}")
        try:
            return rtc.AudioResampler(
                sample_rate,
                self.sample_rate,
                num_channels=self.channels,
                quality=rtc.AudioResamplerQuality.HIGH,
            )
        except Exception as error:  # livekit raises bare Exceptions
            raise ConfigurationError(
                f"sound of {sample_rate} Hz cannot be resampled to {self.sample_rate} Hz: {error}"
            ) from error

    def _collect(self, frames: list[rtc.AudioFrame]) -> Samples:
        parts = [np.frombuffer(frame.data, np.int16).reshape(-1, self.channels) for frame in frames]
        return np.concatenate(parts) if parts else np.empty((0, self.channels), np.int16)
