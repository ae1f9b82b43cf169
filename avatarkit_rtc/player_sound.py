"""The player's sound: the avatar's voice to the speaker and the view, the user's sound to the room."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.delay_estimate import AudioDelayEstimate
from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec, checked_device, same_device
from avatarkit_rtc.audio.output import SpeakerStats
from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.errors import AudioDeviceError, PublishError
from avatarkit_rtc.events import ConnectionState
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player_microphone import MicrophoneStats, PlayerMicrophone
from avatarkit_rtc.player_voice import PlayerVoice
from avatarkit_rtc.playout.delay import SyncDelay
from avatarkit_rtc.playout.presentation import PresentationClock
from avatarkit_rtc.providers.base import Provider, PublishedTrack

_log = logging.getLogger("avatarkit_rtc.audio")

MICROPHONE_TRACK: Final = "microphone"
"""Name of the track that :meth:`PlayerSound.start_microphone` publishes."""

CUSTOM_TRACK: Final = "custom-audio"
"""Name of the track that :meth:`PlayerSound.publish` publishes."""


@dataclass(frozen=True, slots=True)
class AudioStats:
    """A snapshot of the sound."""

    blocks_received: int
    """Blocks of the avatar's sound that were read."""
    blocks_dropped: int
    """Blocks dropped because reading was too slow."""
    blocks_muted: int
    """Blocks of a flushed round, dropped."""
    speaker: SpeakerStats | None
    """The speaker; None before the first sound and when ``play_audio`` is off."""
    microphone_blocks_sent: int | None
    """Blocks of 10 ms sent from the microphone; None while it is not published."""
    custom_blocks_sent: int | None
    """Blocks of 10 ms sent from ``publish_audio``; None while nothing is, or for a ready track."""
    microphone: MicrophoneStats | None = None
    """The microphone; None while it is not published."""
    readers: int = 0
    """Iterations of ``audio()`` that are going on."""
    reader_blocks_dropped: int = 0
    """Blocks that such iterations missed because they were too slow, summed over all there ever were."""
    stalls: int = 0
    """Times the avatar's track handed out nothing, not even silence, and was fetched anew."""


class _NativePublication:
    """A ready track of the caller's, published again after each reconnect."""

    blocks_sent: int | None = None
    finished = False

    def __init__(self, provider: Provider, track: Any) -> None:
        self._provider = provider
        self._track = track
        self._published: PublishedTrack | None = None
        self._switching = asyncio.Lock()
        self._closed = False

    async def start(self) -> None:
        async with self._switching:
            await self._publish()

    async def reopen(self) -> None:
        async with self._switching:
            await self._unpublish()
            await self._publish()

    async def aclose(self) -> None:
        self._closed = True
        async with self._switching:
            await self._unpublish()

    async def _publish(self) -> None:
        if not self._closed:
            self._published = await self._provider.publish_track(self._track)
        if self._closed:  # while the room was answering; aclose() waits
            raise PublishError("the track was unpublished while it was published")

    async def _unpublish(self) -> None:
        published, self._published = self._published, None
        if published is not None:
            await published.aclose()


@dataclass(slots=True)
class _Start:
    """A track that is being published."""

    task: asyncio.Task[None]
    taken_back: bool = False
    """It is not wanted any more."""


