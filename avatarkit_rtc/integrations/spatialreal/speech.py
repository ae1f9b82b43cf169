"""What the avatar says through a session: one utterance after the other, paced, cut off, held, reported."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from avatarkit_rtc.audio.pace import Pace
from avatarkit_rtc.audio.sources import SourceReader, open_source
from avatarkit_rtc.errors import AvatarKitError, SpatialRealUnsupportedError
from avatarkit_rtc.integrations.agents.playback import Playback, PlaybackFinished
from avatarkit_rtc.integrations.spatialreal.direct.playback import SpeechPlayback
from avatarkit_rtc.integrations.spatialreal.events import SpeechEnded, SpeechPaused, SpeechStarted
from avatarkit_rtc.integrations.spatialreal.link import Link
from avatarkit_rtc.integrations.utterance import until_cut

REPORT_TIMEOUT_S: Final = 10.0
"""So much longer than an utterance takes the service may take to report its end."""
INTERRUPT_TIMEOUT_S: Final = 2.0
"""So long after an interruption the service may take to report where it stopped."""
PAUSE_TIMEOUT_S: Final = 2.0
"""So long it may take to report that it holds, or goes on."""
PLAYBACK_CONTROL: Final = "playback_control"
PLAYBACK_STATE: Final = "playback_state"
"""Capabilities a service may have: it can hold an utterance; it reports states."""

_PIECE_BLOCKS: Final = 10
"""Blocks of 10 ms that are sent at a time."""
_REMEMBERED: Final = 32
"""Utterances that are over, of which a late report may still come."""

_log = logging.getLogger("avatarkit_rtc.spatialreal")


@dataclass(slots=True, eq=False)
class _Utterance:
    """One that is not over."""

    playback: SpeechPlayback
    link: Link
    request_id: str | None = None
    open: bool = False
    """The service waits for more of it, and would take what comes next for that."""
    began_at: float = 0.0
    """When the first of it was sent, and once that is reported: when the avatar began, in seconds of the
    event loop's clock."""
    sent_at: float | None = None
    """When the last of it was sent."""
    held_since: float | None = None
    held_s: float = 0.0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def due(self, now: float) -> float:
        """When its end must have been reported, as far as can be told at ``now``."""
        assert self.sent_at is not None
        held = self.held_s + (now - self.held_since if self.held_since is not None else 0.0)
        return max(self.sent_at, self.began_at + self.playback.sent_s) + held + REPORT_TIMEOUT_S


