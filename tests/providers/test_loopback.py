from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import AlreadyConnectedError, ConfigurationError, NotConnectedError, PublishError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.motion.packet import encode_idle
from avatarkit_rtc.providers.base import AudioFeed, ConnectionConfig, Provider
from avatarkit_rtc.providers.loopback import Heard, LoopbackProvider
from avatarkit_rtc.testing.performer import perform
from avatarkit_rtc.testing.stand_in import StandInAvatar, StandInOptions


class Log:
    """A listener that notes everything."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.packets: list[bytes] = []
        self.feeds: list[AudioFeed] = []

    def on_connection_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        self.events.append((state, reason) if reason else state)

    def on_motion_packet(self, data: bytes) -> None:
        self.packets.append(data)

    def on_avatar_joined(self, identity: str) -> None:
        self.events.append(f"joined {identity}")

    def on_avatar_left(self, identity: str) -> None:
        self.events.append(f"left {identity}")

    def on_audio(self, feed: AudioFeed) -> None:
        self.events.append("audio")
        self.feeds.append(feed)

    def on_audio_ended(self) -> None:
        self.events.append("audio ended")

    def on_token_refreshed(self) -> None:
        raise AssertionError

    def on_provider_error(self, error: Exception) -> None:
        raise AssertionError(error)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def provider(log: Log) -> AsyncIterator[LoopbackProvider]:
    provider = LoopbackProvider()
    provider.set_listener(log)
    yield provider
    await provider.disconnect()


def block(seconds: float = 0.01, value: int = 1, rate: int = 48000) -> AudioBlock:
    return AudioBlock(np.full((round(seconds * rate), 1), value, np.int16), rate, 0.0)


async def test_it_is_a_provider(provider: LoopbackProvider) -> None:
    assert isinstance(provider, Provider)
    assert provider.owns_connection
    assert provider.get_native_client() is None


async def test_connection_states_are_reported(provider: LoopbackProvider, log: Log) -> None:
    assert provider.get_connection_state() is ConnectionState.DISCONNECTED
    await provider.connect(ConnectionConfig())
    assert provider.get_connection_state() is ConnectionState.CONNECTED
    with pytest.raises(AlreadyConnectedError):
        await provider.connect(ConnectionConfig())
    await provider.disconnect()
    await provider.disconnect()
    assert log.events == [
        ConnectionState.CONNECTING,
        ConnectionState.CONNECTED,
        (ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED),
    ]


async def test_an_avatar_joins_with_the_first_it_sends_leaves_and_comes_back(
    provider: LoopbackProvider, log: Log
) -> None:
    await provider.connect()
    await provider.avatar.send_packet(encode_idle())
    await provider.avatar.aclose()
    await provider.avatar.aclose()
    provider.avatar.open()
    assert log.events[2:] == [
        "joined spatialreal-avatar",
        "left spatialreal-avatar",
        "joined spatialreal-avatar",
    ]
    assert log.packets == [encode_idle()]


async def test_an_avatar_that_was_there_before_is_reported_after_connecting(
    provider: LoopbackProvider, log: Log
) -> None:
    provider.avatar.open()
    assert log.events == []
    await provider.connect()
    assert log.events[1:] == [ConnectionState.CONNECTED, "joined spatialreal-avatar"]


async def test_what_is_sent_while_nobody_is_connected_is_dropped(
    provider: LoopbackProvider, log: Log
) -> None:
    await provider.avatar.send_packet(b"one")
    await provider.avatar.send_audio(np.zeros(240, np.int16), 24000)
    await provider.connect()
    await provider.avatar.send_packet(b"two")
    await provider.disconnect()
    await provider.avatar.send_packet(b"three")
    assert log.packets == [b"two"]
    assert provider.dropped == 2


async def test_packets_of_foreign_topics_do_not_arrive(provider: LoopbackProvider, log: Log) -> None:
    await provider.connect()
    await provider.avatar.send_packet(b"chat", topic="lk.chat")
    await provider.avatar.send_packet(b"motion", topic="spatialreal-animation")
    assert log.packets == [b"motion"]


async def test_sound_arrives_complete_in_blocks_of_10_ms(provider: LoopbackProvider, log: Log) -> None:
    await provider.connect()
    sound = np.arange(2400, dtype=np.int16)
    for start in range(0, 2400, 300):
        await provider.avatar.send_audio(sound[start : start + 300], 24000)
    await provider.avatar.aclose()
    blocks = [received async for received in log.feeds[0]]
    assert [received.samples.shape for received in blocks] == [(240, 1)] * 10
    assert np.array_equal(np.concatenate([received.samples for received in blocks])[:, 0], sound)
    assert log.feeds[0].dropped == 0
    assert log.events[-3:] == ["audio", "audio ended", "left spatialreal-avatar"]


async def test_each_connection_has_a_feed_of_its_own(provider: LoopbackProvider, log: Log) -> None:
    sound = np.zeros(480, np.int16)
    await provider.connect()
    await provider.avatar.send_audio(sound, 24000)
    await provider.disconnect()
    await provider.connect()
    await provider.avatar.send_audio(sound, 24000)
    assert len(log.feeds) == 2
    assert len([received async for received in log.feeds[0]]) == 2


async def test_loss_is_as_asked_and_the_same_for_a_seed(log: Log) -> None:
    async def arrived(seed: int) -> list[bytes]:
        provider, listener = LoopbackProvider(loss=0.2, seed=seed), Log()
        provider.set_listener(listener)
        await provider.connect()
        for number in range(1000):
            await provider.avatar.send_packet(b"%d" % number)
        assert provider.lost == 1000 - len(listener.packets)
        return listener.packets

    first = await arrived(1)
    assert 700 < len(first) < 900
    assert first == await arrived(1)
    assert first != await arrived(2)


async def test_packets_are_delayed_and_may_overtake_each_other() -> None:
    provider, log = LoopbackProvider(delay_s=0.05, jitter_s=0.1, seed=1), Log()
    provider.set_listener(log)
    await provider.connect()
    for number in range(50):
        await provider.avatar.send_packet(bytes([number]))
    assert log.packets == []
    await asyncio.sleep(0.4)
    assert sorted(log.packets) == [bytes([number]) for number in range(50)]
    assert log.packets != sorted(log.packets)
    await provider.disconnect()


async def test_what_is_under_way_is_bounded_and_gone_after_disconnect() -> None:
    provider, log = LoopbackProvider(delay_s=0.05), Log()
    provider.set_listener(log)
    await provider.connect()
    for _ in range(5000):
        await provider.avatar.send_packet(b"x")
    assert provider.dropped == 5000 - 4096
    await provider.disconnect()
    await asyncio.sleep(0.1)
    assert log.packets == []


@pytest.mark.parametrize(
    "options", [{"loss": -0.1}, {"loss": 1.1}, {"delay_s": -1}, {"jitter_s": float("nan")}]
)
def test_impossible_networks_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        LoopbackProvider(**options)  # type: ignore[arg-type]


async def test_the_avatar_hears_the_user_in_real_time(provider: LoopbackProvider) -> None:
    await provider.connect()
    uplink = await provider.open_uplink(name="microphone", sample_rate=48000, channels=1)
    assert list(provider.uplinks) == ["microphone"]
    loop = asyncio.get_running_loop()
    start = loop.time()
    for _ in range(30):
        await uplink.write(block())
    # 300 ms of sound, of which 100 ms may wait in the queue.
    assert loop.time() - start >= 0.19
    assert provider.avatar.heard.seconds < 0.3 + 1e-9
    await asyncio.sleep(0.15)
    assert provider.avatar.heard.samples.shape == (30 * 480, 1)
    await uplink.aclose()
    await uplink.aclose()
    await uplink.write(block())
    assert len(provider.avatar.heard.blocks) == 30
    assert provider.uplinks == ()


async def test_clearing_the_uplink_drops_what_was_not_yet_said(provider: LoopbackProvider) -> None:
    await provider.connect()
    uplink = await provider.open_uplink(name="voice", sample_rate=48000, channels=1)
    since = time.monotonic()
    for _ in range(9):
        await uplink.write(block())
    uplink.clear()
    uplink.clear()
    passed = time.monotonic() - since
    await asyncio.sleep(0.15)
    assert provider.avatar.heard.seconds <= passed
    provider.avatar.heard.clear()
    await uplink.write(block(value=7))
    await asyncio.sleep(0.03)
    assert set(provider.avatar.heard.samples.ravel().tolist()) == {7}


async def test_disconnect_closes_the_uplinks(provider: LoopbackProvider) -> None:
    await provider.connect()
    uplink = await provider.open_uplink(name="voice", sample_rate=48000, channels=1)
    await provider.disconnect()
    await uplink.write(block())
    await uplink.aclose()
    assert provider.uplinks == ()
    assert provider.avatar.heard.seconds == 0
    assert provider.avatar.heard.samples.shape == (0, 1)


async def test_publishing_needs_a_connection_and_has_no_tracks(provider: LoopbackProvider) -> None:
    with pytest.raises(NotConnectedError):
        await provider.open_uplink(name="voice", sample_rate=48000, channels=1)
    with pytest.raises(NotConnectedError):
        await provider.publish_track(object())
    await provider.connect()
    with pytest.raises(PublishError, match="audio source"):
        await provider.publish_track(object())


def test_what_was_heard_is_bounded() -> None:
    heard = Heard(seconds=1.0)
    for _ in range(150):
        heard.append(block())
    assert heard.seconds == pytest.approx(1.0, abs=0.011)
    assert heard.dropped_s == pytest.approx(0.5, abs=0.011)


async def test_a_stand_in_avatar_plays_through_it(provider: LoopbackProvider, log: Log) -> None:
    await provider.connect()
    utterance = perform(1, 0.2)
    options = StandInOptions(rounds=1, start_idle_s=0.04, transition_lead_frames=1, pause_s=0.12)
    await StandInAvatar(provider.avatar, [utterance], options).run()
    assert len(log.packets) == 1 + 1 + 5 + 3
    await provider.avatar.aclose()
    received = np.concatenate([received.samples for received in [b async for b in log.feeds[0]]])[:, 0]
    start = round((0.08 + 0.04) * 24000)
    assert np.array_equal(received[start : start + 4800], utterance.pcm)
