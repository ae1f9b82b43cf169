"""Cleaning what the microphone hears: echo of the avatar's voice, noise, rumble, loudness.

The work is done by WebRTC's own audio processing, which LiveKit's library brings. Its echo canceller compares
the microphone with what was played, so it gets with each block of the microphone a block of what the speaker
was given (:mod:`~avatarkit_rtc.audio.echo_reference` finds the one that belongs to it). It counts the blocks
of both sides, so neither may be left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Samples
from avatarkit_rtc.errors import ConfigurationError

if TYPE_CHECKING:
    from livekit import rtc

PROCESSING_RATE: Final = 48000
"""Samples per second of everything that is compared, mono."""
_BLOCK: Final = PROCESSING_RATE // 100


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

    A block costs about 0.1 ms.
    """

    def __init__(self, processing: VoiceProcessing | None = None, *, delay_ms: int | None = None) -> None:
        """
        Args:
            processing: what to do; None for all of it.
            delay_ms: how much later than its reference the echo is recorded, 0 … 500, if it is known. A wrong
                one, or none, costs echo during the first second only.

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
        self._silence: Samples = np.zeros((_BLOCK, 1), np.int16)

    def process(self, block: AudioBlock, reference: Samples | None = None) -> AudioBlock:
        """``block`` from the microphone, processed.

        Args:
            reference: what the speaker was given and what comes back in this block or soon after it, shape
                (480, 1); None for silence. Its delay to the microphone has to stay the same from block to
                block.

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
            self._reverse(self._silence if reference is None else reference)
        frame = self._frame(bytearray(block.samples.tobytes()), PROCESSING_RATE, 1, _BLOCK)
        self._module.process_stream(frame)
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, 1)
        return AudioBlock(samples, PROCESSING_RATE, block.t)

    def _reverse(self, samples: Samples) -> None:
        frame: rtc.AudioFrame = self._frame(bytearray(samples.tobytes()), PROCESSING_RATE, 1, _BLOCK)
        self._module.process_reverse_stream(frame)
