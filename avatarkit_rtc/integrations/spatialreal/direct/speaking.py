"""Everything between ``say()`` and the player: sources, sending, playing, and what is told to the caller."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
from collections.abc import Callable
from typing import Any

from avatarkit_rtc.audio.sources import open_source
from avatarkit_rtc.errors import AvatarKitError, NotConnectedError
from avatarkit_rtc.integrations.agents.playback import PlaybackFinished
from avatarkit_rtc.integrations.spatialreal.direct.keyframes import read_reply
from avatarkit_rtc.integrations.spatialreal.direct.outputs import (
    Began,
    Ended,
    Flush,
    Output,
    Packet,
    Sound,
)
from avatarkit_rtc.integrations.spatialreal.direct.pacer import Pacer
from avatarkit_rtc.integrations.spatialreal.direct.playback import SpeechPlayback
from avatarkit_rtc.integrations.spatialreal.direct.sender import Sender, Speech
from avatarkit_rtc.integrations.spatialreal.direct.stage import SpeechOptions, Stage
from avatarkit_rtc.integrations.spatialreal.link import Link
from avatarkit_rtc.motion.message import PacketError
from avatarkit_rtc.providers.base import ProviderListener
from avatarkit_rtc.providers.bounded_feed import BoundedAudioFeed


class Speaking:
    """Speaks while it has a connection. All calls on the event loop."""

    def __init__(
        self,
        sample_rate: int,
        options: SpeechOptions | None,
        listener: Callable[[], ProviderListener | None],
    ) -> None:
        """``listener``: who gets motion and sound now."""
        self.stage = Stage(sample_rate, options)
        """What is played."""
        self.sender = Sender(self.stage)
        """What is sent."""
        self.malformed = 0
        """Answers that could not be understood."""
        self._sample_rate = sample_rate
        self._listener = listener
        self._pacer = Pacer(self.stage, self._deliver)
        self._feed: BoundedAudioFeed | None = None
        self._speeches: dict[int, Speech] = {}
        self._keys = itertools.count(1)
        self._interrupts = 0
        self._connected = False

    @property
    def pending(self) -> tuple[SpeechPlayback, ...]:
        """What was said and is not over, in order."""
        return tuple(speech.playback for speech in self._speeches.values())

    # -- with a connection -----------------------------------------------------------------------------------

    def start(self, link: Link) -> None:
        """Speak through ``link``: the player gets sound from now on, silence at first."""
        self._connected = True
        self.sender.start(link)
        listener = self._listener()
        if listener is not None:
            self._feed = BoundedAudioFeed()
            listener.on_audio(self._feed)
        if self._connected:  # who was told may have ended it
            self._pacer.start()

    async def stop(self, problem: AvatarKitError) -> None:
        """The connection is gone: all that was to be said ends with ``problem``. More than once is fine."""
        self._connected = False
        self.fail(problem)
        self._pacer.stop()
        feed, self._feed = self._feed, None
        listener = self._listener()
        if feed is not None:
            feed.end()
            if listener is not None:
                listener.on_audio_ended()
        await self.sender.stop()

    def motion(self, data: bytes) -> None:
        """An answer of the service, unparsed."""
        try:
            self.stage.motion(read_reply(data))
        except PacketError:
            self.malformed += 1
        self.sender.answered()

    def fail(self, problem: AvatarKitError, key: int | None = None) -> None:
        """Utterance ``key``, or all that was to be said, ends with ``problem``."""
        for speech in self._speeches.values():
            if key in (None, speech.key):
                speech.playback.error = speech.playback.error or problem
        self.stage.cut(key)
        self._pacer.hand_over()

    # -- what callers want -----------------------------------------------------------------------------------

    async def say(self, source: Any, *, sample_rate: int | None, channels: int | None) -> SpeechPlayback:
        """See :meth:`avatarkit_rtc.integrations.spatialreal.SpatialRealProvider.say`."""
        self._check()
        interrupts, playback = self._interrupts, SpeechPlayback()
        opened = functools.partial(
            open_source,
            source,
            sample_rate=sample_rate,
            channels=channels,
            output_rate=self._sample_rate,
            output_channels=1,
        )
        is_file = isinstance(source, str | os.PathLike)
        reader = await asyncio.to_thread(opened) if is_file else opened()
        try:
            await self.sender.wait_for_room()
            self._check()
        except BaseException:
            await reader.aclose()
            raise
        if interrupts != self._interrupts:
            await reader.aclose()
            playback.interrupt()
            playback.finish(PlaybackFinished(0.0, True, reported=False))
            return playback
        speech = Speech(next(self._keys), reader, playback)
        self._speeches[speech.key] = speech
        self.stage.say(speech.key)
        self.sender.add(speech)
        return playback

    async def interrupt(self) -> None:
        """See :meth:`avatarkit_rtc.integrations.spatialreal.SpatialRealProvider.interrupt`."""
        self._interrupts += 1
        self.stage.cut()
        self._pacer.hand_over()
        await self.sender.interrupt()

    def pause(self) -> None:
        """See :meth:`avatarkit_rtc.integrations.spatialreal.SpatialRealProvider.pause`."""
        self.stage.pause()
        self._pacer.hand_over()

    def _check(self) -> None:
        if not self._connected:
            raise NotConnectedError("there is no connection to the service; speak once it is connected")

    # -- to the player ---------------------------------------------------------------------------------------

    def _deliver(self, outputs: list[Output]) -> None:
        listener = self._listener()
        for output in outputs:
            if isinstance(output, Sound):
                if self._feed is not None:
                    self._feed.feed(output.samples, self._sample_rate, output.t)
            elif isinstance(output, Packet):
                if listener is not None and self._connected:
                    self._packet(listener, output)
            elif isinstance(output, Began):
                self._speeches[output.key].playback.begin()
            elif isinstance(output, Ended):
                self._ended(output)
            else:
                assert isinstance(output, Flush)
                if self._feed is not None:
                    self._feed.silence()
                interrupted = getattr(listener, "on_interrupted", None)
                if interrupted is not None:
                    interrupted()
        self.sender.played()

    @staticmethod
    def _packet(listener: ProviderListener, packet: Packet) -> None:
        timed = getattr(listener, "on_timed_motion_packet", None)
        if timed is None:
            listener.on_motion_packet(packet.data)
        else:
            timed(packet.data, packet.t)

    def _ended(self, ended: Ended) -> None:
        speech = self._speeches.pop(ended.key)
        speech.gone.set()
        self.sender.answered()
        if ended.interrupted:
            speech.playback.interrupt()
        speech.playback.finish(PlaybackFinished(ended.position_s, ended.interrupted))
