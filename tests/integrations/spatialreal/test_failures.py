"""What goes wrong at the service, or on the way to it: typed errors, retries, what was being said."""

from __future__ import annotations

import asyncio

import pytest

from avatarkit_rtc.errors import (
    AvatarKitError,
    ConfigurationError,
    SpatialRealAuthError,
    SpatialRealBillingError,
    SpatialRealClosedError,
    SpatialRealConnectionError,
    SpatialRealEgressError,
    SpatialRealError,
    SpatialRealLimitError,
    SpatialRealNotFoundError,
    SpatialRealReplyError,
)
from avatarkit_rtc.integrations.spatialreal import SessionState
from avatarkit_rtc.integrations.spatialreal.link import Link
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.minting import avatar_token
from avatarkit_rtc.testing.spatialreal_service import Behaviour, HttpFault, SocketFault, SpatialRealService
from tests.integrations.spatialreal.conftest import SessionMaker
from tests.support.livekit import LiveKitServer, until
from tests.support.spatialreal_session import KEY, RATE, Notes, tone


@pytest.mark.parametrize(
    ("status", "kind", "code", "advice"),
    [
        (401, SpatialRealAuthError, "spatialreal-auth", "SPATIALREAL_API_KEY"),
        (402, SpatialRealBillingError, "spatialreal-billing", "credits"),
        (403, SpatialRealAuthError, "spatialreal-auth", "SPATIALREAL_API_KEY"),
        (404, SpatialRealNotFoundError, "spatialreal-not-found", "avatar id"),
        (429, SpatialRealLimitError, "spatialreal-limit", "another session"),
    ],
)
async def test_token_requests_that_are_refused_are_not_made_again(
    status: int,
    kind: type[SpatialRealError],
    code: str,
    advice: str,
    service: SpatialRealService,
    make: SessionMaker,
) -> None:
    service.fail("token", HttpFault(status))
    session = make()
    with pytest.raises(kind, match=advice) as raised:
        await session.start()
    assert (raised.value.status, raised.value.code, raised.value.retryable) == (status, code, False)
    assert session.state is SessionState.FAILED
    assert session.stats().errors == {code: 1}
    assert len(service.seen("token")) == 1
    assert not service.seen("connect")
    with pytest.raises(kind):
        await session.say(tone(0.1), sample_rate=RATE)
    await session.aclose()


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("token", HttpFault(503)),
        ("token", HttpFault(kind="close")),
        ("connect", HttpFault(502)),
        ("connect", HttpFault(kind="close")),
        ("handshake", SocketFault(close_code=4500)),
        ("handshake", SocketFault(error_code=4503, close_code=4503)),
        ("handshake", SocketFault(cut=True)),
    ],
)
async def test_what_may_pass_is_tried_again(
    where: str, fault: HttpFault | SocketFault, service: SpatialRealService, make: SessionMaker
) -> None:
    service.fail(where, fault)  # type: ignore[arg-type]
    async with make() as session:
        assert session.state is SessionState.RUNNING
        assert sum(session.stats().errors.values()) == 1
        assert len(service.seen("token")) == 2


async def test_not_for_ever(service: SpatialRealService, make: SessionMaker) -> None:
    service.fail("token", *[HttpFault(500)] * 3)
    session = make()
    with pytest.raises(SpatialRealConnectionError) as raised:
        await session.start()
    assert raised.value.status == 500
    assert len(service.seen("token")) == 3


async def test_never_when_told_so(service: SpatialRealService, make: SessionMaker) -> None:
    service.fail("token", HttpFault(500))
    with pytest.raises(SpatialRealConnectionError):
        await make(retry=None).start()
    assert len(service.seen("token")) == 1


@pytest.mark.parametrize(("where"), ["token", "handshake"])
async def test_no_answer_in_time(where: str, service: SpatialRealService, make: SessionMaker) -> None:
    service.fail(where, HttpFault(kind="hang") if where == "token" else SocketFault(hang=True))  # type: ignore[arg-type]
    session = make(retry=None, connect_timeout_s=0.3)
    with pytest.raises(SpatialRealConnectionError) as raised:
        await session.start()
    assert raised.value.retryable


