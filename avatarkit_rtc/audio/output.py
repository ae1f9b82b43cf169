"""Where the avatar's sound goes: the interface, its figures, and the output that plays nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Samples
from avatarkit_rtc.audio.echo_reference import RenderTap
from avatarkit_rtc.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SpeakerStats:
    """What a speaker has done so far. A speaker that plays nowhere has a device of None."""

    device: str | None
    """Name of the device."""
    sample_rate: int
    """Samples per second that the device gets."""
    active: bool
    """The device takes sound. False before ``start()``, after ``close()`` and once the device is gone."""
    playing: bool
    """Sound is being heard: the ring has reached its target and has not run empty since."""
    depth_ms: float
    """Sound that waits in the ring, in milliseconds."""
    average_depth_ms: float | None
    """The same on average over some seconds; None while nothing is played."""
    target_ms: float
    """Depth that is kept, in milliseconds; more than what was asked for while blocks longer than 20 ms are
    written."""
    correction_ppm: float
    """By how much sound is lengthened now to keep that depth, in millionths; negative: shortened."""
    device_latency_ms: float
    """Delay behind the ring as the device states it, in milliseconds (5-15 off)."""
    written_ms: float
    """Sound taken in, in milliseconds."""
    played_ms: float
    """Sound handed to the device, in milliseconds, silence for want of sound not counted."""
    underruns: int
    """Times the ring ran empty in the middle of sound."""
    overruns: int
    """Times the ring ran full because the device did not take sound fast enough."""
    dropped_ms: float
    """Sound dropped by those overruns, in milliseconds."""
    trimmed_ms: float
    """Sound passed over to get back to the target depth: after a stall, or cut out of a silence."""
    stretched_ms: float
    """Silence put into a silence to get back to the target depth, in milliseconds."""
    concealed_ms: float
    """Silence heard in the middle of sound for want of sound, in milliseconds."""
    unheard_ms: float
    """Sound dropped while there was no device, in milliseconds."""
    flushed_ms: float
    """Sound dropped by ``flush()``, in milliseconds."""
    callbacks: int
    """Blocks the device asked for."""
    reopened: int
    """Times the device was opened again after it was lost."""


@runtime_checkable
class AudioOutput(Protocol):
    """Where the avatar's sound goes. ``write`` and ``flush`` are called from one thread."""

    @property
    def volume(self) -> float:
        """0.0 … 1.0, a factor on the samples."""

    @volume.setter
    def volume(self, value: float) -> None: ...

    @property
    def muted(self) -> bool:
        """Silent, with sound still taken and passing by."""

    @muted.setter
    def muted(self, value: bool) -> None: ...

    def start(self) -> None:
        """Open the device. May block for seconds.

        Raises:
            AudioDeviceError: the device is missing or busy.
            MissingDependencyError: the sound library is not installed.
        """

    @property
    def write_position(self) -> int | None:
        """Position of the next sample to be written, counted in samples of the device; None without a
        device."""

    @property
    def queue_s(self) -> float:
        """Seconds until a sample that is written now is heard: the ring and the device."""

    @property
    def render_tap(self) -> RenderTap | None:
        """What the device is given, for an echo canceller; None without a device."""

    def write(self, block: AudioBlock) -> int | None:
        """Take ``block`` of any rate and channel count. Never blocks.

        Returns:
            Position of the block's first sample, for :meth:`audible_at`; None where it is not played.
        """

    def audible_at(self, position: int) -> float | None:
        """The monotonic moment at which sample ``position`` is heard, or was a moment ago; None while nothing
        is played."""

    def flush(self) -> None:
        """Drop all sound that is not yet with the device."""

    def close(self) -> None:
        """Stop and release the device. Never raises; more than once is fine. May block."""

    async def aclose(self) -> None:
        """:meth:`close` without blocking the event loop."""

    def stats(self) -> SpeakerStats:
        """A snapshot of the counters."""


def checked_volume(value: float) -> float:
    """``value``, which is to be a volume.

    Raises:
        ConfigurationError: it is not in 0.0 … 1.0.
    """
    try:
        if 0.0 <= value <= 1.0:
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ConfigurationError(f"volume must be between 0.0 and 1.0, not {value!r}")


class Gain:
    """Volume, as a ramp across the block in which it changes: a step would click."""

    def __init__(self) -> None:
        self.value = 1.0
        self._applied = 1.0

    def set(self, value: float) -> None:
        self.value = checked_volume(value)

    def apply(self, samples: Samples) -> Samples:
        if self.value == self._applied == 1.0 or not len(samples):
            return samples
        gain = np.linspace(self._applied, self.value, len(samples), dtype=np.float32)[:, np.newaxis]
        self._applied = self.value
        scaled: Samples = np.rint(samples * gain).astype(np.int16)
        return scaled


class WithVolume:
    """What every output does with its volume."""

    def __init__(self) -> None:
        self._gain = Gain()

    @property
    def volume(self) -> float:
        """0.0 … 1.0. Raises ConfigurationError when set to anything else."""
        return self._gain.value

    @volume.setter
    def volume(self, value: float) -> None:
        self._gain.set(value)


class NullSpeaker(WithVolume):
    """Plays nowhere: what stands in for a :class:`Speaker` where there is no sound card."""

    def __init__(self) -> None:
        super().__init__()
        self._muted = False
        self._written_s = 0.0

    @property
    def muted(self) -> bool:
        """Kept, without effect."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._muted = bool(value)

    def start(self) -> None:
        """Nothing to open."""

    write_position: int | None = None
    """There are no positions."""
    queue_s = 0.0
    """Nothing waits."""
    render_tap: RenderTap | None = None
    """Nothing is heard that could come back."""

    def write(self, block: AudioBlock) -> int | None:
        """Count ``block`` and drop it."""
        self._written_s += block.duration
        return None

    def audible_at(self, position: int) -> float | None:
        """Nothing is heard."""
        return None

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing to release."""

    async def aclose(self) -> None:
        """Nothing to release."""

    def stats(self) -> SpeakerStats:
        """All zero but ``written_ms`` and ``unheard_ms``, which are the same."""
        return SpeakerStats(
            device=None,
            sample_rate=0,
            active=False,
            playing=False,
            depth_ms=0.0,
            average_depth_ms=None,
            target_ms=0.0,
            correction_ppm=0.0,
            device_latency_ms=0.0,
            written_ms=self._written_s * 1000.0,
            played_ms=0.0,
            underruns=0,
            overruns=0,
            dropped_ms=0.0,
            trimmed_ms=0.0,
            stretched_ms=0.0,
            concealed_ms=0.0,
            unheard_ms=self._written_s * 1000.0,
            flushed_ms=0.0,
            callbacks=0,
            reopened=0,
        )
