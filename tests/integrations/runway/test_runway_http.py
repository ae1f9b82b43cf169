"""Runway's API over a real local HTTP server: requests as they go out, every failure, no key in any."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avatarkit_rtc.errors import (
    ConfigurationError,
    RunwayConnectionError,
    RunwayError,
    RunwayReplyError,
    RunwaySessionError,
    RunwayStatusError,
    RunwayTimeoutError,
)
from avatarkit_rtc.integrations.runway import (
    RunwayClient,
    SessionInfo,
    SessionStatus,
)
from avatarkit_rtc.integrations.runway.client import POLL_INTERVAL_S, READY_TIMEOUT_S
from avatarkit_rtc.integrations.runway.http import (
    RETRY_INTERVAL_S,
    TIMEOUT_S,
    checked_base_url,
    retry_after_s,
)
from avatarkit_rtc.testing.runway_api import Fault, StandInRunwayApi
from tests.support.runway import KEY, SlowApi

CREATE, GET, DELETE = "POST realtime_sessions", "GET", "DELETE"

Call = Callable[[RunwayClient], Awaitable[Any]]
CALLS: dict[str, Call] = {
    CREATE: lambda client: client.create_session(preset_id="influencer"),
    GET: lambda client: client.get_session("s"),
    DELETE: lambda client: client.cancel("s"),
    "POST connect_backend": lambda client: client.connect_backend("s"),
    "POST consume": lambda client: client.consume("s", KEY),
}
REPEATABLE = [what for what in CALLS if what != CREATE]
every_call = pytest.mark.parametrize("what", CALLS)
repeatable = pytest.mark.parametrize("what", REPEATABLE)

ANSWERS = {
    CREATE: '{"id": "s"}',
    GET: '{"id": "s", "status": "RUNNING"}',
    DELETE: "",
    "POST connect_backend": '{"url": "ws://a", "token": "t", "roomName": "r"}',
    "POST consume": '{"url": "ws://a", "token": "t", "roomName": "r"}',
}


@pytest.fixture(autouse=True)
def no_key_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens in a test of this file."""
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text
    for record in caplog.records:
        assert KEY not in repr(record.__dict__)


async def failure(what: str, client: RunwayClient, kind: type[RunwayError] = RunwayError) -> Any:
    """The error that the call must raise, looked through for the key."""
    with pytest.raises(kind) as caught:
        await CALLS[what](client)
    told = "".join(traceback.format_exception(caught.value))
    link: BaseException | None = caught.value
    while link is not None:
        told += repr(link) + repr(link.args) + repr(getattr(link, "__dict__", ""))
        link = link.__cause__ or link.__context__
    assert KEY not in told
    return caught.value


