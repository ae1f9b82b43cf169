"""The user's microphone as an async iterator of 10 ms blocks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np

from avatarkit_rtc.audio.arrival_time import ArrivalTime
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Samples
from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec, checked_device
from avatarkit_rtc.audio.release import ABANDON_S, close_stream
from avatarkit_rtc.audio.ring import SampleRing
from avatarkit_rtc.audio.streams import OpenedStream, keep, open_stream, start_stream
from avatarkit_rtc.audio.threads import in_thread, start_thread
from avatarkit_rtc.errors import AudioDeviceError, ConfigurationError

_FIRST_CALLBACK_S: Final = 2.0
"""Sound servers take this long to bring the first sound of a stream."""


class Microphone:
    """Records from one sound device through one PortAudio stream.

    Iterate over it (one reader at a time) for blocks of 10 ms. A reader that falls behind loses the oldest
    sound.
    """

    def __init__(
        self,
        device: DeviceSpec = None,
        *,
        sample_rate: int = 48000,
        channels: int = 1,
        max_ms: float = 500.0,
        latency: str | float = 0.06,
    ) -> None:
        """Make a microphone; :meth:`start` opens its device.

        Args:
            device: index, name, unique part of a name, or an :class:`AudioDevice`; None for the system's
                default.
            sample_rate: samples per second to record at. A device that cannot do it gets its own preferred
                rate.
            channels: 1 or 2; a device without mono gets stereo.
            max_ms: sound held for a late reader, in milliseconds (at least 20).
            latency: PortAudio's own: ``low``, ``high`` or seconds. It is the room that a device has for sound
                which another thread keeps this one from fetching; sound that is fetched in time is hardly
                later for it.

        Raises:
            ConfigurationError: a value is out of range or ``device`` none of these.
        """
        if max_ms < 20 or sample_rate < 8000 or channels not in (1, 2):
            raise ConfigurationError(
                "a microphone records 1 or 2 channels at 8000 Hz or more and holds at least 20 ms, "
                f"not {channels} at {sample_rate} Hz and {max_ms} ms"
            )
        self._spec = checked_device(device)
        self._wanted = (sample_rate, channels)
        self._max_ms = max_ms
        self._latency = latency
        self._lock = threading.Lock()  # start against close, never in a callback
        self._opened: OpenedStream | None = None
        self._name = ""
        self._closed = False
        self._finished = False
        self._muted = False
        self._set_format(sample_rate, channels)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        # End position and arrival of the last block the device brought, set in one go by the callback.
        self._anchor = (0, 0.0)
        self._arrival = ArrivalTime()
        self._brought_at = 0.0  # when the callback last ran
        self._last_t = 0.0  # of the block read last
        self._failure = "is gone; connect it and start again"
        self._overflows = 0

    def _set_format(self, sample_rate: int, channels: int) -> None:
        self._rate = sample_rate
        self._block = sample_rate // 100
        self._ring = SampleRing(round(sample_rate * self._max_ms / 1000), channels)

    @property
    def sample_rate(self) -> int:
        """Samples per second of the blocks; final once started."""
        return self._rate

    @property
    def channels(self) -> int:
        """Channels of the blocks; final once started."""
        return self._ring.channels

    @property
    def device(self) -> str | None:
        """Name of the open device."""
        return self._name or None

    @property
    def opened(self) -> AudioDevice | None:
        """The open device."""
        return self._opened.device if self._opened is not None else None

    def give_way(self) -> None:
        """Whoever reads this closes it when :mod:`avatarkit_rtc.audio.restart` says so."""
        if self._opened is not None:
            keep(self._opened.stream)

    @property
    def active(self) -> bool:
        """The device is open and has not gone."""
        return self._opened is not None and not self._finished

    @property
    def recorded(self) -> int:
        """Blocks of 10 ms that the device brought."""
        return self._ring.write_position // self._block

    @property
    def dropped(self) -> int:
        """Blocks of 10 ms lost because the reader was late (rounded up)."""
        return -(-self._ring.dropped // self._block)

    @property
    def overflows(self) -> int:
        """Times the system lost sound before it came here."""
        return self._overflows

    @property
    def stalled_s(self) -> float:
        """Seconds since the device last brought sound, while it is open; 2 s less before its first."""
        if not self.active:
            return 0.0
        patience = 0.0 if self._ring.write_position else _FIRST_CALLBACK_S
        return time.monotonic() - self._brought_at - patience

    @property
    def muted(self) -> bool:
        """Blocks keep coming, and are silent."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._muted = bool(value)

    def start(self) -> None:
        """Open the device; blocks while it opens, so prefer :func:`open_microphone` on an event loop.

        Raises:
            AudioDeviceError: the device is missing, busy or cannot record 16-bit sound, or this was closed.
            MissingDependencyError: the PortAudio library is not installed.
        """
        with self._lock:
            if self._closed:
                raise AudioDeviceError("this microphone has been closed; make a new one")
            if self._opened is not None:
                return
            sample_rate, channels = self._wanted
            opened = open_stream(
                "input",
                self._spec,
                sample_rate=sample_rate,
                channels=channels,
                latency=self._latency,
                callback=self._callback,
                finished=self._on_finished,
            )
            try:
                if (opened.sample_rate, opened.channels) != (self._rate, self._ring.channels):
                    self._set_format(opened.sample_rate, opened.channels)
                self._brought_at = time.monotonic()
                start_stream(opened, "input")
            except BaseException:
                close_stream(opened.stream)
                raise
            self._name = opened.device.name
            self._opened = opened
            if self._closed:  # while it opened
                self._release()
                raise AudioDeviceError("this microphone was closed while it opened")

    def fail(self, reason: str) -> None:
        """Take the device for gone, because it ``reason``: who reads gets an error."""
        self._failure = reason
        self._on_finished()

    def discard(self) -> None:
        """Pass over what waits to be read, for a reader that was away and wants only what is said from now
        on."""
        self._ring.skip_to_newest(0)

    def close(self) -> None:
        """Stop and release the device; iteration ends. Never raises; more than once is fine. Blocks for up to
        4 s, where the sound system hangs."""
        self._closed = True
        self._notify()
        if self._lock.acquire(timeout=ABANDON_S):  # else it is opening, and will see that it is closed
            try:
                self._release()
            finally:
                self._lock.release()

    def _release(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            close_stream(opened.stream)

    async def aclose(self) -> None:
        """:meth:`close` in a worker thread."""
        await in_thread(self.close)

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        """The next 10 ms.

        Raises:
            StopAsyncIteration: the microphone was closed.
            AudioDeviceError: the device is gone, or ``start()`` was not called.
        """
        self._loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if self._closed:
                raise StopAsyncIteration
            if self._ring.depth >= self._block:
                return self._take()
            if self._finished:
                raise AudioDeviceError(f"the microphone {self._name!r} {self._failure}")
            if self._opened is None:
                raise AudioDeviceError("the microphone is not open; call start() first")
            await self._wake.wait()

    def _take(self) -> AudioBlock:
        samples = np.empty((self._block, self._ring.channels), np.int16)
        self._ring.read_into(samples)
        end, t = self._anchor  # of a block ago, where the callback is just between the two
        t += (self._ring.read_position - end) / self._rate
        self._last_t = t = max(self._last_t, min(t, time.monotonic()))
        if self._muted:
            samples.fill(0)
        return AudioBlock(samples, self._rate, t)

    def _callback(self, data: Samples, _frames: int, _time: Any, status: Any) -> None:
        """PortAudio's thread: copy, wake the reader, return."""
        if self._closed:  # and the sound system is slow to end the stream
            return
        if status and status.input_overflow:
            self._overflows += 1
        now = time.monotonic()
        self._ring.write(data)
        self._brought_at = now
        self._anchor = (self._ring.write_position, self._arrival.block(now, len(data) / self._rate))
        self._notify()

    def _on_finished(self) -> None:
        """PortAudio's thread: the stream has ended, by ``close`` or because the device is gone."""
        self._finished = True
        self._notify()

    def _notify(self) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(self._wake.set)


async def open_microphone(
    device: DeviceSpec = None, *, sample_rate: int = 48000, channels: int = 1
) -> Microphone:
    """A started microphone. It opens in a worker thread; cancelled meanwhile, it is closed again.

    Raises:
        AudioDeviceError: the device is missing, busy or cannot record 16-bit sound.
        MissingDependencyError: the PortAudio library is not installed.
        ConfigurationError: a value is out of range or ``device`` of another type.
    """
    microphone = Microphone(device, sample_rate=sample_rate, channels=channels)
    try:
        await in_thread(microphone.start)
    except asyncio.CancelledError:
        start_thread(microphone.close)
        raise
    return microphone
