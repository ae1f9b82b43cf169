"""The player's microphone: its device, and what happens to its sound before it is published."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Samples
from avatarkit_rtc.audio.devices import DeviceSpec
from avatarkit_rtc.audio.half_duplex import HalfDuplex
from avatarkit_rtc.audio.level import LevelMeter
from avatarkit_rtc.audio.output import AudioOutput, NullSpeaker
from avatarkit_rtc.events import AudioNotice, MicrophoneLevel
from avatarkit_rtc.options import AvatarPlayerOptions

if TYPE_CHECKING:
    from avatarkit_rtc.audio.echo import EchoCanceller
    from avatarkit_rtc.audio.echo_reference import EchoReference
    from avatarkit_rtc.audio.live_microphone import LiveMicrophone

_log = logging.getLogger("avatarkit_rtc.audio")


@dataclass(frozen=True, slots=True)
class MicrophoneStats:
    """A snapshot of the microphone."""

    device: str | None
    """Name of the device; None while there is none and silence is sent."""
    muted: bool
    losses: int
    """Times the device was lost since publishing began."""
    blocks_recorded: int
    """Blocks of 10 ms that the device brought, those of lost devices included."""
    blocks_dropped: int
    """Blocks dropped here because the event loop was late."""
    overflows: int
    """Times the system lost sound before it came here."""


class PlayerMicrophone:
    """One microphone at a time: opened, processed, muted, metered. All calls on the event loop.

    The sound goes through echo canceller, level meter, half-duplex gate and mute, in this order: the
    canceller keeps learning while nothing is sent, and users who are muted see that they are.
    """

    def __init__(
        self,
        options: AvatarPlayerOptions,
        emit: Callable[..., None],
        listened: Callable[[str], bool],
    ) -> None:
        """
        Args:
            emit: the player's events.
            listened: whether an event has handlers.
        """
        self._options = options
        self._emit = emit
        self._listened = listened
        self._source: LiveMicrophone | None = None
        self._canceller: EchoCanceller | None = None
        self._speaker: AudioOutput | None = None  # the one that was played to last
        self._reference: EchoReference | None = None
        self._turns = HalfDuplex() if options.half_duplex else None
        self._meter = LevelMeter()
        self.muted = False
        """Silence is sent. Stays as it is when the microphone is stopped, swapped or lost, and when the room
        is left and joined again."""

    @property
    def source(self) -> LiveMicrophone | None:
        """The open microphone."""
        return self._source

    def stats(self) -> MicrophoneStats | None:
        """A snapshot; None while no microphone is open."""
        if self._source is None:
            return None
        source = self._source
        counters = source.counters()
        return MicrophoneStats(
            device=source.device,
            muted=self.muted,
            losses=source.losses,
            blocks_recorded=counters.recorded,
            blocks_dropped=counters.dropped,
            overflows=counters.overflows,
        )

    async def open(self, device: DeviceSpec, *, or_silence: bool = False) -> LiveMicrophone:
        """Open ``device``, to be published.

        Raises:
            AudioDeviceError: the device is missing or busy.
            MissingDependencyError: the sound library is not installed.
        """
        from avatarkit_rtc.audio.live_microphone import LiveMicrophone

        source = LiveMicrophone(device, on_lost=self._lost, on_back=self._back)
        problem = await source.start(or_silence=or_silence)
        try:
            processing = self._options.voice_processing()
            if processing.any:
                from avatarkit_rtc.audio.echo import EchoCanceller

                self._canceller = EchoCanceller(processing)
        except BaseException:
            await source.aclose()
            raise
        self._source = source
        if problem is not None:
            _log.warning("silence is published in place of a microphone: %s", problem)
            self._emit("audio-unavailable", AudioNotice(problem, microphone=True))
        return source

    async def aclose(self) -> None:
        """Release the device. More than once is fine."""
        source, self._source = self._source, None
        self._canceller = self._reference = None
        self._meter.reset()
        if source is not None:
            await source.aclose()

    def process(self, block: AudioBlock) -> AudioBlock:
        """What is published of ``block``, 10 ms of mono at 48 kHz."""
        now = time.monotonic()
        if self._canceller is not None:
            block = self._canceller.process(block, self._heard_with(block))
        if self._listened("microphone-level"):
            level = self._meter.add(block.samples, block.sample_rate, now)
            if level is not None:
                self._emit("microphone-level", MicrophoneLevel(level.rms_dbfs, level.peak_dbfs, self.muted))
        if self._turns is not None:
            block = AudioBlock(self._turns.apply(block.samples, now), block.sample_rate, block.t)
        if self.muted:
            block = AudioBlock(block.samples * 0, block.sample_rate, block.t)
        return block

    def played(self, block: AudioBlock, speaker: AudioOutput) -> None:
        """``block`` of the avatar's voice was written to ``speaker``."""
        self._speaker = speaker
        if self._source is None or isinstance(speaker, NullSpeaker):
            return
        if self._turns is not None and not speaker.muted:
            stats = speaker.stats()
            delay_s = (stats.depth_ms + stats.device_latency_ms) / 1000.0
            heard = (block.samples * speaker.volume).astype(np.int16)
            self._turns.played(heard, time.monotonic(), delay_s)

    def _heard_with(self, block: AudioBlock) -> Samples | None:
        """What the speaker was given that is heard when ``block`` is recorded; None where there is none."""
        tap = self._speaker.render_tap if self._speaker is not None else None
        if tap is None:
            self._reference = None
            return None
        if self._reference is None or self._reference.tap is not tap:
            from avatarkit_rtc.audio.echo_reference import EchoReference

            self._reference = EchoReference(tap)
        return self._reference.take(block.t)

    def avatar_silenced(self) -> None:
        """What the speaker holds will not be heard."""
        if self._turns is not None:
            self._turns.flushed(time.monotonic())

    def _lost(self, reason: str) -> None:
        _log.warning("%s; silence is published until it is back", reason)
        self._emit("microphone-lost", AudioNotice(reason, microphone=True))

    def _back(self, device: str) -> None:
        _log.info("the microphone is back: %s", device)
        self._emit("microphone-back", AudioNotice(f"recording from {device!r}", microphone=True))
