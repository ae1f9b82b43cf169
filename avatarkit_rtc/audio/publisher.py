"""Publishing the user's sound: from a source to the room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.pace import Pace
from avatarkit_rtc.audio.sources import AudioSource, SourceReader, open_source
from avatarkit_rtc.errors import AvatarKitError, PublishError

if TYPE_CHECKING:
    from avatarkit_rtc.providers.base import AudioUplink, Provider

Process: TypeAlias = Callable[[AudioBlock], AudioBlock]

_log = logging.getLogger("avatarkit_rtc")

_LEAD_S: Final = 0.05
"""A source without a clock of its own is sent this much ahead, against hiccups of the event loop."""
_DRAIN_S: Final = 2.0
"""Longest wait for the last queued sound to be sent."""


class AudioPublisher:
    """Pumps one source into one published track, and into a new track after a reconnect.

    The uplink's back-pressure sets the pace; a file or array is held to real time besides. While there is no
    uplink the source waits (a microphone's sound of that time is dropped).
    """

    def __init__(
        self,
        provider: Provider,
        source: AudioSource,
        name: str,
        *,
        sample_rate: int | None = None,
        channels: int | None = None,
        process: Process | None = None,
        owns_source: bool = False,
        on_error: Callable[[Exception], None] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Publish ``source`` (see :func:`~avatarkit_rtc.audio.sources.open_source`) through ``provider``.

        Args:
            name: name of the track in the room.
            sample_rate: samples per second of arrays and bytes.
            channels: channels of bytes.
            process: applied to each block of 10 ms, mono at 48 kHz, before it is sent; must keep its form.
            owns_source: the source, which has an ``aclose``, is closed with the publisher.
            on_error: called, on the event loop, when the source or the uplink fails after ``start()``. After
                an uplink's failure the publisher waits for :meth:`reopen`; after the source's it is finished.
            on_end: called when the source has ended by itself and its last sound has been sent.
        """
        self._provider = provider
        self._source = source
        self.name = name
        self._sample_rate = sample_rate
        self._channels = channels
        self._process = process
        self._owns_source = owns_source
        self._on_error = on_error
        self._on_end = on_end
        self._reader: SourceReader | None = None
        self._uplink: AudioUplink | None = None
        self._unsent: AudioBlock | None = None
        self._task: asyncio.Task[None] | None = None
        self._switching = asyncio.Lock()
        self._closed = False
        self._finished = asyncio.Event()
        self._blocks_sent = 0
        self.muted = False
        """Silence is sent in place of the source, which goes on. Kept across :meth:`reopen`."""

    @property
    def blocks_sent(self) -> int:
        """Blocks of 10 ms handed to the uplink, silent ones included."""
        return self._blocks_sent

    @property
    def finished(self) -> bool:
        """The source has ended or failed, or the publisher was closed."""
        return self._finished.is_set()

    async def wait_finished(self) -> None:
        """Wait until :attr:`finished`."""
        await self._finished.wait()

    async def start(self) -> None:
        """Open the source, publish the track and begin. Once only.

        Raises:
            ConfigurationError: the source is none.
            MissingDependencyError: the source needs an extra that is not installed.
            NotConnectedError: the provider is not connected.
            PublishError: the room refused the track, or this publisher was started before.
        """
        async with self._switching:
            if self._reader is not None or self._closed:
                raise PublishError("this publisher was used before; make a new one")
            reader = await asyncio.to_thread(
                open_source, self._source, sample_rate=self._sample_rate, channels=self._channels
            )
            try:
                await self._open_uplink(reader)
            except BaseException:
                await reader.aclose()
                raise
            self._reader = reader

    async def reopen(self, provider: Provider | None = None) -> None:
        """Publish anew, after a reconnect, and go on with the source where it was. May be tried again.

        Args:
            provider: where to publish from now on, if elsewhere.

        Raises:
            NotConnectedError: the provider is not connected.
            PublishError: the room refused the track, or the publisher is not running.
        """
        async with self._switching:
            reader = self._reader
            if self._closed or reader is None:
                raise PublishError("this publisher is not running")
            # Cancelled rather than left to notice: a write to a connection that is gone may never return.
            await self._stop_pump()
            await self._close_uplink()
            if provider is not None:
                self._provider = provider
            await self._open_uplink(reader)

    async def aclose(self) -> None:
        """Stop and unpublish; the source stays as it is, unless it is owned. Never raises; more than once is
        fine."""
        self._closed = True
        async with self._switching:
            await self._stop_pump()
            await self._close_uplink()
            if self._reader is not None:
                await self._reader.aclose()
            if self._owns_source:
                await self._source.aclose()
            self._finished.set()

    async def _open_uplink(self, reader: SourceReader) -> None:
        form: dict[str, Any] = {"sample_rate": reader.sample_rate, "channels": reader.channels}
        if reader.live:
            form["live"] = True
        uplink = await self._provider.open_uplink(name=self.name, **form)
        self._uplink = uplink
        if self._closed:  # while the room was answering
            await self._close_uplink()
            raise PublishError("the publisher was closed while it published")
        if reader.resync():
            self._unsent = None
        if not self.finished:
            self._task = asyncio.create_task(self._pump(reader, uplink), name=f"publish {self.name}")

    async def _close_uplink(self) -> None:
        uplink, self._uplink = self._uplink, None
        if uplink is not None:
            try:
                await uplink.aclose()
            except Exception as error:
                _log.warning("unpublishing %s failed: %s", self.name, error)

    async def _stop_pump(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _pump(self, reader: SourceReader, uplink: AudioUplink) -> None:
        pace = Pace(_LEAD_S) if reader.paced else None
        while True:
            if self._unsent is None:
                try:
                    block = await anext(reader, None)
                    if block is not None and self._process is not None:
                        block = self._process(block)
                except Exception as error:
                    self._finished.set()
                    self._report(error, "reading the source")
                    return
                self._unsent = block
            block = self._unsent
            if block is None:
                await self._drain(uplink)
                self._finished.set()
                self._call(self._on_end)
                return
            if pace is not None:
                await pace.wait(block.duration)
            if self.muted:
                block = AudioBlock(np.zeros_like(block.samples), block.sample_rate, block.t)
            try:
                await uplink.write(block)
            except Exception as error:
                self._report(error, "sending")
                return  # until reopen() starts another
            self._unsent = None
            self._blocks_sent += 1

    async def _drain(self, uplink: AudioUplink) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await uplink.drain()
        except Exception as error:  # the connection has gone: there is nothing left to wait for
            _log.debug("the end of %s was not sent: %r", self.name, error)

    def _report(self, error: Exception, doing: str) -> None:
        if not isinstance(error, AvatarKitError):
            cause = error
            error = PublishError(f"{doing} for {self.name} failed: {type(cause).__name__}: {cause}")
            error.__cause__ = cause
        if self._on_error is None:
            _log.error("%s", error)
        else:
            self._call(self._on_error, error)

    def _call(self, callback: Callable[..., None] | None, *arguments: Exception) -> None:
        if callback is not None:
            try:
                callback(*arguments)
            except Exception:
                _log.exception("a callback of the publisher of %s failed", self.name)
