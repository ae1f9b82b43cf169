"""``avatarkit-rtc runway-tools``: a real session's room, a worker that calls, Ctrl-C; and what it says when
something is wrong."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from avatarkit_rtc.integrations.runway import RunwayClient
from avatarkit_rtc.testing.runway_api import Fault, StandInRunwayApi
from tests.support.command import assert_no_loose_ends, clean_environment, run_command, start_command
from tests.support.livekit import LiveKitServer
from tests.support.runway import KEY

MODULE = """
async def add(args):
    return args["a"] + args["b"]

def broken(args):
    raise ValueError("not today")

class Nested:
    TOOLS = {"add": add, "broken": broken}

NUMBER = 5
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_answers_until_it_is_stopped(
    livekit_server: LiveKitServer, tmp_path: Path, stop: signal.Signals
) -> None:
    (tmp_path / "my_tools.py").write_text(MODULE)
    async with StandInRunwayApi(livekit_server, key=KEY) as api:
        session_id = await RunwayClient(KEY, base_url=api.url).create_session(preset_id="influencer")
        session = api.sessions[session_id]
        env = clean_environment(RUNWAYML_API_SECRET=KEY, RUNWAYML_BASE_URL=api.url)
        arguments = ("runway-tools", "my_tools:Nested.TOOLS", "--session", session_id, "--debug")
        with start_command(*arguments, env=env, cwd=tmp_path) as child:
            await asyncio.to_thread(child.wait_for, "answering add, broken")
            assert session.room is not None

            async def call(method: str) -> str:
                assert session.room is not None
                return await session.room.local_participant.perform_rpc(
                    destination_identity=session.backends[0],
                    method=method,
                    payload=json.dumps({"args": {"a": 1, "b": 2}}),
                )

            assert await call("add") == "3"
            with pytest.raises(Exception, match="not today"):
                await call("broken")
            child.signal(stop)
            done = await asyncio.to_thread(child.finish)
    assert_no_loose_ends(done)
    assert "call of 'add' answered" in done.err
    assert "ToolCallError: tool 'broken' raised ValueError: not today" in done.err
    assert "2 calls: 1 answered, 0 refused, 1 failed" in done.err
    assert KEY not in done.err


LOSING = """
import gc
from livekit import rtc

async def lose(args):
    (room,) = (each for each in gc.get_objects() if isinstance(each, rtc.Room))
    await room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SERVER_LEAVE)

TOOLS = {"lose": lose}
"""


async def test_a_room_that_is_lost_for_good_is_a_failure(
    livekit_server: LiveKitServer, tmp_path: Path
) -> None:
    (tmp_path / "losing_tools.py").write_text(LOSING)
    async with StandInRunwayApi(livekit_server, key=KEY) as api:
        session_id = await RunwayClient(KEY, base_url=api.url).create_session(preset_id="influencer")
        session = api.sessions[session_id]
        env = clean_environment(RUNWAYML_API_SECRET=KEY, RUNWAYML_BASE_URL=api.url)
        arguments = ("runway-tools", "losing_tools:TOOLS", "--session", session_id)
        with start_command(*arguments, env=env, cwd=tmp_path) as child:
            await asyncio.to_thread(child.wait_for, "answering lose")
            assert session.room is not None
            api.fail("POST connect_backend", Fault(404, "no such session"))
            losing = asyncio.create_task(
                session.room.local_participant.perform_rpc(
                    destination_identity=session.backends[0], method="lose", payload="{}"
                )
            )
            done = await asyncio.to_thread(child.finish)
            losing.cancel()  # its answer is lost with the room
            await asyncio.gather(losing, return_exceptions=True)
    assert done.code == 1, done.err
    assert done.err_lines[-1].startswith("avatarkit-rtc: the session's room was lost"), done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["my_tools:Nested.TOOLS"], "--session"),
        (["my_tools", "--session", "s"], "module:NAME"),
        (["not_there:TOOLS", "--session", "s"], "cannot be imported"),
        (["my_tools:TOOLS", "--session", "s"], "has no 'TOOLS'"),
        (["my_tools:NUMBER", "--session", "s"], "must be a mapping"),
        (["my_tools:Nested.TOOLS", "--session", "s"], "api_key is missing"),
    ],
)
def test_what_is_wrong_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "my_tools.py").write_text(MODULE)
    done = run_command("runway-tools", *arguments, env=clean_environment(), cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert len(done.err_lines) == 1, done.err
    assert said in done.err
