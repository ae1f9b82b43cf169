"""However a program with a session is killed, short of SIGKILL: the API, or the worker, sees one end."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from avatarkit_rtc.testing.runway_api import Fault, StandInRunwayApi
from tests.support.command import Child, Done, clean_environment
from tests.support.livekit import until
from tests.support.runway import KEY, SlowApi

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGTERM")


def program(api: StandInRunwayApi, stage: str) -> Child:
    # By its name, as Runway's own: what has to find it does so also when the main thread has ended.
    url = api.url.replace("127.0.0.1", "localhost")
    command = [sys.executable, "-X", "dev", "-m", "tests.integrations.runway.runway_program", url, stage]
    return Child(command, env=clean_environment(RUNWAYML_API_SECRET=KEY))


async def printed(child: Child, text: str) -> None:
    await asyncio.to_thread(child.wait_for, f"stage: {text}")


async def killed(api: StandInRunwayApi, stage: str, by: int) -> Done:
    """The end of a program that gets the signal ``by`` when it has come as far as ``stage``."""
    with program(api, stage) as child:
        await printed(child, stage)
        child.signal(by)
        return await asyncio.to_thread(child.finish)


async def test_by_sigterm(bare_api: StandInRunwayApi) -> None:
    done = await killed(bare_api, "created", signal.SIGTERM)
    assert done.code == 143, done.err
    assert "unwinding" in done.out
    assert bare_api.ends == ["DELETE"]
    assert KEY not in done.out + done.err


async def test_by_sigterm_in_the_room(api: StandInRunwayApi) -> None:
    done = await killed(api, "in the room", signal.SIGTERM)
    assert done.code == 143, done.err
    await until(lambda: api.ends, "the end")
    assert api.ends == ["END_CALL"]


async def test_by_sigterm_while_it_is_being_created(slow_api: SlowApi) -> None:
    with program(slow_api, "created") as child:
        await slow_api.creating.wait()
        child.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        slow_api.go.set()
        done = await asyncio.to_thread(child.finish)
    assert done.code == 143, done.err
    assert slow_api.ends == ["DELETE"]


async def test_by_sigterm_with_several_sessions(bare_api: StandInRunwayApi) -> None:
    with program(bare_api, "several") as child:
        await printed(child, "several")
        await until(lambda: len(bare_api.sessions) == 3, "all sessions")
        await asyncio.sleep(0.3)
        child.signal(signal.SIGTERM)
        done = await asyncio.to_thread(child.finish)
    assert done.code == 143, done.err
    assert [session.ends for session in bare_api.sessions.values()] == [["DELETE"]] * 3


async def test_by_sighup(bare_api: StandInRunwayApi) -> None:
    """The terminal is closed, or the connection to it is lost."""
    done = await killed(bare_api, "created", signal.SIGHUP)
    assert done.code == 129, done.err
    assert "unwinding" in done.out
    assert bare_api.ends == ["DELETE"]


async def test_by_sighup_under_nohup(bare_api: StandInRunwayApi) -> None:
    with program(bare_api, "nohup") as child:
        await printed(child, "nohup")
        child.signal(signal.SIGHUP)
        await asyncio.sleep(0.3)
        assert bare_api.ends == []
        child.signal(signal.SIGTERM)
        done = await asyncio.to_thread(child.finish)
    assert done.code == 143, done.err
    assert bare_api.ends == ["DELETE"]


async def test_by_sigterm_with_a_room_that_cannot_be_had(bare_api: StandInRunwayApi) -> None:
    done = await killed(bare_api, "bad room", signal.SIGTERM)
    assert done.code == 143, done.err
    assert bare_api.ends == ["DELETE"]


async def test_by_ctrl_c(bare_api: StandInRunwayApi) -> None:
    done = await killed(bare_api, "created", signal.SIGINT)
    assert done.code != 0
    assert bare_api.ends == ["DELETE"]


async def test_by_sigterm_with_a_handler_of_its_own(bare_api: StandInRunwayApi) -> None:
    done = await killed(bare_api, "own handler", signal.SIGTERM)
    assert done.code == 0, done.err
    assert "left" in done.out
    assert bare_api.ends == ["DELETE"]


async def test_by_sigterm_while_it_is_ending(bare_api: StandInRunwayApi) -> None:
    bare_api.fail("DELETE", Fault(429, headers={"Retry-After": "1"}))
    with program(bare_api, "leaving") as child:
        await until(lambda: bare_api.seen("DELETE"), "the first try to end", 60)
        child.signal(signal.SIGTERM)
        done = await asyncio.to_thread(child.finish)
    assert done.code == 143, done.err
    assert bare_api.ends == ["DELETE"]
    assert len(bare_api.seen("DELETE")) == 2


async def test_by_an_event_loop_that_is_closed_while_it_is_being_created(slow_api: SlowApi) -> None:
    """As by a second Ctrl-C. The session is known, and ended, only when the main thread has ended."""
    with program(slow_api, "main thread ended") as child:
        await printed(child, "main thread ended")
        slow_api.go.set()
        done = await asyncio.to_thread(child.finish)
    assert slow_api.ends == ["DELETE"], done.err
