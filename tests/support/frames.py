"""Makers of motion frames, packets and sessions, all deterministic; and a stage to play them on. Time is a
plain number everywhere."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from avatarkit_rtc.motion.events import FrameArrived, RoundEndReason, StreamEvent
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, FRAME_SIZE, MotionFrame
from avatarkit_rtc.motion.packet import (
    encode_frame,
    encode_idle,
    encode_message,
    encode_transition,
    encode_transition_end,
)
from avatarkit_rtc.motion.stream import MotionStream
from avatarkit_rtc.playout.buffer import BufferedPose, FrameBuffer
from avatarkit_rtc.playout.playout import Playout, RoundOver, RoundShown
from avatarkit_rtc.playout.pose import Pose


@functools.lru_cache(maxsize=4096)
def face(number: int, turn: int = 0) -> MotionFrame:
    """Frame ``number`` of an utterance ``turn``: all different, and as odd as float32 values come."""
    return MotionFrame(np.random.default_rng([number % (1 << 32), turn]).normal(size=FRAME_SIZE))


def ramp(number: float) -> MotionFrame:
    """All values equal to ``number``, rotations zero: what lies between two of these is plain to see."""
    values = np.full(FRAME_SIZE, number, np.float32)
    values[3:18] = 0.0
    return MotionFrame(values)


def faces(count: int, turn: int = 0) -> list[MotionFrame]:
    """A whole utterance."""
    return [face(number, turn) for number in range(count)]


@functools.lru_cache(maxsize=4096)
def message(frame: MotionFrame, req_id: str = "") -> bytes:
    """``frame`` serialised."""
    return encode_message(frame, req_id=req_id)


IDLE = encode_idle()


def transition(frame: MotionFrame) -> bytes:
    """A transition packet towards ``frame``."""
    return encode_transition(message(frame), compress=False)


def transition_end(frame: MotionFrame) -> bytes:
    """A transition-end packet; ``frame`` is the last of the round."""
    return encode_transition_end(message(frame), compress=False)


def frame_packet(
    seq: int,
    frame: MotionFrame,
    *earlier: MotionFrame | None,
    start: bool = False,
    end: bool = False,
    compress: bool = False,
) -> bytes:
    """A frame packet; ``earlier`` are the frames ``seq - 1`` and ``seq - 2`` it carries again."""
    copies = [message(each) if each is not None else None for each in earlier] or None
    return encode_frame(seq, message(frame), start=start, end=end, previous=copies, compress=compress)


def speech(
    frames: Sequence[MotionFrame],
    *,
    first_seq: int = 0,
    start: bool = True,
    end: bool = False,
    redundancy: bool = True,
) -> list[bytes]:
    """The frame packets of one utterance, as a service sends them."""
    packets = []
    for index, frame in enumerate(frames):
        earlier = [frames[index - back] if index >= back else None for back in (1, 2)] if redundancy else []
        packets.append(
            frame_packet(
                first_seq + index,
                frame,
                *earlier,
                start=start and index == 0,
                end=end and index == len(frames) - 1,
            )
        )
    return packets


def utterance(frames: Sequence[MotionFrame], *, lead: int = 8, ends: int = 20, idle: int = 10) -> list[bytes]:
    """One round from its first transition to the idle packets behind it."""
    return [
        *[transition(frames[0])] * lead,
        *speech(frames),
        *[transition_end(frames[-1])] * ends,
        *[IDLE] * idle,
    ]


class Listener:
    """A motion stream with a clock of its own; collects what it reports."""

    def __init__(self, start: float = 100.0) -> None:
        self.stream = MotionStream()
        self.now = start
        self.events: list[StreamEvent] = []

    def hear(self, packets: bytes | Iterable[bytes], every: float = FRAME_INTERVAL_S) -> list[StreamEvent]:
        """Feed packets ``every`` seconds; what they led to."""
        heard: list[StreamEvent] = []
        for data in [packets] if isinstance(packets, bytes) else packets:
            heard += self.stream.receive(data, self.now)
            self.now += every
        self.events += heard
        return heard

    def close(self, reason: RoundEndReason) -> list[StreamEvent]:
        """Close the round from outside."""
        closed = self.stream.close(reason, self.now)
        self.events += closed
        return closed

    def wait(self, seconds: float) -> None:
        """Nothing comes for a while."""
        self.now += seconds


Shown = tuple[float, BufferedPose]


def play(
    buffer: FrameBuffer, arrivals: Iterable[tuple[float, int, MotionFrame]], until: float
) -> list[Shown]:
    """Push arrivals into a buffer and pop at each of its deadlines; every pose with its moment."""
    shown: list[Shown] = []

    def pop_until(moment: float) -> None:
        while (due := buffer.next_deadline()) is not None and due <= moment:
            pose = buffer.pop(due)
            assert pose is not None, "nothing came at a deadline"
            shown.append((due, pose))

    for at, seq, frame in sorted(arrivals, key=lambda arrival: arrival[0]):
        pop_until(math.nextafter(at, -math.inf))
        buffer.push(seq, frame, at)
    pop_until(until)
    return shown


class Stage:
    """A playout, ticked at each of its deadlines as an event loop would, with a stream in front."""

    MAX_TICKS_AT_ONCE = 8

    def __init__(self, playout: Playout, start: float = 100.0) -> None:
        self.playout = playout
        self.stream = MotionStream()
        self.now = start
        self.poses: list[Pose] = []
        self.news: list[RoundShown | RoundOver] = []
        self._tick()

    def _tick(self) -> None:
        pose = self.playout.tick(self.now)
        if pose is not None:
            self.poses.append(pose)
        self.news += self.playout.take_news()

    def run(self, seconds: float) -> list[Pose]:
        """Let time go by; the poses of it."""
        before, until, at_once = len(self.poses), self.now + seconds, 0
        while (due := self.playout.next_deadline()) <= until:
            at_once = at_once + 1 if due <= self.now else 0
            assert at_once < self.MAX_TICKS_AT_ONCE, "the playout asks for ticks without end"
            self.now = max(self.now, due)
            self._tick()
        self.now = until
        return self.poses[before:]

    def handle(self, *events: StreamEvent) -> None:
        """The stream reports, now."""
        self.playout.handle(events, self.now)
        self.news += self.playout.take_news()

    def hear(self, packets: bytes | Iterable[bytes], every: float = FRAME_INTERVAL_S) -> list[Pose]:
        """Packets come ``every`` seconds; the poses meanwhile."""
        before = len(self.poses)
        for data in [packets] if isinstance(packets, bytes) else packets:
            self.handle(*self.stream.receive(data, self.now))
            self.run(every)
        return self.poses[before:]

    def cut(self, reason: RoundEndReason) -> None:
        """Close the round from outside, as the player does."""
        self.handle(*self.stream.close(reason, self.now))
        self.playout.cut(reason, self.now)
        self.news += self.playout.take_news()

    @property
    def ended(self) -> list[RoundOver]:
        """Rounds that are over."""
        return [each for each in self.news if isinstance(each, RoundOver)]


def arrived(number: int, seq: int, frame: MotionFrame, recovered: bool = False) -> FrameArrived:
    """A frame event."""
    return FrameArrived(number, seq, frame, recovered)
