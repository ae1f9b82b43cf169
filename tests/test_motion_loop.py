from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.motion.events import FrameArrived, RoundEndReason
from avatarkit_rtc.motion.packet import PacketKind, encode_idle
from avatarkit_rtc.motion_loop import MotionLoop
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.views import MotionArrival
from tests.support.livekit import until
from tests.support.playing import NotingView, end_packet, frame_packet
from tests.support.virtual_loop import VirtualLoop, on_virtual_time


class Bench:
    def __init__(self, **options: Any) -> None:
        self.view = NotingView()
        self.events: list[tuple[str, Any]] = []
        options.setdefault("disconnect_transition_frames", 2)
        self.loop = MotionLoop(AvatarPlayerOptions(**options), self.view, self.emit)

    def emit(self, name: str, payload: Any = None) -> None:
        self.events.append((name, payload))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    async def speak(self, frames: int) -> None:
        for seq in range(frames):
            self.loop.receive(frame_packet(seq, start=seq == 0))
            await asyncio.sleep(0.04)


@on_virtual_time
async def test_idle_poses_come_25_times_a_second_and_in_time() -> None:
    bench = Bench()
    bench.loop.start()
    bench.loop.start()
    await asyncio.sleep(0.6)
    bench.loop.stop()
    times = np.array([pose.t for pose in bench.view.poses])
    assert 14 <= len(times) <= 16
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-9)
    assert {pose.kind for pose in bench.view.poses} == {PoseKind.IDLE}
    assert bench.loop.worst_lateness_s == pytest.approx(0.0, abs=1e-9)


@on_virtual_time
async def test_lateness_is_that_of_the_event_loop_also_after_a_break() -> None:
    bench = Bench()
    bench.loop.start()
    await asyncio.sleep(0.1)
    bench.loop.stop()
    await asyncio.sleep(1.0)
    bench.loop.start()
    await asyncio.sleep(0.1)
    assert bench.loop.worst_lateness_s == pytest.approx(0.0, abs=1e-9)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.hang(0.8)
    await asyncio.sleep(0.05)
    bench.loop.stop()
    assert 0.7 < bench.loop.worst_lateness_s <= 0.8


@on_virtual_time
async def test_every_frame_of_a_round_is_shown_in_order() -> None:
    bench = Bench()
    bench.loop.start()
    await bench.speak(8)
    bench.loop.receive(end_packet(7))
    await until(lambda: "round-ended" in bench.names, "the end of the round")
    bench.loop.stop()
    assert [pose.position for pose in bench.view.spoken] == [float(seq) for seq in range(8)]
    assert bench.names == ["round-started", "round-ended"]
    assert bench.events[-1][1].reason is RoundEndReason.TRANSITION_END


@on_virtual_time
async def test_stop_when_idle_shows_the_way_back_to_idle_and_ends() -> None:
    bench = Bench()
    bench.loop.start()
    await bench.speak(5)
    bench.loop.cut(RoundEndReason.DISCONNECTED)
    bench.loop.stop_when_idle()
    await until(lambda: not bench.loop.running, "the end")
    kinds = [pose.kind for pose in bench.view.poses]
    assert kinds[-1] is PoseKind.TRANSITION
    shown = len(kinds)
    bench.loop.cut(RoundEndReason.DISCONNECTED)
    await asyncio.sleep(0.15)
    assert len(bench.view.poses) == shown
    assert not bench.loop.running


@on_virtual_time
async def test_a_start_before_the_end_goes_on() -> None:
    bench = Bench()
    bench.loop.start()
    await asyncio.sleep(0.1)
    bench.loop.stop_when_idle()
    bench.loop.start()
    await asyncio.sleep(0.2)
    assert bench.loop.running
    bench.loop.stop()


@on_virtual_time
async def test_nothing_is_shown_after_stop_whatever_comes() -> None:
    bench = Bench()
    bench.loop.start()
    await asyncio.sleep(0.05)
    bench.loop.stop()
    shown = len(bench.view.poses)
    bench.loop.receive(frame_packet(0, start=True))
    bench.loop.connected(expect_motion=True)
    await asyncio.sleep(0.15)
    assert len(bench.view.poses) == shown


