"""A connection to the stand-in server that breaks, hangs or ends, on a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from avatarkit_rtc.errors import RealtimeStateError, RealtimeTimeoutError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime.connection import MAX_MESSAGE_BYTES
from avatarkit_rtc.integrations.realtime.events import ConnectionLost
from avatarkit_rtc.integrations.realtime.websocket_client import HEARTBEAT_S
from avatarkit_rtc.testing.realtime import Call, Fault, Moment, Reply, StandInRealtimeServer
from tests.support.realtime import on_patient_time
from tests.support.realtime_client import CONFIG, ClientSession, open_session


@pytest.mark.parametrize("kind", ["drop", "close"])
@pytest.mark.parametrize("moment", [Moment.CREATED, Moment.SPEECH, Moment.CALL, Moment.CALLED, Moment.DONE])
async def test_a_loss_in_a_response_is_the_last_event(
    session: ClientSession, moment: Moment, kind: Any
) -> None:
    session.server.replies.append(Reply("One moment.", 0.3, calls=(Call("a", {"x": 1}),)))
    session.server.fail(moment, Fault(kind))
    await session.client.send_text("a")
    await session.has(ConnectionLost)
    lost = session.events[-1]
    assert isinstance(lost, ConnectionLost)
    assert isinstance(lost.error, RealtimeTransportError)
    assert lost.cause == ("closed" if kind == "close" else "failed")
    with pytest.raises(RealtimeStateError):
        await session.client.send_text("b")
    assert session.client.stats() == {}
    await session.client.connect(CONFIG)  # again
    await session.says()
    assert len(session.of(ConnectionLost)) == 1


async def test_a_loss_in_an_update_raises_and_is_told(session: ClientSession) -> None:
    session.server.fail(Moment.PATCH, Fault("drop"))
    with pytest.raises(RealtimeTransportError):
        await session.client.update(CONFIG)
    await session.has(ConnectionLost)


async def test_after_a_loss_disconnecting_waits_until_nothing_is_open(session: ClientSession) -> None:
    connection = session.client._connection
    assert connection is not None
    session.server.connection.drop()
    await session.has(ConnectionLost)
    await session.client.disconnect()
    assert connection._session.closed
    await session.client.disconnect()


async def test_a_loss_right_behind_the_session(server: StandInRealtimeServer) -> None:
    session = ClientSession(server)

    def drop(kind: str) -> None:
        if kind == "session.updated":
            asyncio.get_running_loop().call_soon(server.connection.drop)

    server.on_sent = drop
    await session.client.connect(CONFIG)
    await session.has(ConnectionLost)


@on_patient_time
async def test_a_server_that_gives_no_sign_of_life_is_given_up() -> None:
    async with open_session() as session:
        session.server.connection.request.transport.pause_reading()  # type: ignore[union-attr]
        await asyncio.sleep(2 * HEARTBEAT_S)
        (lost,) = session.of(ConnectionLost)
        assert lost.cause == "timeout"


@on_patient_time
async def test_a_server_that_takes_nothing_is_not_waited_for() -> None:
    async with open_session(answer_timeout_s=1.0) as session:
        session.server.connection.request.transport.pause_reading()  # type: ignore[union-attr]

        async def send_on() -> None:
            for _ in range(100):
                await session.client.send_audio(bytes(1 << 20))

        with pytest.raises(RealtimeTimeoutError, match="took nothing"):
            await send_on()


async def test_sending_at_the_moment_of_a_loss(session: ClientSession) -> None:
    connection = session.client._connection
    assert connection is not None
    connection._socket._writer.transport.abort()  # type: ignore[union-attr]
    with pytest.raises(RealtimeTransportError, match="has gone"):
        await session.client.send_audio(b"ab")
    await session.has(ConnectionLost)


async def test_a_message_that_is_too_large_ends_the_connection(session: ClientSession) -> None:
    await session.server.send('{"type": "' + "x" * (MAX_MESSAGE_BYTES + 1) + '"}')
    await session.has(ConnectionLost)
    assert session.events[-1].cause == "too-big"
