"""Runway's real-time sessions over HTTP: create, look at, consume, join as backend, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from avatarkit_rtc.errors import ConfigurationError, RunwayReplyError, RunwaySessionError
from avatarkit_rtc.integrations.http import checked_key
from avatarkit_rtc.integrations.runway.creating import create_in_thread
from avatarkit_rtc.integrations.runway.ending import delete_in_thread
from avatarkit_rtc.integrations.runway.http import (
    RETRY_INTERVAL_S,
    TIMEOUT_S,
    TRIES,
    Retry,
    RunwayHttp,
    api_key_or_environments,
)

MODEL: Final = "gwm1_avatars"
"""The one model of real-time avatars."""
SESSIONS: Final = "/v1/realtime_sessions"
READY_TIMEOUT_S: Final = 30.0
POLL_INTERVAL_S: Final = 1.0


class SessionStatus(StrEnum):
    """Where a session stands."""

    NOT_READY = "NOT_READY"
    """It is being set up."""
    READY = "READY"
    """It can be consumed."""
    RUNNING = "RUNNING"
    """Somebody is connected."""
    COMPLETED = "COMPLETED"
    """Over: ended by its participants, or by its longest duration."""
    FAILED = "FAILED"
    """Over: it did not work."""
    CANCELLED = "CANCELLED"
    """Over: cancelled through the API."""


FINAL_STATUSES: Final = frozenset({SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class RunwayCredentials:
    """A way into a session's LiveKit room."""

    url: str
    """WebSocket address of the server."""
    token: str = field(repr=False)
    """Join token."""
    room_name: str | None = None
    """The room it admits to."""

    @classmethod
    def of(cls, said: Any) -> RunwayCredentials:
        """From ``{"url", "token", "roomName"}``, as Runway's API and its Node package write it.

        Raises:
            ConfigurationError: something is missing. The message holds none of the values.
        """
        if isinstance(said, cls):
            return said
        names = ("url", "token", "roomName")
        values = [said.get(name) for name in names] if isinstance(said, Mapping) else [None] * 3
        if isinstance(said, Mapping) and values[2] is None:
            values[2] = said.get("room_name")
        lacking = [
            name
            for name, value in zip(names, values, strict=True)
            if not (isinstance(value, str) and value) and not (name == "roomName" and value is None)
        ]
        if lacking:
            raise ConfigurationError(
                f"credentials need url, token and roomName; not given: {', '.join(lacking)}"
            )
        return cls(str(values[0]), str(values[1]), values[2])


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What Runway says of a session."""

    id: str
    status: str
    """One of :class:`SessionStatus`, or one that this version does not know."""
    session_key: str | None = field(default=None, repr=False)
    """With ``READY``: what the session is consumed with."""
    queued: bool = False
    """With ``NOT_READY``: it waits for free capacity."""
    failure: str | None = None
    """With ``FAILED``: what went wrong, for people."""
    failure_code: str | None = None
    """With ``FAILED``: what went wrong, for programs."""


class RunwayClient:
    """Runway's API for real-time sessions. Holds no connection; nothing to close."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
        tries: int = TRIES,
        retry_interval_s: float = RETRY_INTERVAL_S,
    ) -> None:
        """
        Args:
            api_key: None for ``RUNWAYML_API_SECRET``.
            base_url: None for ``RUNWAYML_BASE_URL``, else ``https://api.dev.runwayml.com``.
            timeout_s: longest time for one request and its answer.
            tries: how often a request is made that may be repeated.
            retry_interval_s: seconds between two tries.

        Raises:
            ConfigurationError: no key, or something is malformed.
        """
        self._key = api_key_or_environments(api_key)
        self._http = RunwayHttp(base_url, timeout_s=timeout_s)
        self._retry = Retry(tries, retry_interval_s)

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._http.base_url

    async def create_session(
        self,
        *,
        avatar_id: str | None = None,
        preset_id: str | None = None,
        max_duration_s: int | None = None,
        livekit: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        personality: str | None = None,
        start_script: str | None = None,
        repeat_uncertain: bool = False,
    ) -> str:
        """Start a session; returns its id. It is billed from now on: end it.

        A repeat could start a second one, of which nobody would know. So this tries again only when Runway
        cannot be reached at all or says that it has not carried the request out (408, 429). Anything else
        (5xx, no answer in time, half an answer, no id in it) is raised at once, with ``session_may_exist``.

        Cancelled meanwhile, it waits for the answer and cancels the session that has come about; so it does
        where ``asyncio.run()`` ends, and cancels everything, before the answer has come.

        Args:
            avatar_id: an avatar of your own; either this or ``preset_id``.
            preset_id: one of Runway's avatars.
            max_duration_s: Runway ends the session after so many seconds.
            livekit: ``{"url", "token", "roomName", "agentIdentity"}`` of a room that the avatar is to join;
                None for a room of Runway's.
            tools: what the avatar may call, as Runway's API describes it (``backend_rpc``, ``client_event``).
            personality: in place of the avatar's own.
            start_script: in place of the avatar's own.
            repeat_uncertain: try again after failures that leave open whether a session was started, as
                livekit-plugins-runway does.

        Raises:
            ConfigurationError: not exactly one avatar is named.
            RunwayError: no session, as far as is known; see its subclasses and ``session_may_exist``.
        """
        body = create_body(avatar_id, preset_id, max_duration_s, livekit, tools, personality, start_script)
        retry = Retry(self._retry.tries, self._retry.interval_s, repeat_uncertain)

        def request(abandoned: asyncio.Event) -> Coroutine[Any, Any, Any]:
            return self._http.request(
                "POST", SESSIONS, self._key, body=body, retry=retry, abandoned=abandoned
            )

        reply = await create_in_thread(request, self._undo)
        return _text(reply, "id", "POST", may_exist=True)

    async def get_session(self, session_id: str) -> SessionInfo:
        """How the session is.

        Raises:
            RunwayError: see its subclasses.
        """
        reply = await self._http.request("GET", _path(session_id), self._key, retry=self._retry)
        failure, code = (
            reply.get(name) if isinstance(reply, dict) else None for name in ("failure", "failureCode")
        )
        status = _text(reply, "status", "GET")
        return SessionInfo(
            id=session_id,
            status=status,
            session_key=_text(reply, "sessionKey", "GET") if status == SessionStatus.READY else None,
            queued=reply.get("queued") is True,
            failure=str(failure) if failure else None,
            failure_code=str(code) if code else None,
        )

    async def wait_until_ready(
        self, session_id: str, *, timeout_s: float = READY_TIMEOUT_S, interval_s: float = POLL_INTERVAL_S
    ) -> SessionInfo:
        """Look at the session each ``interval_s`` seconds until it is ``READY``.

        Raises:
            RunwaySessionError: it is over, or not ready within ``timeout_s``.
            RunwayError: looking failed.
        """
        info: SessionInfo | None = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    info = await self.get_session(session_id)
                    if info.status == SessionStatus.READY:
                        return info
                    if info.status in FINAL_STATUSES or info.status == SessionStatus.RUNNING:
                        raise _not_ready(info)
                    await asyncio.sleep(interval_s)
        except TimeoutError:
            waiting = " (it waits for free capacity)" if info is not None and info.queued else ""
            raise RunwaySessionError(
                f"session {session_id} was not ready within {timeout_s:g} s{waiting}; try again later",
                status=info.status if info is not None else None,
            ) from None

    async def consume(self, session_id: str, session_key: str) -> RunwayCredentials:
        """Take the one place of the user's in the session's room.

        Args:
            session_key: of a ``READY`` session.

        Raises:
            RunwayError: see its subclasses.
        """
        key = checked_key(session_key, "session_key")
        return await self._credentials(f"{_path(session_id)}/consume", key)

    async def connect_backend(self, session_id: str) -> RunwayCredentials:
        """A way into the session's room for a backend, as a hidden participant.

        Raises:
            RunwayError: see its subclasses.
        """
        return await self._credentials(f"{_path(session_id)}/connect_backend", self._key)

    async def cancel(self, session_id: str) -> None:
        """Cancel the session; one that is not there any more is fine.

        Raises:
            RunwayError: see its subclasses.
        """
        await self._http.request("DELETE", _path(session_id), self._key, retry=self._retry)

    async def _credentials(self, path: str, key: str) -> RunwayCredentials:
        reply = await self._http.request("POST", path, key, retry=self._retry)
        try:
            return RunwayCredentials.of(reply)
        except ConfigurationError as error:
            raise RunwayReplyError(f"POST {path}: {error}; is {self.base_url} Runway's API?") from None

    def _undo(self, reply: Any) -> Future[None] | None:
        """Nobody waits for this session any more: cancel it."""
        session_id = reply.get("id") if isinstance(reply, dict) else None
        if isinstance(session_id, str) and session_id:
            return delete_in_thread(self, session_id)
        return None

    def __repr__(self) -> str:
        return f"<RunwayClient {self._http!r}>"


