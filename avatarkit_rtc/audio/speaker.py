"""Playing the avatar's sound.

The event loop writes blocks into a ring; PortAudio's callback copies out of it and does nothing else.
Playing begins when the ring has reached its target depth. Two things are trimmed: while the card does not
take sound (sound servers do not call back for a second or two after a stream starts) the ring keeps its
newest part only, and when callbacks come back what is above the target is passed over, so that a stall never
leaves a lasting delay.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any, Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Converter, Samples
from avatarkit_rtc.audio.output import AudioOutput, Gain, NullSpeaker, SpeakerStats
from avatarkit_rtc.audio.ring import SampleRing
from avatarkit_rtc.audio.streams import OpenedStream, close_stream, open_stream, start_stream
from avatarkit_rtc.errors import AudioDeviceError, ConfigurationError, MissingDependencyError

_STALL_S: Final = 0.15
"""A pause between callbacks that is longer than this was a stall of the card."""
_PAUSE_S: Final = 0.5
"""Sound that comes again after a gap longer than this had ended; a shorter gap was an underrun."""


class Speaker:
    """Plays on one sound device through one PortAudio stream."""

    def __init__(
        self,
        device: int | str | None = None,
        *,
        sample_rate: int = 48000,
        channels: int = 1,
        target_ms: float = 60.0,
        max_ms: float = 200.0,
        latency: str | float = "high",
    ) -> None:
        """Make a speaker; :meth:`start` opens its device.

        Args:
            device: index, name or unique part of a name; None for the system's default.
            sample_rate: samples per second to play at. A device that cannot do it gets its own preferred
                rate.
            channels: 1 or 2; a device without mono gets stereo.
            target_ms: sound held in the ring against a late event loop, in milliseconds (10 … 1000).
            max_ms: depth at which the ring is cut back to the target, in milliseconds.
            latency: PortAudio's own: ``low``, ``high`` or seconds. ``low`` loses sound when another thread
                keeps the interpreter busy for 20 ms.

        Raises:
            ConfigurationError: a value is out of range.
        """
        if not 10 <= target_ms <= 1000 or max_ms < target_ms + 20:
            raise ConfigurationError(
                f"target_ms must be 10 … 1000 and max_ms at least 20 more, not {target_ms} and {max_ms}"
            )
        if sample_rate < 8000 or channels not in (1, 2):
            raise ConfigurationError(
                f"a speaker plays 1 or 2 channels at 8000 Hz or more, not {channels} at {sample_rate} Hz"
            )
        self._spec = device
        self._wanted = (sample_rate, channels)
        self._target_ms = target_ms
        self._max_ms = max_ms
        self._latency = latency
        self._lock = threading.Lock()  # start against close, never in a callback
        self._opened: OpenedStream | None = None
        self._closed = False
        self._gone = False
        self._gain = Gain()
        self._muted = False
        self._set_format(sample_rate, channels)
        # Written by the callback only
        self._playing = False
        self._starved = False
        self._flushing = False  # set by the writer, taken back by the callback
        self._last_callback = 0.0
        self._callbacks = 0
        self._played = 0
        self._trimmed = 0
        # Written by the writer only
        self._last_write = 0.0
        self._underruns = 0
        self._overruns = 0
        self._dropped = 0
        self._flushed = 0

    def _set_format(self, sample_rate: int, channels: int) -> None:
        self._rate = sample_rate
        self._target = round(sample_rate * self._target_ms / 1000)
        self._ring = SampleRing(round(sample_rate * self._max_ms / 1000), channels)
        self._converter = Converter(sample_rate, channels)

    @property
    def volume(self) -> float:
        """0.0 … 1.0. Raises ConfigurationError when set to anything else."""
        return self._gain.value

    @volume.setter
    def volume(self, value: float) -> None:
        self._gain.set(value)

    @property
    def muted(self) -> bool:
        """Silent at once, with sound still taken and passing by."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._muted = bool(value)

    def start(self) -> None:
        """Open the device; blocks while it opens, so prefer :func:`open_speaker` on an event loop.

        Raises:
            AudioDeviceError: the device is missing, busy or cannot play 16-bit sound, or the speaker was
                closed.
            MissingDependencyError: the PortAudio library is not installed.
        """
        with self._lock:
            if self._closed:
                raise AudioDeviceError("this speaker has been closed; make a new one")
            if self._opened is not None:
                return
            sample_rate, channels = self._wanted
            opened = open_stream(
                "output",
                self._spec,
                sample_rate=sample_rate,
                channels=channels,
                latency=self._latency,
                callback=self._callback,
                finished=self._on_finished,
            )
            if (opened.sample_rate, opened.channels) != (self._rate, self._ring.channels):
                self._set_format(opened.sample_rate, opened.channels)
            start_stream(opened, "output")
            self._opened = opened

    def write(self, block: AudioBlock) -> None:
        """Take ``block`` of any rate and channel count; before ``start()`` and after ``close()`` it is
        dropped."""
        if self._opened is None:
            return
        now = time.monotonic()
        if self._starved:
            self._starved = False
            if now - self._last_write < _PAUSE_S:
                self._underruns += 1
        self._last_write = now
        samples = self._gain.apply(self._converter.convert(block.samples, block.sample_rate))
        ring = self._ring
        if ring.depth + len(samples) > ring.capacity:
            # All the way back to the target in one cut: dropping a little at each write would crackle.
            self._overruns += 1
            self._dropped += ring.keep_newest(max(0, self._target - len(samples)))
        self._dropped += ring.write(samples)

    def flush(self) -> None:
        """Drop all sound that is not yet with the device; the next sound waits for the target depth again."""
        self._flushed += self._ring.clear()
        self._converter.reset()
        self._flushing = True
        self._last_write = 0.0  # the ring runs empty on purpose: no underrun

    def close(self) -> None:
        """Stop and release the device. Never raises; more than once is fine. Blocks: see :meth:`aclose`."""
        with self._lock:
            self._closed = True
            opened, self._opened = self._opened, None
            if opened is not None:
                close_stream(opened.stream)

    async def aclose(self) -> None:
        """:meth:`close` in a worker thread."""
        await asyncio.to_thread(self.close)

    def stats(self) -> SpeakerStats:
        """A snapshot of the counters."""
        opened = self._opened
        ms = 1000.0 / self._rate
        return SpeakerStats(
            device=opened.device.name if opened is not None else None,
            sample_rate=self._rate,
            active=opened is not None and not self._gone,
            playing=self._playing and opened is not None,
            depth_ms=self._ring.depth * ms,
            target_ms=self._target_ms,
            device_latency_ms=opened.stream.latency * 1000.0 if opened is not None else 0.0,
            written_ms=self._ring.write_position * ms,
            played_ms=self._played * ms,
            underruns=self._underruns,
            overruns=self._overruns,
            dropped_ms=self._dropped * ms,
            trimmed_ms=self._trimmed * ms,
            flushed_ms=self._flushed * ms,
            callbacks=self._callbacks,
        )

    def _callback(self, out: Samples, frames: int, _time: Any, _status: Any) -> None:
        """PortAudio's thread: copy, count, return."""
        now = time.monotonic()
        stalled = now - self._last_callback > _STALL_S
        self._last_callback = now
        self._callbacks += 1
        ring = self._ring
        if self._flushing:
            self._flushing = self._playing = False
        if not self._playing:
            if ring.depth < self._target:
                out.fill(0)
                return
            self._playing = stalled = True
        if stalled:
            self._trimmed += ring.skip_to_newest(self._target)
        got = ring.read_into(out)
        self._played += got
        if got < frames:
            self._playing = False
            self._starved = True
        if self._muted:
            out.fill(0)

    def _on_finished(self) -> None:
        """PortAudio's thread: the stream has ended, by ``close`` or because the device is gone."""
        self._gone = True
        self._playing = False


async def open_speaker(
    device: int | str | None = None,
    *,
    sample_rate: int = 48000,
    channels: int = 1,
    target_ms: float = 60.0,
) -> tuple[AudioOutput, str | None]:
    """A started speaker, or where there can be none a :class:`NullSpeaker` and one line that says why.

    The device opens in a worker thread. When the call is cancelled meanwhile, it is closed again.

    Raises:
        ConfigurationError: a value is out of range.
    """
    speaker = Speaker(device, sample_rate=sample_rate, channels=channels, target_ms=target_ms)
    try:
        await asyncio.to_thread(speaker.start)
    except (AudioDeviceError, MissingDependencyError) as error:
        return NullSpeaker(), str(error)
    except asyncio.CancelledError:
        # The thread is still opening; close waits for it, so it has to wait in a thread as well.
        with contextlib.suppress(RuntimeError):  # the executor is shut down already: the process ends
            asyncio.get_running_loop().run_in_executor(None, speaker.close)
        raise
    return speaker, None