async def test_nobody_there(make: SessionMaker) -> None:
    with pytest.raises(SpatialRealConnectionError, match="network"):
        await make(console_url="http://127.0.0.1:9", retry=None).start()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (SocketFault(garbage=b"\xff\xff\xff"), SpatialRealReplyError),
        (SocketFault(text="hello"), SpatialRealReplyError),
        (SocketFault(close_code=4010), SpatialRealAuthError),
        (SocketFault(error_code=4001, close_code=4001), SpatialRealBillingError),
        (SocketFault(close_code=4003), SpatialRealLimitError),
    ],
)
async def test_handshakes_that_fail_for_good(
    fault: SocketFault, kind: type[SpatialRealError], service: SpatialRealService, make: SessionMaker
) -> None:
    service.fail("handshake", fault)
    with pytest.raises(kind):
        await make().start()
    assert len(service.seen("token")) == 1


async def test_4001_in_a_sentence_is_the_end(service: SpatialRealService, make: SessionMaker) -> None:
    service.fail("sentence", SocketFault(close_code=4001, reason="no credits", after_s=0.1))
    async with make() as session:
        notes = Notes(session)
        with pytest.raises(SpatialRealBillingError, match="credits") as raised:
            await session.say(tone(30.0), sample_rate=RATE)
        assert raised.value.close_code == 4001
        await session.wait_ended()
        assert session.state is SessionState.FAILED
        assert session.error is raised.value
        assert notes.names == ["speech-started", "speech-ended", "error"]
        assert notes.of("error") == [raised.value]
        (end,) = notes.of("speech-ended")
        assert (end.interrupted, end.reason) == (True, "connection-lost")
        assert len(service.seen("token")) == 1
        with pytest.raises(SpatialRealBillingError):
            await session.say(tone(0.1), sample_rate=RATE)
        assert session.stats().close_codes == (4001,)


@pytest.mark.parametrize(
    "fault",
    [
        SocketFault(close_code=4500, after_s=0.1),
        SocketFault(error_code=4503, error_message="upstream is gone", close_code=4503, after_s=0.1),
        SocketFault(cut=True, after_s=0.1),
    ],
    ids=["4500", "4503 said before", "cut"],
)
async def test_what_is_lost_in_a_sentence_comes_back(
    fault: SocketFault, service: SpatialRealService, make: SessionMaker
) -> None:
    service.fail("sentence", fault)
    # Time for the first avatar to leave: two with one identity are in each other's way.
    policy = ReconnectPolicy(first_delay_s=0.8)
    async with make(retry=policy) as session:
        notes = Notes(session)
        with pytest.raises(SpatialRealConnectionError if fault.cut else SpatialRealError) as raised:
            await session.say(tone(30.0), sample_rate=RATE)
        assert raised.value.close_code == fault.close_code
        assert raised.value.retryable
        # The next one waits for the new connection, which has new tokens.
        playback = await session.say(tone(0.1), sample_rate=RATE)
        assert not (await playback.wait()).interrupted
        assert session.stats().connections == 2
        assert notes.names == [
            "speech-started",
            "speech-ended",
            "retry",
            "speech-started",
            "speech-ended",
        ]
        assert [end.reason for end in notes.of("speech-ended")] == ["connection-lost", ""]
        assert notes.of("state-changed") == ["retrying", "running"]
        keys = {request.headers["x-session-key"] for request in service.seen("connect")}
        assert len(keys) == 2


async def test_lost_when_all_was_sent(service: SpatialRealService, make: SessionMaker) -> None:
    service.fail("sentence", SocketFault(cut=True, after_s=0.1))
    async with make() as session:
        playback = await session.say(tone(1.0), sample_rate=RATE)
        with pytest.raises(SpatialRealConnectionError) as raised:
            await playback.wait()
        assert playback.error is raised.value
        finished = playback.finished
        assert finished is not None
        assert (finished.interrupted, finished.reported, finished.position_s) == (True, False, None)
        # What is said next is none the worse for it.
        assert not (await (await session.say(tone(0.1), sample_rate=RATE)).wait()).interrupted


