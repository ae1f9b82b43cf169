from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatarkit_rtc import testing
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConnectError, NotConnectedError, PublishError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.packet import decode_packet
from avatarkit_rtc.providers.base import AudioFeed, ConnectionConfig, Provider
from avatarkit_rtc.testing.mock_provider import MockProvider

CONFIG = ConnectionConfig(url="ws://x", token="hush")


class Log:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.feeds: list[AudioFeed] = []

    def on_connection_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        self.events.append((state.value, reason.value if reason else None))

    def on_motion_packet(self, data: bytes) -> None:
        self.events.append(data)

    def on_avatar_joined(self, identity: str) -> None:
        self.events.append(("joined", identity))

    def on_avatar_left(self, identity: str) -> None:
        self.events.append(("left", identity))

    def on_audio(self, feed: AudioFeed) -> None:
        self.events.append("audio")
        self.feeds.append(feed)

    def on_audio_ended(self) -> None:
        self.events.append("audio ended")

    def on_token_refreshed(self) -> None:
        self.events.append("token")

    def on_provider_error(self, error: Exception) -> None:
        self.events.append(error)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def provider(log: Log) -> MockProvider:
    provider = MockProvider(native_client="room")
    provider.set_listener(log)
    return provider


async def test_it_connects_and_remembers_what_it_was_asked_for(provider: MockProvider, log: Log) -> None:
    assert isinstance(provider, Provider)
    assert provider.owns_connection
    assert provider.get_native_client() is None
    await provider.connect(CONFIG)
    assert provider.get_native_client() == "room"
    await provider.disconnect()
    await provider.disconnect()
    assert provider.calls == ["connect", "disconnect", "disconnect"]
    assert provider.configs == [CONFIG]
    assert log.events == [
        ("connecting", None),
        ("connected", None),
        ("disconnected", "client-initiated"),
    ]
    assert "hush" not in repr(provider.configs)


async def test_connecting_fails_as_often_as_told(provider: MockProvider, log: Log) -> None:
    provider.fail_next_connect(ConnectError("no"), times=2)
    for _ in range(2):
        with pytest.raises(ConnectError, match="no"):
            await provider.connect(CONFIG)
        assert log.events[-1] == ("failed", "join-failure")
    await provider.connect(CONFIG)
    assert provider.get_connection_state() is ConnectionState.CONNECTED


async def test_connecting_takes_as_long_as_told_and_can_be_cancelled(
    provider: MockProvider, log: Log
) -> None:
    provider.connect_delay = 60.0
    connecting = asyncio.create_task(provider.connect(CONFIG))
    await asyncio.sleep(0.01)
    assert provider.get_connection_state() is ConnectionState.CONNECTING
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert log.events[-1] == ("disconnected", "client-initiated")


async def test_a_test_says_what_happens(provider: MockProvider, log: Log) -> None:
    await provider.connect(CONFIG)
    log.events.clear()
    frame = MotionFrame.from_fields({"jaw_pose": [0.2]})
    provider.avatar_joins("bob")
    provider.feed_frame(3, frame, start=True)
    provider.feed_packet(b"junk")
    provider.set_state(ConnectionState.RECONNECTING)
    provider.refresh_token()
    error = ValueError("x")
    provider.report_error(error)
    provider.avatar_leaves()
    packet = log.events.pop(1)
    assert isinstance(packet, bytes)
    decoded = decode_packet(packet)
    assert (decoded.seq, decoded.start, decoded.message and decoded.message.frame) == (3, True, frame)
    assert log.events == [
        ("joined", "bob"),
        b"junk",
        ("reconnecting", None),
        "token",
        error,
        ("left", "bob"),
    ]


async def test_sound_opens_a_feed_and_ends_with_the_avatar(provider: MockProvider, log: Log) -> None:
    await provider.connect(CONFIG)
    provider.feed_audio(np.ones(480, np.int16))
    provider.feed_audio(np.full((480, 1), 2, np.int16))
    provider.avatar_leaves()
    provider.end_audio()
    blocks = [int(block.samples[0, 0]) async for block in log.feeds[0]]
    assert blocks == [1, 2]
    assert log.events[2:] == ["audio", "audio ended", ("left", "mock-avatar")]


async def test_published_tracks_are_kept(provider: MockProvider) -> None:
    with pytest.raises(NotConnectedError):
        await provider.open_uplink(name="voice", sample_rate=48000, channels=1)
    await provider.connect(CONFIG)
    uplink = await provider.open_uplink(name="voice", sample_rate=48000, channels=1)
    block = AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0)
    await uplink.write(block)
    uplink.clear()
    track = object()
    await (await provider.publish_track(track)).aclose()
    (kept,) = provider.uplinks
    assert (kept.name, list(kept.blocks), kept.cleared, kept.closed) == ("voice", [block], 1, False)
    assert (provider.tracks[0].track, provider.tracks[0].closed) == (track, True)
    provider.publish_error = PublishError("full")
    with pytest.raises(PublishError, match="full"):
        await provider.publish_track(track)
    await provider.disconnect()
    assert kept.closed


async def test_without_a_listener_nothing_happens() -> None:
    provider = MockProvider(owns_connection=False)
    assert not provider.owns_connection
    provider.avatar_joins()
    provider.feed_packet(b"")
    provider.feed_audio(np.zeros(480, np.int16))
    provider.avatar_leaves()
    provider.refresh_token()
    provider.report_error(ValueError())
    await provider.connect(CONFIG)
    await provider.disconnect()


def test_everything_public_is_there() -> None:
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = testing.nonsense
