"""However a session ends within its program: the API, or the worker, sees exactly one end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from livekit import rtc

from avatarkit_rtc import AvatarPlayer, LiveKitProvider
from avatarkit_rtc.errors import AlreadyConnectedError, ConfigurationError, NotConnectedError
from avatarkit_rtc.integrations.runway import RunwayClient, RunwaySession, ending
from avatarkit_rtc.testing.runway_api import Fault, StandInRunwayApi
from avatarkit_rtc.testing.server import LocalServer
from tests.support.livekit import LiveKitServer, mint_token, until
from tests.support.runway import KEY, SlowApi


@pytest.fixture
def session(bare_api: StandInRunwayApi) -> RunwaySession:
    client = RunwayClient(KEY, base_url=bare_api.url, retry_interval_s=0.3)
    return RunwaySession(client, preset_id="influencer")


class StandInRoom:
    """A room with nobody else in it; ``tell`` is what sending a message does."""

    remote_participants: Mapping[str, Any] = {}

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self.local_participant = self
        self.connected = True
        self._tell = tell

    def isconnected(self) -> bool:
        return self.connected

    async def publish_data(self, *_: Any, **__: Any) -> None:
        self._tell()


class TestOrder:
    async def test_in_a_live_room_the_avatar_is_told(self, api: StandInRunwayApi) -> None:
        room = rtc.Room()
        async with RunwaySession(api_key=KEY, base_url=api.url, preset_id="influencer") as session:
            way = await session.join(interval_s=0.05)
            await room.connect(way.url, way.token)
            session.use_room(lambda: room)
            worker = api.sessions[session.id].room
            assert worker is not None
            packets: list[rtc.DataPacket] = []
            worker.on("data_received", packets.append)
            await until(lambda: room.remote_participants, "the worker")
        await room.disconnect()
        await until(lambda: packets, "the message")
        (packet,) = packets
        assert packet.data == b'{"type": "END_CALL"}'
        assert packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        assert api.ends == ["END_CALL"]
        assert api.sessions[session.id].status == "COMPLETED"
        assert api.seen("DELETE") == []

    async def test_only_the_avatar_is_told(
        self, api: StandInRunwayApi, livekit_server: LiveKitServer
    ) -> None:
        room, bystander = rtc.Room(), rtc.Room()
        heard: list[rtc.DataPacket] = []
        bystander.on("data_received", heard.append)
        async with RunwaySession(api_key=KEY, base_url=api.url, preset_id="influencer") as session:
            way = await session.join(interval_s=0.05)
            await bystander.connect(way.url, mint_token(livekit_server, way.room_name or "", "bystander"))
            await room.connect(way.url, way.token)
            await until(lambda: len(room.remote_participants) == 2, "both")
            session.use_room(room)
        await until(lambda: api.ends, "the end")
        assert heard == []
        for each in (room, bystander):
            await each.disconnect()

    async def test_through_a_players_room(self, api: StandInRunwayApi) -> None:
        async with AvatarPlayer(LiveKitProvider(), play_audio=False) as player:
            async with RunwaySession(api_key=KEY, base_url=api.url, preset_id="influencer") as session:
                session.use_room(player.get_native_client)
                way = await session.join(interval_s=0.05)
                await player.connect(url=way.url, token=way.token, room_name=way.room_name)
            await until(lambda: api.ends, "the end")
        assert api.ends == ["END_CALL"]

    async def test_without_a_room_it_is_cancelled(
        self, bare_api: StandInRunwayApi, session: RunwaySession
    ) -> None:
        async with session:
            assert bare_api.ends == []
        assert bare_api.ends == ["DELETE"]
        assert bare_api.sessions[session.id].status == "CANCELLED"

    async def test_with_a_room_that_is_gone_it_is_cancelled(self, api: StandInRunwayApi) -> None:
        async with RunwaySession(api_key=KEY, base_url=api.url, preset_id="influencer") as session:
            way = await session.join(interval_s=0.05)
            room = rtc.Room()
            await room.connect(way.url, way.token)
            session.use_room(room)
            await room.disconnect()
        assert api.ends == ["DELETE"]

    async def test_when_telling_fails_it_is_cancelled(
        self, bare_api: StandInRunwayApi, session: RunwaySession, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> None:
            raise rtc.room.ConnectError("engine is closed")

        async with session:
            session.use_room(StandInRoom(fail))  # type: ignore[arg-type]
        assert bare_api.ends == ["DELETE"]
        assert "could not be told" in caplog.text

    @pytest.mark.parametrize("arrived", [True, False])
    async def test_when_the_room_is_left_while_telling_it_is_seen_to(
        self,
        arrived: bool,
        bare_api: StandInRunwayApi,
        session: RunwaySession,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert ending.OVER_AFTER_S == 1.0
        monkeypatch.setattr(ending, "OVER_AFTER_S", 0.1)

        def leave() -> None:
            room.connected = False
            bare_api.sessions[session.id].status = "COMPLETED" if arrived else "RUNNING"

        room = StandInRoom(leave)
        async with session:
            session.use_room(room)  # type: ignore[arg-type]
        assert bare_api.ends == ([] if arrived else ["DELETE"])

    async def test_when_nobody_hears_it_is_seen_to(self, api: StandInRunwayApi) -> None:
        room = rtc.Room()
        async with RunwaySession(api_key=KEY, base_url=api.url, preset_id="influencer") as session:
            way = await session.join(interval_s=0.05)
            await room.connect(way.url, way.token)
            session.use_room(room, "nobody")
        assert api.ends == ["DELETE"]
        await room.disconnect()

    async def test_looking_whether_it_is_over_takes_no_time_from_cancelling(
        self, bare_api: StandInRunwayApi, session: RunwaySession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert ending.LOOK_TIMEOUT_S == 3.0
        monkeypatch.setattr(ending, "OVER_AFTER_S", 0.1)
        monkeypatch.setattr(ending, "LOOK_TIMEOUT_S", 0.3)
        bare_api.fail("GET", Fault(kind="hang"))

        async with session:
            session.use_room(StandInRoom())  # type: ignore[arg-type]
        assert bare_api.ends == ["DELETE"]
        assert len(bare_api.seen("GET")) == 1

    @pytest.mark.parametrize("room", [lambda: 1 / 0, lambda: "no room"])
    async def test_a_room_that_cannot_be_had_is_none(
        self,
        room: Any,
        bare_api: StandInRunwayApi,
        session: RunwaySession,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        async with session:
            session.use_room(room)
        assert bare_api.ends == ["DELETE"]
        assert "room" in caplog.text

    async def test_failures_only_warn(
        self, bare_api: StandInRunwayApi, session: RunwaySession, caplog: pytest.LogCaptureFixture
    ) -> None:
        bare_api.fail("DELETE", Fault(403, f"not with {KEY}"))
        async with session:
            pass
        assert "could not be cancelled" in caplog.text
        assert KEY not in caplog.text

    async def test_ten_seconds_at_most(
        self,
        bare_api: StandInRunwayApi,
        session: RunwaySession,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert ending.END_TIMEOUT_S == 10.0
        monkeypatch.setattr(ending, "END_TIMEOUT_S", 0.3)
        bare_api.fail("DELETE", Fault(kind="hang"))
        began = time.monotonic()
        async with session:
            pass
        assert time.monotonic() - began < 5
        assert "could not be cancelled within 0.3 s" in caplog.text

    async def test_a_failed_cancellation_is_tried_again(
        self, bare_api: StandInRunwayApi, session: RunwaySession
    ) -> None:
        bare_api.fail("DELETE", Fault(503))
        async with session:
            pass
        assert bare_api.ends == ["DELETE"]


def create_in_a_loop_that_is_closed(base_url: str) -> None:
    """Begin to create a session, and close the event loop at once."""
    loop = asyncio.new_event_loop()
    creating = loop.create_task(RunwayClient(KEY, base_url=base_url).create_session(preset_id="influencer"))
    loop.run_until_complete(asyncio.wait([creating], timeout=0.05))
    loop.close()
    creating._log_destroy_pending = False  # type: ignore[attr-defined]


def running(name: str) -> list[threading.Thread]:
    """Threads of this name that have not ended."""
    return [thread for thread in threading.enumerate() if thread.name == name]


class TestOnce:
    async def test_ended_by_hand_and_by_leaving(
        self, bare_api: StandInRunwayApi, session: RunwaySession
    ) -> None:
        async with session:
            await asyncio.gather(session.end(), session.end())
            assert session.ended
        await session.end()
        assert bare_api.ends == ["DELETE"]

    async def test_block_that_raises(self, bare_api: StandInRunwayApi, session: RunwaySession) -> None:
        with pytest.raises(ZeroDivisionError):
            async with session:
                raise ZeroDivisionError
        assert bare_api.ends == ["DELETE"]

    async def test_cancelled_in_the_block_and_again_while_ending(
        self, bare_api: StandInRunwayApi, session: RunwaySession
    ) -> None:
        bare_api.fail("DELETE", Fault(503))  # so that the end takes a while
        inside = asyncio.Event()

        async def use() -> None:
            async with session:
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(use())
        await inside.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.001)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bare_api.ends == ["DELETE"]

    async def test_cancelled_while_it_is_being_created(self, slow_api: SlowApi) -> None:
        async def use() -> None:
            async with RunwaySession(api_key=KEY, base_url=slow_api.url, preset_id="influencer"):
                raise AssertionError("it was cancelled before")

        task = asyncio.create_task(use())
        await slow_api.creating.wait()
        task.cancel()
        await asyncio.sleep(0.05)
        slow_api.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert slow_api.ends == ["DELETE"]

    async def test_cancelled_in_the_pause_before_another_try_to_create_it(
        self, bare_api: StandInRunwayApi
    ) -> None:
        """No session can have come about, so nothing is waited for."""
        bare_api.fail("POST realtime_sessions", Fault(429, headers={"Retry-After": "30"}))
        paused = asyncio.create_task(
            RunwayClient(KEY, base_url=bare_api.url).create_session(preset_id="influencer")
        )
        await until(lambda: bare_api.requests, "the first try")
        await asyncio.sleep(0.1)
        paused.cancel()
        await asyncio.wait([paused], timeout=15)
        assert paused.cancelled()
        assert len(bare_api.requests) == 1

    async def test_asyncio_run_that_sweeps_its_creation_away(self, slow_api: SlowApi) -> None:
        """The program's main coroutine returns while another task waits for the answer."""
        began = threading.Event()
        tasks: list[asyncio.Task[None]] = []
        entered: list[str] = []

        async def use() -> None:
            async with RunwaySession(api_key=KEY, base_url=slow_api.url, preset_id="influencer") as session:
                entered.append(session.id)

        async def main() -> None:
            tasks.append(asyncio.create_task(use()))
            await asyncio.to_thread(began.wait)

        program = asyncio.create_task(asyncio.to_thread(asyncio.run, main()))
        await slow_api.creating.wait()
        began.set()
        await until(tasks[0].cancelling, "the sweep")
        slow_api.go.set()
        await program
        assert slow_api.ends == ["DELETE"]
        assert entered == []

    async def test_event_loop_that_is_closed_while_it_is_being_created(self, slow_api: SlowApi) -> None:
        """As by a second Ctrl-C: nobody is left to wait or to cancel."""
        await asyncio.to_thread(create_in_a_loop_that_is_closed, slow_api.url)
        await slow_api.creating.wait()
        slow_api.go.set()
        await until(lambda: slow_api.ends, "the end")
        assert slow_api.ends == ["DELETE"]

    async def test_event_loop_that_is_closed_before_another_try_to_create_it(
        self, bare_api: StandInRunwayApi
    ) -> None:
        """None is started that nobody wants, and the program's end is not held up."""
        bare_api.fail("POST realtime_sessions", Fault(429, headers={"Retry-After": "30"}))
        await asyncio.to_thread(create_in_a_loop_that_is_closed, bare_api.url)
        await until(lambda: bare_api.requests, "the first try")
        await until(lambda: not running("create session"), "its thread's end")
        assert len(bare_api.requests) == 1

    async def test_asyncio_run_that_sweeps_everything_away(self, bare_api: StandInRunwayApi) -> None:
        """The end is under way when the program's main coroutine returns without waiting for it."""

        async def main() -> None:
            session = RunwaySession(api_key=KEY, base_url=bare_api.url, preset_id="influencer")
            await session.__aenter__()
            end = asyncio.create_task(session.end())
            await asyncio.sleep(0)
            del end

        await asyncio.to_thread(asyncio.run, main())
        await until(lambda: bare_api.ends, "the end")
        assert bare_api.ends == ["DELETE"]
        await until(lambda: not running("cancel session"), "its thread's end")

    async def test_asyncio_run_that_sweeps_the_message_away(
        self, api: StandInRunwayApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The avatar has been told, and the task that told it is cancelled: no second end."""

        async def no_answer(*_: object) -> bool:
            await asyncio.sleep(60)
            return False

        monkeypatch.setattr(ending, "arrived", no_answer)

        async def main() -> None:
            session = RunwaySession(api_key=KEY, base_url=api.url, preset_id="influencer")
            await session.__aenter__()
            way = await session.join(interval_s=0.05)
            room = rtc.Room()
            await room.connect(way.url, way.token)
            session.use_room(room)
            end = asyncio.create_task(session.end())
            await until(lambda: api.ends, "the message")
            assert not end.done()

        await asyncio.to_thread(asyncio.run, main())
        await asyncio.sleep(0.5)
        assert api.ends == ["END_CALL"]
        assert api.seen("DELETE") == []

    async def test_used_twice(self, session: RunwaySession) -> None:
        async with session:
            pass
        with pytest.raises(AlreadyConnectedError):
            await session.__aenter__()

    def test_wrong_options_are_told_before_anything_is_created(self, bare_api: StandInRunwayApi) -> None:
        with pytest.raises(ConfigurationError, match="Either avatar_id or preset_id"):
            RunwaySession(api_key=KEY)
        with pytest.raises(ConfigurationError, match="max_duration_s"):
            RunwaySession(api_key=KEY, preset_id="influencer", max_duration_s=0)
        with pytest.raises(NotConnectedError):
            _ = RunwaySession(api_key=KEY, preset_id="influencer").id


async def test_room_whose_server_is_gone(own_server: LocalServer) -> None:
    """Nobody would get the message."""
    async with StandInRunwayApi(own_server, key=KEY) as api:
        client = RunwayClient(KEY, base_url=api.url)
        session = RunwaySession(client, preset_id="influencer")
        async with session:
            way = await session.join(interval_s=0.05)
            room = rtc.Room()
            await room.connect(way.url, way.token)
            session.use_room(room)
            gone = asyncio.Event()
            room.on("reconnecting", gone.set)
            await asyncio.to_thread(own_server.kill)
            await asyncio.wait_for(gone.wait(), 20)
        assert api.ends == ["DELETE"]
        await room.disconnect()
