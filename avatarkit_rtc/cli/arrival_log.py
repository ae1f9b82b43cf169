"""When each frame first arrived, as a network trace that ``python -m bench.playout --traces`` reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from avatarkit_rtc.cli.motion_log import LineWriter
from avatarkit_rtc.motion.events import FrameArrived
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S

if TYPE_CHECKING:
    from avatarkit_rtc.playout.pose import Pose
    from avatarkit_rtc.views import MotionArrival

COLUMNS: Final = "send_s,recv_s,round,seq,recovered,t"

SETTLE_S: Final = 10.0
"""The fastest frame within so many seconds of a round says how the round's clock lies."""

FASTEST_S: Final = 0.020
"""Nobody here knows the sender's clock: each round's fastest frame is taken to have needed so long."""

_FIRST_SEQ: Final = 250
"""A round whose first frame has a higher number was joined in its middle."""

_MAX_WAITING: Final = 1000


@dataclass(frozen=True, slots=True)
class Arrival:
    """The first arrival of a frame."""

    slot: int
    """Place on the media timeline, in frames of 40 ms."""
    round: int
    seq: int
    recovered: bool
    t: float
    """Monotonic seconds."""

    @property
    def lag_s(self) -> float:
        """Arrival against the media timeline: the network delay, but for a constant of the round."""
        return self.t - self.slot * FRAME_INTERVAL_S

    def row(self, fastest: float) -> str:
        """One line, given the smallest lag of its round."""
        sent = self.slot * FRAME_INTERVAL_S
        received = sent + self.lag_s - fastest + FASTEST_S
        return f"{sent:.3f},{received:.6f},{self.round},{self.seq},{int(self.recovered)},{self.t:.6f}"


class MediaTimeline:
    """Puts the rounds of a session one behind the other, without the pauses between them: frame 0 of a round
    is sent 40 ms after the newest frame of the round before."""

    def __init__(self) -> None:
        self._round: int | None = None
        self._origin = self._base = self._next = 0
        self._waiting: list[Arrival] = []
        self._fastest: float | None = None

    def add(self, frame: FrameArrived, t: float) -> list[str]:
        """A frame arrived at ``t``; returns the lines that are ready."""
        rows: list[str] = []
        if frame.round != self._round or frame.rebased:
            rows = self.flush()
            joined_late = frame.rebased or frame.seq > _FIRST_SEQ
            self._round, self._origin = frame.round, frame.seq if joined_late else 0
            self._base = self._next
        slot = self._base + frame.seq - self._origin
        if slot < self._base:
            return rows  # from before the player came: it has no place
        self._next = max(self._next, slot + 1)
        arrival = Arrival(slot, frame.round, frame.seq, frame.recovered, t)
        if self._fastest is not None:
            return [*rows, arrival.row(self._fastest)]
        self._waiting.append(arrival)
        if t - self._waiting[0].t >= SETTLE_S or len(self._waiting) >= _MAX_WAITING:
            rows += self._settle()
        return rows

    def flush(self) -> list[str]:
        """The lines that still wait; the round is over."""
        rows = self._settle()
        self._fastest = None
        return rows

    def _settle(self) -> list[str]:
        if not self._waiting:
            return []
        self._fastest = fastest = min(each.lag_s for each in self._waiting)
        rows = [each.row(fastest) for each in self._waiting]
        self._waiting.clear()
        return rows


class ArrivalLog:
    """A view that writes one line per frame: ``send_s,recv_s,round,seq,recovered,t``.

    ``send_s`` is the frame's place on the media timeline of the rounds without their pauses, ``recv_s`` its
    arrival, with the clock of each round set so that its fastest frame needed 20 ms; ``t`` is the arrival in
    monotonic seconds. A frame that never came has no line. Packets that carry no new frame are comments:
    ``# t kind``. A round's lines are written 10 s after its first frame, or at its end. Nothing is written
    before the player is connected.
    """

    def __init__(self, path: str) -> None:
        """
        Raises:
            ConfigurationError: the file cannot be written.
        """
        self.lines: Final = LineWriter(path, COLUMNS)
        self._timeline = MediaTimeline()

    def connection_state(self, state: str) -> None:
        """The first connection empties the file."""
        if state == "connected":
            self.lines.begin()

    def show(self, pose: Pose) -> None:
        """Poses are of no interest here."""

    def motion_arrived(self, arrival: MotionArrival) -> None:
        """Note the frames that a packet brought."""
        frames = [event for event in arrival.events if isinstance(event, FrameArrived)]
        for frame in frames:
            for row in self._timeline.add(frame, arrival.t):
                self.lines.put_text(row)
        if not frames:
            self.lines.put_text(f"# {arrival.t:.6f} {arrival.kind.value}")

    def close(self) -> None:
        """Write what waits and close the file. More than once is fine."""
        for row in self._timeline.flush():
            self.lines.put_text(row)
        self.lines.close()
