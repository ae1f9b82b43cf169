"""A voice that does not come about, or hands out nothing, is fetched anew; in a real room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from livekit import rtc

from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.events import AudioStalled
from avatarkit_rtc.providers import livekit_session, livekit_subscription
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.providers.livekit_subscription import MOST_WAIT_S, STALLED_CHECKS, SoundWatch
from tests.support.livekit import LiveKitServer, until
from tests.support.room_peer import Notes, Peer, listen, tone_of

STALL = ("stalled",)


class StallNotes(Notes):
    """Takes note of stalls, too."""

    def on_audio_stalled(self, seconds: float) -> None:
        assert seconds > 0
        self.events.append(STALL)


class DeadStream:
    """A stream of LiveKit's that hands out nothing: the fault, which cannot be brought about from outside."""

    def __aiter__(self) -> DeadStream:
        return self

    async def __anext__(self) -> Any:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Nothing to close."""


class EndedStream(DeadStream):
    """One that ends although its track goes on."""

    async def __anext__(self) -> Any:
        raise StopAsyncIteration


class FailingStream(DeadStream):
    """One that fails."""

    async def __anext__(self) -> Any:
        raise RuntimeError("the stream broke")


@pytest.fixture(params=[DeadStream, EndedStream, FailingStream])
def first_stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[DeadStream]:
    """The first stream is made by this; all others are LiveKit's own."""
    real, made = rtc.AudioStream, []

    def stream(*arguments: Any, **named: Any) -> Any:
        made.append(arguments)
        return request.param() if len(made) == 1 else real(*arguments, **named)

    monkeypatch.setattr(rtc, "AudioStream", stream)
    monkeypatch.setattr(livekit_session, "CHECK_S", 0.5)  # three of these pass before anything happens
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit_session, "CHECK_S", 1.0)
    monkeypatch.setattr(livekit_subscription, "ASK_AGAIN_S", 1.5)


async def test_a_voice_without_sound_is_subscribed_anew_and_heard(
    livekit_server: LiveKitServer, room_name: str, config: ConnectionConfig, first_stream: type[DeadStream]
) -> None:
    stalls: list[AudioStalled] = []
    errors: list[Exception] = []
    async with AvatarPlayer(LiveKitProvider(), play_audio=False, log_level="none") as player:
        player.on("audio-stalled", stalls.append)
        player.on("error", errors.append)
        sound = player.audio()
        await player.connect(config)
        async with Peer(livekit_server, room_name) as avatar:
            await avatar.speak(tone_hz=700)
            await until(lambda: player.stats().audio.blocks_received > 100, "sound after all")
            assert await tone_of(sound) == pytest.approx(700, abs=25)  # type: ignore[arg-type]
            # Of a busy server the one made anew may come too late as well.
            assert 1 <= player.stats().audio.stalls == len(stalls) <= 3
            assert all(stall.silence_s > 0 for stall in stalls)
    assert errors == []


async def test_only_the_stream_of_a_borrowed_room_is_made_anew(
    livekit_server: LiveKitServer,
    room_name: str,
    join_token: Callable[..., str],
    first_stream: type[DeadStream],
) -> None:
    room = rtc.Room()
    await room.connect(livekit_server.url, join_token("owner"), rtc.RoomOptions(auto_subscribe=False))
    unsubscribed: list[object] = []
    room.on("track_unsubscribed", lambda *event: unsubscribed.append(event))
    provider, notes = LiveKitProvider(room=room), StallNotes()
    provider.set_listener(notes)
    try:
        await provider.connect(ConnectionConfig())
        async with Peer(livekit_server, room_name) as avatar:
            await avatar.speak(tone_hz=700)
            await until(lambda: notes.feeds, "the feed")
            reading = asyncio.create_task(listen(notes.feeds[0]))
            await until(lambda: len(notes.feeds) >= 2, "the feed anew")
            assert len(await reading) == 0
            assert await tone_of(notes.feeds[1]) == pytest.approx(700, abs=25)
            told = notes.named("audio", "audio ended", "stalled")
            again = [("audio ended",), STALL, ("audio",)]
            assert told[:4] == [("audio",), *again]
            assert told[4:] in ([], again, 2 * again), "of a busy server it may come too late as well"
            assert not unsubscribed
        await provider.disconnect()
    finally:
        await room.disconnect()


async def test_a_track_that_never_came_though_it_is_subscribed_is_asked_for_anew(
    livekit_server: LiveKitServer,
    room_name: str,
    provider: LiveKitProvider,
    config: ConnectionConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The SDK drops this event, without a word, where it does not know the publication yet.
    real, dropped = rtc.Room._on_room_event, []

    def receive(room: rtc.Room, event: Any) -> None:
        if event.WhichOneof("message") == "track_subscribed" and not dropped:
            dropped.append(event)
        else:
            real(room, event)

    monkeypatch.setattr(rtc.Room, "_on_room_event", receive)
    notes = StallNotes()
    provider.set_listener(notes)
    await provider.connect(config)
    async with Peer(livekit_server, room_name) as avatar:
        await avatar.speak(tone_hz=700)
        await until(lambda: dropped, "the event")
        await until(lambda: notes.feeds, "the feed after all")
        assert await tone_of(notes.feeds[0]) == pytest.approx(700, abs=25)
    assert notes.named("stalled") == []


async def test_a_silent_or_unread_voice_is_no_stall(
    livekit_server: LiveKitServer,
    room_name: str,
    provider: LiveKitProvider,
    config: ConnectionConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(livekit_session, "CHECK_S", 0.3)
    notes = StallNotes()
    provider.set_listener(notes)
    await provider.connect(config)
    async with Peer(livekit_server, room_name) as avatar:
        source = rtc.AudioSource(48000, 1)  # which never gets any sound
        track = rtc.LocalAudioTrack.create_audio_track("egress-audio", source)
        await avatar.room.local_participant.publish_track(track)
        await until(lambda: notes.feeds, "the feed")
        await asyncio.sleep(1.5)  # nobody reads
        # While somebody does, a server that is busy for a second is no fault of ours.
        monkeypatch.setattr(livekit_session, "CHECK_S", 1.0)
        heard = await listen(notes.feeds[0], 450)
        assert len(heard) == 450 * 480
        assert abs(heard).max() < 100
        monkeypatch.setattr(livekit_session, "CHECK_S", 0.3)
        await notes.feeds[0].aclose()
        await asyncio.sleep(1.5)  # nobody wants it any longer
        assert notes.named("audio", "audio ended", "stalled") == [("audio",)]


def test_a_stall_is_told_at_growing_intervals_until_sound_comes() -> None:
    watch = SoundWatch()
    told = []
    for look in range(300):
        if watch.check(0):
            told.append(look)
            watch.begin()
    gaps = [after - before for before, after in zip([-1, *told], told, strict=False)]
    assert gaps == [3, 6, 12, 24, 48, MOST_WAIT_S, MOST_WAIT_S, MOST_WAIT_S]
    assert not watch.check(1)
    assert [watch.check(1) for _ in range(STALLED_CHECKS)] == [False, False, True]


def test_while_nobody_reads_nothing_stalls() -> None:
    watch = SoundWatch()
    assert not any(watch.check(received) for received in (0, 0, None, 0, 0, None, 0, 1, 1, 1, 2))
