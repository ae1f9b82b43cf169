"""RunwayAvatar beside livekit-plugins-runway's avatar: two real workers of LiveKit Agents, the same stand-in
of Runway's API, the same real LiveKit server; requests compared field by field."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from livekit import api as livekit_api
from livekit import rtc

from avatarkit_rtc.integrations.arrival import arrived
from avatarkit_rtc.testing.runway_api import Fault, Request, StandInRunwayApi, StandInSession
from tests.support.agents import ROOT, require_agents
from tests.support.command import Child, clean_environment
from tests.support.livekit import LiveKitServer, until
from tests.support.room_peer import Peer
from tests.support.runway import KEY

pytestmark = [pytest.mark.agents, pytest.mark.timeout(400)]

BOUND_S = 90.0
"""For whatever must happen: two workers, their jobs, the rooms and the server may share a slow machine."""
PATIENT = {"max_retry": 3, "retry_interval": 2.0, "timeout": BOUND_S}
"""The defaults of both, but for the time."""

KINDS = ("plugin", "ours")
CREATE = "POST realtime_sessions"
COMPARED = ("authorization", "x-runway-version", "content-type")
"""Headers; the length of the body and the name of the program are each one's own."""


@dataclass
class Workers:
    """One worker of each kind, and what they talk to."""

    server: LiveKitServer
    api: Troublesome
    children: dict[str, Child] = field(default_factory=dict)
    jobs: int = 0

    async def start(self, kind: str) -> None:
        environment = clean_environment(
            LIVEKIT_URL=self.server.url,
            LIVEKIT_API_KEY=self.server.api_key,
            LIVEKIT_API_SECRET=self.server.api_secret,
            RUNWAYML_API_SECRET=KEY,
            RUNWAYML_BASE_URL=self.api.url,
            AGENT_NAME=kind,
        )
        program = ROOT / "tests" / "integrations" / "runway" / "agents_program.py"
        self.children[kind] = Child([require_agents(), program, "start"], env=environment)

    async def job(
        self, kind: str, *, end: str = "close", start: dict[str, str] | None = None, **options: Any
    ) -> str:
        """Dispatch a job into a room of its own; returns the room's name."""
        self.jobs += 1
        room = f"{kind}-{self.jobs}"
        options = {"conn_options": PATIENT} | options
        metadata = json.dumps({"options": options, "start": start or {}, "end": end})
        await asyncio.to_thread(self.children[kind].wait_for, "registered worker", BOUND_S)
        async with livekit_api.LiveKitAPI(
            self.server.http_url, self.server.api_key, self.server.api_secret
        ) as lk:
            await lk.agent_dispatch.create_dispatch(
                livekit_api.CreateAgentDispatchRequest(agent_name=kind, room=room, metadata=metadata)
            )
        return room

    async def told(self, kind: str, room: str, what: str) -> dict[str, Any]:
        """What the job in ``room`` says when it has come so far."""
        start = f"{room}: {what} "
        await asyncio.to_thread(self.children[kind].wait_for, start, BOUND_S)
        (line,) = (line for line in self.children[kind].out.splitlines() if line.startswith(start))
        facts: dict[str, Any] = json.loads(line.removeprefix(start))
        return facts

    def session(self, room: str) -> StandInSession:
        (session,) = (each for each in self.api.sessions.values() if each.room_name == room)
        return session

    def bodies(self, room: str) -> list[Any]:
        """The requests for sessions in ``room``, without what differs by nature."""
        return [comparable(request.headers, request.body, room) for request in self.api.creations(room)]

    def cancellations(self, room: str) -> list[tuple[str, str, Any, dict[str, str | None]]]:
        """The requests that cancel the session in ``room``."""
        session_id = self.session(room).id
        return [
            (
                each.method,
                each.path.replace(session_id, "ID"),
                each.body,
                {name: each.headers.get(name) for name in COMPARED},
            )
            for each in self.api.seen("DELETE")
            if each.path.endswith(f"/{session_id}")
        ]

    async def ended(self, room: str) -> list[str]:
        """The ends of the session in ``room``, once there is one and time for another."""
        await until(lambda: self.session(room).ends, f"the end in {room}", BOUND_S)
        await asyncio.sleep(1.0)
        return self.session(room).ends


def comparable(headers: Any, body: Any, room: str) -> dict[str, Any]:
    """Names of rooms, identities of agents and times are each job's own."""
    text = json.dumps(body | {"livekit": body["livekit"] | {"token": "…"}})
    agent = body["livekit"]["agentIdentity"]
    claims = json.loads(base64.urlsafe_b64decode(body["livekit"]["token"].split(".")[1] + "=="))
    claims = {name: value for name, value in claims.items() if name not in ("nbf", "exp", "iat")}
    said = f"{text} {json.dumps(claims, sort_keys=True)}".replace(room, "ROOM").replace(agent, "AGENT")
    assert agent.startswith("agent-")
    return {"said": said, "headers": {name: headers.get(name) for name in COMPARED}}