class TestFailures:
    @every_call
    async def test_401_is_final(self, what: str, bare_api: StandInRunwayApi) -> None:
        bare_api.fail(what, Fault(401, f'{{"error": "{KEY} is not valid"}}'))
        error = await failure(what, RunwayClient(KEY, base_url=bare_api.url), RunwayStatusError)
        assert error.status == 401
        assert error.body == '{"error": "<token> is not valid"}'
        assert "status 401" in str(error)
        assert "check the API key" in str(error)
        assert not error.session_may_exist
        assert len(bare_api.requests) == 1

    @every_call
    async def test_404_is_final(self, what: str, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        bare_api.fail(what, Fault(404, "no such session"))
        error = await failure(what, client, RunwayStatusError)
        assert (error.status, error.body) == (404, "no such session")
        assert len(bare_api.requests) == 1

    async def test_429_with_retry_after(self, bare_api: StandInRunwayApi) -> None:
        client = RunwayClient(KEY, base_url=bare_api.url, retry_interval_s=0.01)
        for what in CALLS:
            bare_api.fail(what, Fault(429, headers={"Retry-After": "1"}), Fault(200, ANSWERS[what]))
        await asyncio.gather(*(call(client) for call in CALLS.values()))
        for what in CALLS:
            first, second = bare_api.seen(what)
            assert second.at - first.at >= 1.0

    @every_call
    async def test_429_that_asks_for_too_long(
        self, what: str, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(what, Fault(429, headers={"Retry-After": "3600"}))
        error = await failure(what, client, RunwayStatusError)
        assert error.retry_after_s == 3600
        assert "try again in 3600 s" in str(error)
        assert len(bare_api.requests) == 1

    @repeatable
    async def test_500_then_success(
        self, what: str, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(what, Fault(500), Fault(502), Fault(200, ANSWERS[what]))
        await CALLS[what](client)
        assert len(bare_api.requests) == 3

    @every_call
    async def test_three_tries(self, what: str, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        bare_api.fail(what, *[Fault(408)] * 5)
        error = await failure(what, client, RunwayStatusError)
        assert error.status == 408
        assert len(bare_api.requests) == 3

    async def test_two_seconds_apart(self, bare_api: StandInRunwayApi) -> None:
        assert RETRY_INTERVAL_S == 2.0
        bare_api.fail(GET, Fault(503), Fault(200, ANSWERS[GET]))
        await RunwayClient(KEY, base_url=bare_api.url, retry_interval_s=0.3).get_session("s")
        first, second = bare_api.requests
        assert second.at - first.at >= 0.3

    @repeatable
    async def test_hang(self, what: str, bare_api: StandInRunwayApi) -> None:
        bare_api.fail(what, *[Fault(kind="hang")] * 2)
        client = RunwayClient(KEY, base_url=bare_api.url, timeout_s=0.2, tries=2, retry_interval_s=0.01)
        began = time.monotonic()
        error = await failure(what, client, RunwayTimeoutError)
        assert time.monotonic() - began < 5
        assert "no answer within 0.2 s" in str(error)
        assert TIMEOUT_S == 10.0
        assert len(bare_api.requests) == 2

    @repeatable
    @pytest.mark.parametrize("kind", ["cut-off", "close"])
    async def test_cut_off_body(
        self, what: str, kind: Any, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(what, Fault(kind=kind), Fault(200, ANSWERS[what]))
        await CALLS[what](client)
        assert len(bare_api.requests) == 2
        # aiohttp itself repeats a GET or DELETE that was closed on.
        bare_api.fail(what, *[Fault(kind=kind)] * 6)
        error = await failure(what, client, RunwayConnectionError)
        assert "broke off" in str(error)

    @every_call
    @pytest.mark.parametrize("text", ["<html>nothing</html>", "{", "[" * 9000])
    async def test_not_json(
        self, what: str, text: str, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(what, Fault(200, text))
        error = await failure(what, client, RunwayReplyError)
        assert "no JSON" in str(error)
        assert len(bare_api.requests) == 1

    @pytest.mark.parametrize("what", [what for what in CALLS if what != DELETE])
    @pytest.mark.parametrize("text", ["{}", "[]", "null", "7", '{"id": 5, "status": 1, "url": "x"}'])
    async def test_json_with_something_missing(
        self, what: str, text: str, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(what, Fault(200, text))
        await failure(what, client, RunwayReplyError)

    async def test_answer_without_end(self, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        bare_api.fail(GET, Fault(200, "x" * (1 << 21)))
        assert "more than" in str(await failure(GET, client, RunwayReplyError))

    @every_call
    async def test_nobody_there(self, what: str) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            client = RunwayClient(KEY, base_url=url, retry_interval_s=0.01)
            error = await failure(what, client, RunwayConnectionError)
        assert "no connection" in str(error)
        assert not error.session_may_exist

    @every_call
    async def test_redirect_does_not_take_the_key_along(
        self, what: str, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(what, Fault(307, headers={"Location": f"{bare_api.url}/elsewhere"}))
        assert (await failure(what, client, RunwayStatusError)).status == 307
        assert len(bare_api.requests) == 1


class TestNoSecondSessionUnseen:
    """Creating a session is repeated only where the first request cannot have been carried out."""

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (Fault(500, carried_out=True, text="oops"), RunwayStatusError),
            (Fault(503), RunwayStatusError),
            (Fault(kind="hang", carried_out=True), RunwayTimeoutError),
            (Fault(kind="cut-off", carried_out=True), RunwayConnectionError),
            (Fault(kind="close", carried_out=True), RunwayConnectionError),
            (Fault(200, "not json", carried_out=True), RunwayReplyError),
            (Fault(200, "{}", carried_out=True), RunwayReplyError),
        ],
        ids=["500", "503", "hang", "cut-off", "close", "not JSON", "no id"],
    )
    async def test_uncertain_failures_are_raised_at_once(
        self, fault: Fault, kind: type[RunwayError], bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(CREATE, fault)
        if fault.kind == "hang":
            client = RunwayClient(KEY, base_url=bare_api.url, timeout_s=0.5)
        error = await failure(CREATE, client, kind)
        assert error.session_may_exist
        assert len(bare_api.requests) == 1
        assert len(bare_api.sessions) <= 1

    async def test_repeated_on_demand(self, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        bare_api.fail(CREATE, Fault(500), Fault(kind="close"))
        assert await client.create_session(preset_id="influencer", repeat_uncertain=True)
        assert len(bare_api.requests) == 3

    @pytest.mark.parametrize("fault", [Fault(408), Fault(429)])
    async def test_repeated_where_the_first_was_not_carried_out(
        self, fault: Fault, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        bare_api.fail(CREATE, fault, fault)
        await client.create_session(preset_id="influencer")
        assert len(bare_api.requests) == 3
        assert len(bare_api.sessions) == 1

    async def test_cancelled_in_the_middle_it_ends_what_came_about(self, slow_api: SlowApi) -> None:
        client = RunwayClient(KEY, base_url=slow_api.url)
        creating = asyncio.create_task(client.create_session(preset_id="influencer"))
        await slow_api.creating.wait()
        creating.cancel()
        await asyncio.sleep(0.05)
        creating.cancel()
        assert not creating.done()
        slow_api.go.set()
        with pytest.raises(asyncio.CancelledError):
            await creating
        assert slow_api.ends == ["DELETE"]


class TestRequests:
    """What goes out, field by field."""

    async def test_create(self, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        way = {"url": "wss://a", "token": "t", "roomName": "r", "agentIdentity": "agent"}
        session_id = await client.create_session(avatar_id="mine", max_duration_s=120, livekit=None)
        assert list(bare_api.sessions) == [session_id]
        api = bare_api.requests[-1]
        assert (api.method, api.path) == ("POST", "/v1/realtime_sessions")
        assert api.headers["authorization"] == f"Bearer {KEY}"
        assert api.headers["x-runway-version"] == "2024-11-06"
        assert api.headers["content-type"] == "application/json"
        assert api.body == {
            "model": "gwm1_avatars",
            "avatar": {"type": "custom", "avatarId": "mine"},
            "maxDuration": 120,
        }
        bare_api.fail(CREATE, Fault(200, '{"id": "s"}'))
        tool = {"type": "backend_rpc", "name": "weather", "description": "Says the weather."}
        await client.create_session(
            preset_id="influencer", livekit=way, tools=[tool], personality="kind", start_script="Hello!"
        )
        assert bare_api.requests[-1].body == {
            "model": "gwm1_avatars",
            "avatar": {"type": "runway-preset", "presetId": "influencer"},
            "livekit": way,
            "tools": [tool],
            "personality": "kind",
            "startScript": "Hello!",
        }

    async def test_exactly_one_avatar(self, client: RunwayClient) -> None:
        with pytest.raises(ConfigurationError, match=r"^Either avatar_id or preset_id must be provided$"):
            await client.create_session()
        with pytest.raises(ConfigurationError, match=r"^Provide avatar_id or preset_id, not both$"):
            await client.create_session(avatar_id="a", preset_id="b")

    async def test_from_creation_to_consumption(
        self, api: StandInRunwayApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = RunwayClient(KEY, base_url=api.url)
        session_id = await client.create_session(preset_id="influencer")
        info = await client.wait_until_ready(session_id)
        assert info.status == SessionStatus.READY
        first, second = api.seen(GET)
        assert second.at - first.at >= 1.0
        key = api.sessions[session_id].key
        assert info.session_key == key
        assert key not in repr(info)
        way = await client.consume(session_id, info.session_key)
        assert way.room_name == api.sessions[session_id].room_name
        (consumed,) = api.seen("POST consume")
        assert consumed.path == f"/v1/realtime_sessions/{session_id}/consume"
        assert consumed.headers["authorization"] == f"Bearer {key}"
        await client.cancel(session_id)
        assert api.seen(DELETE)[0].path == f"/v1/realtime_sessions/{session_id}"
        assert api.ends == ["DELETE"]
        for secret in (key, way.token):
            assert secret not in caplog.text
            assert secret not in repr(way)

    async def test_id_cannot_lead_elsewhere(self, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        bare_api.fail(GET, Fault(200, ANSWERS[GET]))
        await client.get_session("../organization?x=1")
        assert bare_api.requests[0].path.startswith("/v1/realtime_sessions/")

    async def test_not_ready_in_time(self, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        assert (READY_TIMEOUT_S, POLL_INTERVAL_S) == (30.0, 1.0)
        bare_api.fail(GET, *[Fault(200, '{"status": "NOT_READY", "queued": true}')] * 50)
        with pytest.raises(RunwaySessionError, match=r"not ready within 1 s \(it waits for") as caught:
            await client.wait_until_ready("s", timeout_s=1, interval_s=0.2)
        assert caught.value.status == "NOT_READY"

    @pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED"])
    async def test_final_statuses(
        self, status: str, bare_api: StandInRunwayApi, client: RunwayClient
    ) -> None:
        text = f'{{"status": "{status}", "failure": "no capacity", "failureCode": "BUSY"}}'
        bare_api.fail(GET, Fault(200, '{"status": "NOT_READY"}'), Fault(200, text))
        with pytest.raises(RunwaySessionError) as caught:
            await client.wait_until_ready("s", interval_s=0.01)
        assert (caught.value.status, caught.value.failure_code) == (status, "BUSY")
        assert len(bare_api.requests) == 2

    async def test_what_a_session_says(self, bare_api: StandInRunwayApi, client: RunwayClient) -> None:
        text = '{"status": "FAILED", "failure": "no capacity", "failureCode": "BUSY"}'
        bare_api.fail(GET, Fault(200, text))
        assert await client.get_session("s") == SessionInfo(
            "s", "FAILED", failure="no capacity", failure_code="BUSY"
        )


class TestEnvironment:
    async def test_proxy(self, bare_api: StandInRunwayApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", bare_api.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        bare_api.fail(GET, Fault(200, ANSWERS[GET]))
        await RunwayClient(KEY, base_url="http://runway.invalid").get_session("s")
        assert bare_api.requests[0].headers["host"] == "runway.invalid"
        bare_api.fail(GET, Fault(200, ANSWERS[GET]))
        monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
        await RunwayClient(KEY, base_url=bare_api.url).get_session("s")

    async def test_netrc_does_not_get_in_the_way(
        self, bare_api: StandInRunwayApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "netrc").write_text("default login me password mine\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        bare_api.fail(GET, Fault(200, ANSWERS[GET]))
        await RunwayClient(KEY, base_url=bare_api.url).get_session("s")
        assert bare_api.requests[0].headers["authorization"] == f"Bearer {KEY}"


class TestConfiguration:
    def test_defaults(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RUNWAYML_BASE_URL", raising=False)
        monkeypatch.setenv("RUNWAYML_API_SECRET", KEY)
        client = RunwayClient()
        assert client.base_url == "https://api.dev.runwayml.com"
        assert KEY not in repr(client)
        monkeypatch.setenv("RUNWAYML_BASE_URL", "https://elsewhere.example/")
        assert RunwayClient().base_url == "https://elsewhere.example"

    def test_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("RUNWAYML_API_SECRET", raising=False)
        with pytest.raises(ConfigurationError, match=r"api_key is missing.*RUNWAYML_API_SECRET"):
            RunwayClient()

    @pytest.mark.parametrize("key", ["a b", "a\nb", "ключ"])
    def test_key_that_cannot_be_one(self, key: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            RunwayClient(key)
        assert key not in str(caught.value)

    @pytest.mark.parametrize(
        "url", ["api.dev.runwayml.com", "ftp://a", "http://", "https://a:x", "https://u:p@a"]
    )
    def test_base_url_that_is_none(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="base URL"):
            RunwayClient(KEY, base_url=url)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Sun, 22 Nov 2026 01:00:30 GMT", "Date": "Sun, 22 Nov 2026 01:00:00 GMT"}, 30.0),
        ({"Retry-After": "Sun, 22 Nov 2026 01:00:00 GMT", "Date": "Sun, 22 Nov 2026 01:00:30 GMT"}, 0.0),
        ({"Retry-After": "Sun, 22 Nov 2026 01:00:00 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize("url", ["http://me:geheim@host", "http://host/?key=geheim", "http://host/#geheim"])
def test_a_base_url_with_something_secret_in_it_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="neither login nor query") as error:
        checked_base_url(url)
    assert "geheim" not in str(error.value)
