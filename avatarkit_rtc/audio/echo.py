"""Cleaning what the microphone hears: echo of the avatar's voice, noise, rumble, loudness.

The work is done by WebRTC's own audio processing, which LiveKit's library brings. Its echo canceller compares
the microphone with what was played, so it must be told every block that goes to the speaker; it finds the
delay between the two by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Converter, Samples
from avatarkit_rtc.errors import ConfigurationError

if TYPE_CHECKING:
    from livekit import rtc

PROCESSING_RATE: Final = 48000
"""Samples per second of everything that is compared, mono."""
_BLOCK: Final = PROCESSING_RATE // 100
_SILENT_AFTER_S: Final = 0.1
"""Nothing played for this long: the speaker is silent. Shorter gaps are the event loop's jitter."""
_MOST_LEAD: Final = 30
"""Blocks played after the newest one of the microphone that the canceller is told."""


@dataclass(frozen=True, slots=True)
class VoiceProcessing:
    """What is done to the microphone's sound."""

    echo_cancellation: bool = True
    """Take out what the speaker plays."""
    noise_suppression: bool = True
    """Take out steady noise."""
    auto_gain_control: bool = True
    """Bring quiet and loud voices to the same loudness."""
    high_pass_filter: bool = True
    """Take out rumble and hum below the voice."""

    @property
    def any(self) -> bool:
        """Whether anything is done at all."""
        return (
            self.echo_cancellation
            or self.noise_suppression
            or self.auto_gain_control
            or self.high_pass_filter
        )


class EchoCanceller:
    """Processes the microphone's sound in blocks of exactly 10 ms, mono at 48 kHz; adds 9-15 ms of delay.

    :meth:`played` and :meth:`process` belong on one thread. A block costs about 0.1 ms.
    """

    def __init__(self, processing: VoiceProcessing | None = None, *, delay_ms: int | None = None) -> None:
        """
        Args:
            processing: what to do; None for all of it.
            delay_ms: time from :meth:`played` until the sound comes back in at :meth:`process`, 0 … 500, if
                it is known. A wrong one, or none, costs echo during the first second only.

        Raises:
            ConfigurationError: ``delay_ms`` is out of range.
        """
        from livekit import rtc

        if delay_ms is not None and not 0 <= delay_ms <= 500:
            raise ConfigurationError(f"delay_ms must be between 0 and 500, not {delay_ms}")
        self.processing = processing or VoiceProcessing()
        self._module = rtc.AudioProcessingModule(
            echo_cancellation=self.processing.echo_cancellation,
            noise_suppression=self.processing.noise_suppression,
            auto_gain_control=self.processing.auto_gain_control,
            high_pass_filter=self.processing.high_pass_filter,
        )
        if delay_ms is not None and self.processing.echo_cancellation:
            self._module.set_stream_delay_ms(delay_ms)
        self._frame = rtc.AudioFrame
        self._converter = Converter(PROCESSING_RATE, 1)
        self._rest: Samples = np.empty((0, 1), np.int16)
        self._last_played = -1.0
        self._owed = 0
        self._lead = _MOST_LEAD  # nothing is told before the microphone's first block
        self._silence: Samples = np.zeros((_BLOCK, 1), np.int16)

    def played(self, block: AudioBlock) -> None:
        """``block``, of any rate, channel count and length, is handed to the speaker now."""
        if not self.processing.echo_cancellation:
            return
        self._last_played = time.monotonic()
        self._owed = 0
        samples = self._converter.convert(block.samples, block.sample_rate)
        if len(self._rest):
            samples = np.concatenate([self._rest, samples])
        whole = len(samples) - len(samples) % _BLOCK
        for start in range(0, whole, _BLOCK):
            # Told more and more while the microphone is stuck, the canceller would fall out of step.
            if self._lead < _MOST_LEAD:
                self._lead += 1
                self._reverse(samples[start : start + _BLOCK])
        self._rest = samples[whole:].copy()

    def process(self, block: AudioBlock) -> AudioBlock:
        """``block`` from the microphone, processed.

        Raises:
            ConfigurationError: it is not 10 ms of mono sound at 48 kHz, which would be left as it is in
                silence.
        """
        if block.samples.shape != (_BLOCK, 1) or block.sample_rate != PROCESSING_RATE:
            raise ConfigurationError(
                f"blocks of shape ({_BLOCK}, 1) at {PROCESSING_RATE} Hz can be processed, "
                f"not {block.samples.shape} at {block.sample_rate} Hz"
            )
        if self.processing.echo_cancellation:
            self._lead = 0
            self._keep_in_step()
        frame = self._frame(bytearray(block.samples.tobytes()), PROCESSING_RATE, 1, _BLOCK)
        self._module.process_stream(frame)
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, 1)
        return AudioBlock(samples, PROCESSING_RATE, block.t)

    def _keep_in_step(self) -> None:
        # The canceller counts the blocks of both sides. While nothing is played it must be told silence:
        # else it lets the end of the echo through, and the two sides are out of step afterwards.
        self._owed += 1
        if time.monotonic() - self._last_played > _SILENT_AFTER_S:
            for _ in range(min(self._owed, 50)):
                self._reverse(self._silence)
            self._owed = 0

    def _reverse(self, samples: Samples) -> None:
        frame: rtc.AudioFrame = self._frame(bytearray(samples.tobytes()), PROCESSING_RATE, 1, _BLOCK)
        self._module.process_reverse_stream(frame)
