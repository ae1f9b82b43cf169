"""The player's sound: the avatar's voice to the speaker and the view, the user's sound to the room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.delay_estimate import AudioDelayEstimate
from avatarkit_rtc.audio.output import AudioOutput, NullSpeaker, SpeakerStats
from avatarkit_rtc.audio.path_delay import SharedFeed, follow_path_delay
from avatarkit_rtc.audio.received import AudioReaders, ReceivedAudio
from avatarkit_rtc.errors import AudioDeviceError, PublishError
from avatarkit_rtc.events import AudioDeviceChange, AudioDeviceChanged, AudioNotice, ConnectionState
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player_microphone import MicrophoneStats, PlayerMicrophone
from avatarkit_rtc.player_sync import VoiceFollower
from avatarkit_rtc.playout.delay import SyncDelay
from avatarkit_rtc.playout.presentation import PresentationClock
from avatarkit_rtc.providers.base import AudioFeed, Provider, PublishedTrack

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


class _NativePublication:
    """A ready track of the caller's, published again after each reconnect."""

    blocks_sent: int | None = None
    finished = False

    def __init__(self, provider: Provider, track: Any) -> None:
        self._provider = provider
        self._track = track
        self._published: PublishedTrack | None = None

    async def start(self) -> None:
        self._published = await self._provider.publish_track(self._track)

    async def reopen(self) -> None:
        await self._unpublish()
        await self.start()

    async def aclose(self) -> None:
        await self._unpublish()

    async def _unpublish(self) -> None:
        published, self._published = self._published, None
        if published is not None:
            await published.aclose()


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
        self._options = options
        self._hear = hear
        self._hear_user = hear_user
        self._is_muted = is_muted
        self._emit = emit
        self._face = face if options.lip_sync else None
        self._speaker: AudioOutput | None = None
        self._reader: asyncio.Task[None] | None = None
        self._feed: AudioFeed | None = None
        self._reading: AudioFeed | None = None
        self._presentation = presentation or PresentationClock(audio_delay_s=options.audio_delay_ms / 1000)
        self._mouth_and_voice = mouth_and_voice or AudioDelayEstimate()
        self.readers = AudioReaders()
        """Who reads the avatar's sound by ``audio()``."""
        self._ending: set[asyncio.Task[None]] = set()
        self._received = self._dropped_before = self._muted_blocks = 0
        self.microphone = PlayerMicrophone(options, emit, listened)
        """What is published by :meth:`start_microphone`."""
        self._published: dict[str, Any] = {}
        self._starting: set[str] = set()

    # -- the avatar's voice ----------------------------------------------------------------------------------

    def attach(self, feed: AudioFeed) -> None:
        """Play ``feed`` from now on, in place of the one before."""
        self.detach()
        self._feed = feed
        self._reader = asyncio.create_task(self._read(feed), name="avatar's sound")

    def detach(self) -> None:
        """The avatar's sound is gone."""
        reader, feed = self._reader, self._feed
        self._reader = self._feed = None
        if reader is not None:
            ending = asyncio.create_task(self._end(reader, feed), name="end of the avatar's sound")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def flush(self) -> None:
        """Drop the avatar's sound that is queued here."""
        if self._speaker is not None:
            self._speaker.flush()
            self.microphone.flushed()

    async def _read(self, feed: AudioFeed) -> None:
        try:
            since = await self._somebody_listens()  # until then the stream is not started and costs nothing
            if self._ending:  # one at a time at the speaker
                await asyncio.wait(set(self._ending))
            if self._options.play_audio and self._speaker is None:
                self._speaker = await self._open_speaker()
            if since > float("-inf"):
                self._dropped_before -= feed.dropped  # while nobody wanted it, it was no loss
            self._reading = feed
            await self._hand_on(feed, since)
        except Exception as error:
            _log.exception("reading the avatar's sound failed")
            self._emit("error", error)
        finally:
            if self._feed is feed:
                self._feed = None
            if self._reading is feed:
                self._reading = None
                self._dropped_before += feed.dropped
            await feed.aclose()

    async def _hand_on(self, feed: AudioFeed, since: float) -> None:
        """Give everybody the blocks of ``feed`` that came from ``since`` on, with their times."""
        speaker, hear = self._speaker, self._hear
        shared = SharedFeed(feed)
        asking = asyncio.create_task(follow_path_delay(shared, self._presentation.path_delay))
        follower: VoiceFollower | None = None
        if speaker is not None and self._face is not None:
            follower = VoiceFollower(shared, speaker, self._face, self._options)
        self._presentation.sound_interrupted()
        self._mouth_and_voice.forget()
        dropped = feed.dropped
        try:
            async for block in feed:
                lost, dropped = feed.dropped - dropped, feed.dropped
                if block.t < since:
                    continue
                self._received += 1
                received = self._placed(block, lost)
                path_delay = self._presentation.voice_delay_s - self._options.audio_delay_ms / 1000
                self._mouth_and_voice.block(block.t - path_delay, block.samples)
                if self._is_muted():
                    self._muted_blocks += 1
                    continue
                if speaker is not None:
                    self._play(received, speaker, follower)
                if hear is not None:
                    hear(received)
                self.readers.offer(received)
        finally:
            asking.cancel()
            if follower is not None:
                follower.stop()

    async def _somebody_listens(self) -> float:
        """Wait for it; the moment from which on sound is wanted."""
        if self._options.play_audio or self._hear is not None or len(self.readers):
            return float("-inf")
        await self.readers.wait()
        return asyncio.get_running_loop().time()

    def _placed(self, block: AudioBlock, lost: int) -> ReceivedAudio:
        """``block`` with its times; ``lost`` blocks were dropped before it."""
        samples = block.samples.view()
        samples.flags.writeable = False
        place = self._presentation.sound(block.t, block.duration, lost * block.duration)
        return ReceivedAudio(samples, block.sample_rate, block.t, *place)

    def _play(self, block: AudioBlock, speaker: AudioOutput, follower: VoiceFollower | None) -> None:
        position = speaker.write(block)
        if follower is not None:
            follower.played(block, position)
        self.microphone.played(block, speaker)

    @staticmethod
    async def _end(reader: asyncio.Task[None], feed: AudioFeed | None) -> None:
        reader.cancel()
        await asyncio.wait([reader])
        # A reader that was cancelled before its first step has closed nothing.
        if feed is not None:
            await feed.aclose()

    async def _open_speaker(self) -> AudioOutput:
        from avatarkit_rtc.audio.speaker import open_speaker

        speaker, problem = await open_speaker(self._options.audio_device, on_event=self._device_changed)
        if problem is not None:
            _log.warning("the avatar cannot be heard: %s", problem)
            self._emit("audio-unavailable", AudioNotice(problem))
        return speaker

    def _device_changed(self, change: AudioDeviceChange, message: str) -> None:
        good = change in (AudioDeviceChange.BACK, AudioDeviceChange.MOVED, AudioDeviceChange.DEFAULT_CHANGED)
        _log.log(logging.INFO if good else logging.WARNING, "%s", message)
        self._emit("audio-device-changed", AudioDeviceChanged(change, message))

    # -- the user's sound ------------------------------------------------------------------------------------

    async def start_microphone(self, device: int | str | None, *, or_silence: bool = False) -> None:
        """Publish the microphone, or where another is published change to this one under the same track.

        Raises:
            AudioDeviceError: the device is missing or busy; what was published before goes on.
            MissingDependencyError: the sound library is not installed.
            NotConnectedError: not connected.
            PublishError: this one is published already, or the room refused the track.
        """
        if await self._forget_finished(MICROPHONE_TRACK):
            await self.stop_microphone()
        current = self.microphone.source
        if current is not None and MICROPHONE_TRACK in self._published and current.spec != device:
            await current.swap(device)
            return
        with self._claim(MICROPHONE_TRACK, "the microphone", "stop_publishing()"):
            source = await self.microphone.open(device, or_silence=or_silence)
            try:
                await self._publish(MICROPHONE_TRACK, source, process=self.microphone.process)
            except BaseException:
                await self.microphone.aclose()
                raise

    async def stop_microphone(self) -> None:
        """Unpublish the microphone and release it. Nothing happens when it is not published."""
        try:
            await self._unpublish(MICROPHONE_TRACK)
        finally:
            if MICROPHONE_TRACK not in self._starting:  # else start_microphone() still owns it
                await self.microphone.aclose()

    async def publish(self, source: Any, *, sample_rate: int | None, channels: int | None) -> None:
        """Publish the caller's own sound.

        Raises:
            ConfigurationError: the source is none.
            AudioDeviceError: the source is a device that does not open.
            NotConnectedError: not connected.
            PublishError: something is published already, or the room refused the track.
        """
        from avatarkit_rtc.audio.devices import AudioDevice
        from avatarkit_rtc.audio.live_microphone import LiveMicrophone
        from avatarkit_rtc.audio.sources import is_native_track

        await self._forget_finished(CUSTOM_TRACK)
        with self._claim(CUSTOM_TRACK, "audio", "unpublish_audio()"):
            if is_native_track(source):
                publication = _NativePublication(self._provider, source)
                await publication.start()
                self._published[CUSTOM_TRACK] = publication
            else:
                form: dict[str, Any] = {"sample_rate": sample_rate, "channels": channels}
                if isinstance(source, AudioDevice):
                    live = LiveMicrophone(source.index, on_lost=self._input_lost)
                    await live.start()
                    source, form = live, {"owns_source": True}
                await self._publish(CUSTOM_TRACK, source, **form)
            self._emit("audio-published", CUSTOM_TRACK)

    def _input_lost(self, reason: str) -> None:
        self._emit("error", AudioDeviceError(f"{reason}; silence is published until it is back"))

    async def unpublish(self) -> None:
        """Take back what :meth:`publish` published; its source is not closed."""
        await self._unpublish(CUSTOM_TRACK)

    async def republish(self) -> None:
        """Publish everything anew, after a reconnect. A track that fails is reported as ``error``."""
        for track, publication in list(self._published.items()):
            try:
                await publication.reopen()
            except Exception as error:
                if self._published.get(track) is publication:  # else it was unpublished meanwhile
                    self._emit("error", error)

    @contextlib.contextmanager
    def _claim(self, track: str, what: str, remedy: str) -> Any:
        if track in self._published or track in self._starting:
            raise PublishError(f"{what} is published already; call {remedy} first")
        self._starting.add(track)
        try:
            yield
        finally:
            self._starting.discard(track)

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

    async def _forget_finished(self, track: str) -> bool:
        """Make room where the source has ended by itself; returns whether it had."""
        publication = self._published.get(track)
        finished = publication is not None and publication.finished
        if finished:
            await self._unpublish(track)
        return finished

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

        playing = self._speaker is not None and not isinstance(self._speaker, NullSpeaker)
        return AudioStats(
            blocks_received=self._received,
            blocks_dropped=self._dropped_before + (self._reading.dropped if self._reading is not None else 0),
            blocks_muted=self._muted_blocks,
            speaker=self._speaker.stats() if playing and self._speaker is not None else None,
            microphone_blocks_sent=sent(MICROPHONE_TRACK),
            custom_blocks_sent=sent(CUSTOM_TRACK),
            microphone=self.microphone.stats(),
            readers=len(self.readers),
            reader_blocks_dropped=self.readers.dropped,
        )

    async def stop_hearing(self) -> None:
        """End the avatar's sound; the speaker stays open for a reconnect."""
        self.detach()
        if self._ending:
            await asyncio.wait(set(self._ending))

    async def aclose(self) -> None:
        """Unpublish everything and release every device. Never raises; more than once is fine."""
        self.readers.end()
        # Each by itself: a source of the caller's that cannot be closed must not keep the microphone open.
        for release in (self.stop_hearing, self.stop_microphone, self.unpublish, self._close_speaker):
            try:
                await release()
            except Exception as error:
                _log.exception("releasing sound failed")
                self._emit("error", error)

    async def _close_speaker(self) -> None:
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            await speaker.aclose()
