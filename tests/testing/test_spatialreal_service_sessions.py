"""Sessions of the stand-in service without an egress, held by the vendor's real package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from avatarkit_rtc.testing import perform
from avatarkit_rtc.testing.spatialreal_service import Behaviour, SocketFault, SpatialRealService
from tests.support.livekit import until
from tests.support.spatialreal import VendorClient, same, spatialreal

CLIP = perform(1, 1.0)
FAST = Behaviour(inference_s=0.0, speed=float("inf"))
Code = spatialreal.AvatarSDKErrorCode


@pytest.fixture
async def service() -> AsyncIterator[SpatialRealService]:
    async with SpatialRealService(performer=CLIP, behaviour=FAST) as service:
        yield service


# ---- motion over the WebSocket ----------------------------------------------------------------------------


async def test_sound_comes_back_as_motion(service: SpatialRealService) -> None:
    async with VendorClient(service) as client:
        data = CLIP.pcm.tobytes()
        first = await client.session.send_audio(data[:20000])
        assert await client.session.send_audio(data[20000:]) == first
        await client.session.send_audio(b"", end=True)
        await client.wait_events("ended")
        await client.wait_last()
        assert [last for _, last in client.messages] == [False, False, True]
        assert same(client.keyframes(), CLIP.frames)
        for message, _ in client.messages:
            response = message.server_response_animation
            assert (response.req_id, response.avatar_id) == (first, service.avatar_id)
            assert response.connection_id == client.session.connection_id
        assert [signal.has_animation for signal in client.signals] == [True, True, True]
        (turn,) = client.connection.turns
        assert turn.sound.tobytes() == data
        events = [what for what, _ in client.connection.events]
        assert sorted(events) == ["audio", "audio", "end", "ended", "started"]
        assert events[-1] == "ended"


async def test_an_interrupted_turn_stops_and_the_next_one_goes_on() -> None:
    behaviour = Behaviour(inference_s=0.0, speed=8.0)
    async with (
        SpatialRealService(performer=CLIP, behaviour=behaviour) as service,
        VendorClient(service) as client,
    ):
        first = await client.session.send_audio(CLIP.pcm.tobytes())
        await until(lambda: client.messages, "motion")
        assert await client.session.interrupt() == first
        await client.wait_events("interrupted")
        assert client.connection.turns[0].interrupted == "explicit"
        before = len(client.messages)
        second = await client.session.send_audio(CLIP.pcm.tobytes(), end=True)
        await client.wait_last()
        assert {m.server_response_animation.req_id for m, _ in client.messages[before:]} == {second}
        assert len(client.keyframes()) < 2 * len(CLIP.frames)
        assert not client.states  # those are about an egress


async def test_a_new_turn_may_cut_the_one_before_it_off() -> None:
    behaviour = Behaviour(inference_s=0.0, speed=1.0, preempts=True)
    async with (
        SpatialRealService(performer=CLIP, behaviour=behaviour) as service,
        VendorClient(service) as client,
    ):
        await client.session.send_audio(CLIP.pcm.tobytes(), end=True)
        await until(lambda: client.messages, "motion")
        await client.session.send_audio(CLIP.pcm.tobytes(), end=True)
        await client.wait_events("interrupted")
        assert [turn.interrupted for turn in client.connection.turns] == ["preempted", None]


async def test_pause_and_resume_are_answered_and_change_nothing(service: SpatialRealService) -> None:
    async with VendorClient(service) as client:
        req_id = await client.session.send_audio(CLIP.pcm[:9600].tobytes())
        await client.session.pause()
        await client.session.resume()
        await client.session.send_audio(b"", end=True)
        await client.wait_events("ended")
        await client.session.pause()
        await until(lambda: len(client.states) == 3, "three answers")
        assert [state.state.value for state in client.states] == ["playing", "playing", "ended"]
        assert {state.req_id for state in client.states} == {req_id}
        assert client.states[-1].played_ms == 1000


async def test_an_old_server_tells_nothing_of_the_playback() -> None:
    behaviour = Behaviour(inference_s=0.0, speed=float("inf"), capabilities=())
    async with SpatialRealService(behaviour=behaviour) as service, VendorClient(service) as client:
        assert client.session.capabilities == ()
        await client.session.send_audio(CLIP.pcm.tobytes(), end=True)
        await client.session.pause()
        await client.wait_events("ended", "pause")
        await client.wait_last()
        assert len(client.keyframes()) == 25  # motion made of the sound
        assert not client.states


async def test_what_comes_of_a_turn_that_is_over_is_left_out(service: SpatialRealService) -> None:
    async with VendorClient(service) as client:
        req_id = await client.session.send_audio(CLIP.pcm[:4800].tobytes())
        await client.session.interrupt()
        client.session._current_req_id = req_id
        await client.session.send_audio(CLIP.pcm.tobytes(), end=True)
        client.session._current_req_id = req_id
        await client.session.send_audio(CLIP.pcm.tobytes(), end=True)
        await client.session.pause()
        await until(lambda: client.states, "an answer")
        assert client.states[0].state.value == "interrupted"
        assert len(client.connection.turns) == 1


# ---- what goes wrong in the middle ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "close_code", "retryable"),
    [
        (SocketFault(close_code=4001, reason="no credits"), Code.creditsExhausted, 4001, False),
        (SocketFault(error_code=4001, close_code=4001), Code.creditsExhausted, 4001, False),
        (SocketFault(close_code=4500), Code.connectionClosed, 4500, True),
        (SocketFault(close_code=4503), Code.upstreamError, 4503, True),
        (SocketFault(cut=True), Code.connectionClosed, None, True),
    ],
)
async def test_a_sentence_may_be_the_last(
    service: SpatialRealService, fault: SocketFault, code: Any, close_code: int | None, retryable: bool
) -> None:
    service.fail("sentence", fault)
    async with VendorClient(service) as client:
        await client.session.send_audio(CLIP.pcm.tobytes())
        assert await client.wait_closed() == (close_code or 1006)
        error = client.errors[-1]
        assert (error.code, error.close_code, error.retryable) == (code, close_code, retryable)
        assert len(client.errors) == 1 + (fault.error_code is not None)
        assert client.closes == 1
        assert 0.5 / 0.04 <= client.connection.turns[0].played < len(CLIP.frames)
        with pytest.raises(ValueError, match="not established"):
            await client.session.send_audio(b"\0\0")


@pytest.mark.parametrize(
    ("fault", "errors"),
    [
        (SocketFault(garbage=b"\xff\xff"), [Code.protocolError]),
        (SocketFault(text="hello"), []),
        (SocketFault(error_code=14, error_message="inference failed"), [Code.serverError]),
        (SocketFault(delay_s=0.2), []),
    ],
)
async def test_a_sentence_may_survive(
    service: SpatialRealService, fault: SocketFault, errors: list[Any]
) -> None:
    service.fail("sentence", fault)
    async with VendorClient(service) as client:
        # Some of it after the fault, whatever the order of the rest.
        await client.session.send_audio(CLIP.pcm[: 20 * 960].tobytes())
        await client.wait_events("fault")
        await client.session.send_audio(CLIP.pcm[20 * 960 :].tobytes(), end=True)
        await client.wait_last()
        assert [error.code for error in client.errors] == errors
        assert same(client.keyframes(), CLIP.frames)


async def test_trouble_at_once(service: SpatialRealService) -> None:
    async with VendorClient(service) as client:
        await client.connection.strike(SocketFault(error_code=4002, close_code=4002))
        assert await client.wait_closed() == 4002
        assert client.errors[-1].code is Code.sessionDurationExceeded
        assert client.errors[-1].retryable
        await client.connection.strike(SocketFault(garbage=b"x", close_code=4500, cut=True))  # too late
        assert client.connection.close_code == 4002


async def test_a_session_has_a_longest_time() -> None:
    async with (
        SpatialRealService(behaviour=Behaviour(max_session_s=0.1)) as service,
        VendorClient(service) as client,
    ):
        assert await client.wait_closed() == 4002


async def test_the_service_ends_and_so_do_its_sessions() -> None:
    async with SpatialRealService() as service:
        client = await VendorClient(service).__aenter__()
    assert await client.wait_closed() == 1001
    assert not client.errors  # "going away" is no error to the vendor's package
