"""The asyncio shell around stream, playout and stall detector: packets in, poses to the view, on time."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from typing import Any, Final

from avatarkit_rtc.audio.delay_estimate import AudioDelayEstimate
from avatarkit_rtc.events import RoundEnded, RoundStarted, Stalled
from avatarkit_rtc.log_limit import RateLimit
from avatarkit_rtc.motion.events import FrameArrived, RoundEndReason
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.motion.packet import PacketKind
from avatarkit_rtc.motion.stream import MotionStream
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.playout.playout import Playout, RoundShown
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.playout.presentation import PresentationClock
from avatarkit_rtc.playout.render_clock import RenderClock
from avatarkit_rtc.playout.rounds import PlayState
from avatarkit_rtc.playout.stall import StallDetector
from avatarkit_rtc.video.picture import Picture
from avatarkit_rtc.views import MotionArrival, View

_log = logging.getLogger("avatarkit_rtc.motion")

_LOG_EVERY_S: Final = 10.0


class MotionLoop:
    """Owns the timer that shows poses. All calls on the event loop."""

    def __init__(
        self,
        options: AvatarPlayerOptions,
        view: View | None,
        emit: Callable[..., None],
    ) -> None:
        self.stream = MotionStream()
        self.playout = Playout(options.playout())
        self.presentation = PresentationClock(audio_delay_s=options.audio_delay_ms / 1000)
        """The one time of poses and sound."""
        self.mouth_and_voice = AudioDelayEstimate()
        """What delay of the service's sound they speak for."""
        self.stall = StallDetector(options.stall_timeout_s, watch_idle=options.watch_idle)
        self.poses_shown = 0
        """Poses handed to the view."""
        self.view_errors = 0
        """Times the view raised."""
        self.worst_lateness_s = 0.0
        """Longest time a pose was shown after it was due."""
        self._view = view
        self._view_hears_arrivals = callable(getattr(view, "motion_arrived", None))
        rate = options.render_rate_hz
        if rate == "auto":
            rate = getattr(view, "render_rate_hz", None)
        self._render = RenderClock(float(rate)) if rate is not None else None
        self.playout.strategy.sync.render_s = FRAME_INTERVAL_S if self._render is not None else 0.0
        self._emit = emit
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._running = self._stopping = False
        self._view_closed = False
        self.pictures_on = False
        """A video avatar's pictures are on show, in place of poses."""
        self._refused = 0
        self._log_limit = RateLimit(_LOG_EVERY_S)

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to show poses, from idle on. More than once is fine."""
        self._loop = asyncio.get_running_loop()
        self._running, self._stopping = True, False
        self.presentation.begin(self._loop.time())
        if self._timer is None:
            self._schedule()

    def stop_when_idle(self) -> None:
        """Show what leads back to idle, then stop."""
        self._stopping = True

    def stop(self) -> None:
        """Stop at once."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def running(self) -> bool:
        """Whether poses are being shown."""
        return self._running

    # -- input -----------------------------------------------------------------------------------------------

    def receive(self, data: bytes, at: float | None = None) -> bool:
        """A motion packet came, now or as if ``at`` a moment just past; returns whether it was one."""
        loop = self._loop
        if loop is None:
            return False
        now = loop.time() if at is None else at
        stream = self.stream
        before = stream.counters.packets - sum(stream.counters.malformed.values())
        events = stream.receive(data, now)
        if stream.counters.packets - sum(stream.counters.malformed.values()) == before:
            self._log_refused()
            return False
        self.stall.activity(now)
        self.stall.round_open(stream.open_round is not None)
        assert stream.last_kind is not None
        if self._view_hears_arrivals:
            self.tell_view("motion_arrived", MotionArrival(now, stream.last_kind, tuple(events)))
        if stream.last_kind is not PacketKind.FRAME:
            self.playout.clock_packet(now)
        if events:
            self.presentation.handle(events, now)
            self.playout.handle(events, now)
            for event in events:
                if isinstance(event, FrameArrived) and not event.recovered:
                    self.mouth_and_voice.frame(now, float(event.frame.jaw_pose[0]))
            self._report_rounds()
        self._schedule()
        return True

    def cut(self, reason: RoundEndReason) -> None:
        """The stream broke off, or was told to: to idle, dropping what is queued."""
        loop = self._loop
        if loop is None:
            return
        now = loop.time()
        events = self.stream.close(reason, now)
        self.presentation.handle(events, now)
        self.playout.handle(events, now)
        self.playout.cut(reason, now)
        self.stall.round_open(False)
        self._report_rounds()
        self._schedule()

    @property
    def av_offset_ms(self) -> float | None:
        """How much later (+) than its voice the face is; None where one of the two is not known."""
        offset = self.playout.av_offset_s
        return None if offset is None else offset * 1000

    @property
    def audio_delay_estimate_ms(self) -> float | None:
        """What ``audio_delay_ms`` should be, going by mouth and voice alone; None while that is not sure."""
        estimate = self.mouth_and_voice.estimate_s
        return None if estimate is None else estimate * 1000

    def connected(self, *, expect_motion: bool = False) -> None:
        """Connected (again); ``expect_motion`` if silence from now on is a stall even between rounds."""
        assert self._loop is not None
        self.stall.connected(self._loop.time())
        if expect_motion:
            self.stall.expect(self._loop.time())
        self._schedule()

    def disconnected(self) -> None:
        """Not connected now."""
        self.stall.disconnected()

    # -- time ------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        loop = self._loop
        if loop is None or not self._running:
            return
        when = self.playout.next_deadline()
        stall_at = self.stall.deadline()
        if stall_at is not None:
            when = min(when, stall_at)
        render_at = self._render.next_deadline() if self._render is not None else None
        if render_at is not None:
            when = min(when, render_at)
        when = max(when, loop.time())
        if self._timer is not None:
            if when >= self._timer_at - 0.0005:
                return  # the timer that runs comes first and will set the next one
            self._timer.cancel()
        self._timer_at = when
        self._timer = loop.call_at(when, self._tick)

    def _tick(self) -> None:
        assert self._loop is not None
        self._timer = None
        now = self._loop.time()
        if self.stall.check(now):
            self._stalled(now)
        pose = self.playout.tick(now)
        if pose is not None:
            # Against the timer: the playout's own deadline is minus infinity at first, and long past after
            # a break.
            self.worst_lateness_s = max(self.worst_lateness_s, now - self._timer_at)
            seen = self.presentation.pose(pose, self.playout.target_delay_s)
            pose = dataclasses.replace(pose, presentation_time=seen)
            if self._render is None:
                self._show(pose)
            else:
                self._render.push(pose, self.playout.next_deadline())
        rendered = self._render.pose(now) if self._render is not None else None
        if rendered is not None:
            self._show(rendered)
        self._report_rounds()
        if self._stopping and self.playout.state is PlayState.IDLE:
            self.stop()
        if self._timer is None:  # a handler may have scheduled already
            self._schedule()

    def _stalled(self, now: float) -> None:
        silence, number = self.stall.silence_s(now), self.stream.open_round
        _log.warning("nothing has come for %.1f s", silence)
        self.cut(RoundEndReason.STALLED)
        self._emit("stalled", Stalled(silence, number))

    # -- output ----------------------------------------------------------------------------------------------

    def _show(self, pose: Pose) -> None:
        view = self._view
        if self.pictures_on:
            self._look_whether_closed()
            return
        self.poses_shown += 1
        if view is None:
            return
        try:
            view.show(pose)
        except Exception as error:
            self._view_failed(error)
            return
        self._look_whether_closed()

    def show_picture(self, picture: Picture) -> None:
        """Show a video avatar's picture; poses are not shown until :attr:`pictures_on` is taken back."""
        self.pictures_on = True
        self.tell_view("show_picture", picture)
        self._look_whether_closed()

    def _look_whether_closed(self) -> None:
        try:
            closed = bool(getattr(self._view, "closed", False))
        except Exception as error:
            self._view_failed(error)
            return
        if closed and not self._view_closed:
            self._emit("view-closed")
        self._view_closed = closed

    def tell_view(self, method: str, *arguments: Any) -> None:
        """Call an optional method of the view, if it has it."""
        try:
            call = getattr(self._view, method, None)
            if call is not None:
                call(*arguments)
        except Exception as error:
            self._view_failed(error)

    def _view_failed(self, error: Exception) -> None:
        self.view_errors += 1
        if self._log_limit.allows("view", asyncio.get_running_loop().time()):
            _log.error("the view raised (%d times so far)", self.view_errors, exc_info=error)

    def _report_rounds(self) -> None:
        for news in self.playout.take_news():
            if isinstance(news, RoundShown):
                started = RoundStarted(news.round)
                self.tell_view("round_started", started)
                self._emit("round-started", started)
            else:
                ended = RoundEnded(news.stats.round, news.stats.reason, news.stats)
                self.tell_view("round_ended", ended)
                self._emit("round-ended", ended)

    def _log_refused(self) -> None:
        self._refused += 1
        if self._log_limit.allows("refused", asyncio.get_running_loop().time()):
            kinds = ", ".join(f"{kind.value}: {n}" for kind, n in self.stream.counters.malformed.items())
            _log.warning("motion packets refused so far: %s", kinds)