class Troublesome(StandInRunwayApi):
    """Does badly by the sessions of certain longest durations, whatever else comes at the same time."""

    SLOW, FAILS_ONCE, HALF_DONE = 77, 78, 79

    def __init__(self, server: LiveKitServer, bystanders: AsyncExitStack) -> None:
        super().__init__(server, key=KEY)
        self.bystanders = bystanders
        self.heard: dict[str, list[tuple[bytes, int, str]]] = {}
        """Data, kind and topic of the messages, by whom they came to: the avatar, and somebody else."""

    def _listen(self, room: rtc.Room, who: str) -> None:
        heard = self.heard.setdefault(who, [])
        room.on("data_received", lambda packet: heard.append((packet.data, packet.kind, packet.topic)))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read() or b"{}")
        trouble = body.get("maxDuration")
        if trouble == self.FAILS_ONCE and not self.creations(body["livekit"]["roomName"]):
            self.fail(CREATE, Fault(500))
        elif trouble == self.HALF_DONE:
            self.fail(CREATE, Fault(500, "half done", carried_out=True))
        return await super()._handle(request)

    async def _create(self, body: Any) -> StandInSession:
        session = await super()._create(body)
        # What is sent to a worker that has just joined is lost now and then, the plugin's message for one.
        assert session.room is not None
        await arrived(session.room.local_participant, body["livekit"]["agentIdentity"], BOUND_S)
        self._listen(session.room, f"{session.room_name}: avatar")
        if "maxDuration" not in body and self._server is not None:
            bystander = Peer(self._server, session.room_name, "bystander")  # type: ignore[arg-type]
            await self.bystanders.enter_async_context(bystander)
            self._listen(bystander.room, f"{session.room_name}: bystander")
        if body.get("maxDuration") == self.SLOW:
            await session.room.local_participant.publish_data(b"cancel")
            heard = self.heard[f"{session.room_name}: avatar"]
            await until(lambda: any(data == b"cancelled" for data, *_ in heard), "its cancellation", BOUND_S)
        return session

    def creations(self, room: str) -> list[Request]:
        """The requests for sessions in ``room``."""
        return [each for each in self.seen(CREATE) if each.body["livekit"]["roomName"] == room]


