"""The model's voice through an avatar's mouth: what the manager's output is in a whole conversation."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from avatarkit_rtc.audio.convert import Converter
from avatarkit_rtc.integrations.realtime.config import DEFAULT_AUDIO_RATE
from avatarkit_rtc.integrations.realtime.events import AudioDelta
from avatarkit_rtc.integrations.realtime.output import (
    Heard,
    OutputEnded,
    OutputLevel,
    OutputListener,
    OutputStarted,
)
from avatarkit_rtc.providers.speech import SpeechProvider
from avatarkit_rtc.providers.speech_performer import BLOCK_S, Ended, Output, Sound

LEVEL_EVERY: Final = 2
"""Blocks of 10 ms that one level is of."""

_NAMELESS: Final = "-"
"""What sound is called that is of no item: silence has no name at all."""

_MAX_UNHEARD: Final = 500
"""Blocks that were handed out and are not heard yet: 5 s, more than any sound card holds."""


class SpeakerQueue(NamedTuple):
    """What lies between handing a block out and its being heard."""

    ring_s: float
    """Seconds in our own ring, which a flush empties."""
    device_s: float
    """Seconds in the sound card, which are heard whatever happens."""


class _Unheard(NamedTuple):
    at: float
    item_id: str | None
    rms: float
    """Negative for the end of a turn."""


class PerformedOutput:
    """An :class:`~.output.AudioOutput` that has a :class:`~avatarkit_rtc.providers.speech.SpeechProvider` say
    everything. What it tells of being heard is when the speaker plays it, not when it is handed out."""

    def __init__(self, flush: Callable[[], None], queue: Callable[[], SpeakerQueue]) -> None:
        """
        Args:
            flush: makes the player drop what it was given.
            queue: what lies between this and the ear.
        """
        self.provider = SpeechProvider(on_output=self._went_out)
        """The avatar that speaks."""
        self._flush = flush
        self._queue = queue
        self._listener: OutputListener | None = None
        self._converter: Converter | None = None
        self._unheard: deque[_Unheard] = deque(maxlen=_MAX_UNHEARD)
        self._item: str | None = None
        self._heard_s = 0.0
        self._started = False
        self._levels: list[float] = []

    def set_listener(self, listener: OutputListener | None) -> None:
        """See :class:`~.output.AudioOutput`, as for all of these."""
        self._listener = listener

    def play(self, audio: AudioDelta) -> None:
        """Further speech."""
        samples, rate = np.frombuffer(audio.pcm, "<i2").astype(np.int16), audio.sample_rate
        if rate % 100:
            if self._converter is None:
                self._converter = Converter(DEFAULT_AUDIO_RATE, 1)
            samples = self._converter.convert(samples.reshape(-1, 1), rate)[:, 0]
            rate = DEFAULT_AUDIO_RATE
        self.provider.say(samples, rate, audio.item_id or _NAMELESS)

    def end(self) -> None:
        """All of a response has come."""
        self.provider.end()

    def flush(self) -> Heard | None:
        """Silence, and a still mouth."""
        now = asyncio.get_running_loop().time()
        device_s = self._queue().device_s
        # What the sound card has is heard; what our ring has is not.
        self._advance(now + device_s, tell=False)
        heard = self._cut_off()
        if self._converter is not None:
            self._converter.reset()
        self._flush()
        self.provider.cut()
        self._forget()
        return heard

    def _cut_off(self) -> Heard | None:
        """The message that is being heard, or would be next, and how much of it was."""
        waiting = next((each.item_id for each in self._unheard if each.rms >= 0), None)
        name = waiting if waiting is not None else self.provider.performer.next_name
        if not self._started and name is None:
            return None
        item_id = self._item if self._started or name in (self._item, _NAMELESS) else name
        return Heard(item_id, round(self._heard_s * 1000) if item_id == self._item else 0)

    # -- what goes out ---------------------------------------------------------------------------------------

    def _went_out(self, output: Output) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(output, Sound) and output.name is not None:
            item_id = None if output.name == _NAMELESS else output.name
            self._unheard.append(_Unheard(now + sum(self._queue()), item_id, output.rms))
        elif isinstance(output, Ended):
            self._unheard.append(_Unheard(now + sum(self._queue()), None, -1.0))
        if self._unheard:
            self._advance(now)

    def _advance(self, now: float, *, tell: bool = True) -> None:
        """Everything is heard that is heard by ``now``."""
        while self._unheard and self._unheard[0].at <= now:
            _, item_id, rms = self._unheard.popleft()
            if rms < 0:
                if tell:
                    self._tell_ended()
                continue
            if item_id != self._item:
                self._item, self._heard_s = item_id, 0.0
            self._heard_s += BLOCK_S
            if not tell:
                continue
            if not self._started:
                self._started = True
                self._tell(OutputStarted())
            self._levels.append(rms)
            if len(self._levels) >= LEVEL_EVERY:
                self._tell(OutputLevel(float(np.sqrt(np.mean(np.square(self._levels))))))
                self._levels.clear()

    def _tell_ended(self) -> None:
        started, self._started = self._started, False
        self._levels.clear()
        if started:
            self._tell(OutputEnded())

    def _tell(self, event: OutputStarted | OutputLevel | OutputEnded) -> None:
        if self._listener is not None:
            self._listener(event)

    def _forget(self) -> None:
        self._unheard.clear()
        self._levels.clear()
        self._started = False
        self._item, self._heard_s = None, 0.0
