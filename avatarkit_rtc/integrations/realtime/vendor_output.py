"""The model's voice through a vendor's avatar: each response is one utterance of the vendor's session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.integrations.realtime.events import AudioDelta
from avatarkit_rtc.integrations.realtime.output import Heard, OutputListener
from avatarkit_rtc.integrations.realtime.timed_output import TimedOutput

_log = logging.getLogger("avatarkit_rtc.realtime")

MAX_QUEUED_S: Final = 600.0
"""Speech of one response that the vendor has not taken yet; what comes beyond it is dropped, and counted."""

LATENCY_S: Final = 0.4
"""From a vendor's being given a sample to its being heard, about: its service, the network, the player."""


class Said(Protocol):
    """One utterance, such as :class:`~avatarkit_rtc.integrations.agents.Playback`."""

    async def wait(self) -> object:
        """Wait until it is over.

        Raises:
            AvatarKitError: what it was lost by.
        """


class Speaker(Protocol):
    """Who says it: :class:`~avatarkit_rtc.integrations.spatialreal.SpatialRealProvider`, its session,
    :class:`~avatarkit_rtc.integrations.agents.AvatarSpeech`, or something with the same methods."""

    async def say(self, source: Any, *, sample_rate: int | None = None) -> Said | None:
        """Say what ``source`` gives, a :class:`~avatarkit_rtc.audio.push_source.PushSource`, until its end or
        :meth:`interrupt`, after what was said before. May return at any time, also before ``source`` is read;
        None: nothing is known of its end."""

    async def interrupt(self) -> None:
        """Be silent now."""


class VendorOutput:
    """An :class:`~.output.AudioOutput` that has a vendor's avatar say everything.

    What it tells of being heard goes by the clock, as if the avatar said everything :attr:`latency_s` after
    it was given it: vendors do not tell it in time.
    """

    def __init__(
        self,
        speaker: Speaker,
        *,
        flush: Callable[[], None] = lambda: None,
        on_error: Callable[[Exception], None] | None = None,
        latency_s: float = LATENCY_S,
    ) -> None:
        """
        Args:
            speaker: says it.
            flush: drops what the player has and has not shown yet: ``player.flush``.
            on_error: is told where the vendor could not say something; None: a log line.
            latency_s: see :data:`LATENCY_S`.
        """
        self.latency_s = latency_s
        """As given."""
        self.dropped_s = 0.0
        """Seconds of speech that found no room, or that the vendor did not take any more."""
        self._speaker = speaker
        self._flush = flush
        self._on_error = on_error
        self._timed = TimedOutput(latency_s)
        self._source: PushSource | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._saying: set[asyncio.Task[None]] = set()  # each until the vendor has said it
        self._interrupting: asyncio.Task[None] | None = None

    def set_listener(self, listener: OutputListener | None) -> None:
        """See :class:`~.output.AudioOutput`, as for all of these."""
        self._timed.set_listener(listener)

    def play(self, audio: AudioDelta) -> None:
        """Further speech."""
        source = self._source
        if source is not None and source.sample_rate != audio.sample_rate:
            source.end()
            source = None
        if source is None:
            source = self._source = PushSource(audio.sample_rate, max_seconds=MAX_QUEUED_S)
            saying = self._run(self._say(source, self._interrupting), "say to the avatar")
            self._saying.add(saying)
            saying.add_done_callback(self._saying.discard)
        if not source.ended and source.push_nowait(audio.pcm):
            self._timed.play(audio)
        else:
            self.dropped_s += len(audio.pcm) / 2 / audio.sample_rate

    def end(self) -> None:
        """All of a response has come."""
        self._timed.end()
        source, self._source = self._source, None
        if source is not None:
            source.end()

    def flush(self) -> Heard | None:
        """Silence, here at once, and at the vendor as soon as it hears of it."""
        self._flush()
        heard = self._timed.flush()
        source, self._source = self._source, None
        if source is not None:
            source.clear()
            source.end()
        # A vendor may be later than the clock says.
        if heard is not None or self._saying:
            self._interrupting = self._run(self._interrupt(self._interrupting), "interrupt the avatar")
        return heard

    async def aclose(self) -> None:
        """Say no more; what was given to the vendor is its own. Never raises."""
        source, self._source = self._source, None
        if source is not None:
            source.end()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _run(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _say(self, source: PushSource, interrupting: asyncio.Task[None] | None) -> None:
        if interrupting is not None and not interrupting.done():
            await asyncio.wait({interrupting})  # else it would be interrupted, too
        try:
            said = await self._speaker.say(source)
            if said is None:
                return
            await said.wait()
        except AvatarKitError as error:
            self._drop(source)
            self._failed(error)
        else:
            self._drop(source)  # a vendor may have ended it before all had come

    def _drop(self, source: PushSource) -> None:
        """Nobody reads it any more, nor what further comes of its response."""
        self.dropped_s += source.queued_seconds
        source.clear()
        source.end()

    async def _interrupt(self, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        try:
            await self._speaker.interrupt()
        except AvatarKitError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self._on_error is None:
            _log.warning("the avatar could not say it: %s", error)
        else:
            self._on_error(error)
