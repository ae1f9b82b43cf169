"""The avatar's voice: from the provider's feed to the speaker, the view and whoever reads it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.delay_estimate import AudioDelayEstimate
from avatarkit_rtc.audio.output import AudioOutput, NullSpeaker, SpeakerStats, checked_volume
from avatarkit_rtc.audio.path_delay import SharedFeed, follow_path_delay
from avatarkit_rtc.audio.received import AudioReaders, ReceivedAudio
from avatarkit_rtc.events import AudioDeviceChange, AudioDeviceChanged, AudioNotice
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player_sync import VoiceFollower
from avatarkit_rtc.playout.delay import SyncDelay
from avatarkit_rtc.playout.presentation import PresentationClock
from avatarkit_rtc.providers.base import AudioFeed

_log = logging.getLogger("avatarkit_rtc.audio")

_KEPT_BLOCKS: Final = 20
"""Sound that is kept while the speaker opens: of blocks of 10 ms as much as its ring takes."""


class VoiceCounts(NamedTuple):
    """Blocks of the avatar's sound."""

    received: int
    dropped: int
    """Because reading was too slow."""
    muted: int
    """Of a flushed round."""


class PlayerVoice:
    """Owns the speaker and the reading of the avatar's sound. All calls on the event loop."""

    def __init__(
        self,
        options: AvatarPlayerOptions,
        *,
        hear: Callable[[ReceivedAudio], None] | None,
        is_muted: Callable[[], bool],
        emit: Callable[..., None],
        face: SyncDelay | None = None,
        presentation: PresentationClock | None = None,
        mouth_and_voice: AudioDelayEstimate | None = None,
        played: Callable[[AudioBlock, AudioOutput], None] = lambda block, speaker: None,
        silenced: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            hear: the view's taker of sound, if it has one.
            is_muted: whether the round on show was flushed, so that its sound is dropped.
            emit: the player's events.
            face: the delay of the face, which follows the voice while that is heard.
            presentation: the time that poses and sound share; None for one of the sound's own.
            mouth_and_voice: is told of the sound, as it is of the mouth.
            played: is told of each block that was given to the speaker.
            silenced: is told when what the speaker holds will not be heard.
        """
        self._options = options
        self._hear = hear
        self._is_muted = is_muted
        self._emit = emit
        self._face = face if options.lip_sync else None
        self._presentation = presentation or PresentationClock(audio_delay_s=options.audio_delay_ms / 1000)
        self._mouth_and_voice = mouth_and_voice or AudioDelayEstimate()
        self._played = played
        self._silenced = silenced
        self._speaker: AudioOutput | None = None
        self._volume, self._muted = float(options.volume), False  # of this speaker and those to come
        self._opening: asyncio.Task[None] | None = None
        self._kept: deque[ReceivedAudio] = deque(maxlen=_KEPT_BLOCKS)
        self._reader: asyncio.Task[None] | None = None
        self._feed: AudioFeed | None = None
        self._reading: AudioFeed | None = None
        self._follower: VoiceFollower | None = None
        self.readers = AudioReaders()
        """Who reads the avatar's sound by ``audio()``."""
        self.stalls = 0
        """Times the avatar's track handed out nothing and was fetched anew."""
        self.fruitless_stalls = 0
        """Of these, how many there were since the last sound."""
        self._ending: set[asyncio.Task[None]] = set()
        self._cut_off_until = float("-inf")
        """Up to here the motion's time was that of a flushed round."""
        self._received = self._dropped_before = self._muted_blocks = 0

    @property
    def counts(self) -> VoiceCounts:
        """So far."""
        dropped = self._dropped_before + (self._reading.dropped if self._reading is not None else 0)
        return VoiceCounts(self._received, dropped, self._muted_blocks)

    @property
    def volume(self) -> float:
        """0.0 … 1.0, a factor on the samples that are played. Raises ConfigurationError when set to anything
        else."""
        return self._volume

    @volume.setter
    def volume(self, value: float) -> None:
        self._volume = checked_volume(value)
        if self._speaker is not None:
            self._speaker.volume = self._volume

    @property
    def muted(self) -> bool:
        """The speaker is silent, at once, while everything else goes on."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._muted = bool(value)
        if self._speaker is not None:
            self._speaker.muted = self._muted
            if self._muted:
                self._silenced()

    def speaker_stats(self) -> SpeakerStats | None:
        """A snapshot of the speaker; None while there is none."""
        speaker = self._speaker
        return None if speaker is None or isinstance(speaker, NullSpeaker) else speaker.stats()

    def heard_delay_s(self) -> float | None:
        """Seconds that sound takes now from its sending to being heard, beyond what the network takes on
        average; where it is not played, to its being handed on. None where there is no sound, and with
        ``lip_sync`` off."""
        if not self._options.lip_sync or self._reading is None:
            return None
        delay_s = self._follower.delay_s if self._follower is not None else None
        if delay_s is None:
            return self._presentation.sound_path_delay_s
        return delay_s - self._options.audio_delay_ms / 1000

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

    def stalled(self) -> None:
        """The avatar's track handed out nothing; the provider fetches it anew."""
        self.stalls += 1
        self.fruitless_stalls += 1

    def flush(self, *, on_its_way: bool = False) -> None:
        """Drop the avatar's sound that is queued here, and ``on_its_way`` that sent before now, too: sound
        takes longer than motion, so the round it is of may be over already."""
        if on_its_way and self._reader is not None:
            self._cut_off_until = asyncio.get_running_loop().time()
        self._kept.clear()
        if self._speaker is not None:
            self._speaker.flush()
            self._silenced()

    async def _read(self, feed: AudioFeed) -> None:
        try:
            since = await self._somebody_listens()  # until then the stream is not started and costs nothing
            if self._ending:  # one at a time at the speaker
                await asyncio.wait(set(self._ending))
            if self._options.play_audio and self._speaker is None and self._opening is None:
                # The view and whoever reads do not wait for it: a sound system may take long, or hang.
                self._opening = asyncio.create_task(self._open_speaker(), name="speaker opens")
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
        if speaker is not None:
            self._follow(shared, speaker)
        self._presentation.sound_interrupted()
        self._mouth_and_voice.forget()
        dropped = feed.dropped
        try:
            async for block in feed:
                lost, dropped = feed.dropped - dropped, feed.dropped
                if block.t < since:
                    continue
                self._received += 1
                self.fruitless_stalls = 0
                received = self._placed(block, lost)
                sent = block.t - self._presentation.sound_path_delay_s
                self._mouth_and_voice.block(sent, block.samples)
                if self._is_cut_off(block.t, sent):
                    self._muted_blocks += 1
                    continue
                if speaker is None and self._speaker is not None:  # since the block before
                    speaker = self._speaker
                    self._follow(shared, speaker)
                if speaker is not None:
                    self._play(received, speaker)
                elif self._opening is not None:
                    self._kept.append(received)
                if hear is not None:
                    hear(received)
                self.readers.offer(received)
        finally:
            asking.cancel()
            follower, self._follower = self._follower, None
            if follower is not None:
                follower.stop()

    def _follow(self, feed: AudioFeed, speaker: AudioOutput) -> None:
        if self._face is not None:
            self._follower = VoiceFollower(feed, speaker, self._face, self._options)

    async def _somebody_listens(self) -> float:
        """Wait for it; the moment from which on sound is wanted."""
        if self._options.play_audio or self._hear is not None or len(self.readers):
            return float("-inf")
        await self.readers.wait()
        return asyncio.get_running_loop().time()

    def _is_cut_off(self, t: float, sent: float) -> bool:
        """Whether sound that came at ``t`` and was sent at ``sent`` is of a flushed round. Such a round often
        ends at once, by the service's own doing; its sound is on its way for longer."""
        if self._is_muted():
            self._cut_off_until = t
            return True
        return sent - self._options.audio_delay_ms / 1000 < self._cut_off_until

    def _placed(self, block: AudioBlock, lost: int) -> ReceivedAudio:
        """``block`` with its times; ``lost`` blocks were dropped before it."""
        samples = block.samples.view()
        samples.flags.writeable = False
        place = self._presentation.sound(block.t, block.duration, lost * block.duration)
        return ReceivedAudio(samples, block.sample_rate, block.t, *place)

    def _play(self, block: AudioBlock, speaker: AudioOutput) -> None:
        position = speaker.write(block)
        if self._follower is not None:
            self._follower.played(block, position)
        self._played(block, speaker)

    @staticmethod
    async def _end(reader: asyncio.Task[None], feed: AudioFeed | None) -> None:
        reader.cancel()
        await asyncio.wait([reader])
        # A reader that was cancelled before its first step has closed nothing.
        if feed is not None:
            await feed.aclose()

    async def _open_speaker(self) -> None:
        from avatarkit_rtc.audio.speaker import open_speaker

        try:
            speaker, problem = await open_speaker(self._options.audio_device, on_event=self._device_changed)
        except Exception as error:
            _log.exception("opening the speaker failed")
            self._emit("error", error)
            self._opening = None
            self._kept.clear()
            return
        speaker.volume, speaker.muted = self._volume, self._muted
        self._speaker = speaker
        while self._kept:
            self._play(self._kept.popleft(), speaker)
        if problem is not None:
            _log.warning("the avatar cannot be heard: %s", problem)
            self._emit("audio-unavailable", AudioNotice(problem))

    def _device_changed(self, change: AudioDeviceChange, message: str) -> None:
        good = change in (AudioDeviceChange.BACK, AudioDeviceChange.MOVED, AudioDeviceChange.DEFAULT_CHANGED)
        _log.log(logging.INFO if good else logging.WARNING, "%s", message)
        self._emit("audio-device-changed", AudioDeviceChanged(change, message))

    async def stop(self) -> None:
        """End the avatar's sound; the speaker stays open for a reconnect."""
        self.detach()
        if self._ending:
            await asyncio.wait(set(self._ending))

    async def close_speaker(self) -> None:
        """Release the speaker, if there is one or one opens."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.wait([opening])
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            await speaker.aclose()
