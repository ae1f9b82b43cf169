"""One time for poses and sound: when each would be seen or heard if the sound were played as it is received.

*Presentation time* is in seconds from the player's first ``connect()``, and goes on through reconnects:

* Sound: samples over the rate. A block lies right behind the one before; only where sound is missing (no
  track yet, another track after a reconnect, blocks that were dropped) is there a gap, as long as what is
  missing. The jitter with which blocks are handed out is not in it.
* A pose of a round: the presentation time of the very sample that belongs to it. The service paces both:
  frame N leaves N x 40 ms after frame 0, and its sound ``audio_delay_s`` later; the sound is handed out here
  ``path delay`` after that, for a packet that takes as long as they do on average. So frame 0's presentation
  time follows from the round's motion packets, on average, and these two delays, and frame N's is N x 40 ms
  later, whenever it is shown.
* Other poses: the moment they are shown at, with the same delay as the round before or after them has.

A round's beginning is estimated anew with each packet and each word of the sound's delay; what was given out
already is not taken back, so changes go in slowly (:data:`SLEW`). Pure: moments are arguments, in monotonic
seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from avatarkit_rtc.motion.clock import forward
from avatarkit_rtc.motion.events import FrameArrived, RoundClosed, StreamEvent
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.playout.delay import AverageArrival
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.playout.sample_clock import SampleClock

TYPICAL_PATH_DELAY_S: Final = 0.050
"""From a sample's sending to its handing out, on a quiet network: taken until there is sound that tells."""

SLEW: Final = 0.2
"""A round's beginning moves by at most so many seconds per second: media time goes 20 % faster or slower."""

SLEW_AT_START: Final = 0.5
"""The same in the first :data:`START_S` of a round, when little is known of the packets' average."""

START_S: Final = 0.5
SMOOTHING_S: Final = 0.3
"""A difference is made up for within about so long, if the slew allows it."""

JUMP_S: Final = 3.0
"""A frame that comes so much earlier than it can belongs to another numbering."""

LOST_START_FRAMES: Final = 25
"""A round whose first frame has a higher number than this begins with that, else with 0."""

_ROUNDS_KEPT: Final = 8


class SoundPlace(NamedTuple):
    """Where a block of sound belongs; times of its first sample, in seconds."""

    presentation_time: float
    round: int | None
    """Round whose motion it belongs to; None between rounds."""
    media_time: float | None
    """Time since frame 0 of that round, which has number N at N x 0.04; None between rounds."""


@dataclass(slots=True)
class _Round:
    number: int
    first: int
    last: int
    base: AverageArrival = field(default_factory=AverageArrival)
    """Arrival of frame 0, had it taken as long as the others on average."""
    over: bool = False
    start: float | None = None
    """Presentation time of frame 0, as it was given out last."""
    given: float = 0.0
    given_first: float = 0.0