class Speech:
    """Says things through whichever link is the present one."""

    def __init__(
        self,
        connected: Callable[[], Awaitable[Link]],
        emit: Callable[..., None],
        *,
        sample_rate: int,
        lead_s: float,
    ) -> None:
        """
        Args:
            connected: waits for an open link.
            emit: emits an event of the session's.
            sample_rate: samples per second that are sent.
            lead_s: sound is sent this much ahead of real time.
        """
        self._connected = connected
        self._emit = emit
        self._rate = sample_rate
        self._lead_s = lead_s
        self._saying = asyncio.Lock()
        self._coming: _Utterance | None = None  # from before its first sound until all is sent
        self._now: _Utterance | None = None
        self._over_ids: deque[str] = deque(maxlen=_REMEMBERED)
        self._interrupts = 0
        self._interrupting: asyncio.Task[None] | None = None
        self._state_changed = asyncio.Event()
        self._endings: set[asyncio.Task[None]] = set()
        self.said = 0
        """Utterances of which something was sent."""
        self.duplicate_ends = 0
        """Ends that were reported once more; they count once."""
        self.unexpected = 0
        """Reports that belong to nothing that was said."""

    @property
    def playback(self) -> SpeechPlayback | None:
        """What is being said, or sent; None for nothing."""
        return None if self._now is None else self._now.playback

    @property
    def paused(self) -> bool:
        """Whether the service holds it, as it reports."""
        return self._now is not None and self._now.held_since is not None

    # -- for the caller --------------------------------------------------------------------------------------

    async def say(self, source: Any, *, sample_rate: int | None, channels: int | None) -> SpeechPlayback:
        """See :meth:`SpatialRealSession.say`."""
        interrupts = self._interrupts
        async with self._saying:
            # A newer request would make the service drop the one that it plays.
            while self._now is not None:
                with contextlib.suppress(AvatarKitError):  # that one's own
                    await self._now.playback.wait()
            while before := [*self._endings, *filter(None, [self._interrupting])]:
                await asyncio.wait(before)
            reader = await asyncio.to_thread(
                open_source, source, sample_rate=sample_rate, channels=channels, output_rate=self._rate
            )
            try:
                coming = self._coming = _Utterance(SpeechPlayback(), await self._connected())
                if interrupts != self._interrupts:
                    coming.playback.interrupt()
                    coming.playback.finish(PlaybackFinished(0.0, True, reported=False))
                else:
                    await self._say(coming, reader)
            finally:
                self._coming = None
                await reader.aclose()
            return coming.playback

    async def interrupt(self) -> None:
        """See :meth:`SpatialRealSession.interrupt`."""
        self._interrupts += 1
        self._emit("interrupted")
        if self._interrupting is None:
            if self._now is None:
                if self._coming is not None:  # nothing of it has come yet: the service knows nothing of it
                    self._coming.playback.interrupt()
                return
            self._interrupting = asyncio.create_task(self._interrupt(self._now), name="interrupt")
            self._interrupting.add_done_callback(self._interrupted)
        await asyncio.shield(self._interrupting)

    async def hold(self, *, on: bool) -> bool:
        """Pause, or go on; False where nothing is being said, or the service does not report that it does.

        Raises:
            SpatialRealUnsupportedError: the service cannot.
            SpatialRealError: the connection is gone.
        """
        now = self._now
        if now is None or now.request_id is None or now.playback.over:
            return False
        if PLAYBACK_CONTROL not in now.link.capabilities:
            raise SpatialRealUnsupportedError(
                f"this service cannot hold what it says (no {PLAYBACK_CONTROL!r} among its capabilities); "
                "interrupt() it instead"
            )
        await (now.link.pause() if on else now.link.resume())
        if PLAYBACK_STATE in now.link.capabilities:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_TIMEOUT_S):
                    while (now.held_since is not None) != on and not now.playback.over:
                        self._state_changed.clear()
                        await self._state_changed.wait()
        else:
            self._held(now, asyncio.get_running_loop().time() if on else None, None)
        return (now.held_since is not None) == on and not now.playback.over

    # -- for the session -------------------------------------------------------------------------------------

    def lost(self, error: AvatarKitError | None, reason: str = "connection-lost") -> None:
        """The link is gone, and what is being said with it."""
        now = self._now or self._coming
        if now is not None and not now.playback.over:
            now.playback.error = error
            now.playback.interrupt()
            self._finish(now, None, interrupted=True, reason=reason, reported=False)

    async def aclose(self) -> None:
        """Wait for what still goes out. Never raises."""
        if before := [*self._endings, *filter(None, [self._interrupting])]:
            await asyncio.wait(before)

    # -- reports ---------------------------------------------------------------------------------------------

    def on_signal(self, request_id: str, end: bool) -> None:
        """The service's playback signal."""
        now = self._of(request_id, end=end)
        if now is None:
            return
        if not end:
            self._begin(now)
        elif now.playback.cut:
            # Where states are reported, that of the interruption says where it stopped.
            if PLAYBACK_STATE not in now.link.capabilities:
                self._finish(now, None, interrupted=True, reason="explicit")
        elif now.sent_at is None:
            self.unexpected += 1  # of something that is still being sent
        else:
            self._finish(now, now.playback.sent_s, interrupted=False)

    def on_playback_state(self, request_id: str, state: str, position_s: float, reason: str) -> None:
        """The service's playback state."""
        over = state in ("ended", "interrupted")
        now = self._of(request_id, end=over)
        if now is None:
            return
        if state == "playing":
            self._begin(now)
            self._held(now, None, position_s)
        elif state == "paused":
            self._held(now, asyncio.get_running_loop().time(), position_s)
        elif state == "ended" and not now.playback.cut and now.sent_at is None:
            self.unexpected += 1
        elif over:
            cut = state == "interrupted"
            if cut:
                now.playback.interrupt()
            self._finish(now, position_s, interrupted=cut, reason=(reason or "explicit") if cut else "")

    def on_service_error(self, error: AvatarKitError, request_id: str | None) -> None:
        """The service could not do something. If that is what is being said, it is over."""
        now = self._now
        if now is not None and request_id and now.request_id in (None, request_id):
            now.playback.error = error
            now.playback.interrupt()
            self._finish(now, None, interrupted=True, reason="service-error")

    # -- inside ----------------------------------------------------------------------------------------------

    async def _say(self, now: _Utterance, reader: SourceReader) -> None:
        playback = now.playback
        try:
            await self._send(now, reader)
        except BaseException as error:
            if playback.cut:
                pass  # whoever cut it off sees to it
            elif now.open and now.link.is_open:
                # The source has failed, or the caller is gone: what was sent is still said.
                self._sent(now)
            elif self._now is now:
                reason = "connection-lost" if isinstance(error, AvatarKitError) else "not-reported"
                self._finish(now, None, interrupted=True, reason=reason, reported=False)
            raise
        finally:
            if now.open and now.link.is_open:
                self._close_request(now)
        if playback.error is not None and now.sent_at is None:
            raise playback.error
        if not playback.sent_s and not playback.over:
            playback.finish(PlaybackFinished(0.0, playback.cut, reported=False))  # there was nothing to say

    async def _send(self, now: _Utterance, reader: SourceReader) -> None:
        playback, held = now.playback, list[bytes]()
        pace = Pace(self._lead_s)
        async with contextlib.aclosing(until_cut(reader, playback)) as blocks:
            async for block in blocks:
                held.append(block.samples.tobytes())
                if len(held) >= (_PIECE_BLOCKS if reader.paced else 1):
                    await _unless_cut(pace.wait(len(held) * 0.01), playback)
                    await self._write(now, held)
                    held.clear()
        if held and not playback.cut:
            await self._write(now, held)
        if now.request_id is not None and not playback.cut:
            self._sent(now)
            await now.link.send_audio(b"", end=True)
            now.open = False  # not before: a caller that is cancelled meanwhile leaves it open

    async def _write(self, now: _Utterance, pieces: list[bytes]) -> None:
        if now.playback.cut:
            return
        data = b"".join(pieces)
        if self._now is not now:
            self._now, now.open = now, True
            now.began_at = asyncio.get_running_loop().time()
            self.said += 1
        request_id = await now.link.send_audio(data)
        now.request_id = now.request_id or request_id
        now.playback.sent_s += len(data) / 2 / self._rate

    def _sent(self, now: _Utterance) -> None:
        if now.sent_at is not None:
            return
        loop = asyncio.get_running_loop()
        now.sent_at = loop.time()
        if not now.playback.over:
            now.timer = loop.call_at(now.due(now.sent_at), self._overdue, now)

    def _close_request(self, now: _Utterance) -> None:
        """Nothing more comes of it, though the service waits for more."""
        now.open = False

        async def close() -> None:
            with contextlib.suppress(AvatarKitError):
                if now.playback.cut:  # by the service: it may go on with it all the same
                    await now.link.interrupt()
                else:
                    await now.link.send_audio(b"", end=True)

        task = asyncio.create_task(close(), name="end of an utterance")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def _overdue(self, now: _Utterance) -> None:
        if now.playback.over:
            return
        loop = asyncio.get_running_loop()
        due = now.due(loop.time())
        if due > loop.time() + 0.01:
            now.timer = loop.call_at(due, self._overdue, now)
            return
        _log.warning("SpatialReal did not report the end of what was said")
        self._finish(now, None, interrupted=False, reason="not-reported", reported=False)

    async def _interrupt(self, now: _Utterance) -> None:
        now.playback.interrupt()
        now.open = False
        try:
            await now.link.interrupt()
        except AvatarKitError as error:
            _log.warning("the avatar could not be interrupted: %s", error)
        else:
            with contextlib.suppress(TimeoutError, AvatarKitError):
                async with asyncio.timeout(INTERRUPT_TIMEOUT_S):
                    await now.playback.wait()
        self._finish(now, None, interrupted=True, reason="explicit", reported=False)

    def _interrupted(self, task: asyncio.Task[None]) -> None:
        self._interrupting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("interrupting the avatar failed", exc_info=error)

    def _of(self, request_id: str, *, end: bool) -> _Utterance | None:
        """The utterance that is meant; None for one that is over, or was never said."""
        now = self._now
        if now is not None:
            if now.request_id is None and request_id not in self._over_ids:
                now.request_id = request_id  # reported before the first write had returned
            if now.request_id == request_id:
                return now
        if request_id in self._over_ids:
            self.duplicate_ends += end
        else:
            self.unexpected += 1
        return None

    def _begin(self, now: _Utterance) -> None:
        if not now.playback.started:
            now.began_at = asyncio.get_running_loop().time()
            now.playback.begin()
            self._emit("speech-started", SpeechStarted(now.request_id or "", now.playback))

    def _held(self, now: _Utterance, since: float | None, position_s: float | None) -> None:
        if (now.held_since is None) == (since is None):
            return
        if now.held_since is not None:
            now.held_s += asyncio.get_running_loop().time() - now.held_since
        now.held_since = since
        self._state_changed.set()
        event = "speech-resumed" if since is None else "speech-paused"
        self._emit(event, SpeechPaused(now.request_id or "", position_s))

    def _finish(
        self,
        now: _Utterance,
        position_s: float | None,
        *,
        interrupted: bool,
        reason: str = "",
        reported: bool = True,
    ) -> None:
        if now.playback.over:
            return
        if now.timer is not None:
            now.timer.cancel()
        now.playback.finish(PlaybackFinished(position_s, interrupted, reported))
        self._state_changed.set()
        if now.request_id is not None:
            self._over_ids.append(now.request_id)
        if self._now is now:
            self._now = None
            event = SpeechEnded(now.request_id or "", now.playback, position_s, interrupted, reason)
            self._emit("speech-ended", event)


async def _unless_cut(wait: Awaitable[None], playback: Playback) -> None:
    """``wait``, or until it is cut off."""
    waiting = [asyncio.ensure_future(wait), asyncio.ensure_future(playback.wait_cut())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
