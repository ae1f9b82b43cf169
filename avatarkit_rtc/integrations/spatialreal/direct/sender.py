"""Sends what is said to the service, one utterance after another, not too far ahead of what is played.

An utterance is sent when the motion of the one before it is complete, which is mostly long before that was
played: the service can only be told to give up the last request, so there is never more than one to give up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.sources import SourceReader
from avatarkit_rtc.errors import AvatarKitError, PublishError
from avatarkit_rtc.integrations.spatialreal.direct.playback import SpeechPlayback
from avatarkit_rtc.integrations.spatialreal.direct.stage import Stage
from avatarkit_rtc.integrations.spatialreal.link import Link

AHEAD_S: Final = 30.0
"""Sound that is sent ahead of what is played. As there is motion only for sound that was sent, this bounds
what a service can be ahead, and all memory: 0.4 MB of motion, 1.4 MB of sound at 24 kHz."""
MAX_WAITING: Final = 32
"""Utterances that may wait for their turn; after that :meth:`Sender.wait_for_room` waits."""

_BLOCKS_A_MESSAGE: Final = 10
"""Blocks of 10 ms in a message, of sound that is there at once."""
_BLOCKS_OF_LIVE: Final = 4
"""The same, of sound that is still coming: a frame's worth."""

_log = logging.getLogger("avatarkit_rtc.spatialreal")


@dataclass(slots=True, eq=False)
class Speech:
    """One utterance on its way to the service."""

    key: int
    reader: SourceReader
    playback: SpeechPlayback
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """It is over: no more of it is sent."""


class Sender:
    """Owns the sources of what was said. All calls on the event loop."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._waiting: deque[Speech] = deque()
        self._wake = asyncio.Event()
        self._ahead_room = asyncio.Event()
        self._answers = asyncio.Event()
        self._queue_room = asyncio.Event()
        self._wire = asyncio.Lock()  # what goes to the service goes in order
        self._link: Link | None = None
        self._asked = self._request_open = False  # of this link
        self._running: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Utterances of which nothing was sent yet."""
        return len(self._waiting)

    def start(self, link: Link) -> None:
        """Send through ``link`` from now on."""
        self._link, self._asked, self._request_open = link, False, False
        self._running = asyncio.create_task(self._run(link), name="speech to SpatialReal")

    async def stop(self) -> None:
        """Send no more, and close all sources. More than once is fine."""
        running, self._running, self._link = self._running, None, None
        self._queue_room.set()
        if running is not None:
            running.cancel()
            await asyncio.wait([running])
        while self._waiting:
            await self._waiting.popleft().reader.aclose()

    async def wait_for_room(self) -> None:
        """Wait while too many utterances wait; not once this is stopped."""
        while self._link is not None and len(self._waiting) >= MAX_WAITING:
            self._queue_room.clear()
            await self._queue_room.wait()

    def add(self, speech: Speech) -> None:
        """Send ``speech`` after those before it."""
        self._waiting.append(speech)
        self._wake.set()

    def played(self) -> None:
        """Sound was played, or dropped: there may be room for more."""
        if self._stage.held_s < AHEAD_S:
            self._ahead_room.set()

    def answered(self) -> None:
        """Motion has come, or something is over."""
        self._answers.set()

    async def interrupt(self) -> None:
        """Tell the service to give up the last request. What it answers all the same is not waited for."""
        link = self._link
        async with self._wire:
            if link is not None and link is self._link and self._asked:
                await self._interrupt(link)

    async def _interrupt(self, link: Link) -> None:
        self._request_open = False
        try:
            await link.interrupt()
        except AvatarKitError as error:
            _log.info("the interruption did not get through: %s", error)

    async def _run(self, link: Link) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            speech = self._waiting.popleft()
            self._queue_room.set()
            try:
                await self._send(link, speech)
            except AvatarKitError as error:
                self._failed(speech, error)
            except Exception as error:
                problem = PublishError(f"the source of what was to be said failed: {type(error).__name__}")
                problem.__cause__ = error
                self._failed(speech, problem)
            finally:
                await speech.reader.aclose()
            async with self._wire:
                if self._request_open:  # else what is said next would be taken for its rest
                    await self._interrupt(link)

    def _failed(self, speech: Speech, error: AvatarKitError) -> None:
        if not speech.playback.over:
            speech.playback.error = speech.playback.error or error
            self._stage.cut(speech.key)

    async def _send(self, link: Link, speech: Speech) -> None:
        stage, held, sent = self._stage, bytearray(), False
        a_message = _BLOCKS_A_MESSAGE if speech.reader.paced else _BLOCKS_OF_LIVE
        gone = asyncio.ensure_future(speech.gone.wait())
        try:
            while (block := await _next(speech.reader, gone)) is not None:
                while stage.held_s >= AHEAD_S and not speech.gone.is_set():
                    self._ahead_room.clear()
                    await self._ahead_room.wait()
                stage.sound(speech.key, block.samples)
                held += block.samples.astype("<i2", copy=False).tobytes()
                if len(held) >= a_message * block.samples.nbytes:
                    await self._post(link, speech, bytes(held), end=False)
                    held, sent = bytearray(), True
        finally:
            gone.cancel()
        if speech.gone.is_set():
            return
        stage.sound_ended(speech.key)
        if held or sent:
            await self._post(link, speech, bytes(held), end=True)
        speech.playback.all_sent = True
        while not stage.answered(speech.key):
            self._answers.clear()
            await self._answers.wait()

    async def _post(self, link: Link, speech: Speech, pcm: bytes, *, end: bool) -> None:
        async with self._wire:
            if speech.gone.is_set():
                return
            self._asked = self._request_open = True
            req_id = await link.send_audio(pcm, end=end)
            self._request_open = not end
        self._stage.identify(speech.key, req_id)
        speech.playback.wrote(len(pcm) / 2 / speech.reader.sample_rate, asyncio.get_running_loop().time())


async def _next(reader: SourceReader, gone: asyncio.Future[Any]) -> AudioBlock | None:
    """The next block; None at the end, and when the utterance is over before."""
    block = asyncio.ensure_future(anext(reader, None))
    try:
        either: set[asyncio.Future[Any]] = {block, gone}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return None if gone.done() else block.result()
    finally:
        block.cancel()  # a reader loses nothing by this
