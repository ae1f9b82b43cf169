"""A worker of LiveKit Agents whose agents have Runway avatars: the plugin's, or ours. Run by the tests as
``agents_program.py start``, in the virtual environment that has livekit-agents.

AGENT_NAME is ``plugin`` or ``ours``, and what jobs are dispatched by. A job's metadata is JSON: ``options``
are the avatar's keyword arguments, ``start`` those of its ``start()``, and ``end`` is how the session ends:
``close`` (by itself), ``worker`` (with the worker), ``left`` (the room is left before ``aclose()``) or
``cancel`` (``start()`` is cancelled when a message comes, and the room is told so). The string ``NOT_GIVEN``
is LiveKit Agents' object. Its lines begin with the name of the job's room.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from livekit.agents import (
    NOT_GIVEN,
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    JobExecutorType,
    cli,
)
from livekit.plugins.runway import AvatarSession

from avatarkit_rtc.integrations.arrival import arrived
from avatarkit_rtc.integrations.runway import RunwayAvatar, ending

KIND = os.environ["AGENT_NAME"]

server = AgentServer(
    job_executor_type=JobExecutorType.THREAD,
    num_idle_processes=1,
    # A busy machine is no reason to get no jobs.
    load_threshold=float("inf"),
    load_fnc=lambda: 0.0,
    drain_timeout=1,
    host="127.0.0.1",
    port=0,
)


async def entry(ctx: JobContext) -> None:
    job = json.loads(ctx.job.metadata)

    def say(what: str, **facts: Any) -> None:
        sys.stdout.write(f"{ctx.job.room.name}: {what} {json.dumps(facts)}\n")
        sys.stdout.flush()

    await ctx.connect()
    # As long as a slow machine takes, but where the room is left meanwhile.
    ending.ARRIVAL_TIMEOUT_S = 1.0 if job["end"] == "worker" else 60.0  # type: ignore[misc]
    session: AgentSession = AgentSession()
    try:
        avatar: Any = (AvatarSession if KIND == "plugin" else RunwayAvatar)(**as_objects(job["options"]))
        starting = asyncio.create_task(avatar.start(session, room=ctx.room, **job["start"]))
        if job["end"] == "cancel":
            asked = asyncio.Event()
            ctx.room.on("data_received", lambda _: asked.set())
            await asked.wait()
            starting.cancel()
            await ctx.room.local_participant.publish_data(b"cancelled")
        await starting
    except (Exception, asyncio.CancelledError) as error:
        may_exist = getattr(error, "session_may_exist", None)
        say("failed", error=type(error).__name__, said=str(error), may_exist=may_exist)
        ctx.shutdown()
        return
    await session.start(agent=Agent(instructions="Be brief."), room=ctx.room)
    say("started", identity=avatar.avatar_identity, provider=avatar.provider, outputs=outputs(session))
    if job["end"] == "close":
        await session.aclose()
        # The plugin's message would be lost in a room that is left at once; this is answered after it.
        await asyncio.sleep(0.5)
        await arrived(ctx.room.local_participant, avatar.avatar_identity, 60)
        ctx.shutdown()
    elif job["end"] == "left":
        await ctx.room.disconnect()
        await avatar.aclose()
        ctx.shutdown()


def as_objects(options: dict[str, Any]) -> dict[str, Any]:
    """What has no form in JSON."""
    found = {name: NOT_GIVEN if value == "NOT_GIVEN" else value for name, value in options.items()}
    if "conn_options" in found:
        found["conn_options"] = APIConnectOptions(**found["conn_options"])
    return found


def outputs(session: AgentSession) -> list[list[Any]]:
    """The chain that the agent's speech goes through."""
    chain: list[list[Any]] = []
    output = session.output.audio
    while output is not None:
        chain.append(
            [type(output).__name__, output.sample_rate, getattr(output, "_destination_identity", None)]
        )
        output = output.next_in_chain
    return chain


server.rtc_session(entry, agent_name=KIND)

if __name__ == "__main__":
    cli.run_app(server)
