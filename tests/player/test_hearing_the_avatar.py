"""``player.audio()``: the avatar's sound for the caller, also where nothing is played."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, ConnectionState, DisconnectReason, ReceivedAudio, ReceivedAudioStream
from avatarkit_rtc.testing.mock_provider import MockProvider
from renderers import HeadlessSink
from tests.support.livekit import until
from tests.support.playing import NotingView, end_packet, speak
from tests.support.virtual_loop import on_virtual_time

BLOCK = np.ones(480, np.int16)


def quiet_player(provider: MockProvider, view: NotingView | None = None) -> AvatarPlayer:
    return AvatarPlayer(provider, view, play_audio=False)


def numbers(blocks: list[ReceivedAudio]) -> list[int]:
    return [int(each.samples[0, 0]) for each in blocks]


async def collect(stream: ReceivedAudioStream, into: list[ReceivedAudio]) -> None:
    async for block in stream:
        into.append(block)


@on_virtual_time
async def test_begun_before_connect_it_ends_with_disconnect_and_gives_what_is_queued() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        stream = player.audio()
        await player.connect()
        for number in range(1, 6):
            provider.feed_audio(BLOCK * number)
        await until(lambda: player.stats().audio.blocks_received == 5, "the sound")
        await player.disconnect()
        heard = [block async for block in stream]
    assert numbers(heard) == [1, 2, 3, 4, 5]
    first = heard[0]
    assert (first.samples.shape, first.samples.dtype, first.sample_rate) == ((480, 1), np.int16, 48000)
    assert not first.samples.flags.writeable
    assert [each.presentation_time - first.presentation_time for each in heard] == pytest.approx(
        [0.0, 0.01, 0.02, 0.03, 0.04]
    )
    assert len(asyncio.all_tasks()) == 1


@on_virtual_time
async def test_sound_is_fetched_from_the_first_call_on() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        await player.connect()
        for _ in range(150):  # nobody listens, so that nothing is read and nothing is lost
            provider.feed_audio(BLOCK)
        await asyncio.sleep(0.02)
        assert player.stats().audio.blocks_received == 0
        heard: list[ReceivedAudio] = []
        listening = asyncio.create_task(collect(player.audio(), heard))
        await asyncio.sleep(0.02)
        provider.feed_audio(BLOCK * 7)
        await until(lambda: 7 in numbers(heard), "the sound")
        audio = player.stats().audio
        assert (numbers(heard), audio.readers, audio.blocks_dropped) == ([7], 1, 0)
    await asyncio.wait_for(listening, 5)


@on_virtual_time
async def test_two_hear_the_same_and_a_slow_one_is_counted() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        await player.connect()
        quick: list[ReceivedAudio] = []
        listening = asyncio.create_task(collect(player.audio(), quick))
        slow = player.audio(max_blocks=2)
        for number in range(1, 6):
            provider.feed_audio(BLOCK * number)
        await until(lambda: len(quick) == 5, "the sound")
        audio = player.stats().audio
        assert (audio.readers, audio.reader_blocks_dropped, slow.dropped) == (2, 3, 3)
        await player.disconnect()
        late = [block async for block in slow]
        await asyncio.wait_for(listening, 5)
    assert numbers(late) == [4, 5]
    assert late == quick[3:]  # the very same blocks


@on_virtual_time
async def test_leaving_the_loop_leaves_nothing_behind() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        await player.connect()
        for _ in range(3):
            provider.feed_audio(BLOCK)

            async def look_once() -> None:
                async for _block in player.audio():
                    return

            looking = asyncio.create_task(look_once())
            while not looking.done():
                provider.feed_audio(BLOCK)
                await asyncio.sleep(0.005)
            await looking
            del looking
        gc.collect()
        assert player.stats().audio.readers == 0
    assert len(asyncio.all_tasks()) == 1


@on_virtual_time
async def test_it_goes_on_through_a_reconnect_with_a_gap_as_long_as_the_pause() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        await player.connect()
        heard: list[ReceivedAudio] = []
        listening = asyncio.create_task(collect(player.audio(), heard))
        await asyncio.sleep(0)
        provider.feed_audio(BLOCK)
        await until(lambda: len(heard) == 1, "sound")
        await player.reconnect()
        provider.feed_audio(BLOCK * 2)
        await until(lambda: len(heard) == 2, "sound after the reconnect")
        assert not listening.done()
    await asyncio.wait_for(listening, 5)
    before, after = heard
    assert after.presentation_time - before.presentation_time == pytest.approx(after.t - before.t, abs=1e-6)
    assert after.t - before.t > 0.4


@on_virtual_time
async def test_it_ends_when_the_room_does() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        await player.connect()
        stream = player.audio()
        provider.feed_audio(BLOCK)
        await until(lambda: player.stats().audio.blocks_received == 1, "sound")
        provider.set_state(ConnectionState.DISCONNECTED, DisconnectReason.ROOM_DELETED)
        async with asyncio.timeout(5):
            assert len([block async for block in stream]) == 1
        await asyncio.wait_for(player.wait_closed(), 5)


@on_virtual_time
async def test_it_ends_where_connecting_fails_or_was_never_tried() -> None:
    provider = MockProvider()
    player = quiet_player(provider)
    stream = player.audio()
    provider.fail_next_connect(RuntimeError("no server"))
    with pytest.raises(Exception, match="no server"):
        await player.connect()
    async with asyncio.timeout(5):
        assert [block async for block in stream] == []
        other = quiet_player(MockProvider())
        stream = other.audio()
        await other.disconnect()
        assert [block async for block in stream] == []


@on_virtual_time
async def test_after_a_disconnect_it_waits_for_the_next_connect() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        await player.connect()
        await player.disconnect()
        heard: list[ReceivedAudio] = []
        listening = asyncio.create_task(collect(player.audio(), heard))
        await player.connect()
        provider.feed_audio(BLOCK)
        await until(lambda: len(heard) == 1, "sound")
    await asyncio.wait_for(listening, 5)


@on_virtual_time
async def test_what_is_muted_is_left_out_and_keeps_its_place() -> None:
    provider = MockProvider()
    async with quiet_player(provider) as player:
        await player.connect()
        stream = player.audio()
        await speak(provider, 2)
        provider.feed_audio(BLOCK)
        await until(lambda: player.stats().audio.blocks_received == 1, "sound")
        player.flush()
        for _ in range(5):
            provider.feed_audio(BLOCK * 2)
        await until(lambda: player.stats().audio.blocks_muted == 5, "the muted sound")
        provider.feed_packet(end_packet(1))
        await asyncio.sleep(0.4)
        await speak(provider, 2)
        provider.feed_audio(BLOCK * 3)
        await until(lambda: player.stats().audio.blocks_received == 7, "sound")
        await player.disconnect()
        heard = [block async for block in stream]
    assert numbers(heard) == [1, 3]
    assert heard[1].presentation_time - heard[0].presentation_time == pytest.approx(0.06)


@on_virtual_time
async def test_blocks_tell_their_round_and_its_media_time() -> None:
    provider, view = MockProvider(), NotingView()
    async with quiet_player(provider, view) as player:
        await player.connect()
        heard: list[ReceivedAudio] = []
        listening = asyncio.create_task(collect(player.audio(), heard))
        sounding = asyncio.create_task(keep_sounding(provider))
        await asyncio.sleep(0.2)
        await speak(provider, 20, end=True)
        await asyncio.sleep(0.3)
        sounding.cancel()
        poses = [pose for pose in view.spoken if pose.media_time is not None]
    await asyncio.wait_for(listening, 5)
    assert heard[0].round is None
    assert heard[-1].round is None
    inside = [block for block in heard if block.round == 1]
    assert all(block.round in (None, 1) for block in heard)
    assert inside[0].media_time == pytest.approx(0.0, abs=0.0101)
    assert len(inside) / 100 == pytest.approx(0.8, abs=0.06)
    by_pose = {pose.media_time: pose.presentation_time for pose in poses}
    assert list(by_pose) == pytest.approx([0.04 * k for k in range(20)])
    start = by_pose[0.0]
    assert start is not None
    assert inside[0].media_time is not None
    # The sample that belongs to frame 0 has the presentation time of frame 0.
    assert inside[0].presentation_time - inside[0].media_time == pytest.approx(start, abs=0.03)


@on_virtual_time
async def test_a_view_gets_the_same_blocks() -> None:
    provider, seen = MockProvider(), []
    with HeadlessSink(on_sound=seen.append) as view:
        async with AvatarPlayer(provider, view, play_audio=False) as player:
            await player.connect()
            stream = player.audio()
            for number in range(1, 4):
                provider.feed_audio(BLOCK * number)
            await until(lambda: len(seen) == 3, "the sound")
            await player.disconnect()
            assert [block async for block in stream] == seen


async def keep_sounding(provider: MockProvider) -> None:
    loop = asyncio.get_running_loop()
    begin, sent = loop.time(), 0
    while True:
        while sent < (loop.time() - begin) / 0.01:
            provider.feed_audio(BLOCK)
            sent += 1
        await asyncio.sleep(0.01)


@on_virtual_time
async def test_poses_have_a_presentation_time_from_the_first_connect_on() -> None:
    provider, view = MockProvider(), NotingView()
    async with quiet_player(provider, view) as player:
        await player.connect()
        await until(lambda: len(view.poses) >= 3, "poses")
        await player.disconnect()
        await asyncio.sleep(0.1)
        await player.connect()
        seen = len(view.poses)
        await until(lambda: len(view.poses) >= seen + 3, "poses")
    times = [pose.presentation_time for pose in view.poses]
    assert all(each is not None for each in times)
    assert times == sorted(times)  # type: ignore[type-var]
    assert times[0] == pytest.approx(0.05, abs=0.05)