@on_virtual_time
async def test_before_the_start_packets_and_cuts_are_ignored() -> None:
    bench = Bench()
    assert not bench.loop.receive(frame_packet(0, start=True))
    bench.loop.cut(RoundEndReason.FLUSHED)
    assert bench.events == []


@on_virtual_time
async def test_silence_in_a_round_is_a_stall_once() -> None:
    bench = Bench(stall_timeout_s=0.3)
    bench.loop.start()
    bench.loop.connected()
    await bench.speak(5)
    await asyncio.sleep(1.0)
    bench.loop.stop()
    assert bench.names == ["round-started", "round-ended", "stalled"]
    assert bench.events[1][1].reason is RoundEndReason.STALLED
    stalled = bench.events[2][1]
    assert stalled.round == 1
    assert stalled.silence_s == pytest.approx(0.3, abs=1e-6)
    assert bench.view.idles


@on_virtual_time
async def test_silence_between_rounds_is_a_stall_only_when_watched() -> None:
    for watch_idle, expected in ((False, []), (True, ["stalled"])):
        bench = Bench(stall_timeout_s=0.2, watch_idle=watch_idle)
        bench.loop.start()
        bench.loop.connected()
        bench.loop.receive(encode_idle())
        await asyncio.sleep(0.6)
        bench.loop.stop()
        assert bench.names == expected


@on_virtual_time
async def test_a_handler_may_cut_from_within_an_event() -> None:
    bench = Bench()
    loop = bench.loop

    def emit(name: str, payload: Any = None) -> None:
        bench.emit(name, payload)
        if name == "round-started":
            loop.cut(RoundEndReason.FLUSHED)

    loop._emit = emit
    loop.start()
    await bench.speak(5)
    assert bench.names == ["round-started", "round-ended"]
    assert loop.running
    loop.stop()


@on_virtual_time
async def test_refused_packets_are_counted_and_logged_at_a_limited_rate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.loop.start()
    with caplog.at_level(logging.WARNING, "avatarkit_rtc"):
        assert not any(bench.loop.receive(b"rubbish %d" % n) for n in range(500))
    bench.loop.stop()
    assert sum(bench.loop.stream.counters.malformed.values()) == 500
    assert len([r for r in caplog.records if "refused" in r.message]) == 1
    assert bench.loop.receive(encode_idle())


@on_virtual_time
async def test_a_view_that_wants_to_hears_of_every_packet_as_it_comes() -> None:
    class Listening(NotingView):
        def __init__(self) -> None:
            super().__init__()
            self.arrivals: list[MotionArrival] = []

        def motion_arrived(self, arrival: MotionArrival) -> None:
            self.arrivals.append(arrival)

    view = Listening()
    loop = MotionLoop(AvatarPlayerOptions(), view, lambda *_: None)
    loop.start()
    since = asyncio.get_running_loop().time()
    for packet in (encode_idle(), frame_packet(0, start=True), frame_packet(0), b"rubbish"):
        loop.receive(packet)
    loop.stop()
    assert [arrival.kind for arrival in view.arrivals] == [
        PacketKind.IDLE,
        PacketKind.FRAME,
        PacketKind.FRAME,
    ]
    idle, first, again = (arrival.events for arrival in view.arrivals)
    assert (idle, again) == ((), ())
    assert isinstance(first[-1], FrameArrived)
    assert since <= view.arrivals[0].t <= view.arrivals[2].t <= asyncio.get_running_loop().time()


def test_a_view_that_is_drawn_between_frames_is_known_to_be_a_frame_late() -> None:
    def emit(*_: object) -> None:
        pass

    assert MotionLoop(AvatarPlayerOptions(), None, emit).playout.strategy.sync.render_s == 0.0
    at_60 = MotionLoop(AvatarPlayerOptions(render_rate_hz=60.0), None, emit)
    assert at_60.playout.strategy.sync.render_s == 0.04
