"""What goes wrong with the connection: typed errors at the playback, retries by close code, no key told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    ConnectAbortedError,
    NotConnectedError,
    SpatialRealAuthError,
    SpatialRealBillingError,
    SpatialRealClosedError,
    SpatialRealConnectionError,
    SpatialRealError,
    SpatialRealLimitError,
    SpatialRealNotFoundError,
)
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.testing.spatialreal_service import Behaviour, HttpFault, SocketFault, SpatialRealService
from tests.support.spatialreal_provider import (
    QUICK,
    RATE,
    Performance,
    performing,
    provider_of,
    until,
    virtually,
    voice,
)
from tests.support.spatialreal_session import KEY, tone

TONE = tone(1.0, RATE)
LONG = tone(20.0, RATE)


def service_of(**behaviour: object) -> SpatialRealService:
    return SpatialRealService(api_key=KEY, behaviour=Behaviour(**{"inference_s": 0.05} | behaviour))


async def broken_off(on: Performance, fault: SocketFault) -> SpatialRealError:
    """Break the connection in the middle of a sentence; what the playback says."""
    on.service.fail("sentence", fault)
    first = await on.provider.say(voice(LONG), sample_rate=RATE)
    second = await on.provider.say(voice(TONE), sample_rate=RATE)
    with pytest.raises(SpatialRealError) as caught:
        await first.wait()
    with pytest.raises(SpatialRealError):
        await second.wait()
    assert first.finished is not None
    assert first.finished.interrupted
    return caught.value


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (SocketFault(cut=True, after_s=1.0), SpatialRealConnectionError),
        (SocketFault(close_code=1001, after_s=1.0), SpatialRealConnectionError),
        (SocketFault(close_code=4503, after_s=1.0), SpatialRealClosedError),
        (SocketFault(close_code=4500, after_s=1.0), SpatialRealClosedError),
        (SocketFault(close_code=4002, after_s=1.0), SpatialRealClosedError),
    ],
    ids=["cut", "1001", "4503", "4500", "4002"],
)
@virtually
async def test_lost_mid_sentence_it_comes_back_and_speaks(
    fault: SocketFault, kind: type[SpatialRealError]
) -> None:
    async with service_of() as service, performing(service) as on:
        problem = await broken_off(on, fault)
        assert isinstance(problem, kind)
        assert problem.retryable
        await until(lambda: on.player.is_connected, "the next connection")
        again = await on.provider.say(voice(TONE), sample_rate=RATE)
        assert not (await again.wait()).interrupted
        assert on.provider.stats().reconnects == 1
        assert len(service.connections) == 2
        assert on.record.states == ["connecting", "connected", "reconnecting", "connected"]
        assert [type(error) for error in on.record.payloads("error")] == [kind]
        assert on.record.count("disconnected") == 0


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (4001, SpatialRealBillingError, DisconnectReason.REJECTED),
        (4003, SpatialRealLimitError, DisconnectReason.REJECTED),
        (4010, SpatialRealAuthError, DisconnectReason.REJECTED),
        (1000, SpatialRealClosedError, DisconnectReason.ROOM_CLOSED),
    ],
)
@virtually
async def test_what_another_connection_does_not_mend_ends_it(
    code: int, kind: type[SpatialRealError], reason: DisconnectReason
) -> None:
    async with service_of() as service, performing(service) as on:
        problem = await broken_off(on, SocketFault(close_code=code, after_s=1.0))
        assert isinstance(problem, kind)
        assert not problem.retryable
        await asyncio.wait_for(on.player.wait_closed(), 10)
        assert [each.reason for each in on.record.payloads("disconnected")] == [reason]
        assert len(service.connections) == 1
        with pytest.raises(NotConnectedError):
            await on.provider.say(voice(TONE), sample_rate=RATE)
        await on.player.connect()  # asked for, it is another matter
        assert not (await (await on.provider.say(voice(TONE), sample_rate=RATE)).wait()).interrupted


@virtually
async def test_it_gives_up_in_the_end_and_without_a_policy_at_once() -> None:
    for retry, attempts in ((QUICK, 2), (None, 0)):
        async with service_of() as service, performing(service, retry=retry) as on:
            service.fail("token", *[HttpFault(503)] * 5)
            service.fail("sentence", SocketFault(cut=True))
            playback = await on.provider.say(voice(LONG), sample_rate=RATE)
            with pytest.raises(SpatialRealConnectionError):
                await playback.wait()
            await asyncio.wait_for(on.player.wait_closed(), 10)
            assert len(service.seen("token")) == 1 + attempts
            (ended,) = on.record.payloads("disconnected")
            assert ended.reason is DisconnectReason.SIGNAL_CLOSED
            assert on.provider.get_connection_state() is ConnectionState.DISCONNECTED


@virtually
async def test_a_session_whose_time_is_over_goes_on_in_another_and_one_that_never_lasts_does_not() -> None:
    async with service_of(max_session_s=30.0) as service, performing(service) as on:
        await asyncio.sleep(100.0)
        assert on.provider.stats().reconnects == 3
        assert on.player.is_connected
    async with service_of(max_session_s=0.5) as service, performing(service) as on:
        await asyncio.wait_for(on.player.wait_closed(), 30)
        assert len(service.connections) == 1 + 2
        assert on.record.payloads("disconnected")[0].reason is DisconnectReason.SIGNAL_CLOSED


@virtually
async def test_disconnecting_while_it_is_on_its_way_back_ends_it() -> None:
    async with service_of() as service, performing(service) as on:
        service.fail("token", *[HttpFault(503, kind="hang")] * 5)
        await broken_off(on, SocketFault(cut=True, after_s=0.5))
        await until(lambda: on.provider.get_connection_state() is ConnectionState.RECONNECTING, "a loss")
        await on.player.disconnect()
        assert on.provider.get_connection_state() is ConnectionState.DISCONNECTED
        assert on.record.states[-1] == "disconnected"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, SpatialRealAuthError),
        (402, SpatialRealBillingError),
        (404, SpatialRealNotFoundError),
        (429, SpatialRealLimitError),
        (503, SpatialRealConnectionError),
    ],
)
def test_refused_it_says_why_and_not_the_key(
    status: int, kind: type[SpatialRealError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    @virtually
    async def attempt() -> None:
        async with service_of() as service:
            service.fail("token", HttpFault(status, text=f"the key {KEY} is not good"))
            on = Performance(service)
            with pytest.raises(kind) as caught:
                await on.player.connect()
            assert KEY not in str(caught.value)
            assert KEY not in str(caught.value.__cause__)
            assert on.record.states == ["connecting", "failed"]
            await on.player.connect()
            assert on.player.is_connected
            tokens = [value for each in service.seen("connect") for value in each.headers.values()]
            await on.player.disconnect()
            keys = [value for value in tokens if value.startswith("session")]
            for secret in (KEY, *keys):
                assert secret not in caplog.text

    attempt()


@virtually
async def test_a_handshake_that_hangs_ends_in_time() -> None:
    async with service_of() as service:
        service.fail("handshake", SocketFault(hang=True))
        on = Performance(service)
        with pytest.raises(SpatialRealConnectionError):
            await on.player.connect(ConnectionConfig(timeout_s=2.0))
        await until(service.connections[0].closed.is_set, "the end of the WebSocket")


@virtually
async def test_connecting_twice_aborting_and_cancelling() -> None:
    async with service_of() as service:
        provider = provider_of(service)
        service.fail("handshake", SocketFault(hang=True), SocketFault(hang=True))
        connecting = asyncio.create_task(provider.connect())
        await asyncio.sleep(0.1)
        with pytest.raises(AlreadyConnectedError):
            await provider.connect()
        await provider.disconnect()
        with pytest.raises(ConnectAbortedError):
            await connecting
        connecting = asyncio.create_task(provider.connect())
        await asyncio.sleep(0.1)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert provider.get_connection_state() is ConnectionState.DISCONNECTED
        await provider.connect()
        with pytest.raises(AlreadyConnectedError):
            await provider.connect()
        await provider.disconnect()
        await provider.disconnect()
        await until(lambda: all(each.closed.is_set() for each in service.connections), "the end of all")
        assert len(service.connections) == 3


@virtually
async def test_an_error_about_an_utterance_ends_that_one_alone() -> None:
    async with service_of() as service, performing(service) as on:
        service.fail("sentence", SocketFault(error_code=13, error_message="inference failed", after_s=0.5))
        bad = await on.provider.say(voice(LONG), sample_rate=RATE)
        good = await on.provider.say(voice(TONE), sample_rate=RATE)
        with pytest.raises(SpatialRealError, match="inference failed"):
            await bad.wait()
        assert not (await good.wait()).interrupted
        assert on.player.is_connected
        assert on.record.count("error") == 1


@virtually
async def test_rubbish_is_counted_and_the_rest_is_played() -> None:
    async with service_of() as service, performing(service) as on:
        service.fail("sentence", SocketFault(garbage=b"\xff\xff\xff", text="hello", after_s=0.3))
        playback = await on.provider.say(voice(TONE), sample_rate=RATE)
        assert not (await playback.wait()).interrupted
        assert on.provider.stats().counters.shown == 25
        assert on.player.is_connected


@virtually
async def test_what_the_service_says_before_it_closes_is_told_once() -> None:
    async with service_of() as service, performing(service, retry=None) as on:
        fault = SocketFault(error_code=13, error_message="upstream", close_code=4500, after_s=0.5)
        await broken_off(on, fault)
        await asyncio.wait_for(on.player.wait_closed(), 10)
        (error,) = on.record.payloads("error")
        assert "upstream" in str(error)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_a_cancelled_disconnect_leaves_no_connection_behind(steps: int) -> None:
    @virtually
    async def attempt() -> None:
        async with service_of() as service:
            provider = provider_of(service)
            await provider.connect()
            ending = asyncio.create_task(provider.disconnect())
            for _ in range(steps):
                await asyncio.sleep(0)
            ending.cancel()
            await asyncio.wait([ending])
            await provider.connect()  # waits for the end of the one before
            assert [each.closed.is_set() for each in service.connections] == [True, False]
            await provider.disconnect()
            await until(service.connections[1].closed.is_set, "the end of the second")
            assert provider.get_connection_state() is ConnectionState.DISCONNECTED

    attempt()
