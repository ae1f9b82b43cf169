"""From stream events to the pose to show now: rounds, transitions, idle, and the buffer in between.

Pure: :meth:`Playout.handle` and :meth:`Playout.tick` take ``now`` (monotonic seconds), and
:meth:`Playout.next_deadline` says when to tick next.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from avatarkit_rtc.motion.clock import forward
from avatarkit_rtc.motion.events import (
    FrameArrived,
    RoundClosed,
    RoundEndReason,
    RoundOpened,
    StreamEvent,
    TransitionArrived,
)
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.buffer import FrameBuffer
from avatarkit_rtc.playout.idle import IdleMotion
from avatarkit_rtc.playout.interpolation import blend, ease, with_mouth
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.playout.playout_options import PlayoutOptions
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.playout.rounds import PlayInput, PlayState, next_state
from avatarkit_rtc.playout.stats import PlayoutCounters, PlayoutStats, RoundStats
from avatarkit_rtc.playout.strategy import StrategyName, make_strategy

MAX_ROUNDS_WAITING: Final = 2
"""Rounds that may wait behind the one on show; more than that means that rounds open without ever playing."""

FLUSH_TRANSITION_FRAMES: Final = 5
"""Longest way to idle after an interruption ..."""
FLUSH_MOUTH_FRAMES: Final = 2
"""... and the mouth's own: it is to be still when its voice is, which a sound card takes 100 ms for."""

OVERLAP_S: Final = 0.3
"""So long the frames that are left of a round may keep the next one waiting, which then catches up."""


class RoundShown(NamedTuple):
    """A round is on show now."""

    round: int


class RoundOver(NamedTuple):
    """A round is over: everything of it was shown, or it was cut off."""

    stats: RoundStats


@dataclass(slots=True)
class _Round:
    number: int
    buffer: FrameBuffer
    transition: MotionFrame | None = None
    end_reason: RoundEndReason | None = None
    shown_at: float = 0.0


class _Blend(NamedTuple):
    begin: MotionFrame
    target: Callable[[float], MotionFrame]
    start: float
    duration: float
    mouth_duration: float = math.inf
    """Of the mouth, if it is shorter."""


