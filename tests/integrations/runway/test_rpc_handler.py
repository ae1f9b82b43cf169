"""The handler of Runway's tool calls in its room: how it joins, closes, loses the room and comes back."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Self

import pytest
from livekit import api as livekit_api
from livekit import rtc

from avatarkit_rtc.errors import ConfigurationError, NotConnectedError, RunwayStatusError
from avatarkit_rtc.events import ConnectionState, Disconnected, DisconnectReason, ReconnectFailed
from avatarkit_rtc.integrations.runway import RpcHandler, RunwayCredentials, create_rpc_handler, first_call
from avatarkit_rtc.integrations.runway.rpc_handler import CLOSE_TIMEOUT_S
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.testing.runway_api import Fault, StandInRunwayApi
from tests.integrations.runway.conftest import Start
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.room_peer import Peer
from tests.support.runway import APPLICATION_ERROR, KEY, EndlessTool, Worker, echo, plain


class EagerWorker:
    """Calls ``echo`` every few ms, on an event loop in a thread of its own."""

    def __init__(self, server: LiveKitServer, room_name: str) -> None:
        self._server = server
        self._room_name = room_name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="eager worker")
        self._peer: Peer | None = None
        self.answered = 0
        self.refused: Counter[int] = Counter()

    async def __aenter__(self) -> Self:
        self._thread.start()
        await self._there(self._join())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._there(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def call_until_answered(self, destination: str) -> None:
        """Until ten of the calls were answered, and all of them are over."""
        await self._there(self._call_until_answered(destination))

    async def _there(self, work: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _join(self) -> None:
        self._peer = Peer(self._server, self._room_name, "worker:1")
        await self._peer.__aenter__()

    async def _leave(self) -> None:
        if self._peer is not None:
            await self._peer.leave()

    async def _call_until_answered(self, destination: str) -> None:
        enough, calls = self.answered + 10, []
        while self.answered < enough:
            calls.append(asyncio.create_task(self._call(destination)))
            await asyncio.sleep(0.003)
        await asyncio.gather(*calls)

    async def _call(self, destination: str) -> None:
        assert self._peer is not None
        try:
            await self._peer.room.local_participant.perform_rpc(
                destination_identity=destination,
                method="echo",
                payload="1",
                response_timeout=10.0,
                max_round_trip_latency=1.0,
            )
            self.answered += 1
        except rtc.RpcError as error:
            self.refused[int(error.code)] += 1


async def remove(server: LiveKitServer, room: str, identity: str) -> None:
    async with livekit_api.LiveKitAPI(server.http_url, server.api_key, server.api_secret) as lk:
        await lk.room.remove_participant(livekit_api.RoomParticipantIdentity(room=room, identity=identity))


async def lose(handler: RpcHandler) -> None:
    """The server ends the connection without anybody's wish."""
    room = handler._provider.get_native_client()
    assert room is not None
    await room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SERVER_LEAVE)


class TestConfiguration:
    async def test_no_way_into_the_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RUNWAYML_API_SECRET", raising=False)
        with pytest.raises(ConfigurationError, match=r"session_id \(with api_key\), or credentials, or room"):
            await create_rpc_handler(tools={"a": print})
        with pytest.raises(ConfigurationError, match="more than one"):
            await create_rpc_handler(
                tools={"a": print}, session_id="s", credentials=RunwayCredentials("ws://a", "t")
            )
        with pytest.raises(ConfigurationError, match="api_key is missing"):
            await create_rpc_handler(tools={"a": print}, session_id="s")
        with pytest.raises(ConfigurationError, match="not given: token") as caught:
            await create_rpc_handler(tools={"a": print}, credentials={"url": "ws://secret"})
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "options",
        [
            {"tools": {}},
            {"tools": {"": print}},
            {"tools": {"x" * 65: print}},
            {"tools": {"a": 5}},
            {"tool_timeout_s": 0},
            {"max_calls_at_once": 0},
            {"max_calls_waiting": -1},
            {"max_reply_bytes": 15361},
            {"connect_timeout_s": 0},
        ],
    )
    async def test_options_out_of_range(self, options: dict[str, Any]) -> None:
        given: dict[str, Any] = {"tools": {"a": print}, "credentials": RunwayCredentials("ws://a", "t")}
        with pytest.raises(ConfigurationError):
            await create_rpc_handler(**(given | options))


