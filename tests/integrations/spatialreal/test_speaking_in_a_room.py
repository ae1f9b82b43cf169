"""A session whose avatar comes into a real room and says what it is given."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc import AvatarPlayer, LiveKitProvider
from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    ConfigurationError,
    NotConnectedError,
    SpatialRealUnsupportedError,
)
from avatarkit_rtc.integrations.spatialreal import SessionState, speech
from avatarkit_rtc.playout.pose import PoseKind
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SpatialRealService
from tests.integrations.spatialreal.conftest import SessionMaker
from tests.support.livekit import until
from tests.support.playing import NotingView
from tests.support.spatialreal_session import RATE, Notes, tone


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return told


async def test_what_the_service_is_asked_for(service: SpatialRealService, make: SessionMaker) -> None:
    async with make(session_length_s=1000, token_margin_s=500, on_behalf_of="kiosk") as session:
        assert session.state is SessionState.RUNNING
        assert session.capabilities == ("playback_control", "playback_state")
        (asked,), (opened,) = service.seen("token"), service.seen("connect")
        assert asked.headers["x-api-key"] == service.api_key
        (connection,) = service.connections
        assert connection.id == session.connection_id
        assert opened.headers["x-app-id"] == service.app_id
        assert opened.query["id"] == service.avatar_id
        config = connection.config
        assert config is not None
        assert config.sample_rate == RATE
        egress = config.livekit_egress
        assert (egress.room_name, egress.publisher_id) == (session.room_name, "spatialreal-avatar")
        assert egress.extra_attributes == {"lk.publish_on_behalf": "kiosk"}
        assert not egress.api_key
        assert not egress.api_secret
        said = claims(egress.api_token)
        assert said["sub"] == "spatialreal-avatar"
        assert said["kind"] == "agent"
        assert said["attributes"] == {"lk.publish_on_behalf": "kiosk"}
        assert said["exp"] - said["nbf"] == 1500
        assert said["video"] == {
            "roomJoin": True,
            "room": session.room_name,
            "canPublish": True,
            "canPublishData": True,
            "canSubscribe": False,
            "canPublishSources": ["camera", "microphone"],
        }
    assert session.state is SessionState.ENDED
    assert connection.close_code == 1000


@pytest.mark.parametrize("behaviour", [Behaviour(inference_s=0.05, ends=2)])
async def test_a_player_shows_and_hears_what_is_said(service: SpatialRealService, make: SessionMaker) -> None:
    view = NotingView()
    async with make() as session, AvatarPlayer(LiveKitProvider(), view, play_audio=False) as player:
        notes = Notes(session)
        loud: list[float] = []

        async def listen() -> None:
            async for block in player.audio():
                loud.append(float(np.abs(block.samples).max()))

        listening = asyncio.create_task(listen())
        await player.connect(session.viewer("me"))
        assert await player.wait_for_avatar(10) == "spatialreal-avatar"
        playback = await session.say(tone(0.6), sample_rate=RATE)
        finished = await playback.wait()
        assert finished.position_s == pytest.approx(0.6)
        assert not finished.interrupted
        # The end has come three times by now: twice as signal, once as state.
        await until(lambda: session.stats().duplicate_ends == 2, "the duplicates")
        assert notes.names == ["speech-started", "speech-ended"]
        assert notes.of("speech-ended")[0].playback is playback
        await until(lambda: view.spoken, "the face to speak")
        await until(lambda: view.idles, "the end of it")
        assert max(loud) > 5000
        (turn,) = service.connections[0].turns
        shown = [pose for pose in view.spoken if pose.kind in (PoseKind.RECEIVED, PoseKind.RECOVERED)]
        assert len({pose.position for pose in shown}) >= 13
        for pose in shown:
            assert pose.position is not None
            assert pose.frame == turn.frames[round(pose.position)]
        assert max(pose.frame.jaw_pose[0] for pose in view.spoken) > 0.1
    await listening


async def test_one_after_the_other_and_none_is_dropped(
    service: SpatialRealService, make: SessionMaker
) -> None:
    async with make() as session:
        notes = Notes(session)
        first, second = await asyncio.gather(
            session.say(tone(0.2), sample_rate=RATE), session.say(tone(0.1), sample_rate=RATE)
        )
        await second.wait()
        assert [end.playback for end in notes.of("speech-ended")] == [first, second]
        assert [end.interrupted for end in notes.of("speech-ended")] == [False, False]
        turns = service.connections[0].turns
        assert [len(turn.sound) for turn in turns] == [0.2 * RATE, 0.1 * RATE]


async def test_sources_of_any_kind_and_rate(
    service: SpatialRealService, make: SessionMaker, tmp_path: Path
) -> None:
    path = tmp_path / "said.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48000)
        file.writeframes(np.repeat(tone(0.1, 48000), 2).tobytes())

    async def pieces() -> AsyncIterator[bytes]:
        data = tone(0.1).tobytes()
        for start in range(0, len(data), 999):  # cut in the middle of samples
            yield data[start : start + 999]
            await asyncio.sleep(0)

    async with make() as session:
        await session.say(path)
        await session.say(pieces(), sample_rate=RATE)
        playback = await session.say(tone(0.1).astype(np.float32) / 32768, sample_rate=RATE)
        await playback.wait()
        sounds = [turn.sound for turn in service.connections[0].turns]
        assert len(sounds) == 3
        for sound in sounds:
            assert len(sound) == pytest.approx(0.1 * RATE, abs=0.02 * RATE)
            assert np.abs(sound).max() > 10000
        assert np.array_equal(sounds[1][: round(0.1 * RATE)], tone(0.1))
        with pytest.raises(ConfigurationError, match="sample_rate"):
            await session.say(tone(0.1))
        with pytest.raises(ConfigurationError):
            await session.say(tmp_path / "missing.wav")


async def test_nothing_to_say(service: SpatialRealService, make: SessionMaker) -> None:
    async with make() as session:
        playback = await session.say(b"", sample_rate=RATE)
        assert (await playback.wait()).position_s == 0.0
        assert session.stats().said == 0
        assert await session.pause() is False
        await session.interrupt()


async def test_sound_is_sent_in_time_and_not_all_at_once(
    service: SpatialRealService, make: SessionMaker
) -> None:
    async with make(lead_s=0.3) as session:
        began = asyncio.get_running_loop().time()
        saying = asyncio.create_task(session.say(tone(60.0), sample_rate=RATE))
        await until(lambda: service.connections[0].turns, "the first sound")
        (turn,) = service.connections[0].turns
        await until(lambda: len(turn.sound) > 0.3 * RATE, "the lead")
        await asyncio.sleep(0.3)
        sent_s = len(turn.sound) / RATE
        passed = asyncio.get_running_loop().time() - began
        assert sent_s <= passed + 0.3 + 0.11  # and a piece
        await session.interrupt()
        assert (await saying).cut


async def test_interrupted_where_it_is(service: SpatialRealService, make: SessionMaker) -> None:
    async with make() as session:
        notes = Notes(session)
        first = asyncio.create_task(session.say(tone(5.0), sample_rate=RATE))
        waiting = asyncio.create_task(session.say(tone(5.0), sample_rate=RATE))
        await until(lambda: notes.of("speech-started"), "the beginning")
        await session.interrupt()
        playback = await first
        finished = playback.finished
        assert finished is not None
        assert finished.interrupted
        assert finished.reported
        assert finished.position_s is not None
        assert finished.position_s < 4.0
        (end,) = notes.of("speech-ended")
        assert (end.interrupted, end.reason) == (True, "explicit")
        assert (await (await waiting).wait()).position_s == 0.0  # it waited, so it is cut off as well
        assert notes.names.index("interrupted") < notes.names.index("speech-ended")
        # What is said next is not of that.
        playback = await session.say(tone(0.1), sample_rate=RATE)
        assert not (await playback.wait()).interrupted


async def test_an_interruption_silences_the_player_at_once(
    service: SpatialRealService, make: SessionMaker
) -> None:
    """Loosely; ``python -m bench.vendor_session`` measures it."""
    view, loop = NotingView(), asyncio.get_running_loop()
    loud = moving = 0.0

    async def listen(player: AvatarPlayer) -> None:
        nonlocal loud
        async for block in player.audio():
            if np.abs(block.samples).max() > 1000:
                loud = loop.time()

    async with make() as session, AvatarPlayer(LiveKitProvider(), view, play_audio=False) as player:
        session.on("interrupted", player.flush)
        listening = asyncio.create_task(listen(player))
        await player.connect(session.viewer())
        await player.wait_for_avatar(20)
        saying = asyncio.create_task(session.say(tone(30.0), sample_rate=RATE))
        await until(lambda: loud and len(view.spoken) > 5, "face and voice")
        cut = loop.time()
        await session.interrupt()
        seen = len(view.poses)
        await until(lambda: view.idles and len(view.poses) > seen + 25, "a second of idle face")
        assert loud < cut + 1.0
        for before, pose in itertools.pairwise(view.poses):
            if abs(pose.frame.jaw_pose[0] - before.frame.jaw_pose[0]) > 0.002:
                moving = pose.t
        assert moving < cut + 1.0
        assert (await saying).cut
    await listening


async def test_an_interruption_does_not_wait_for_a_slow_source(
    service: SpatialRealService, make: SessionMaker
) -> None:
    async def stuck() -> AsyncIterator[Any]:
        yield tone(0.1)
        await asyncio.Event().wait()

    async with make() as session:
        saying = asyncio.create_task(session.say(stuck(), sample_rate=RATE))
        await until(lambda: session.playback is not None, "the first sound")
        await session.interrupt()
        assert (await saying).cut


async def test_an_interruption_counts_before_the_first_sound_has_come(
    service: SpatialRealService, make: SessionMaker
) -> None:
    """A voice that still thinks when the user breaks in."""
    asked, thinking = asyncio.Event(), asyncio.Event()

    async def thinks() -> AsyncIterator[Any]:
        asked.set()
        await thinking.wait()
        yield tone(0.1)

    async with make() as session:
        saying = asyncio.create_task(session.say(thinks(), sample_rate=RATE))
        await asked.wait()
        await session.interrupt()
        playback = await asyncio.wait_for(saying, 10)
        assert playback.cut
        assert (await playback.wait()).interrupted
        thinking.set()
        await (await session.say(tone(0.1), sample_rate=RATE)).wait()
        assert len(service.connections[0].turns) == 1


async def test_a_session_that_ends_does_not_wait_for_the_first_sound(make: SessionMaker) -> None:
    asked = asyncio.Event()

    async def never() -> AsyncIterator[Any]:
        asked.set()
        await asyncio.Event().wait()
        yield tone(0.1)

    async with make() as session:
        saying = asyncio.create_task(session.say(never(), sample_rate=RATE))
        await asked.wait()
    assert (await asyncio.wait_for(saying, 10)).cut


async def test_a_say_that_is_cancelled_at_its_end_still_tells_the_end(
    service: SpatialRealService, make: SessionMaker
) -> None:
    """Else the service would take what is said next for its rest."""
    async with make() as session:
        link = session._keeper.link
        assert link is not None
        send, sending, go_on = link.send_audio, asyncio.Event(), asyncio.Event()

        async def slow(pcm: bytes, *, end: bool = False) -> str:
            if end:
                sending.set()
                await go_on.wait()
            return await send(pcm, end=end)

        link.send_audio = slow  # type: ignore[method-assign]
        saying = asyncio.create_task(session.say(tone(0.2), sample_rate=RATE))
        await sending.wait()
        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saying
        go_on.set()
        await (await session.say(tone(0.1), sample_rate=RATE)).wait()
        assert [len(turn.sound) for turn in service.connections[0].turns] == [0.2 * RATE, 0.1 * RATE]


async def test_pause_and_resume(service: SpatialRealService, make: SessionMaker) -> None:
    async with make() as session:
        notes = Notes(session)
        playback = await session.say(tone(0.8), sample_rate=RATE)
        await playback.wait_started()
        assert await session.pause() is True
        assert session.paused
        (turn,) = service.connections[0].turns
        played = turn.played
        await asyncio.sleep(0.2)
        assert turn.played == played
        assert not playback.over
        assert await session.resume() is True
        assert not session.paused
        finished = await playback.wait()
        assert finished.position_s == pytest.approx(0.8)
        assert notes.names == ["speech-started", "speech-paused", "speech-resumed", "speech-ended"]


@pytest.mark.parametrize("behaviour", [Behaviour(inference_s=0.05, capabilities=())])
async def test_an_old_service_without_states_and_control(
    service: SpatialRealService, make: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "INTERRUPT_TIMEOUT_S", 0.2)  # it reports nothing
    async with make() as session:
        playback = await session.say(tone(0.3), sample_rate=RATE)
        with pytest.raises(SpatialRealUnsupportedError, match="interrupt"):
            await session.pause()
        finished = await playback.wait()
        assert (finished.interrupted, finished.reported) == (False, True)
        assert finished.position_s == pytest.approx(0.3)
        playback = await session.say(tone(1.0), sample_rate=RATE)
        await playback.wait_started()
        await asyncio.wait_for(session.interrupt(), 10)
        assert playback.finished is not None
        assert playback.finished.interrupted


async def test_an_end_that_is_never_reported_is_not_waited_for(
    service: SpatialRealService, make: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "REPORT_TIMEOUT_S", 0.2)
    async with make() as session:
        notes = Notes(session)
        service.connections[0].on_ended = lambda turn: None  # type: ignore[method-assign]
        playback = await session.say(tone(0.2), sample_rate=RATE)
        finished = await asyncio.wait_for(playback.wait(), 10)
        assert (finished.reported, finished.interrupted, finished.position_s) == (False, False, None)
        assert [end.reason for end in notes.of("speech-ended")] == ["not-reported"]


async def test_a_cancelled_say_ends_the_utterance(service: SpatialRealService, make: SessionMaker) -> None:
    async with make(lead_s=0.2) as session:
        saying = asyncio.create_task(session.say(tone(30.0), sample_rate=RATE))
        await until(lambda: session.playback is not None, "the first sound")
        playback = session.playback
        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saying
        (turn,) = service.connections[0].turns
        await until(lambda: turn.ended, "the end of the sound")
        assert playback is not None
        assert not (await playback.wait()).interrupted  # what was sent is said
        playback = await session.say(tone(0.1), sample_rate=RATE)
        await playback.wait()
        assert len(service.connections[0].turns) == 2


async def test_a_source_that_fails(service: SpatialRealService, make: SessionMaker) -> None:
    async def failing() -> AsyncIterator[Any]:
        yield tone(0.1)
        raise ZeroDivisionError

    async with make() as session:
        with pytest.raises(ZeroDivisionError):
            await session.say(failing(), sample_rate=RATE)
        playback = await session.say(tone(0.1), sample_rate=RATE)
        assert not (await playback.wait()).interrupted


async def test_used_wrongly(make: SessionMaker) -> None:
    session = make()
    with pytest.raises(NotConnectedError, match="not been started"):
        await session.say(b"", sample_rate=RATE)
    async with session:
        with pytest.raises(AlreadyConnectedError):
            await session.start()
    with pytest.raises(NotConnectedError, match="ended"):
        await session.say(b"", sample_rate=RATE)
    with pytest.raises(AlreadyConnectedError):
        await session.start()
    await session.aclose()
    await session.aclose()
    never = make()
    await never.aclose()
    assert never.state is SessionState.ENDED