class PlayerSound:
    """Owns the speaker, the microphone and everything that is published. All calls on the event loop."""

    def __init__(
        self,
        provider: Provider,
        options: AvatarPlayerOptions,
        *,
        hear: Callable[[ReceivedAudio], None] | None,
        is_muted: Callable[[], bool],
        emit: Callable[..., None],
        listened: Callable[[str], bool] = lambda event: True,
        face: SyncDelay | None = None,
        presentation: PresentationClock | None = None,
        mouth_and_voice: AudioDelayEstimate | None = None,
        hear_user: Callable[[AudioBlock], None] | None = None,
    ) -> None:
        """
        Args:
            hear: the view's taker of sound, if it has one.
            is_muted: whether the round on show was flushed, so that its sound is dropped.
            emit: the player's events.
            listened: whether one of them has handlers.
            face: the delay of the face, which follows the voice while that is heard.
            presentation: the time that poses and sound share; None for one of the sound's own.
            mouth_and_voice: is told of the sound, as it is of the mouth.
            hear_user: the view's taker of the user's sound, if it has one.
        """
        self._provider = provider
        self._hear_user = hear_user
        self._emit = emit
        self.microphone = PlayerMicrophone(options, emit, listened)
        """What is published by :meth:`start_microphone`."""
        self.voice = PlayerVoice(
            options,
            hear=hear,
            is_muted=is_muted,
            emit=emit,
            face=face,
            presentation=presentation,
            mouth_and_voice=mouth_and_voice,
            played=self.microphone.played,
            silenced=self.microphone.avatar_silenced,
        )
        """The avatar's voice."""
        self._published: dict[str, Any] = {}
        self._starting: dict[str, _Start] = {}
        self._switching = {track: asyncio.Lock() for track in (MICROPHONE_TRACK, CUSTOM_TRACK)}

    # -- the user's sound ------------------------------------------------------------------------------------

    async def start_microphone(self, device: DeviceSpec, *, or_silence: bool = False) -> None:
        """Publish the microphone, or where another is published change to this one under the same track.

        Raises:
            AudioDeviceError: the device is missing or busy; what was published before goes on.
            ConfigurationError: ``device`` is no device.
            MissingDependencyError: the sound library is not installed.
            NotConnectedError: not connected.
            PublishError: this one is published already, the room refused the track, or it was stopped
                meanwhile.
        """
        device = checked_device(device)
        current = self.microphone.source
        is_live = self._is_published(MICROPHONE_TRACK)
        if current is not None and is_live and not same_device(current.spec, device):
            await current.swap(device)
            return

        async def open_and_publish() -> None:
            await self.microphone.aclose()  # of a publication that has ended by itself
            source = await self.microphone.open(device, or_silence=or_silence)
            try:
                await self._publish(MICROPHONE_TRACK, source, process=self.microphone.process)
            except BaseException:
                await self.microphone.aclose()
                raise

        await self._start(MICROPHONE_TRACK, "the microphone", "stop_publishing()", open_and_publish)

    async def stop_microphone(self) -> None:
        """Unpublish the microphone and release it; a start that is under way ends with PublishError. Nothing
        happens when it is not published."""
        await self._break_off(MICROPHONE_TRACK)
        async with self._switching[MICROPHONE_TRACK]:
            try:
                await self._unpublish(MICROPHONE_TRACK)
            finally:
                await self.microphone.aclose()

    async def publish(self, source: Any, *, sample_rate: int | None, channels: int | None) -> None:
        """Publish the caller's own sound.

        Raises:
            ConfigurationError: the source is none.
            AudioDeviceError: the source is a device that does not open.
            NotConnectedError: not connected.
            PublishError: something is published already, the room refused the track, or it was taken back
                meanwhile.
        """
        from avatarkit_rtc.audio.live_microphone import LiveMicrophone
        from avatarkit_rtc.audio.sources import is_native_track

        async def open_and_publish() -> None:
            if is_native_track(source):
                publication = _NativePublication(self._provider, source)
                await publication.start()
                self._published[CUSTOM_TRACK] = publication
            elif isinstance(source, AudioDevice):
                live = LiveMicrophone(source, on_lost=self._input_lost)
                await live.start()
                await self._publish(CUSTOM_TRACK, live, owns_source=True)
            else:
                await self._publish(CUSTOM_TRACK, source, sample_rate=sample_rate, channels=channels)

        await self._start(CUSTOM_TRACK, "audio", "unpublish_audio()", open_and_publish)
        self._emit("audio-published", CUSTOM_TRACK)

    def _input_lost(self, reason: str) -> None:
        self._emit("error", AudioDeviceError(f"{reason}; silence is published until it is back"))

    async def unpublish(self) -> None:
        """Take back what :meth:`publish` published, or is about to, which then ends with PublishError; its
        source is not closed."""
        await self._break_off(CUSTOM_TRACK)
        async with self._switching[CUSTOM_TRACK]:
            await self._unpublish(CUSTOM_TRACK)

    async def republish(self) -> None:
        """Publish everything anew, after a reconnect. A track that fails is reported as ``error``."""
        for track, publication in list(self._published.items()):
            try:
                await publication.reopen()
            except Exception as error:
                if self._published.get(track) is publication:  # else it was unpublished meanwhile
                    self._emit("error", error)

    async def _start(self, track: str, what: str, remedy: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``, which publishes ``track``, in a task of its own that can be broken off.

        Raises:
            PublishError: it is published already, or was taken back meanwhile.
            Exception: as ``work`` does.
        """
        if track in self._starting or self._is_published(track):
            raise PublishError(f"{what} is published already; call {remedy} first")

        async def alone() -> None:
            async with self._switching[track]:  # not before the one before has ended
                await self._unpublish(track)  # it has ended by itself
                await work()

        start = _Start(asyncio.create_task(alone(), name=f"start of {track}"))
        self._starting[track] = start
        start.task.add_done_callback(lambda _: self._starting.pop(track))
        try:
            await asyncio.wait({start.task})
        except asyncio.CancelledError:
            await (self.stop_microphone() if track == MICROPHONE_TRACK else self.unpublish())
            raise
        if start.taken_back:
            raise PublishError(f"{what} was taken back while it was being published")
        start.task.result()

    async def _break_off(self, track: str) -> None:
        """End a start that is under way; it may have come to its end all the same."""
        start = self._starting.get(track)
        if start is not None:
            start.taken_back = True
            start.task.cancel()
            await asyncio.gather(start.task, return_exceptions=True)

    def _is_published(self, track: str) -> bool:
        """Whether ``track`` is, and its source has not ended by itself."""
        publication = self._published.get(track)
        return publication is not None and not publication.finished

    async def _publish(self, track: str, source: Any, **form: Any) -> None:
        from avatarkit_rtc.audio.publisher import AudioPublisher

        if self._hear_user is not None:
            form["process"] = self._heard_by_view(self._hear_user, form.get("process"))

        def ended() -> None:
            self._emit("audio-ended", track)

        def failed(error: Exception) -> None:
            # An uplink that ends with its connection is no failure: the track is published again later.
            lost = isinstance(error, PublishError) and not publisher.finished
            if not lost or self._provider.get_connection_state() is ConnectionState.CONNECTED:
                self._emit("error", error)

        publisher = AudioPublisher(self._provider, source, track, on_error=failed, on_end=ended, **form)
        try:
            await publisher.start()
        except BaseException:
            await publisher.aclose()
            raise
        self._published[track] = publisher

    @staticmethod
    def _heard_by_view(
        hear: Callable[[AudioBlock], None], process: Callable[[AudioBlock], AudioBlock] | None
    ) -> Callable[[AudioBlock], AudioBlock]:
        def processed(block: AudioBlock) -> AudioBlock:
            block = block if process is None else process(block)
            hear(AudioBlock(block.samples, block.sample_rate, time.monotonic()))
            return block

        return processed

    async def _unpublish(self, track: str) -> None:
        publication = self._published.pop(track, None)
        if publication is not None:
            await publication.aclose()

    # -- all of it -------------------------------------------------------------------------------------------

    def stats(self) -> AudioStats:
        """A snapshot."""

        def sent(track: str) -> int | None:
            publication = self._published.get(track)
            return publication.blocks_sent if publication is not None else None

        received, dropped, muted = self.voice.counts
        return AudioStats(
            blocks_received=received,
            blocks_dropped=dropped,
            blocks_muted=muted,
            speaker=self.voice.speaker_stats(),
            microphone_blocks_sent=sent(MICROPHONE_TRACK),
            custom_blocks_sent=sent(CUSTOM_TRACK),
            microphone=self.microphone.stats(),
            readers=len(self.voice.readers),
            reader_blocks_dropped=self.voice.readers.dropped,
            stalls=self.voice.stalls,
        )

    async def aclose(self) -> None:
        """Unpublish everything and release every device. Never raises; more than once is fine."""
        self.voice.readers.end()
        # Each by itself: a source of the caller's that cannot be closed must not keep the microphone open.
        for release in (self.voice.stop, self.stop_microphone, self.unpublish, self.voice.close_speaker):
            try:
                await release()
            except Exception as error:
                _log.exception("releasing sound failed")
                self._emit("error", error)
