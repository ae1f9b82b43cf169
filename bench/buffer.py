"""What playing costs per frame and in memory, and how punctual the poses are.

Push, target update and pop of every strategy are compared in one run, in turn, with aiortc's ``JitterBuffer``
(add and remove; it has no target) and with a plain ``dict``. Then a day-long stream's memory; then how late
the asyncio shell shows a pose, with and without another Python thread that never rests.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import sys
import threading
import tracemalloc
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter_ns
from typing import Any, Final, NamedTuple, get_args

from aiortc.jitterbuffer import JitterBuffer as AiortcJitterBuffer
from aiortc.rtp import RtpPacket

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.motion.packet import encode_frame, encode_message
from avatarkit_rtc.motion_loop import MotionLoop
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.playout.buffer import FrameBuffer
from avatarkit_rtc.playout.strategy import StrategyName, make_strategy
from avatarkit_rtc.providers.loopback import LoopbackProvider
from avatarkit_rtc.testing import perform
from bench.report import Figure, Report, arguments, machine, publish

COST_GOAL: Final = 4.0
"""Ours against aiortc's, per frame."""

MEMORY_GOAL_KIB: Final = 2048.0
DAY_FRAMES: Final = round(24 * 3600 / FRAME_INTERVAL_S)
MEMORY_SAMPLES: Final = 80

AIORTC, DICT = "aiortc JitterBuffer", "dict"


class Link(NamedTuple):
    """A network."""

    name: str
    jitter_s: float
    """Each packet is late by up to so much."""
    loss: float


CLEAN: Final = Link("clean", 0.001, 0.0)
BUSY: Final = Link("30 ms of jitter, 2 % lost", 0.030, 0.02)


class Arrival(NamedTuple):
    """A frame and when it comes, in seconds."""

    at: float
    seq: int


def arrivals(link: Link, frames: int) -> Iterator[Arrival]:
    """One stream, in the order of arrival."""
    rng = random.Random(1)
    for seq in range(frames):
        late = rng.uniform(0, link.jitter_s)
        if seq == 0 or rng.random() >= link.loss:
            yield Arrival(seq * FRAME_INTERVAL_S + late, seq)


# -- processor time ------------------------------------------------------------------------------------------


def play(buffer: FrameBuffer, stream: Sequence[Arrival], frame: MotionFrame) -> int:
    """Push each frame, pop at each deadline; returns the poses that came out."""
    shown = 0
    for at, seq in stream:
        while (due := buffer.next_deadline()) is not None and due < at:
            shown += buffer.pop(due) is not None
        buffer.push(seq, frame, at)
    return shown


def play_aiortc(packets: Sequence[RtpPacket]) -> int:
    """As aiortc does it for a sound track: each ``add`` removes what is complete and returns it."""
    buffer, shown = AiortcJitterBuffer(capacity=16, prefetch=4), 0
    for packet in packets:
        shown += buffer.add(packet)[1] is not None
    return shown


def play_dict(stream: Sequence[Arrival], frame: MotionFrame) -> int:
    """In, and two frames later out again."""
    held: dict[int, MotionFrame] = {}
    shown = 0
    for _, seq in stream:
        held[seq] = frame
        shown += held.pop(seq - 2, None) is not None
    return shown


def measure_cost(link: Link, *, frames: int, repeats: int) -> dict[str, float]:
    """Medians in µs per frame that arrived, by strategy and peer; they take turns."""
    stream, frame = list(arrivals(link, frames)), perform(1, 0.4).frames[0]
    packets = []
    for _, seq in stream:
        packet = RtpPacket(sequence_number=seq % 65536, timestamp=seq * 960)
        packet._data = b""  # set by aiortc's receiver once the payload is taken out of its wrapping
        packets.append(packet)

    def play_ours(name: StrategyName) -> int:
        return play(make_strategy(name).new_buffer(), stream, frame)

    subjects: dict[str, Callable[[], int]] = {
        name: partial(play_ours, name) for name in get_args(StrategyName)
    }
    subjects[AIORTC] = partial(play_aiortc, packets)
    subjects[DICT] = partial(play_dict, stream, frame)
    took: dict[str, list[float]] = {name: [] for name in subjects}
    order = list(subjects)
    for _ in range(repeats):
        order.append(order.pop(0))
        for name in order:
            start = perf_counter_ns()
            subjects[name]()
            took[name].append((perf_counter_ns() - start) / 1000 / len(stream))
    return {name: statistics.median(each) for name, each in took.items()}


# -- memory --------------------------------------------------------------------------------------------------


class Memory(NamedTuple):
    """What a strategy and its buffer hold, in bytes, as tracemalloc counts them."""

    first_quarter: int
    """The most that was held at a time in the first quarter of the stream."""
    last_quarter: int
    peak: int
    """The most of the whole stream, the shortest-lived objects included."""


