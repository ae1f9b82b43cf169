"""The stand-in of SpatialReal's service, asked by the vendor's real package."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.testing import perform
from avatarkit_rtc.testing.spatialreal_service import (
    CREDITS_EXHAUSTED,
    Behaviour,
    HttpFault,
    SocketFault,
    SpatialRealService,
)
from tests.support.spatialreal import VendorClient, spatialreal

CLIP = perform(1, 1.0)
FAST = Behaviour(inference_s=0.0, speed=float("inf"))
Code = spatialreal.AvatarSDKErrorCode


@pytest.fixture
async def service() -> AsyncIterator[SpatialRealService]:
    async with SpatialRealService(performer=CLIP, behaviour=FAST) as service:
        yield service


# ---- session tokens ---------------------------------------------------------------------------------------


async def test_a_token_is_given_for_the_key(service: SpatialRealService) -> None:
    expires = datetime.now(UTC) + timedelta(minutes=5)
    await VendorClient(service, expire_at=expires).session.init()
    (request,) = service.seen("token")
    assert (request.method, request.path) == ("POST", "/v1/auth/session-token")
    assert request.headers["x-api-key"] == service.api_key
    assert request.body == {"expireAt": int(expires.timestamp())}
    assert service.api_key not in repr(request)


async def test_the_old_form_of_the_address_does_too(service: SpatialRealService) -> None:
    async with VendorClient(service, console_endpoint_url=f"{service.console_url}/v1/console"):
        pass


async def test_a_wrong_key_or_time_gets_no_token(service: SpatialRealService) -> None:
    with pytest.raises(spatialreal.SessionTokenError) as refused:
        await VendorClient(service, api_key="wrong").session.init()
    assert (refused.value.http_status, refused.value.code) == (401, Code.sessionTokenInvalid)
    with pytest.raises(spatialreal.SessionTokenError) as refused:
        await VendorClient(service, expire_at=datetime.now(UTC) - timedelta(seconds=2)).session.init()
    assert refused.value.http_status == 400
    assert "expireAt" in refused.value.server_detail


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Code.sessionTokenInvalid),
        (402, Code.billingRequired),
        (403, Code.appIDUnrecognized),
        (404, Code.avatarNotFound),
        (429, Code.concurrencyLimit),
        (500, Code.serverError),
    ],
)
async def test_an_http_error_is_what_the_vendor_makes_of_it(
    service: SpatialRealService, status: int, code: Any
) -> None:
    service.fail("token", HttpFault(status, headers={"Retry-After": "2"}))
    client = VendorClient(service)
    with pytest.raises(spatialreal.SessionTokenError) as refused:
        await client.session.init()
    assert (refused.value.http_status, refused.value.code) == (status, code)
    await client.session.init()  # one fault, one request


async def test_the_answers_header_says_when_to_try_again(service: SpatialRealService) -> None:
    service.fail("token", HttpFault(429, "later", {"Retry-After": "2"}))
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{service.console_url}/v1/auth/session-token", data=b"no JSON") as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"], await answer.text()) == (429, "2", "later")
    assert service.requests[0].body is None


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (HttpFault(200, "<html>"), Code.protocolError),
        (HttpFault(kind="close"), Code.connectionFailed),
        (HttpFault(kind="hang"), Code.connectionFailed),
    ],
)
async def test_no_answer_worth_the_name(service: SpatialRealService, fault: HttpFault, code: Any) -> None:
    service.fail("token", fault)
    with pytest.raises(spatialreal.SessionTokenError) as failed:
        await VendorClient(service, token_request_timeout=0.5).session.init()
    assert failed.value.code is code


async def test_a_slow_answer_is_a_good_one(service: SpatialRealService) -> None:
    service.fail("token", HttpFault(kind="slow", delay_s=0.05))
    service.fail("connect", HttpFault(kind="slow", delay_s=0.05))
    service.fail("handshake", SocketFault(delay_s=0.05))
    async with VendorClient(service) as client:
        assert client.session.connection_id


async def test_faults_of_the_wrong_sort_are_refused(service: SpatialRealService) -> None:
    with pytest.raises(ConfigurationError, match="HttpFault"):
        service.fail("token", SocketFault(cut=True))
    with pytest.raises(ConfigurationError, match="SocketFault"):
        service.fail("sentence", HttpFault(500))


# ---- handshake --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [False, True])
async def test_a_session_is_confirmed(service: SpatialRealService, query: bool) -> None:
    async with VendorClient(service, use_query_auth=query, bitrate=5) as client:
        assert client.session.capabilities == ("playback_control", "playback_state")
        (request,) = service.seen("connect")
        assert request.path == "/v2/driveningress/websocket"
        assert ("x-session-key" in request.headers) is not query
        config = client.connection.config
        assert config is not None
        assert (config.sample_rate, config.bitrate, client.connection.avatar_id) == (
            24000,
            5,
            service.avatar_id,
        )
    assert await client.wait_closed() == 1000


@pytest.mark.parametrize(
    ("options", "close_code"),
    [({"app_id": "another"}, 4010), ({"avatar_id": "another"}, 4004)],
)
async def test_who_may_not_is_not_let_in(
    service: SpatialRealService, options: dict[str, str], close_code: int
) -> None:
    client = VendorClient(service, **options)
    await client.session.init()
    with pytest.raises(spatialreal.AvatarSDKError) as refused:
        await client.session.start()
    assert refused.value.close_code == close_code
    assert not refused.value.retryable
    assert await _ended(service) == close_code


async def test_a_session_token_expires(service: SpatialRealService) -> None:
    client = VendorClient(service)
    await client.session.init()
    service.expire_tokens()
    with pytest.raises(spatialreal.AvatarSDKError, match="expired") as refused:
        await client.session.start()
    assert (refused.value.code, refused.value.retryable) == (Code.sessionTokenInvalid, False)
    unknown = VendorClient(service)
    unknown.session._session_token = "made-up"
    with pytest.raises(spatialreal.AvatarSDKError, match="unknown"):
        await unknown.session.start()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"sample_rate": 4000}, "sample rate"),
        ({"sample_rate": 22222}, "sample rate"),
        ({"audio_format": "ogg_opus"}, "PCM"),
        ({"agora_egress": spatialreal.AgoraEgressConfig(channel_name="c")}, "LiveKit"),
        ({"livekit_egress": spatialreal.LiveKitEgressConfig(url="ws://127.0.0.1:9")}, "api_token"),
        ({"livekit_egress": spatialreal.LiveKitEgressConfig(api_token="t")}, "api_token"),
    ],
)
async def test_what_it_cannot_do_it_says(
    service: SpatialRealService, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(spatialreal.AvatarSDKError, match=what) as refused:
        async with VendorClient(service, **options):
            pass
    assert refused.value.code is Code.serverError
    assert await _ended(service) == 4000


@pytest.mark.parametrize("status", [401, 503])
async def test_the_websocket_may_be_refused(service: SpatialRealService, status: int) -> None:
    service.fail("connect", HttpFault(status))
    with pytest.raises(spatialreal.AvatarSDKError) as refused:
        async with VendorClient(service):
            pass
    assert refused.value.http_status == status
    assert refused.value.code is (Code.sessionTokenInvalid if status == 401 else Code.connectionFailed)
    assert not service.connections


@pytest.mark.parametrize(
    ("fault", "code", "close_code", "retryable"),
    [
        (SocketFault(close_code=4001), Code.creditsExhausted, 4001, False),
        (SocketFault(close_code=4500), Code.connectionClosed, 4500, True),
        (
            SocketFault(error_code=CREDITS_EXHAUSTED, error_message="no credits"),
            Code.creditsExhausted,
            4001,
            False,
        ),
        (SocketFault(error_code=14, error_message="unavailable"), Code.serverError, None, False),
        (SocketFault(garbage=b"\xff\xff"), Code.protocolError, None, False),
        (SocketFault(garbage=b""), Code.protocolError, None, False),
        (SocketFault(text="hello"), Code.protocolError, None, False),
        (SocketFault(cut=True), Code.connectionClosed, None, True),
    ],
)
async def test_a_handshake_may_fail(
    service: SpatialRealService, fault: SocketFault, code: Any, close_code: int | None, retryable: bool
) -> None:
    service.fail("handshake", fault)
    with pytest.raises(spatialreal.AvatarSDKError) as failed:
        async with VendorClient(service):
            pass
    assert (failed.value.code, failed.value.close_code) == (code, close_code)
    assert failed.value.retryable is retryable
    async with VendorClient(service):  # one fault, one session
        pass


async def test_a_handshake_without_an_answer_is_not_ended_by_the_vendor(service: SpatialRealService) -> None:
    service.fail("handshake", SocketFault(hang=True))
    client = VendorClient(service)
    await client.session.init()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await client.session.start()


# ---- clients that are none --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [b"\xff", "text", pb.Message(client_interrupt=pb.ClientInterrupt(req_id="x")).SerializeToString()],
)
async def test_rubbish_for_a_handshake(service: SpatialRealService, first: bytes | str) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{service.ingress_url}/websocket") as ws:
        await (ws.send_bytes(first) if isinstance(first, bytes) else ws.send_str(first))
        answer = pb.Message.FromString(await ws.receive_bytes())
        assert answer.server_error.code == 3
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 4000


async def test_a_client_that_goes_before_the_handshake(service: SpatialRealService) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{service.ingress_url}/websocket"):
        pass
    assert await _ended(service) == 1000


async def test_rubbish_in_a_session_ends_it(service: SpatialRealService) -> None:
    async with VendorClient(service) as client:
        await client.session._connection.send("text")
        assert await client.wait_closed() == 4000


async def _ended(service: SpatialRealService) -> int | None:
    connection = service.connections[-1]
    await asyncio.wait_for(connection.closed.wait(), 10.0)
    return connection.close_code


# ---- importing --------------------------------------------------------------------------------------------


def test_it_is_imported_without_aiohttp_and_the_vendors_package() -> None:
    program = """
import sys
sys.modules["aiohttp"] = sys.modules["spatialreal"] = None
import asyncio, avatarkit_rtc.testing
from avatarkit_rtc.testing.spatialreal_service import SpatialRealService
try:
    asyncio.run(SpatialRealService().__aenter__())
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(MissingDependencyError.__name__)
    assert "avatarkit-rtc[spatialreal]" in done.stdout
