"""The avatar of the stand-in service speaks what comes while it comes; on a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest

from avatarkit_rtc.motion.packet import Packet, PacketKind, decode_packet
from avatarkit_rtc.testing.performer import Utterance
from avatarkit_rtc.testing.spatialreal_service.live_avatar import LiveAvatar
from avatarkit_rtc.testing.spatialreal_service.performance import ClipPerformance, Performance
from avatarkit_rtc.testing.spatialreal_service.turn import Turn
from tests.support.frames import faces
from tests.support.virtual_loop import NotingTransport, VirtualLoop

RATE = 24000
SIZE = 960


def click(frames: int = 25, at: int = 0) -> Utterance:
    """Motion whose sound is one sample, at the beginning of frame ``at``."""
    pcm = np.zeros(frames * SIZE, np.int16)
    pcm[at * SIZE] = 1000
    return Utterance(tuple(faces(frames)), pcm, RATE)


CLICK = click()


class Stage:
    """An avatar, what it sent, and what it told."""

    def __init__(self, loop: VirtualLoop, while_paused: Literal["nothing", "idle"] = "nothing") -> None:
        self.loop = loop
        self.told: list[tuple[str, str, float]] = []
        self.transport = NotingTransport(loop, lead=0.0)
        self.avatar = LiveAvatar(self.transport, RATE, self, inference_s=0.1, while_paused=while_paused)

    def on_started(self, turn: Turn) -> None:
        self.told.append(("started", turn.req_id, self.loop.time()))

    def on_progress(self, turn: Turn) -> None:
        self.told.append(("progress", turn.req_id, self.loop.time()))

    def on_frame(self, turn: Turn) -> None:
        pass

    def on_ended(self, turn: Turn) -> None:
        self.told.append(("ended", turn.req_id, self.loop.time()))

    def turn(self, name: str = "one", performance: Performance | None = None) -> Turn:
        if performance is None:
            performance = ClipPerformance(CLICK.frames, RATE)
        turn = Turn(name, performance, RATE, self.loop.time())
        self.avatar.add(turn)
        return turn

    def say(self, utterance: Utterance = CLICK, name: str = "one") -> Turn:
        turn = self.turn(name, ClipPerformance(utterance.frames, RATE))
        turn.hear(utterance.pcm.tobytes())
        turn.end()
        return turn

    def packets(self) -> list[tuple[float, Packet]]:
        return [(at, decode_packet(data)) for at, data, _ in self.transport.packets]

    def kinds(self) -> list[PacketKind]:
        """What was sent, each run of equals once."""
        kinds = [packet.kind for _, packet in self.packets()]
        return [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind is not before]

    def frames(self) -> list[Packet]:
        return [packet for _, packet in self.packets() if packet.kind is PacketKind.FRAME]

    def count(self, kind: PacketKind) -> int:
        return sum(packet.kind is kind for _, packet in self.packets())


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def play(
    loop: VirtualLoop, script: Callable[[Stage], Awaitable[Any]], after_s: float = 3.0, **options: Any
) -> Stage:
    """Run an avatar while ``script`` runs, and for a while after."""

    async def run() -> Stage:
        stage = Stage(loop, **options)
        running = asyncio.create_task(stage.avatar.run())
        await script(stage)
        await asyncio.sleep(after_s)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        return stage

    return loop.run_until_complete(run())


async def say_it(stage: Stage) -> None:
    stage.say()


def test_a_turn_is_played_as_a_service_plays_it(loop: VirtualLoop) -> None:
    stage = play(loop, say_it)
    idle, transition = PacketKind.IDLE, PacketKind.TRANSITION
    assert stage.kinds() == [idle, transition, PacketKind.FRAME, PacketKind.TRANSITION_END, idle]
    assert (stage.count(transition), stage.count(PacketKind.TRANSITION_END)) == (8, 20)
    frames = stage.frames()
    assert [packet.seq for packet in frames] == list(range(25))
    assert [packet.start for packet in frames] == [True] + [False] * 24
    for packet, frame in zip(frames, CLICK.frames, strict=True):
        assert packet.message is not None
        assert packet.message.frame.values.tobytes() == frame.values.tobytes()
        assert packet.message.req_id == "one"
    assert [sum(copy is not None for copy in packet.copies) for packet in frames] == [0, 1] + [2] * 23
    times = [at for at, _ in stage.packets()]
    assert np.diff(times) == pytest.approx(0.04, abs=1e-6)
    assert times[stage.kinds().index(transition)] <= 0.1


def test_sound_is_40_ms_behind_its_frame(loop: VirtualLoop) -> None:
    stage = play(loop, say_it)
    assert stage.transport.heard_at() - stage.transport.frame_times()[0] == pytest.approx(0.04, abs=1e-3)


def test_sound_has_no_gap_and_nothing_is_lost_of_it(loop: VirtualLoop) -> None:
    noise = np.random.default_rng(1).integers(1, 999, 25 * SIZE + 100).astype(np.int16)

    async def speak(stage: Stage) -> None:
        stage.say(Utterance(CLICK.frames, noise, RATE))

    stage = play(loop, speak)
    samples = np.concatenate([block for _, block in stage.transport.sound])
    heard = np.flatnonzero(samples)
    assert samples[heard[0] : heard[-1] + 1].tobytes() == noise.tobytes()
    starts = [at for at, _ in stage.transport.sound]
    assert np.diff(starts) == pytest.approx(0.02, abs=1e-6)


def test_it_tells_of_start_progress_and_of_the_end_when_the_last_sound_was_sent(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        stage.say(click(60, at=59))

    stage = play(loop, speak, 4.0)
    assert [what for what, _, _ in stage.told] == ["started", "progress", "progress", "ended"]
    assert 0 <= stage.told[-1][2] - stage.transport.heard_at() <= 0.081
    assert stage.told[-1][2] - stage.told[0][2] == pytest.approx(60 * 0.04 + 0.04, abs=1e-3)


def test_sound_that_comes_in_time_is_played_without_a_break(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.turn()
        for piece in np.array_split(CLICK.pcm, 50):
            turn.hear(piece.tobytes())
            await asyncio.sleep(0.02)
        turn.end()

    stage = play(loop, speak)
    assert stage.avatar.starved_ticks == 0
    assert np.diff(stage.transport.frame_times()) == pytest.approx(0.04, abs=1e-6)
    assert len(stage.frames()) == 25


def test_sound_that_comes_late_is_waited_for(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.turn()
        turn.hear(CLICK.pcm[: 10 * SIZE].tobytes())
        await asyncio.sleep(1.5)
        turn.hear(CLICK.pcm[10 * SIZE :].tobytes())
        turn.end()

    stage = play(loop, speak)
    assert stage.avatar.starved_ticks > 10
    assert [packet.seq for packet in stage.frames()] == list(range(25))
    gaps = np.diff(stage.transport.frame_times())
    assert np.sum(gaps > 0.041) == 1
    # Its sound waits with it.
    assert [what for what, _, _ in stage.told].count("ended") == 1


@pytest.mark.parametrize("while_paused", ["nothing", "idle"])
def test_a_paused_turn_goes_on_where_it_was(loop: VirtualLoop, while_paused: Any) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.say(click(25, at=20))
        await asyncio.sleep(0.8)
        turn.paused = True
        before = turn.played
        await asyncio.sleep(2.0)
        assert 0 < turn.played == before < 20
        turn.paused = False

    stage = play(loop, speak, while_paused=while_paused)
    assert [packet.seq for packet in stage.frames()] == list(range(25))
    gap = int(np.argmax(np.diff(stage.transport.frame_times())))
    held = [packet.kind for _, packet in stage.packets()]
    first = held.index(PacketKind.FRAME) + gap + 1
    between = held[first : held.index(PacketKind.FRAME, first)]
    assert set(between) == ({PacketKind.IDLE} if while_paused == "idle" else set())
    assert len(between) == (50 if while_paused == "idle" else 0)
    # Held sound is held with its frame.
    assert stage.transport.heard_at() - stage.transport.frame_times()[20] == pytest.approx(0.04, abs=1e-3)


def test_a_turn_paused_before_it_began_does_not_begin(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.say()
        turn.paused = True
        await asyncio.sleep(1.0)
        assert stage.kinds() == [PacketKind.IDLE]
        turn.paused = False

    assert len(play(loop, speak).frames()) == 25


def test_an_interrupted_turn_is_silent_and_still_at_once(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.say(Utterance(CLICK.frames, np.full(25 * SIZE, 500, np.int16), RATE))
        await asyncio.sleep(1.0)
        assert stage.avatar.busy
        stage.avatar.interrupt(turn, "explicit")
        assert (turn.interrupted, turn.over) == ("explicit", True)
        assert not stage.avatar.busy

    stage = play(loop, speak)
    frames = stage.frames()
    assert 5 < len(frames) < 20
    at = stage.transport.frame_times()[-1]
    assert all(not samples.any() for played, samples in stage.transport.sound if played > at + 0.04)
    ends = [packet for _, packet in stage.packets() if packet.kind is PacketKind.TRANSITION_END]
    assert len(ends) == 20
    assert frames[-1].message is not None
    assert ends[0].message is not None
    assert ends[0].message.frame.values.tobytes() == frames[-1].message.frame.values.tobytes()
    assert [what for what, _, _ in stage.told] == ["started"]


@pytest.mark.parametrize("seconds", [0.01 * number for number in range(0, 180, 7)])
def test_sound_stays_in_step_whenever_it_was_interrupted(loop: VirtualLoop, seconds: float) -> None:
    async def speak(stage: Stage) -> None:
        first = stage.say(name="first")
        await asyncio.sleep(seconds)
        if not first.over:
            stage.avatar.interrupt(first, "explicit")
        await asyncio.sleep(0.3)
        stage.transport.sound.clear()
        stage.transport.packets.clear()
        stage.say(name="second")

    stage = play(loop, speak)
    assert stage.transport.heard_at() - stage.transport.frame_times()[0] == pytest.approx(0.04, abs=1e-3)
    assert len(stage.frames()) == 25


def test_turns_are_played_one_after_the_other(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        stage.say(name="one")
        stage.turn("empty", ClipPerformance([], RATE)).end()
        dropped = stage.say(name="dropped")
        stage.say(name="two")
        assert [turn.req_id for turn in stage.avatar.turns()] == ["one", "empty", "dropped", "two"]
        await asyncio.sleep(0.5)
        stage.avatar.interrupt(dropped, "explicit")

    stage = play(loop, speak, 4.0)
    assert [packet.seq for packet in stage.frames()] == [*range(25), *range(25)]
    assert [packet.message.req_id for packet in stage.frames() if packet.message] == ["one"] * 25 + [
        "two"
    ] * 25
    said = [(what, name) for what, name, _ in stage.told]
    assert said.count(("ended", "one")) == said.count(("ended", "two")) == 1
    assert ("started", "dropped") not in said
    assert not any(turn for turn in stage.avatar.turns())


def test_an_empty_turn_ends_without_motion(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        stage.turn("empty", ClipPerformance([], RATE)).end()

    stage = play(loop, speak)
    assert [what for what, _, _ in stage.told] == ["ended"]
    assert stage.kinds() == [PacketKind.IDLE]


def test_sound_longer_than_its_motion_is_played_to_its_end(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        pcm = np.zeros(50 * SIZE, np.int16)
        pcm[45 * SIZE] = 1000
        stage.say(Utterance(CLICK.frames, pcm, RATE))

    stage = play(loop, speak, 4.0)
    assert stage.transport.heard_at() - stage.transport.frame_times()[0] == pytest.approx(
        45 * 0.04 + 0.04, abs=1e-3
    )
    assert stage.told[-1][0] == "ended"
    assert stage.told[-1][2] - stage.told[0][2] == pytest.approx(51 * 0.04, abs=1e-3)


def test_an_interrupt_while_the_last_sound_is_on_its_way(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        turn = stage.say(Utterance(CLICK.frames, np.full(75 * SIZE, 500, np.int16), RATE))
        await asyncio.sleep(2.0)
        assert turn.played == 25
        assert stage.avatar.busy
        stage.avatar.interrupt(turn, "explicit")
        stage.transport.sound.clear()

    stage = play(loop, speak)
    assert not any(samples.any() for _, samples in stage.transport.sound)
    assert [what for what, _, _ in stage.told] == ["started"]


def test_after_the_machine_hung_motion_and_sound_go_on_together(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        stage.say(click(25, at=20))
        await asyncio.sleep(0.7)
        loop.hang(1.0)

    stage = play(loop, speak)
    times = stage.transport.frame_times()
    assert len(times) == 25
    assert np.sum(np.diff(times) < 0.02) <= 1
    assert stage.transport.heard_at() - times[20] == pytest.approx(0.04, abs=1e-3)


def test_a_network_that_takes_no_packets_does_not_hold_up_the_sound(loop: VirtualLoop) -> None:
    async def speak(stage: Stage) -> None:
        async def never(data: bytes, *, topic: str | None = None) -> None:
            await asyncio.Event().wait()

        stage.transport.send_packet = never  # type: ignore[method-assign]
        stage.say()

    stage = play(loop, speak)
    assert stage.avatar.dropped_packets > 10
    assert np.diff([at for at, _ in stage.transport.sound]) == pytest.approx(0.02, abs=1e-6)
