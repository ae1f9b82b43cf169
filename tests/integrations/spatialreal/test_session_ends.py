"""However a session's program ends, its connection is closed; and no key is in anything it says."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import traceback

import pytest

from avatarkit_rtc.errors import SpatialRealError
from avatarkit_rtc.integrations.spatialreal import SessionState
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.testing.spatialreal_service import HttpFault, SocketFault, SpatialRealService
from tests.integrations.spatialreal.conftest import SessionMaker
from tests.support.command import Child, clean_environment
from tests.support.livekit import LiveKitServer, until
from tests.support.spatialreal_session import KEY, RATE, environment_of, tone

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGTERM")


def program(service: SpatialRealService, server: LiveKitServer, stage: str) -> Child:
    command = [sys.executable, "-X", "dev", "-m", "tests.integrations.spatialreal.session_program", stage]
    env = clean_environment(
        LIVEKIT_URL=server.url,
        LIVEKIT_API_KEY=server.api_key,
        LIVEKIT_API_SECRET=server.api_secret,
        **environment_of(service),
    )
    return Child(command, env=env)


async def test_a_block_that_raises(service: SpatialRealService, make: SessionMaker) -> None:
    with pytest.raises(ZeroDivisionError):
        async with make():
            raise ZeroDivisionError
    (connection,) = service.connections
    await connection.closed.wait()
    assert connection.close_code == 1000


async def test_cancelled_again_and_again(service: SpatialRealService, make: SessionMaker) -> None:
    session, inside = make(), asyncio.Event()

    async def use() -> None:
        async with session:
            inside.set()
            await session.say(tone(30.0), sample_rate=RATE)

    task = asyncio.create_task(use())
    await inside.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.001)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.state is SessionState.ENDED
    assert service.connections[0].close_code == 1000
    assert session.playback is None


@pytest.mark.parametrize("where", ["token", "handshake"])
async def test_cancelled_while_it_starts(where: str, service: SpatialRealService, make: SessionMaker) -> None:
    service.fail(where, HttpFault(kind="hang") if where == "token" else SocketFault(hang=True))  # type: ignore[arg-type]
    session = make()
    starting = asyncio.create_task(session.start())
    if where == "token":
        await until(lambda: service.seen("token"), "the request")
    else:
        await until(lambda: service.connections and service.connections[0].config, "the handshake")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert session.state is SessionState.ENDED
    await until(lambda: all(each.closed.is_set() for each in service.connections), "the close")


async def test_ended_while_it_comes_back(service: SpatialRealService, make: SessionMaker) -> None:
    async with make() as session:
        service.fail("token", HttpFault(kind="hang"))
        await service.connections[0].close(4500)
        waiting = asyncio.create_task(session.say(tone(0.1), sample_rate=RATE))
        await until(lambda: len(service.seen("token")) == 2, "the next try")
        await session.aclose()
        with pytest.raises(SpatialRealError if session.state is SessionState.FAILED else Exception):
            await waiting
        assert session.state is SessionState.ENDED


async def test_a_service_that_does_not_answer_the_close(
    service: SpatialRealService, make: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avatarkit_rtc.integrations.spatialreal import link

    monkeypatch.setattr(link, "CLOSE_TIMEOUT_S", 0.1)
    session = make()
    await session.start()
    vendor = session._keeper.link._vendor  # type: ignore[union-attr]
    close, answer = vendor.close, asyncio.Event()

    async def slow() -> None:
        await answer.wait()
        await close()

    vendor.close = slow
    await asyncio.wait_for(session.aclose(), 10)
    assert session.state is SessionState.ENDED
    answer.set()
    await until(lambda: service.connections[0].close_code == 1000, "the close, a little later")


@posix
async def test_killed_while_it_speaks(service: SpatialRealService, livekit_server: LiveKitServer) -> None:
    with program(service, livekit_server, "speaking") as child:
        await asyncio.to_thread(child.wait_for, "stage: speaking", 60.0)
        child.signal(signal.SIGTERM)
        done = await asyncio.to_thread(child.finish)
    assert done.code == 143, done.err
    assert "unwinding" in done.out
    (connection,) = service.connections
    await connection.closed.wait()
    assert connection.close_code == 1000
    for complaint in ("never retrieved", "was destroyed", "never awaited", "Unclosed"):
        assert complaint not in done.err, done.err
    # With all logging on.
    for secret in (KEY, livekit_server.api_secret, *tokens_of(service)):
        assert secret not in done.out + done.err


def tokens_of(service: SpatialRealService) -> list[str]:
    """Session keys and join tokens that were used."""
    keys = [request.headers["x-session-key"] for request in service.seen("connect")]
    configs = [each.config for each in service.connections if each.config is not None]
    return keys + [config.livekit_egress.api_token for config in configs]


async def test_no_secret_in_anything_that_is_said(
    service: SpatialRealService,
    livekit_server: LiveKitServer,
    make: SessionMaker,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A service that quotes what it was sent, every log line, every error with its chain, every repr."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    def note(error: BaseException | None) -> None:
        if error is not None:
            told.extend(traceback.format_exception(error))
            told.extend((repr(error), repr(vars(error)), repr(error.__cause__), repr(error.__context__)))

    service.fail("token", HttpFault(401, f'{{"errors": [{{"detail": "not {KEY}", "code": "{KEY}"}}]}}'))
    session = make()
    try:
        await session.start()
    except SpatialRealError as error:
        note(error)
    async with make(retry=ReconnectPolicy(first_delay_s=0.3)) as session:
        session.on("error", note)
        session.on("retry", lambda attempt: note(attempt.cause))
        told += [repr(session), repr(vars(session)), repr(session.viewer()), repr(session.stats())]
        told += [repr(session._room), repr(session._credentials), repr(session._keeper.link)]
        keys = tokens_of(service)
        text = f"no {KEY} and no {' '.join(keys)}"
        service.fail("sentence", SocketFault(error_code=13, error_message=text, close_code=4500, reason=KEY))
        try:
            await session.say(tone(10.0), sample_rate=RATE)
        except SpatialRealError as error:
            note(error)
        await until(lambda: session.stats().connections == 2, "the next connection")
    note(session.error)
    out, err = capfd.readouterr()
    everything = "\n".join([*told, out, err, caplog.text])
    assert "SpatialReal" in everything
    assert "<hidden>" in caplog.text  # the headers were logged
    for secret in (KEY, livekit_server.api_secret, *tokens_of(service)):
        assert secret not in everything