class PresentationClock:
    """Presentation times of one player's poses and sound."""

    def __init__(self, *, audio_delay_s: float = 0.040) -> None:
        """``audio_delay_s``: how much later than its frame the service sends a sample."""
        self._audio_delay = audio_delay_s
        self._path_delay = TYPICAL_PATH_DELAY_S
        self._samples: SampleClock | None = None
        self._rounds: deque[_Round] = deque(maxlen=_ROUNDS_KEPT)
        self._last_pose = 0.0
        self._now = -math.inf

    @property
    def voice_delay_s(self) -> float:
        """From a frame's sending to the handing out of its sound, beyond what a motion packet takes."""
        return self._path_delay + self._audio_delay

    @property
    def sound_path_delay_s(self) -> float:
        """From a sample's sending to its handing out, beyond what the network takes on average."""
        return self._path_delay

    def offset_s(self, now: float) -> float:
        """Monotonic time minus presentation time, for sound that is handed out at ``now``."""
        return self._offset(self._advance(now))

    def begin(self, now: float) -> None:
        """Session time begins, the first time this is called."""
        if self._samples is None:
            self._samples = SampleClock(now)

    def handle(self, events: Iterable[StreamEvent], now: float) -> None:
        """Take what the stream reported at ``now``."""
        now = self._advance(now)
        for event in events:
            if isinstance(event, FrameArrived):
                self._arrived(event, now)
            elif isinstance(event, RoundClosed):
                closed = self._find(event.round)
                if closed is not None:
                    closed.over = True

    def path_delay(self, delay_s: float) -> None:
        """From a sample's sending to its handing out it was ``delay_s`` of late, beyond what a motion packet
        takes on average."""
        self._path_delay = delay_s

    def sound_interrupted(self) -> None:
        """What sound comes next is another track. The delay of the one before stands until it
        tells its own."""
        if self._samples is not None:
            self._samples.interrupted()

    def pose(self, pose: Pose, target_delay_s: float) -> float:
        """Presentation time of ``pose``, never less than that of the one before.

        Args:
            pose: as it is about to be shown.
            target_delay_s: delay behind the fastest packet at which poses are shown, as it is aimed at.
        """
        now = self._advance(pose.t)
        at = now - self._offset(now) + self.voice_delay_s - target_delay_s
        if pose.round is not None and pose.position is not None:
            its_round = self._find(pose.round)
            if its_round is not None:
                at = self._start_of(its_round, now) + pose.position * FRAME_INTERVAL_S
        self._last_pose = max(self._last_pose, at)
        return self._last_pose

    def sound(self, t: float, duration_s: float, lost_s: float = 0.0) -> SoundPlace:
        """Where a block belongs that was handed out at ``t``, with ``lost_s`` of sound dropped before it."""
        now = self._advance(t)
        self._offset(now)
        assert self._samples is not None
        at = self._samples.place(now, duration_s, lost_s)
        for each in reversed(self._rounds):
            begin = each.start if each.start is not None else self._estimate(each)
            first = 0 if each.first <= LOST_START_FRAMES else each.first
            if at - begin >= first * FRAME_INTERVAL_S:
                media_time = at - self._start_of(each, now)
                if each.over and media_time >= (each.last + 1) * FRAME_INTERVAL_S:
                    break
                return SoundPlace(at, each.number, max(media_time, 0.0))
        return SoundPlace(at, None, None)

    # -- inside ----------------------------------------------------------------------------------------------

    def _arrived(self, event: FrameArrived, now: float) -> None:
        arrival = now - event.seq * FRAME_INTERVAL_S
        found = self._find(event.round)
        if found is None:
            found = _Round(event.round, event.seq, event.seq)
            self._rounds.append(found)
        else:
            base = found.base.value
            if event.rebased or (base is not None and arrival < base - JUMP_S):
                found.base = AverageArrival()
                found.first = found.last = event.seq
                found.start = None
            found.last = max(found.last, event.seq)
        if not event.recovered or found.base.value is None:
            found.base.update(arrival)

    def _find(self, number: int) -> _Round | None:
        return next((each for each in reversed(self._rounds) if each.number == number), None)

    def _offset(self, now: float) -> float:
        self.begin(now)
        assert self._samples is not None
        return self._samples.offset_s

    def _estimate(self, each: _Round) -> float:
        """Presentation time of frame 0, by what is known now."""
        assert each.base.value is not None  # a round is made with its first frame
        assert self._samples is not None
        return each.base.value + self.voice_delay_s - self._samples.offset_s

    def _start_of(self, each: _Round, now: float) -> float:
        """Presentation time of frame 0, as it is given out now."""
        estimate = self._estimate(each)
        if each.start is None:
            each.start = estimate
            each.given = each.given_first = now
            return estimate
        passed, each.given = now - each.given, now
        early = now - each.given_first < START_S
        most = passed * (SLEW_AT_START if early else SLEW)
        share = min(1.0, passed / SMOOTHING_S)
        each.start += min(max(share * (estimate - each.start), -most), most)
        return each.start

    def _advance(self, now: float) -> float:
        last, self._now = self._now, forward(self._now, now)
        if self._now < last:  # the clock was set: what was reckoned with the old one is of no use
            self._rounds.clear()
            if self._samples is not None:
                self._samples.clock_set(self._now - last)
        return self._now
