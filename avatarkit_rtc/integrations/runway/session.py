"""A session of Runway's from its creation to its one end, as an async context manager."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from avatarkit_rtc.errors import AlreadyConnectedError, NotConnectedError
from avatarkit_rtc.integrations.runway.client import (
    POLL_INTERVAL_S,
    READY_TIMEOUT_S,
    RunwayClient,
    RunwayCredentials,
    SessionInfo,
    create_body,
)
from avatarkit_rtc.integrations.runway.ending import SessionEnd, workers_in
from avatarkit_rtc.integrations.sigterm import SigtermEnd

if TYPE_CHECKING:
    from livekit import rtc

_log = logging.getLogger("avatarkit_rtc.runway")


class RunwaySession:
    """One session: created on entering, ended on leaving, exactly once.

        async with RunwaySession(preset_id="influencer", max_duration_s=300) as session:
            way = await session.join()
            await player.connect(url=way.url, token=way.token, room_name=way.room_name)
            session.use_room(player.get_native_client)

    The end also comes when the block raises or is cancelled, and when the process gets SIGTERM while that is
    not handled otherwise: the session's task is cancelled, as Ctrl-C does it, and the process ends with exit
    code 143 once the block has been left; likewise with SIGHUP, which the programs of a terminal get when it
    is closed (129). (Python programs that handle neither just vanish, and the session goes on being billed.)
    A program with a handler of its own is left alone; it should leave the block.
    """

    def __init__(
        self,
        client: RunwayClient | None = None,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        avatar_id: str | None = None,
        preset_id: str | None = None,
        max_duration_s: int | None = None,
        livekit: Mapping[str, Any] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        personality: str | None = None,
        start_script: str | None = None,
        end_on_sigterm: bool = True,
    ) -> None:
        """
        Args:
            client: whom to ask; None for one made of ``api_key`` and ``base_url``.
            end_on_sigterm: see above; False to leave SIGTERM and SIGHUP alone.

        The rest is :meth:`RunwayClient.create_session`'s.

        Raises:
            ConfigurationError: no key, not exactly one avatar, or something is malformed.
        """
        self._client = client or RunwayClient(api_key, base_url=base_url)
        self._create: dict[str, Any] = {
            "avatar_id": avatar_id,
            "preset_id": preset_id,
            "max_duration_s": max_duration_s,
            "livekit": livekit,
            "tools": tools,
            "personality": personality,
            "start_script": start_script,
        }
        create_body(**self._create)
        self._end_on_sigterm = end_on_sigterm
        self._end = SessionEnd(self._client)
        self._id: str | None = None
        self._room: Callable[[], rtc.Room | None] = lambda: None
        self._avatar: str | None = None
        self._used = False
        self._sigterm = SigtermEnd(self._begin_end)

    @property
    def id(self) -> str:
        """The session's id.

        Raises:
            NotConnectedError: it has not been created.
        """
        if self._id is None:
            raise NotConnectedError("the session has not been created; use `async with RunwaySession(…)`")
        return self._id

    @property
    def ended(self) -> bool:
        """Whether it is being ended, or has been."""
        return self._end.begun

    async def wait_until_ready(
        self, *, timeout_s: float = READY_TIMEOUT_S, interval_s: float = POLL_INTERVAL_S
    ) -> SessionInfo:
        """See :meth:`RunwayClient.wait_until_ready`."""
        return await self._client.wait_until_ready(self.id, timeout_s=timeout_s, interval_s=interval_s)

    async def join(
        self, *, timeout_s: float = READY_TIMEOUT_S, interval_s: float = POLL_INTERVAL_S
    ) -> RunwayCredentials:
        """Wait until the session is ready and consume it: the user's way into its room.

        Raises:
            RunwayError: see its subclasses.
        """
        info = await self.wait_until_ready(timeout_s=timeout_s, interval_s=interval_s)
        return await self._client.consume(self.id, info.session_key or "")

    def use_room(
        self, room: rtc.Room | Callable[[], rtc.Room | None], avatar_identity: str | None = None
    ) -> None:
        """Tell the avatar of the end in this room, so that the session counts as completed, not as cancelled.

        Args:
            room: the room, or what returns the one in use at the end (``player.get_native_client``). If it is
                not connected then, or this raises, the session is cancelled through the API.
            avatar_identity: who is told; None for Runway's workers, whose identity begins with ``worker:``.
        """
        self._room = room if callable(room) else lambda: room
        self._avatar = avatar_identity

    async def end(self) -> None:
        """End the session; further calls wait for the same end. Takes at most some 10 s.

        Never raises but when the caller is cancelled, and then only once the session is ended."""
        self._begin_end()
        await self._end.wait()

    async def __aenter__(self) -> Self:
        if self._used:
            raise AlreadyConnectedError("this session has been used already; make another RunwaySession")
        self._used = True
        with self._sigterm.entering(watch=self._end_on_sigterm):
            self._id = await self._client.create_session(**self._create)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sigterm.leave(self.end(), error)

    def __repr__(self) -> str:
        return f"<RunwaySession {self._id or 'not created'}{' ended' if self.ended else ''}>"

    def _begin_end(self) -> None:
        if self._id is not None:
            to = [self._avatar] if self._avatar is not None else None
            self._end.begin(self._id, self._room_now(), workers_in if to is None else lambda _: to)

    def _room_now(self) -> rtc.Room | None:
        try:
            return self._room()
        except Exception as error:  # the program's own; the session has to end all the same
            _log.warning("what use_room() was given raised, so the session is cancelled", exc_info=error)
            return None