@pytest.fixture
async def workers(livekit_server: LiveKitServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    require_agents()
    monkeypatch.setattr("avatarkit_rtc.testing.runway_api._JOIN_TIMEOUT_S", BOUND_S)
    async with AsyncExitStack() as stack:
        bystanders = await stack.enter_async_context(AsyncExitStack())
        api = await stack.enter_async_context(Troublesome(livekit_server, bystanders))
        workers = Workers(livekit_server, api)
        for kind in KINDS:
            await workers.start(kind)
            stack.enter_context(workers.children[kind])
        yield workers


async def test_works_as_the_plugin_does(workers: Workers) -> None:
    """One run for everything, most of it at the same time: a worker takes seconds to start."""
    both: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}

    async def by_defaults(kind: str) -> None:
        room = await workers.job(kind, preset_id="influencer")
        facts = await workers.told(kind, room, "started")
        both[kind]["defaults"] = (facts, await workers.ended(room), workers.bodies(room))
        # To the avatar alone: what is for everybody comes to the other one, too.
        avatar = workers.session(room).room
        assert avatar is not None
        await avatar.local_participant.publish_data(b"for everybody")
        heard = workers.api.heard[f"{room}: bystander"]
        await until(lambda: heard, "what is for everybody", BOUND_S)
        assert [data for data, *_ in heard] == [b"for everybody"]
        both[kind]["told"] = workers.api.heard[f"{room}: avatar"]

    async def in_a_room_that_was_left(kind: str) -> None:
        names = ("avatar_id", "max_duration", "api_url", "api_key", "avatar_participant_identity")
        room = await workers.job(
            kind, end="left", preset_id="influencer", **dict.fromkeys(names, "NOT_GIVEN")
        )
        await workers.told(kind, room, "started")
        assert await workers.ended(room) == ["DELETE"]
        both[kind]["left"] = (workers.cancellations(room), workers.bodies(room))

    async def by_every_option(kind: str) -> None:
        room = await workers.job(
            kind,
            avatar_id="mine",
            max_duration=60,
            api_url=workers.api.url,
            api_key=KEY,
            avatar_participant_identity="face",
            avatar_participant_name="Face",
            start={
                "livekit_url": f"{workers.server.url}/",
                "livekit_api_key": workers.server.api_key,
                "livekit_api_secret": workers.server.api_secret,
            },
        )
        facts = await workers.told(kind, room, "started")
        both[kind]["options"] = (facts, await workers.ended(room), workers.bodies(room))

    async def without_an_avatar(kind: str) -> None:
        for options in ({}, {"avatar_id": "a", "preset_id": "b"}):
            facts = await workers.told(kind, await workers.job(kind, **options), "failed")
            both[kind].setdefault("refused", []).append(facts["said"])

    async def by_a_second_try(kind: str) -> None:
        # A 500 that may have started a session: the plugin asks for a second one; ours does on demand only.
        more = {"repeat_uncertain": True} if kind == "ours" else {}
        room = await workers.job(
            kind,
            preset_id="influencer",
            max_duration=Troublesome.FAILS_ONCE,
            conn_options=PATIENT | {"max_retry": 2, "retry_interval": 2.5},
            **more,
        )
        await workers.told(kind, room, "started")
        first, second = (request.at for request in workers.api.creations(room))
        assert second - first >= 2.5
        assert await workers.ended(room) == ["END_CALL"]

    async def by_half_a_try() -> None:
        room = await workers.job("ours", preset_id="influencer", max_duration=Troublesome.HALF_DONE)
        facts = await workers.told("ours", room, "failed")
        assert (facts["error"], facts["may_exist"]) == ("RunwayStatusError", True)
        assert len(workers.bodies(room)) == 1
        # Its id is not known, so its avatar is told in the room.
        assert await workers.ended(room) == ["END_CALL"]

    async def cancelled_while_it_is_created() -> None:
        options = {"preset_id": "influencer", "max_duration": Troublesome.SLOW}
        room = await workers.job("ours", end="cancel", **options)
        facts = await workers.told("ours", room, "failed")
        assert facts["error"] == "CancelledError"
        assert await workers.ended(room) == ["DELETE"]

    steps = (by_defaults, by_every_option, without_an_avatar, by_a_second_try)
    async with asyncio.TaskGroup() as group:
        for step in steps:
            for kind in KINDS:
                group.create_task(step(kind))
        group.create_task(by_half_a_try())
        group.create_task(cancelled_while_it_is_created())
    await asyncio.gather(*(in_a_room_that_was_left(kind) for kind in KINDS))

    assert both["ours"] == both["plugin"]
    facts, ends, bodies = both["ours"]["defaults"]
    assert (facts["identity"], facts["provider"]) == ("runway-avatar-agent", "runway")
    assert ["DataStreamAudioOutput", 16000, "runway-avatar-agent"] in facts["outputs"]
    assert ends == ["END_CALL"]
    (body,) = bodies
    assert body["headers"] == {
        "authorization": f"Bearer {KEY}",
        "x-runway-version": "2024-11-06",
        "content-type": "application/json",
    }
    for wanted in (
        '"model": "gwm1_avatars", "avatar": {"type": "runway-preset", "presetId": "influencer"}',
        '"roomName": "ROOM", "agentIdentity": "AGENT"',
        '"attributes": {"lk.publish_on_behalf": "AGENT"}',
        '"kind": "agent"',
        '"name": "runway-avatar-agent"',
        '"sub": "runway-avatar-agent"',
        '"roomJoin": true',
        '"room": "ROOM"',
    ):
        assert wanted in body["said"]
    assert both["ours"]["told"] == [(b'{"type": "END_CALL"}', rtc.DataPacketKind.KIND_RELIABLE, "")]
    (cancellation,), (body,) = both["ours"]["left"]
    assert cancellation == (
        "DELETE",
        "/v1/realtime_sessions/ID",
        None,
        {"authorization": f"Bearer {KEY}", "x-runway-version": "2024-11-06", "content-type": None},
    )
    assert "maxDuration" not in body["said"]
    facts, ends, (body,) = both["ours"]["options"]
    assert ["DataStreamAudioOutput", 16000, "face"] in facts["outputs"]
    assert '"maxDuration": 60' in body["said"]
    assert '{"type": "custom", "avatarId": "mine"}' in body["said"]
    assert '"name": "Face"' in body["said"]
    assert f'"url": "{workers.server.url}/"' in body["said"]
    assert ends == ["END_CALL"]
    assert both["ours"]["refused"] == [
        "Either avatar_id or preset_id must be provided",
        "Provide avatar_id or preset_id, not both",
    ]

    # The worker is stopped, and leaves the room in the moment in which the avatar is told. The plugin's
    # message may be lost then; ours is seen to.
    rooms = {kind: await workers.job(kind, end="worker", preset_id="influencer") for kind in KINDS}
    for kind, room in rooms.items():
        await workers.told(kind, room, "started")
        workers.children[kind].signal(signal.SIGTERM)
    for kind in KINDS:
        done = await asyncio.to_thread(workers.children[kind].finish, BOUND_S)
        assert done.code == 0, done.err
        assert KEY not in done.out + done.err
    assert await workers.ended(rooms["ours"]) in (["END_CALL"], ["DELETE"])
    ours = [each for each in workers.api.sessions.values() if each.room_name.startswith("ours")]
    assert all(len(session.ends) == 1 for session in ours)