def measure_memory(frames: int, name: StrategyName = "adaptive", link: Link = BUSY) -> Memory:
    """Play one endless stream of ``frames`` frames."""
    frame = perform(1, 0.4).frames[0]
    stream = arrivals(link, frames)
    next(stream)
    held = array("q", [0] * MEMORY_SAMPLES)  # does not itself take more memory as it is filled
    every = max(1, frames // MEMORY_SAMPLES)
    gc.collect()
    tracemalloc.start()
    try:
        buffer = make_strategy(name, max_delay_s=0.4).new_buffer()
        for at, seq in stream:
            while (due := buffer.next_deadline()) is not None and due < at:
                buffer.pop(due)
            buffer.push(seq, frame, at)
            if seq % every == 0:
                gc.collect()  # and with it the interpreter's lists of freed tuples, which count as held
                held[min(seq // every, MEMORY_SAMPLES - 1)] = tracemalloc.get_traced_memory()[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    quarter = MEMORY_SAMPLES // 4
    return Memory(max(held[:quarter]), max(held[-quarter:]), peak)


# -- punctuality ---------------------------------------------------------------------------------------------


class _TimedLoop(MotionLoop):
    """Notes how long after its timer was due each pose was shown."""

    def __init__(self) -> None:
        super().__init__(AvatarPlayerOptions(), None, lambda *_: None)
        self.lateness_s: list[float] = []

    def _tick(self) -> None:
        assert self._loop is not None
        due, now, before = self._timer_at, self._loop.time(), self.poses_shown
        super()._tick()
        if self.poses_shown > before:
            self.lateness_s.append(max(0.0, now - due))


class _ToMotionLoop:
    """The provider's listener: packets to the loop, the rest to nobody."""

    def __init__(self, loop: MotionLoop) -> None:
        self.on_motion_packet = loop.receive

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@contextmanager
def busy_thread(count: int) -> Iterator[None]:
    """``count`` threads that compute without a pause."""
    done = threading.Event()

    def compute() -> None:
        number = 1
        while not done.is_set():
            for _ in range(1000):
                number = number * 48271 % 2147483647

    threads = [threading.Thread(target=compute, daemon=True) for _ in range(count)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        done.set()
        for each in threads:
            each.join()


async def _speak(seconds: float) -> list[float]:
    utterance = perform(1, seconds)
    messages = [encode_message(frame) for frame in utterance.frames]
    packets = [encode_frame(seq, each, start=seq == 0) for seq, each in enumerate(messages)]
    provider, timed = LoopbackProvider(), _TimedLoop()
    listener: Any = _ToMotionLoop(timed)
    provider.set_listener(listener)
    await provider.connect()
    timed.start()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number, packet in enumerate(packets):
        await asyncio.sleep(max(0.0, begin + number * FRAME_INTERVAL_S - loop.time()))
        await provider.avatar.send_packet(packet)
    timed.stop()
    await provider.disconnect()
    return timed.lateness_s


def measure_lateness(seconds: float, threads: int) -> list[float]:
    """Lateness in ms of each pose of one speech, rising."""
    with busy_thread(threads):
        return sorted(late * 1000 for late in asyncio.run(_speak(seconds)))


def percentile(rising: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``rising`` do not exceed."""
    return rising[min(len(rising) - 1, int(share * len(rising)))]


# -- all of it -----------------------------------------------------------------------------------------------


def measure(
    *, frames: int = 2000, repeats: int = 25, stream: int = DAY_FRAMES, seconds: float = 30.0
) -> Report:
    """Measure everything: cost with ``frames`` and ``repeats``, memory over ``stream`` frames, punctuality
    over twice ``seconds`` of speech."""
    figures = []
    for link in (CLEAN, BUSY):
        cost = measure_cost(link, frames=frames, repeats=repeats)
        figures += [Figure(f"{link.name}: {name}", each, "µs a frame") for name, each in cost.items()]
        # Made-up poses cost what arithmetic on 120 values does, which the peers have nothing of.
        goal = COST_GOAL if link is CLEAN else None
        figures.append(Figure(f"{link.name}: adaptive / aiortc", cost["adaptive"] / cost[AIORTC], "", goal))
    memory = measure_memory(stream)
    figures += [
        Figure("memory, first quarter", memory.first_quarter / 1024, "KiB"),
        Figure("memory, last quarter", memory.last_quarter / 1024, "KiB"),
        Figure("memory, peak", memory.peak / 1024, "KiB", MEMORY_GOAL_KIB),
    ]
    for load, threads in (("idle", 0), ("one busy thread", 1)):
        late = measure_lateness(seconds, threads)
        figures += [
            Figure(f"lateness, {load}, median", percentile(late, 0.5), "ms"),
            Figure(f"lateness, {load}, 99 %", percentile(late, 0.99), "ms"),
            Figure(f"lateness, {load}, worst", late[-1], "ms"),
        ]
    settings = {"frames": frames, "repeats": repeats, "stream_frames": stream, "seconds": seconds}
    return Report("buffer", figures, settings, [f"memory over {stream} frames ({stream / 25 / 3600:.3g} h)"])


def main() -> int:
    """The command."""
    options = arguments(__doc__).parse_args()
    where = machine()
    short = {"repeats": 7, "stream": 40_000, "seconds": 5.0} if options.quick else {}
    return publish(measure(**short), where, options.json)


if __name__ == "__main__":
    sys.exit(main())
