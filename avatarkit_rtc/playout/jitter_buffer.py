"""The jitter buffer of one round: frames in as they come, poses out as they are due.

Pure: ``now`` is an argument, and :meth:`JitterBuffer.next_deadline` says when to call
:meth:`JitterBuffer.pop` next. What is learnt about the network lives in the
:class:`~avatarkit_rtc.playout.delay.DelayEstimator`, which outlives the round.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple, TypeAlias

from avatarkit_rtc.motion.clock import SET_BACK_S, forward
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.motion.sequence import JUMP_AHEAD, REORDER_WINDOW
from avatarkit_rtc.playout.buffer import BufferedPose
from avatarkit_rtc.playout.delay import (
    BASE_WINDOW_S,
    AverageArrival,
    DelayEstimator,
    SlidingMinimum,
    SyncDelay,
)
from avatarkit_rtc.playout.interpolation import blend, ease_out, hermite
from avatarkit_rtc.playout.media_clock import GLIDE, HURRY_S, JUMP_S, JUMP_TO_S, glide_step, playback_rate
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.playout.stats import ShownMeter

CAPACITY: Final = 250
"""Frames held at most (10 s); the clock jumps long before, unless nobody pops."""

RESTART_S: Final = 0.5
"""When only frames from behind have come for so long, they may be a new numbering."""

RESTART_FRAMES: Final = 5
"""So many of them in order make one, if they come one by one; stragglers come all at once."""

ONE_BY_ONE_S: Final = 0.010

HERMITE_GAP: Final = 2
"""Up to so many missing frames in a row a cubic beats a straight line."""

LOST_FRAMES_OBSERVED: Final = 3
"""A lost frame can be shown once a later one is there: the estimator is told of so many of a gap."""

BEHIND_VOICE_S: Final = 0.080
"""A face further behind its voice than this skips."""

OnBacklog: TypeAlias = Literal["catch_up", "skip"]


class _Behind(NamedTuple):
    """The last frame from behind."""

    seq: int
    in_order: int  # so many so far
    at: float


class _Entry(NamedTuple):
    frame: MotionFrame
    recovered: bool
    position: int


class JitterBuffer:
    """Holds frames back by the target delay, plays them on a clock that warps instead of jumping, and shows
    something sensible for frames that are missing.

    Inside, frames lie on a gapless timeline (*slots*); a slot differs from the sequence number by a shift
    that changes only when the numbering jumps: as the caller says, by more than 250 ahead, or, with two
    frames in order, by more than 64 back (five for less, when nothing else has come for half a second). A
    stream makes a new round, and so a new buffer, of the last.
    """

    def __init__(
        self,
        estimator: DelayEstimator,
        *,
        max_delay_s: float = 0.080,
        on_backlog: OnBacklog = "catch_up",
        sync: SyncDelay | None = None,
    ) -> None:
        """
        Args:
            estimator: the session's estimator; this buffer reports arrivals to it.
            max_delay_s: cap of the target delay, in seconds.
            on_backlog: what to do when frames held up by the network come all at once: ``"catch_up"`` plays
                them faster, ``"skip"`` drops what is older than the cap allows.
            sync: the delay that the voice asks for, beyond the cap if need be.
        """
        self._estimator = estimator
        self._skips = on_backlog == "skip"
        self._jump_from, self._jump_to = (FRAME_INTERVAL_S, 0.0) if self._skips else (JUMP_S, JUMP_TO_S)
        self._max_delay = max_delay_s
        self._sync = sync or SyncDelay()
        self._meter = ShownMeter()
        self.counters = self._meter.counters
        """Live counters of this round."""
        self._slots: dict[int, _Entry] = {}
        self._arrived: dict[int, None] = {}  # the last arrivals: only the first one of a slot counts
        self._newest = 0
        self._shift = 0
        self._next: float | None = None  # a fraction on the way across a gap
        self._floor = 0
        self._numbered_from = -math.inf
        self._due = 0.0
        self._base = SlidingMinimum(BASE_WINDOW_S)
        self._average = AverageArrival()
        self._behind: _Behind | None = None
        self._accepted_at = float("-inf")
        self._last: BufferedPose | None = None
        self._last_slot = 0.0
        self._held = 0
        self._before: MotionFrame | None = None
        self._holding = False
        self._ended = False
        self._now = float("-inf")

    @property
    def target_delay_s(self) -> float:
        """Delay aimed at, in seconds: the jitter's, capped, or the voice's, whichever is longer."""
        jitter, voice = min(self._estimator.target_s, self._max_delay), self.voice_delay_s
        return jitter if voice is None or voice < jitter else voice

    @property
    def voice_delay_s(self) -> float | None:
        """Delay behind the fastest packet at which the voice is heard, in seconds; None if not known."""
        voice, average, base = self._sync.delay_s, self._average.value, self._base.value
        if voice is None or average is None or base is None:
            return None
        return voice + average - base

    @property
    def current_delay_s(self) -> float | None:
        """Delay of playing behind the fastest packet, in seconds; None before the first frame."""
        base = self._base.value
        if base is None or self._next is None:
            return None
        due = max(self._due, self._now) if self._holding else self._due
        return due - (base + self._next * FRAME_INTERVAL_S)

    @property
    def drained(self) -> bool:
        """True once the round has ended and all its frames were shown."""
        return self._ended and not self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def end(self) -> None:
        """No further frame is expected: the last one is not waited upon. A straggler may still be pushed."""
        self._ended = True

    def push(
        self, seq: int, frame: MotionFrame, now: float, *, recovered: bool = False, rebased: bool = False
    ) -> None:
        """A frame arrived.

        Args:
            seq: its number, unwrapped.
            frame: the frame.
            now: moment of arrival, monotonic seconds; a step back or NaN counts as no time passed.
            recovered: a redundant copy brought it.
            rebased: the numbering jumped; the frame follows the newest one, whatever its number.
        """
        now = self._advance_clock(now)
        if self._next is not None and (rebased or self._jumped(seq, now)):
            self._floor = self._numbered_from = self._newest + 1  # below is the numbering before the jump
            self._shift = seq - (self._newest + 1)
            self._base = SlidingMinimum(BASE_WINDOW_S)
            self._average = AverageArrival()
        slot = seq - self._shift
        if slot in self._arrived:
            self.counters.late += 1
            return
        self._arrived[slot] = None
        if len(self._arrived) > 2 * REORDER_WINDOW:
            del self._arrived[next(iter(self._arrived))]
        base = self._observe(slot, now)
        if not recovered:
            self._average.update(now - slot * FRAME_INTERVAL_S)
        overtaken = (
            self._next is not None and self._numbered_from <= slot < self._next and self._behind is None
        )
        if self._next is None or (self._last is None and overtaken):
            self._start(slot, now, base)
        elif self._last is None and self._sync.delay_s is not None:
            # Each frame that comes while the first one waits for its voice tells better when that is.
            self._due = max(now, base + self._next * FRAME_INTERVAL_S + self.target_delay_s)
        if slot < self._floor:
            self.counters.late += 1
            return
        self._slots[slot] = _Entry(frame, recovered, seq)
        self._accepted_at = now
        self._newest = max(self._newest, slot)
        if slot < self._next_slot:
            self._next = slot  # it may fall into a gap that is being glided over
        if self._holding:
            self._resume(now, base)
        if len(self._slots) > CAPACITY:
            self.counters.overflowed += self._jump(self._newest - CAPACITY // 2, now)

    def next_deadline(self) -> float | None:
        """When :meth:`pop` has something next; None before the first frame and after the last."""
        if self._next is None or self.drained:
            return None
        return self._due

    def pop(self, now: float) -> BufferedPose | None:
        """The pose that is due at ``now``, or None. One pose a call, however late the call comes."""
        now = self._advance_clock(now)
        if self._next is None or self.drained or now < self._due:
            return None
        base = self._known_base
        aim = max(self._max_delay, self.target_delay_s) if self._skips else self.target_delay_s
        behind = now - (base + self._next * FRAME_INTERVAL_S) - aim
        jump_from, jump_to = self._jump_from, self._jump_to
        if self._sync.delay_s is not None:
            jump_from, jump_to = BEHIND_VOICE_S, 0.0
        if behind > jump_from and self._slots:
            self._jump(math.ceil(self._next + (behind - jump_to) / FRAME_INTERVAL_S), now)
        entry = self._slots.pop(self._next, None)  # type: ignore[call-overload] # a fraction is in no slot
        if entry is not None:
            kind = PoseKind.RECOVERED if entry.recovered else PoseKind.RECEIVED
            return self._advance(BufferedPose(kind, entry.frame, float(entry.position)), now, base)
        if self._slots:
            return self._advance(self._conceal(), now, base)
        return self._hold(now)

    # -- time ------------------------------------------------------------------------------------------------

    @property
    def _next_slot(self) -> float:
        assert self._next is not None  # set by the first push
        return self._next

    @property
    def _known_base(self) -> float:
        base = self._base.value
        assert base is not None  # set by the first push
        return base

    def _advance_clock(self, now: float) -> float:
        if 0.0 <= now - self._now < SET_BACK_S:  # as nearly always
            self._now = now
            return now
        last, self._now = self._now, forward(self._now, now)
        if self._now < last and self._next is not None:
            # The clock was set: go on as if no time had passed, at the delay that is aimed at.
            self._accepted_at = self._now
            self._due = min(self._due + (self._now - last), self._now + FRAME_INTERVAL_S)
            self._base = SlidingMinimum(BASE_WINDOW_S)
            arrival = self._due - self._next * FRAME_INTERVAL_S - self.target_delay_s
            self._base.update(self._now, arrival)
            self._average = AverageArrival()
            self._average.update(arrival)
        return self._now

    def _jumped(self, seq: int, now: float) -> bool:
        """Whether the numbering has become another, so that ``seq`` just follows the newest frame."""
        slot = seq - self._shift
        far = slot - self._newest < -REORDER_WINDOW
        stuck = slot < self._next_slot and now - self._accepted_at > RESTART_S
        if not (far or stuck):
            self._behind = None
            return slot - self._newest > JUMP_AHEAD
        before, count = self._behind, 1
        if before is not None and 0 < seq - before.seq <= REORDER_WINDOW and now - before.at <= RESTART_S:
            count = before.in_order + (far or now - before.at >= ONE_BY_ONE_S)
        self._behind = _Behind(seq, count, now)
        return count >= (2 if far else RESTART_FRAMES)

    def _observe(self, slot: int, now: float) -> float:
        """Tell the estimator of an arrival; returns the arrival that slot 0 would have without jitter."""
        arrival = now - slot * FRAME_INTERVAL_S
        base = self._base.update(now, arrival)
        if self._next is not None:
            first_lost = max(self._newest + 1, slot - LOST_FRAMES_OBSERVED)
            for lost in range(first_lost, slot):
                self._estimator.observe(now - lost * FRAME_INTERVAL_S - base, now)
        self._estimator.observe(arrival - base, now)
        return base

    def _start(self, slot: int, now: float, base: float) -> None:
        self._next = self._floor = slot
        self._due = max(now, base + slot * FRAME_INTERVAL_S + self.target_delay_s)
        self._newest = max(self._newest, slot) if self._slots else slot

    def _advance(self, pose: BufferedPose, now: float, base: float) -> BufferedPose:
        slot = self._next_slot
        # On the grid while the caller keeps up with it, re-anchored when it does not: never a burst.
        due = self._due if now - self._due < FRAME_INTERVAL_S / 2 else now
        error = due - (base + slot * FRAME_INTERVAL_S) - self.target_delay_s
        self._due = due + FRAME_INTERVAL_S / playback_rate(error)
        step = slot - self._last_slot
        self._before = self._last.frame if self._last is not None and step == 1 else None
        self._last, self._last_slot = pose, slot
        self._next = self._following(base)
        self._floor = max(self._floor, math.floor(slot) + 1)
        self._held = 0
        self._meter.shown(pose.kind, now, step)
        return pose

    def _following(self, base: float) -> float:
        """The slot of the next pose: the next one, or a step on the way across a gap to the first frame
        beyond it, so that the way ends exactly there."""
        next_slot = math.floor(self._last_slot) + 1
        if not self._slots:
            return next_slot
        if next_slot in self._slots:
            return self._hurrying(base) or next_slot
        beyond = min(self._slots)
        span = beyond - self._last_slot
        error = self._due - (base + (self._last_slot + 1) * FRAME_INTERVAL_S) - self.target_delay_s
        steps = math.ceil(span / glide_step(error) - 1e-9)
        return beyond if steps <= 1 else self._last_slot + span / steps

    def _hurrying(self, base: float) -> float | None:
        """The slot of the next pose when there is so much to catch up that steps of a frame will not do."""
        following = self._last_slot + 0.995 * GLIDE  # the measures call a longer step a skip
        behind = self._due - (base + following * FRAME_INTERVAL_S) - self.target_delay_s
        return following if behind > HURRY_S and self._newest >= following else None

    def _hold(self, now: float) -> BufferedPose:
        """Nothing is there and the media clock stands still, until the next frame comes."""
        assert self._last is not None  # the first pose of a round is that of a frame
        self._holding = True
        self._due = now + FRAME_INTERVAL_S
        self._held += 1
        self._meter.shown(PoseKind.HELD, now)
        frame = ease_out(self._before, self._last.frame, self._held)
        return self._last._replace(kind=PoseKind.HELD, frame=frame)

    def _resume(self, now: float, base: float) -> None:
        """Data is there again: go on at once from where the clock stood."""
        self._holding = False
        self._due = now
        self._next = self._following(base)

    def _jump(self, slot: int, now: float) -> int:
        """Go on at the first frame from ``slot`` on, or at the newest; returns the frames passed over."""
        slot = min(slot, max(self._slots))
        passed = [each for each in self._slots if each < slot]
        for each in passed:
            del self._slots[each]
        self._next = min(self._slots)
        self._floor = max(self._floor, self._next)
        self._due = now
        self.counters.skipped += len(passed)
        return len(passed)

    # -- missing frames --------------------------------------------------------------------------------------

    def _conceal(self) -> BufferedPose:
        """The pose for the next slot, from the last one shown and the first one that is there beyond it."""
        assert self._last is not None  # the first pose of a round is that of a frame
        slot = self._next_slot
        a, a_slot, before = self._last.frame, self._last_slot, self._before
        for passed in sorted(each for each in self._slots if each < slot):
            a, a_slot, before = self._slots.pop(passed).frame, float(passed), None
            self.counters.hurried += 1
        beyond = min(self._slots)
        b = self._slots[beyond]
        span = beyond - a_slot
        weight = (slot - a_slot) / span
        if span - 1 > HERMITE_GAP:
            frame = blend(a, b.frame, weight)
        else:
            after = self._slots.get(beyond + 1)
            frame = hermite(
                a,
                b.frame,
                before=before,
                after=after.frame if after is not None else None,
                span=span,
                weight=weight,
            )
        return BufferedPose(PoseKind.INTERPOLATED, frame, b.position - (beyond - slot))
