from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.packet import decode_packet
from avatarkit_rtc.testing.performer import Utterance, perform
from avatarkit_rtc.testing.schedule import motion_schedule
from avatarkit_rtc.testing.stand_in import SentKind, StandInAvatar, StandInOptions
from tests.support.virtual_loop import NotingTransport, VirtualLoop

UTTERANCE = perform(1, 1.0)


@pytest.fixture
def loop() -> Any:
    loop = VirtualLoop()
    yield loop
    loop.close()


def play(loop: VirtualLoop, work: Coroutine[Any, Any, None]) -> None:
    loop.run_until_complete(work)


def click() -> Utterance:
    """A second of motion whose first sample is the only sound."""
    pcm = np.zeros(24000, np.int16)
    pcm[0] = 1000
    return Utterance(UTTERANCE.frames, pcm, 24000)


def test_every_packet_of_the_schedule_is_sent_when_it_is_due(loop: VirtualLoop) -> None:
    transport, options = NotingTransport(loop), StandInOptions(rounds=2, noise=True)
    avatar = StandInAvatar(transport, [UTTERANCE], options)
    play(loop, avatar.run())
    expected = list(motion_schedule([UTTERANCE], options))
    assert [(data, topic) for _, data, topic in transport.packets] == [(p.data, p.topic) for p in expected]
    assert [at for at, _, _ in transport.packets] == pytest.approx([p.offset for p in expected], abs=1e-3)
    assert avatar.sent.total() == len(expected)
    assert avatar.delayed_s == 0


@pytest.mark.parametrize("lead", [0.0, 0.06])
def test_sound_is_40_ms_behind_its_frame_whatever_the_transport_queues(
    loop: VirtualLoop, lead: float
) -> None:
    transport = NotingTransport(loop, lead)
    play(loop, StandInAvatar(transport, [click()], StandInOptions(rounds=1)).run())
    assert transport.heard_at() - transport.frame_times()[0] == pytest.approx(0.04, abs=1e-3)


def test_sound_is_one_stream_without_gaps(loop: VirtualLoop) -> None:
    transport = NotingTransport(loop, 0.06)
    play(loop, StandInAvatar(transport, [UTTERANCE], StandInOptions(rounds=2)).run())
    for (at, samples), (after, _) in itertools.pairwise(transport.sound):
        assert after - at == pytest.approx(len(samples) / 24000, abs=1e-6)
    duration = sum(len(samples) for _, samples in transport.sound) / 24000
    assert duration == pytest.approx(0.06 + 0.4 + 2 * 3.32, abs=0.03)


def test_the_hook_is_called_right_before_each_packet(loop: VirtualLoop) -> None:
    transport, seen = NotingTransport(loop), []

    def on_sent(number: int | None, seq: int | None, kind: SentKind, at: float) -> None:
        seen.append((number, seq, kind, at, len(transport.packets)))

    options = StandInOptions(rounds=1)
    play(loop, StandInAvatar(transport, [UTTERANCE], options, on_sent).run())
    expected = list(motion_schedule([UTTERANCE], options))
    assert [(number, seq, kind) for number, seq, kind, _, _ in seen] == [
        (packet.round, packet.seq, packet.kind) for packet in expected
    ]
    assert [count for *_, count in seen] == list(range(len(expected)))
    assert [at for _, _, _, at, _ in seen] == [at for at, _, _ in transport.packets]


def test_after_a_short_hiccup_it_catches_up(loop: VirtualLoop) -> None:
    transport = NotingTransport(loop)
    transport.on_packet = lambda number: loop.hang(0.1) if number == 25 else None
    avatar = StandInAvatar(transport, [UTTERANCE], StandInOptions(rounds=1))
    play(loop, avatar.run())
    times = [at for at, _, _ in transport.packets]
    assert avatar.delayed_s == 0
    assert times[30:] == pytest.approx([0.04 * tick for tick in range(30, len(times))], abs=1e-3)


@pytest.mark.parametrize("lead", [0.0, 0.06])
def test_after_a_long_hiccup_it_goes_on_later_and_never_in_a_burst(loop: VirtualLoop, lead: float) -> None:
    transport = NotingTransport(loop, lead)
    transport.on_packet = lambda number: loop.hang(1.0) if number == 5 else None
    avatar = StandInAvatar(transport, [click()], StandInOptions(rounds=1))
    play(loop, avatar.run())
    times = [at for at, _, _ in transport.packets]
    # Sound that is queued may move the session a second time, by less than its queue.
    assert 0.9 < avatar.delayed_s < 1.1
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert sum(gap < 0.03 for gap in gaps) <= 3
    assert transport.heard_at() - transport.frame_times()[0] == pytest.approx(0.04, abs=0.011)


def test_hiccups_never_add_up_to_a_queue_of_sound(loop: VirtualLoop) -> None:
    transport = NotingTransport(loop, 0.06)
    queued: list[float] = []

    def hiccup(number: int) -> None:
        queued.append(transport.audio_queued_s)
        if number % 10 == 0:
            loop.hang(0.03 + 0.01 * (number % 7))

    transport.on_packet = hiccup
    play(loop, StandInAvatar(transport, [click()], StandInOptions(rounds=2)).run())
    assert max(queued) < 0.09


def test_stop_ends_it_at_once_and_it_can_run_again(loop: VirtualLoop) -> None:
    transport = NotingTransport(loop)
    avatar = StandInAvatar(transport, [UTTERANCE])

    async def scenario() -> None:
        for _ in range(2):
            run = asyncio.create_task(avatar.run())
            await asyncio.sleep(1.0)
            await avatar.stop()
            assert run.done()
            await run
        await avatar.stop()
        assert len(asyncio.all_tasks()) == 1
        count = len(transport.packets)
        await asyncio.sleep(1.0)
        assert len(transport.packets) == count

    play(loop, scenario())
    starts = [at for at, data, _ in transport.packets if decode_packet(data).start]
    assert starts == pytest.approx([0.72, 1.72], abs=0.01)


def test_cancelling_run_leaves_nothing_behind(loop: VirtualLoop) -> None:
    avatar = StandInAvatar(NotingTransport(loop), [UTTERANCE])

    async def scenario() -> None:
        run = asyncio.create_task(avatar.run())
        await asyncio.sleep(0.5)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert len(asyncio.all_tasks()) == 1

    play(loop, scenario())


def test_a_second_run_at_the_same_time_is_refused(loop: VirtualLoop) -> None:
    avatar = StandInAvatar(NotingTransport(loop), [UTTERANCE])

    async def scenario() -> None:
        run = asyncio.create_task(avatar.run())
        await asyncio.sleep(0.1)
        with pytest.raises(RuntimeError, match="runs already"):
            await avatar.run()
        await avatar.stop()
        await run

    play(loop, scenario())


def test_an_error_of_the_transport_reaches_the_caller_of_run(loop: VirtualLoop) -> None:
    transport = NotingTransport(loop)

    def fail(number: int) -> None:
        if number == 3:
            raise OSError("no more")

    transport.on_packet = fail

    async def scenario() -> None:
        with pytest.raises(OSError, match="no more"):
            await StandInAvatar(transport, [UTTERANCE]).run()
        assert len(asyncio.all_tasks()) == 1

    play(loop, scenario())


def test_it_needs_something_to_say(loop: VirtualLoop) -> None:
    with pytest.raises(ConfigurationError):
        StandInAvatar(NotingTransport(loop), [])
