"""flush(): the user interrupts the avatar."""

from __future__ import annotations

import asyncio

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.testing.mock_provider import MockProvider
from tests.support.livekit import until
from tests.support.playing import NotingView, Record, end_packet, frame_packet, speak
from tests.support.virtual_loop import on_virtual_time


class HearingView(NotingView):
    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[AudioBlock] = []

    def sound(self, block: AudioBlock) -> None:
        self.blocks.append(block)


@on_virtual_time
async def test_the_rest_of_the_round_is_mute_and_the_next_round_plays() -> None:
    provider, view = MockProvider(), HearingView()
    player = AvatarPlayer(provider, view, play_audio=False, disconnect_transition_frames=2)
    record = Record(player)
    async with player:
        await player.connect()
        provider.feed_audio(np.ones(480, np.int16))
        await speak(provider, 6)
        for seq in range(6, 12):  # queued
            provider.feed_packet(frame_packet(seq))
        player.flush()
        shown, heard = len(view.spoken), len(view.blocks)
        for seq in range(12, 20):
            provider.feed_packet(frame_packet(seq))
            provider.feed_audio(np.ones(1920, np.int16))
            await asyncio.sleep(0.04)
        assert len(view.spoken) == shown
        assert len(view.blocks) == heard
        assert view.idles
        assert player.stats().audio.blocks_muted == 32
        assert player.stats().motion.muted == 8
        assert record.payloads("round-ended")[0].reason is RoundEndReason.FLUSHED
        provider.feed_packet(end_packet(19))
        await asyncio.sleep(0.4)
        await speak(provider, 5, end=True)
        provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: record.count("round-ended") == 2, "the next round")
        assert [pose.position for pose in view.spoken if pose.round == 2] == [0, 1, 2, 3, 4]
        assert len(view.blocks) == heard + 1
        assert record.count("stalled") == 0


@on_virtual_time
async def test_sound_on_its_way_is_mute_though_the_service_ends_the_round_at_once() -> None:
    provider, view = MockProvider(), HearingView()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        provider.feed_audio(np.ones(480, np.int16))
        await speak(provider, 6)
        await until(lambda: view.blocks, "the voice")
        player.flush()
        provider.feed_packet(end_packet(5))
        heard = len(view.blocks)
        provider.feed_audio(np.ones(480, np.int16))  # sent before it was flushed: sound takes longer
        await until(lambda: player.stats().audio.blocks_muted == 1, "the sound on its way")
        await asyncio.sleep(0.4)
        await speak(provider, 5, end=True)
        provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: record.count("round-ended") == 2, "the next round")
        assert len(view.blocks) == heard + 1


@on_virtual_time
async def test_in_the_last_words_sound_on_its_way_is_mute_and_the_next_round_plays() -> None:
    provider, view = MockProvider(), HearingView()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        await player.connect()
        provider.feed_audio(np.ones(480, np.int16))
        await speak(provider, 6, end=True)  # all of the motion is here, the sound is not
        await until(lambda: view.blocks, "the voice")
        player.flush()
        heard = len(view.blocks)
        for _ in range(3):
            provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: player.stats().audio.blocks_muted == 3, "the sound on its way")
        assert len(view.blocks) == heard
        await until(lambda: record.count("round-ended") == 1, "the end of the round")
        await speak(provider, 1)
        await asyncio.sleep(0.05)  # a service sends its sound a frame later
        provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: len(view.blocks) == heard + 1, "the next round's first sound")


@on_virtual_time
async def test_a_voice_without_motion_is_silent_for_as_long_as_sound_is_on_its_way() -> None:
    provider, view = MockProvider(), HearingView()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        await player.connect()
        provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: view.blocks, "the voice")
        player.flush()
        provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: player.stats().audio.blocks_muted == 1, "the sound on its way")
        await asyncio.sleep(0.05)
        provider.feed_audio(np.ones(480, np.int16))
        await until(lambda: len(view.blocks) == 2, "what is said after that")


def test_flush_before_everything_else_does_nothing() -> None:
    player = AvatarPlayer(MockProvider(), play_audio=False)
    player.flush()
    assert player.stats().audio.blocks_muted == 0


@on_virtual_time
async def test_flush_without_a_round_changes_nothing() -> None:
    provider, view = MockProvider(), HearingView()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        player.flush()
        await player.connect()
        player.flush()
        await speak(provider, 5, end=True)
        await until(lambda: record.count("round-ended") == 1, "the round")
        assert len(view.spoken) == 5


@on_virtual_time
async def test_a_handler_may_flush_as_the_round_starts() -> None:
    provider, view = MockProvider(), HearingView()
    async with AvatarPlayer(provider, view, play_audio=False) as player:
        record = Record(player)
        player.on("round-started", player.flush)
        await player.connect()
        await speak(provider, 8)
        assert view.spoken == []
        assert record.names == ["connected", "round-started", "round-ended"]