async def test_lost_while_the_source_waits(service: SpatialRealService, make: SessionMaker) -> None:
    """The caller hears of it although it has nothing to send."""
    service.fail("sentence", SocketFault(cut=True, after_s=0.04))

    async def stuck():  # type: ignore[no-untyped-def]
        yield tone(0.3)
        await asyncio.Event().wait()

    async with make(retry=None) as session:
        with pytest.raises(SpatialRealConnectionError):
            await session.say(stuck(), sample_rate=RATE)


async def test_a_normal_close_by_the_service_ends_the_session(
    service: SpatialRealService, make: SessionMaker
) -> None:
    async with make() as session:
        await service.connections[0].close(1000, "idle timeout")
        await session.wait_ended()
        assert isinstance(session.error, SpatialRealClosedError)
        assert session.error.close_code == 1000
        assert len(service.seen("token")) == 1


async def test_what_cannot_be_understood_does_not_end_it(
    service: SpatialRealService, make: SessionMaker
) -> None:
    async with make() as session:
        notes = Notes(session)
        await service.connections[0].strike(SocketFault(garbage=b"\xff\xff\xff", text="hello"))
        playback = await session.say(tone(0.1), sample_rate=RATE)
        assert (await playback.wait()).reported
        assert [type(error) for error in notes.of("error")] == [SpatialRealReplyError]


async def test_an_error_of_one_request_ends_that_one(service: SpatialRealService, make: SessionMaker) -> None:
    async with make() as session:
        notes = Notes(session)
        service.fail("sentence", SocketFault(error_code=13, error_message="no motion for it", after_s=0.1))
        with pytest.raises(SpatialRealError, match="no motion for it"):
            await session.say(tone(30.0), sample_rate=RATE)
        assert notes.of("speech-ended")[0].reason == "service-error"
        assert session.state is SessionState.RUNNING
        playback = await session.say(tone(0.1), sample_rate=RATE)
        assert not (await playback.wait()).interrupted
        assert session.stats().connections == 1
        first, second = service.connections[0].turns
        assert first.interrupted == "explicit"  # or the service would go on with it
        assert len(second.sound) == 0.1 * RATE


class TestAvatarsToken:
    def expired(self, server: LiveKitServer, room: str) -> str:
        return avatar_token(server.api_key, server.api_secret, room, ttl_s=-120)

    async def test_expired(self, livekit_server: LiveKitServer, room_name: str, make: SessionMaker) -> None:
        token = self.expired(livekit_server, room_name)
        async with make(avatar_token=token) as session:
            notes = Notes(session)
            assert session.room_name == room_name
            await session.wait_ended()
            error = session.error
        assert notes.of("error") == [error]  # once, though the service says it and then closes
        assert session.stats().errors == {"spatialreal-egress": 1}
        assert session.stats().close_codes == (error.close_code,)  # type: ignore[union-attr]
        assert isinstance(error, SpatialRealEgressError)
        assert error.token_refused
        assert "expired 2 minutes ago" in str(error)
        assert token not in str(error)
        assert session.stats().connections == 1

    async def test_expired_and_there_is_a_fresh_one(
        self,
        livekit_server: LiveKitServer,
        room_name: str,
        service: SpatialRealService,
        make: SessionMaker,
    ) -> None:
        tokens = [
            self.expired(livekit_server, room_name),
            avatar_token(livekit_server.api_key, livekit_server.api_secret, room_name),
        ]
        async with make(avatar_token=lambda: tokens.pop(0), room_name=room_name) as session:
            await until(lambda: session.stats().connections == 2, "the second connection")
            playback = await session.say(tone(0.1), sample_rate=RATE)
            assert (await playback.wait()).reported

    async def test_of_another_servers_key(self, service: SpatialRealService, make: SessionMaker) -> None:
        async with make(livekit_api_secret="not-the-servers-secret-but-long-enough") as session:
            notes = Notes(session)
            await session.wait_ended()
            assert isinstance(session.error, SpatialRealEgressError)
            assert notes.of("error") == [session.error]
            assert session.stats().errors == {"spatialreal-egress": 1}
        assert len(service.seen("token")) == 1  # a fresh one would be refused as well

    async def test_of_another_room(self, livekit_server: LiveKitServer, make: SessionMaker) -> None:
        token = avatar_token(livekit_server.api_key, livekit_server.api_secret, "there")
        with pytest.raises(ConfigurationError, match="'there'"):
            make(avatar_token=token, room_name="here")
        with pytest.raises(ConfigurationError, match="'there'"):
            await make(avatar_token=lambda: token, room_name="here").start()

    async def test_function_that_fails(self, make: SessionMaker) -> None:
        def fails() -> str:
            raise OSError("no vault")

        with pytest.raises(SpatialRealEgressError, match="no vault"):
            await make(avatar_token=fails, room_name="here").start()

    async def test_what_is_none(self, make: SessionMaker) -> None:
        session = make(avatar_token=lambda: None, room_name="here")
        with pytest.raises(SpatialRealEgressError, match="gave no join token but NoneType"):
            await session.start()
        assert isinstance(session.error, SpatialRealEgressError)
        with pytest.raises(ConfigurationError, match="avatar_token"):
            make(avatar_token=42, room_name="here")