class TestJoiningAndLeaving:
    async def test_methods_are_there_before_anyone_can_call(
        self, livekit_server: LiveKitServer, room_name: str
    ) -> None:
        """A worker that calls every few ms while a handler joins never hears that there is no such method,
        though its event loop is so busy that it learns late that it is in the room."""

        async def keep_busy() -> None:
            while True:
                time.sleep(0.05)  # noqa: ASYNC251
                await asyncio.sleep(0)

        busy = asyncio.create_task(keep_busy())
        async with EagerWorker(livekit_server, room_name) as worker:
            calling = asyncio.create_task(worker.call_until_answered("tools"))
            token = mint_token(livekit_server, room_name, "tools")
            handler = await create_rpc_handler(
                tools={"echo": echo},
                credentials={"url": livekit_server.url, "token": token, "roomName": room_name},
            )
            await calling
            await handler.close()
            busy.cancel()
        assert worker.answered >= 10
        # Nobody answers as long as there is nobody.
        assert set(worker.refused) <= {rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT}, worker.refused

    async def test_with_an_sdk_that_is_made_otherwise_methods_come_after_joining(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(*_: object) -> None:
            raise AttributeError("queue")

        monkeypatch.setattr(first_call, "_watch", missing)
        _, worker = await start({"echo": echo})
        assert await worker.call("echo", 1) == {"got": 1}

    async def test_api_that_gives_no_credentials(self, api: StandInRunwayApi) -> None:
        seen: list[str] = []
        with pytest.raises(RunwayStatusError) as caught:
            await create_rpc_handler(
                tools={"echo": echo},
                api_key=KEY,
                session_id="no-such",
                base_url=api.url,
                on_disconnected=lambda: seen.append("disconnected"),
            )
        assert caught.value.status == 404
        assert seen == []

    async def test_cancelled_while_joining(self, api: StandInRunwayApi) -> None:
        api.fail("POST connect_backend", Fault(kind="hang"))
        joining = asyncio.create_task(
            create_rpc_handler(tools={"echo": echo}, api_key=KEY, session_id="s", base_url=api.url)
        )
        await until(lambda: api.requests, "the request")
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(joining, 5)

    async def test_not_used_again_once_closed(self, start: Start) -> None:
        handler, _ = await start({"echo": echo})
        await handler.close()
        with pytest.raises(NotConnectedError, match="create_rpc_handler"):
            await handler.connect()

    async def test_joins_hidden_with_what_connect_backend_says(
        self, start: Start, api: StandInRunwayApi
    ) -> None:
        _, worker = await start({"echo": echo})
        await worker.call("echo")
        assert worker.destination not in worker.room.remote_participants
        (request,) = api.seen("POST connect_backend")
        session_id = next(iter(api.sessions))
        assert request.path == f"/v1/realtime_sessions/{session_id}/connect_backend"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["x-runway-version"] == "2024-11-06"
        assert request.headers["content-type"] == "application/json"
        assert request.body is None

    async def test_events_of_joining_and_closing(self, start: Start) -> None:
        seen: list[Any] = []
        handler, _ = await start(
            {"echo": echo}, on_connected=lambda: seen.append("connected"), on_disconnected=seen.append
        )
        assert seen == ["connected"]
        await handler.close()
        assert seen == ["connected", Disconnected(DisconnectReason.CLIENT_INITIATED)]
        assert not handler.connected
        await handler.close()
        await asyncio.wait_for(handler.wait_closed(), 1)

    async def test_close_waits_for_a_call_in_flight(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert CLOSE_TIMEOUT_S == 2.0
        monkeypatch.setattr("avatarkit_rtc.integrations.runway.rpc_handler.CLOSE_TIMEOUT_S", 30.0)
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def slow(args: Any) -> Any:
            begun.set()
            await go_on.wait()
            return "late"

        handler, worker = await start({"slow": slow})
        call = asyncio.create_task(worker.call("slow", timeout_s=60))
        await begun.wait()
        closing = asyncio.create_task(handler.close())
        await asyncio.sleep(0.05)
        assert (await worker.refusal("slow"))[0] == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
        assert not call.done()
        go_on.set()
        assert await call == "late"
        await closing

    async def test_close_answers_a_call_that_takes_too_long(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("avatarkit_rtc.integrations.runway.rpc_handler.CLOSE_TIMEOUT_S", 0.2)
        endless = EndlessTool()
        handler, worker = await start({"endless": endless})
        call = asyncio.create_task(worker.refusal("endless", timeout_s=20))
        await endless.begun.wait()
        await handler.close()
        assert await call == (APPLICATION_ERROR, "The tool handler was closed before the tool was done")

    async def test_close_survives_the_callers_cancellation(self, start: Start) -> None:
        handler, _ = await start({"echo": echo})
        closing = asyncio.create_task(handler.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert handler.connection_state is ConnectionState.DISCONNECTED

    async def test_borrowed_room_stays(self, livekit_server: LiveKitServer, room_name: str) -> None:
        async with (
            Peer(livekit_server, room_name, "worker:1") as worker,
            Peer(livekit_server, room_name, "mine") as mine,
        ):
            async with await create_rpc_handler(tools={"echo": echo}, room=mine.room) as handler:
                assert await Worker(worker.room, handler).call("echo", 1) == {"got": 1}
            assert mine.room.isconnected()
            with pytest.raises(rtc.RpcError):
                await worker.room.local_participant.perform_rpc(
                    destination_identity="mine", method="echo", payload="1"
                )

    async def test_nothing_is_left_over(self, start: Start) -> None:
        handler, worker = await start({"plain": plain})
        await worker.call("plain")
        await handler.close()
        await asyncio.sleep(0.1)
        gc.collect()
        named = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in named if name.startswith(("tool", "close tool", "join", "auto"))]
        assert not [thread for thread in threading.enumerate() if thread.name == "tool call"]


class TestLosingTheRoom:
    async def test_room_lost_in_a_call(self, livekit_server: LiveKitServer, room_name: str) -> None:
        """The caller gets an error, the tool is cancelled. Being removed is somebody's wish: no way back."""
        asked, slow = 0, EndlessTool()

        async def credentials() -> RunwayCredentials:
            nonlocal asked
            asked += 1
            return RunwayCredentials(
                livekit_server.url, mint_token(livekit_server, room_name, f"tools-{asked}"), room_name
            )

        seen: list[str] = []
        handler = await create_rpc_handler(
            tools={"slow": slow, "echo": echo},
            credentials=credentials,
            auto_reconnect=ReconnectPolicy(first_delay_s=0.1),
            on_connected=lambda: seen.append("connected"),
            on_disconnected=lambda: seen.append("disconnected"),
        )
        async with handler, Peer(livekit_server, room_name, "worker:1") as worker:
            calls = Worker(worker.room, handler)
            call = asyncio.create_task(calls.refusal("slow", timeout_s=20))
            await slow.begun.wait()
            await remove(livekit_server, room_name, "tools-1")
            code, _ = await call
            assert code == rtc.RpcError.ErrorCode.RECIPIENT_DISCONNECTED
            await asyncio.wait_for(slow.cancelled.wait(), 20)
            await until(lambda: not handler.connected, "the loss")
            assert asked == 1
            assert seen == ["connected", "disconnected"]

    async def test_comes_back_with_new_credentials_after_a_lost_connection(
        self, start: Start, api: StandInRunwayApi
    ) -> None:
        slow, seen = EndlessTool(), list[str]()
        handler, worker = await start(
            {"echo": echo, "slow": slow},
            auto_reconnect=ReconnectPolicy(first_delay_s=0.2),
            on_connected=lambda: seen.append("connected"),
            on_disconnected=lambda: seen.append("disconnected"),
        )
        before = worker.destination
        call = asyncio.create_task(worker.refusal("slow", timeout_s=2))
        await slow.begun.wait()
        api.fail("POST connect_backend", Fault(503))  # one that is tried again
        await lose(handler)
        await until(lambda: seen == ["connected", "connected"], "the way back", 20)
        assert (await call)[0] in (
            rtc.RpcError.ErrorCode.RECIPIENT_DISCONNECTED,
            # Nobody sees a hidden participant leave; and the word that the call has come may be lost, too.
            rtc.RpcError.ErrorCode.RESPONSE_TIMEOUT,
            rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT,
        )
        await asyncio.wait_for(slow.cancelled.wait(), 20)
        assert worker.destination != before
        assert await worker.call("echo", 1) == {"got": 1}
        # The first, the one that failed, and as many more as a busy machine needed.
        assert len(api.seen("POST connect_backend")) >= 3

    async def test_session_that_is_gone_is_not_come_back_to(
        self, start: Start, api: StandInRunwayApi
    ) -> None:
        errors: list[Any] = []
        handler, _ = await start({"echo": echo}, auto_reconnect=ReconnectPolicy(first_delay_s=0.1))
        handler.on("reconnect-failed", errors.append)
        api.fail("POST connect_backend", Fault(404))
        await lose(handler)
        await asyncio.wait_for(handler.wait_closed(), 20)
        assert handler.connection_state is ConnectionState.FAILED
        assert errors == [ReconnectFailed(1, "runway-status")]

    async def test_resumed_by_the_sdk_the_methods_stay(self, start: Start) -> None:
        handler, worker = await start({"echo": echo})
        room = handler._provider.get_native_client()
        assert room is not None
        states: list[ConnectionState] = []
        handler.on("connection-state-changed", states.append)
        await room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        await until(lambda: states and states[-1] is ConnectionState.CONNECTED, "the reconnect", 20)
        assert await worker.call("echo", 1) == {"got": 1}

    async def test_session_that_is_over_ends_it(
        self, start: Start, api: StandInRunwayApi, livekit_server: LiveKitServer
    ) -> None:
        reasons: list[Disconnected] = []
        handler, _ = await start({"echo": echo}, on_disconnected=reasons.append)
        room_name = next(iter(api.sessions.values())).room_name
        async with livekit_api.LiveKitAPI(
            livekit_server.http_url, livekit_server.api_key, livekit_server.api_secret
        ) as lk:
            await lk.room.delete_room(livekit_api.DeleteRoomRequest(room=room_name))
        await asyncio.wait_for(handler.wait_closed(), 10)
        assert reasons == [Disconnected(DisconnectReason.ROOM_DELETED)]