def avatar_of(avatar_id: str | None, preset_id: str | None) -> dict[str, str]:
    """The avatar as the API wants it named.

    Raises:
        ConfigurationError: not exactly one is given.
    """
    if not avatar_id and not preset_id:
        raise ConfigurationError("Either avatar_id or preset_id must be provided")
    if avatar_id and preset_id:
        raise ConfigurationError("Provide avatar_id or preset_id, not both")
    if avatar_id:
        return {"type": "custom", "avatarId": str(avatar_id)}
    return {"type": "runway-preset", "presetId": str(preset_id)}


def create_body(
    avatar_id: str | None,
    preset_id: str | None,
    max_duration_s: int | None,
    livekit: Mapping[str, Any] | None,
    tools: Sequence[Mapping[str, Any]] | None,
    personality: str | None,
    start_script: str | None,
) -> dict[str, Any]:
    """What a session is created with; what is None is left out.

    Raises:
        ConfigurationError: not exactly one avatar is named, or the duration is no positive number.
    """
    if max_duration_s is not None and not max_duration_s > 0:
        raise ConfigurationError("max_duration_s must be more than 0, or None for Runway's own limit")
    body: dict[str, Any] = {"model": MODEL, "avatar": avatar_of(avatar_id, preset_id)}
    options = {
        "livekit": dict(livekit) if livekit is not None else None,
        "maxDuration": max_duration_s,
        "tools": [dict(tool) for tool in tools] if tools is not None else None,
        "personality": personality,
        "startScript": start_script,
    }
    return body | {name: value for name, value in options.items() if value is not None}


def _path(session_id: str) -> str:
    if not isinstance(session_id, str) or not session_id:
        raise ConfigurationError("session_id is missing; it is what creating a session returns")
    return f"{SESSIONS}/{quote(session_id, safe='')}"


def _text(reply: Any, name: str, method: str, *, may_exist: bool = False) -> str:
    value = reply.get(name) if isinstance(reply, dict) else None
    if not isinstance(value, str) or not value:
        error = RunwayReplyError(f"{method} {SESSIONS}: the answer has no {name!r}; is that Runway's API?")
        error.session_may_exist = may_exist
        raise error
    return value


def _not_ready(info: SessionInfo) -> RunwaySessionError:
    why = f": {info.failure}" if info.failure else ""
    return RunwaySessionError(
        f"session {info.id} is {info.status}{why}; create another one",
        status=info.status,
        failure_code=info.failure_code,
    )