async def test_what_breaks_down_here_says_so_and_keeps_its_cause(make: SessionMaker) -> None:
    async def broken(link: object) -> None:
        raise AttributeError("a bug")

    session = make()
    session.open_link = broken  # type: ignore[method-assign]
    with pytest.raises(SpatialRealError, match="broke down here") as raised:
        await session.start()
    assert session.error is raised.value
    assert isinstance(raised.value.__cause__, AttributeError)
    assert session.state is SessionState.FAILED
    await session.aclose()


@pytest.mark.parametrize("behaviour", [Behaviour(inference_s=60.0)])
async def test_what_breaks_down_in_the_middle_ends_what_is_said_and_is_told_once_it_has_failed(
    make: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug = asyncio.Event()

    async def broken(link: Link) -> AvatarKitError:
        await bug.wait()
        raise AttributeError("a bug")

    monkeypatch.setattr(Link, "wait_lost", broken)
    states: list[SessionState] = []
    async with make() as session:
        session.on("error", lambda _: states.append(session.state))
        playback = await session.say(tone(0.5), sample_rate=RATE)
        bug.set()
        with pytest.raises(SpatialRealError, match="broke down here") as raised:
            await playback.wait()
        await until(lambda: states, "the event")
    assert states == [SessionState.FAILED]
    assert session.state is SessionState.FAILED
    assert session.error is raised.value
    assert isinstance(raised.value.__cause__, AttributeError)


async def test_what_breaks_down_while_a_loss_is_told_leaves_no_connection_open(
    service: SpatialRealService, make: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug, ends = asyncio.Event(), list[str]()

    async def lost(link: Link) -> AvatarKitError:
        await bug.wait()
        return SpatialRealError("gone", retryable=False)

    def broken(error: AvatarKitError | None) -> None:
        raise AttributeError("a bug")

    async def closed() -> None:
        ends.append("closed")

    monkeypatch.setattr(Link, "wait_lost", lost)
    session = make()
    monkeypatch.setattr(session, "link_lost", broken)
    monkeypatch.setattr(session, "closed", closed)
    await session.start()
    bug.set()
    await session.wait_ended()
    assert session.state is SessionState.FAILED
    assert isinstance(session.error, SpatialRealError)
    async with asyncio.timeout(60):
        await service.connections[0].closed.wait()
    assert ends == ["closed"]
    await session.aclose()


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e9, -1.0])
async def test_lives_that_no_token_can_have(seconds: float, make: SessionMaker) -> None:
    for name in ("session_length_s", "token_margin_s"):
        with pytest.raises(ConfigurationError, match=name):
            make(**{name: seconds})


async def test_the_environment_says_who_and_where(
    service: SpatialRealService, make: SessionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "APP_ID", "AVATAR_ID"):
        monkeypatch.delenv(f"SPATIALREAL_{name}", raising=False)
    with pytest.raises(ConfigurationError, match="SPATIALREAL_API_KEY"):
        make(api_key=None)
    with pytest.raises(ConfigurationError, match="SPATIALREAL_APP_ID"):
        make(app_id=None)
    with pytest.raises(ConfigurationError, match="no address"):
        make(console_url="nowhere")
    monkeypatch.setenv("SPATIALREAL_API_KEY", KEY)
    monkeypatch.setenv("SPATIALREAL_CONSOLE_ENDPOINT", service.console_url)
    async with make(api_key=None, console_url=None):
        assert len(service.seen("token")) == 1