class Playout:
    """Everything between the stream and the view."""

    def __init__(self, options: PlayoutOptions | None = None) -> None:
        self.options = options or PlayoutOptions()
        """As given."""
        name: StrategyName = self.options.strategy if self.options.enable_jitter_buffer else "direct"
        self.strategy = make_strategy(
            name, max_delay_s=self.options.max_delay_s, on_backlog=self.options.on_backlog
        )
        """The strategy in force, with what was learnt about the network; it outlives the rounds."""
        self._idle = IdleMotion(self.options.idle)
        self._state = PlayState.IDLE
        self._current: _Round | None = None
        self._waiting: deque[_Round] = deque()
        self._blend: _Blend | None = None
        self._last: MotionFrame | None = None
        self._grid = -math.inf
        self._pose_until = -math.inf
        self._epoch = 0.0
        self._now = -math.inf
        self._total = PlayoutCounters()
        self._ended: dict[RoundEndReason, int] = {}
        self._news: list[RoundShown | RoundOver] = []

    @property
    def state(self) -> PlayState:
        """What is on show."""
        return self._state

    @property
    def current_round(self) -> int | None:
        """Number of the round on show."""
        return self._current.number if self._current is not None else None

    @property
    def target_delay_s(self) -> float:
        """Delay behind the fastest packet that is aimed at, in seconds."""
        return self.strategy.target_delay_s

    @property
    def current_delay_s(self) -> float | None:
        """Delay of playing behind the fastest packet, in seconds; None outside speech."""
        return self._current.buffer.current_delay_s if self._current is not None else None

    @property
    def av_offset_s(self) -> float | None:
        """How much later (+) than its voice the face is, in seconds; None where one of the two is not
        known."""
        if self._current is None:
            return None
        buffer = self._current.buffer
        face, voice = buffer.current_delay_s, self.strategy.sync.delay_s
        if isinstance(buffer, JitterBuffer):
            voice = buffer.voice_delay_s
        return None if face is None or voice is None else face - voice

    def take_news(self) -> list[RoundShown | RoundOver]:
        """What has happened to rounds since the last call, in order."""
        news, self._news = self._news, []
        return news

    def handle(self, events: Iterable[StreamEvent], now: float) -> None:
        """Take what the stream reported at ``now``."""
        now = self._advance(now)
        for event in events:
            if isinstance(event, FrameArrived):
                held_by = self._find(event.round)
                if held_by is None:
                    self._total.late += 1
                else:
                    held_by.buffer.push(
                        event.seq, event.frame, now, recovered=event.recovered, rebased=event.rebased
                    )
            elif isinstance(event, RoundOpened):
                self._open(event.round, now)
            elif isinstance(event, TransitionArrived):
                opened = self._find(event.round)
                if opened is not None:
                    opened.transition = event.frame
                    if opened is self._current:
                        self._begin_transition(opened, now)
            else:
                self._end(event, now)

    def clock_packet(self, now: float) -> None:
        """An idle or transition packet came: one of those that come each 40 ms between the rounds' frames."""
        self.strategy.clock_packet(self._advance(now))

    def cut(self, reason: RoundEndReason, now: float) -> None:
        """Drop everything that is queued and go to idle, because of ``reason``."""
        now = self._advance(now)
        for each in self._waiting:
            self._finish(each, each.end_reason or reason, now)
        self._waiting.clear()
        if self._current is not None:
            self._finish(self._current, self._current.end_reason or reason, now)
            self._current = None
            self._move(PlayInput.CUT)
            if self._state is PlayState.DISCONNECT_TRANSITION:
                frames = self.options.disconnect_transition_frames
                if reason is RoundEndReason.FLUSHED:
                    frames = min(frames, FLUSH_TRANSITION_FRAMES)
                self._start_blend(self._idle_pose, frames, now)
                if reason is RoundEndReason.FLUSHED:
                    assert self._blend is not None
                    self._blend = self._blend._replace(mouth_duration=FLUSH_MOUTH_FRAMES * FRAME_INTERVAL_S)
                    self._grid = min(self._grid, now)  # not when the next frame would have been due

    def next_deadline(self) -> float:
        """When to call :meth:`tick` next."""
        current = self._current
        own = current.buffer.next_deadline() if current is not None and self._may_begin(self._now) else None
        deadlines = [each for each in (own, self._takeover()) if each is not None]
        # In speech the frames make the rhythm.
        if self._state is not PlayState.SPEECH or own is None:
            deadlines.append(self._grid)
        return min(deadlines)

    def tick(self, now: float) -> Pose | None:
        """The pose to show at ``now``; None when nothing is due yet."""
        now = self._advance(now)
        self._settle(now)
        current = self._current
        if current is not None and self._may_begin(now):
            popped = current.buffer.pop(now)
            if popped is not None:
                self._move(PlayInput.FRAME_DUE)
                self._blend = None
                self._last = popped.frame
                self._grid = now + FRAME_INTERVAL_S
                if popped.kind is not PoseKind.HELD:
                    self._pose_until = self._grid
                return Pose(now, popped.kind, popped.frame, current.number, float(popped.position))
        if now < self._grid:
            return None
        if self._state is PlayState.SPEECH:
            # The buffer has its own deadlines; nothing of it is due.
            self._grid = now + FRAME_INTERVAL_S
            return None
        return self._between_rounds(now)

    def stats(self) -> PlayoutStats:
        """A snapshot."""
        total = PlayoutCounters()
        total.add(self._total)
        if self._current is not None:
            total.add(self._current.buffer.counters)
        delay = self.current_delay_s
        return PlayoutStats(
            state=self._state.value,
            round=self.current_round,
            rounds_ended=dict(self._ended),
            counters=total,
            target_delay_ms=self.target_delay_s * 1000,
            current_delay_ms=None if delay is None else delay * 1000,
            jitter_ms=self.strategy.jitter_s * 1000,
            queued_frames=sum(
                len(each.buffer) for each in (self._current, *self._waiting) if each is not None
            ),
            idle_errors=self._idle.errors,
        )

    # -- rounds ----------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> float:
        last, self._now = self._now, forward(self._now, now)
        if last == -math.inf:
            self._epoch = self._now
        elif self._now < last:  # the clock was set: everything goes on as if no time had passed
            step = self._now - last
            self._epoch += step
            self._pose_until += step
            self._grid += step
            if self._blend is not None:
                self._blend = self._blend._replace(start=self._blend.start + step)
            if self._current is not None:
                self._current.shown_at += step
        return self._now

    def _find(self, number: int) -> _Round | None:
        for each in (self._current, *self._waiting):
            if each is not None and each.number == number:
                return each
        return None

    def _open(self, number: int, now: float) -> None:
        opened = _Round(number, self.strategy.new_buffer())
        if self._current is None:
            self._put_on_show(opened, now)
            return
        if len(self._waiting) >= MAX_ROUNDS_WAITING:
            self._finish(self._current, self._current.end_reason or RoundEndReason.SUPERSEDED, now)
            self._put_on_show(self._waiting.popleft(), now)
        self._waiting.append(opened)

    def _put_on_show(self, opened: _Round, now: float) -> None:
        self._current = opened
        opened.shown_at = now
        self._news.append(RoundShown(opened.number))
        if opened.transition is not None:
            self._begin_transition(opened, now)

    def _begin_transition(self, opened: _Round, now: float) -> None:
        assert opened.transition is not None
        self._move(PlayInput.TRANSITION)
        target = opened.transition
        self._start_blend(lambda _t: target, self.options.start_transition_frames, now)

    def _end(self, event: RoundClosed, now: float) -> None:
        ended = self._find(event.round)
        if ended is None:
            return
        ended.end_reason = event.reason
        ended.buffer.end()
        if event.reason in _CUTS:
            self.cut(event.reason, now)

    def _settle(self, now: float) -> None:
        """Bring the round on show up to date before a pose is chosen."""
        while self._current is not None:
            current, takeover = self._current, self._takeover()
            taken_over = takeover is not None and takeover <= now
            drained = current.buffer.drained and self._pose_until <= now
            if not taken_over and not drained:
                return
            self._finish(current, current.end_reason or RoundEndReason.SUPERSEDED, now)
            if self._waiting:
                self._put_on_show(self._waiting.popleft(), now)
                continue
            self._current = None
            self._move(PlayInput.DRAINED)
            if self._state is PlayState.TRANSITION_OUT:
                self._start_blend(self._idle_pose, self.options.end_transition_frames, now)

    def _takeover(self) -> float | None:
        """When the next round goes on show even if the one before is not over."""
        if not self._waiting or self._current is None:
            return None
        deadlines = [each.buffer.next_deadline() for each in self._waiting]
        due = min((each for each in deadlines if each is not None), default=None)
        if due is None:
            return None
        return due + OVERLAP_S if len(self._current.buffer) else max(due, self._pose_until)

    def _finish(self, ended: _Round, reason: RoundEndReason, now: float) -> None:
        ended.buffer.counters.skipped += len(ended.buffer)
        counters = replace(ended.buffer.counters)
        self._total.add(counters)
        self._ended[reason] = self._ended.get(reason, 0) + 1
        if ended is self._current:
            duration = now - ended.shown_at
            self._news.append(RoundOver(RoundStats(ended.number, reason, counters, duration)))

    def _may_begin(self, now: float) -> bool:
        """Whether frames may be shown: the reference client goes all the way to the first pose before."""
        if self.strategy.cuts_start_transition or self._state is not PlayState.TRANSITION_IN:
            return True
        assert self._blend is not None  # it began with the state
        return now >= self._blend.start + self._blend.duration

    # -- poses -----------------------------------------------------------------------------------------------

    def _move(self, happened: PlayInput) -> None:
        self._state = next_state(self._state, happened)

    def _start_blend(self, target: Callable[[float], MotionFrame], frames: int, now: float) -> None:
        begin = self._last if self._last is not None else self._idle_pose(now)
        self._blend = _Blend(begin, target, now, frames * FRAME_INTERVAL_S)

    def _idle_pose(self, now: float) -> MotionFrame:
        return self._idle.pose(now - self._epoch)

    def _between_rounds(self, now: float) -> Pose:
        late = now - self._grid > FRAME_INTERVAL_S / 2
        self._grid = (now if late else self._grid) + FRAME_INTERVAL_S
        if self._blend is None:
            frame = self._last = self._idle_pose(now)
            return Pose(now, PoseKind.IDLE, frame)
        begin, target, start, duration, mouth_duration = self._blend
        first_due = self._current.buffer.next_deadline() if self._current is not None else None
        in_time = self._state is PlayState.TRANSITION_IN and self.strategy.cuts_start_transition
        if in_time and first_due is not None:
            duration = min(duration, first_due - start)
        progress = (now - start) / duration if duration > 0 else 1.0
        self._last = blend(begin, target(now), ease(progress))
        if mouth_duration < duration:
            mouth = blend(begin, target(now), ease((now - start) / mouth_duration))
            self._last = with_mouth(self._last, mouth)
        if progress >= 1.0:
            self._move(PlayInput.BLEND_DONE)
            if self._state is PlayState.IDLE:
                self._blend = None
        return Pose(now, PoseKind.TRANSITION, self._last, self.current_round)


_CUTS: Final = frozenset(
    {
        RoundEndReason.STALLED,
        RoundEndReason.AVATAR_LEFT,
        RoundEndReason.CONNECTION_LOST,
        RoundEndReason.DISCONNECTED,
        RoundEndReason.FLUSHED,
    }
)
"""Ends that do not wait for what is queued."""
