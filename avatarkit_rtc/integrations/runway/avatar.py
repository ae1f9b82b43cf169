"""A Runway avatar for an agent of LiveKit Agents: the agent speaks, Runway's worker shows who says it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

from livekit import rtc

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError, RunwayError
from avatarkit_rtc.integrations.runway.client import RunwayClient, avatar_of
from avatarkit_rtc.integrations.runway.ending import SessionEnd
from avatarkit_rtc.integrations.runway.http import RETRY_INTERVAL_S, TIMEOUT_S, TRIES
from avatarkit_rtc.providers.avatar_finder import ON_BEHALF_ATTRIBUTE

try:
    from livekit.agents import NOT_GIVEN, get_job_context, utils
    from livekit.agents.voice.avatar import AvatarSession, DataStreamAudioOutput
except ImportError as _error:
    raise MissingDependencyError(
        "RunwayAvatar needs livekit-agents: pip install 'avatarkit-rtc[agents]'"
    ) from _error

if TYPE_CHECKING:
    from livekit.agents import AgentSession, APIConnectOptions, NotGivenOr

AVATAR_IDENTITY: Final = "runway-avatar-agent"
"""Identity and name of the avatar in the room, unless they are given."""
UNSEEN_WAIT_S: Final = 5.0
"""How long ``start()`` looks for an avatar whose session failed, but may have been started."""
SAMPLE_RATE: Final = 16000
"""Samples per second of the speech that goes to the avatar."""


class RunwayAvatar(AvatarSession):  # type: ignore[misc]
    """Works as livekit-plugins-runway's ``AvatarSession``, by the same options.

        avatar = RunwayAvatar(preset_id="influencer", max_duration=300)
        await avatar.start(session, room=ctx.room)
        await session.start(agent=agent, room=ctx.room)

    It ends the session with the agent's, with the job, and also when ``start()`` or ``aclose()`` is
    cancelled; once. Different are the errors, which are this package's, and that a request that may have
    started a session is not made again: see :meth:`RunwayClient.create_session`.
    """

    def __init__(
        self,
        *,
        avatar_id: NotGivenOr[str | None] = NOT_GIVEN,
        preset_id: NotGivenOr[str | None] = NOT_GIVEN,
        max_duration: NotGivenOr[int | None] = NOT_GIVEN,
        api_url: NotGivenOr[str | None] = NOT_GIVEN,
        api_key: NotGivenOr[str | None] = NOT_GIVEN,
        avatar_participant_identity: NotGivenOr[str | None] = NOT_GIVEN,
        avatar_participant_name: NotGivenOr[str | None] = NOT_GIVEN,
        conn_options: APIConnectOptions | None = None,
        timeout_s: float = TIMEOUT_S,
        tries: int = TRIES,
        retry_interval_s: float = RETRY_INTERVAL_S,
        repeat_uncertain: bool = False,
    ) -> None:
        """None is the same as ``NOT_GIVEN``.

        Args:
            avatar_id: an avatar of your own; either this or ``preset_id``.
            preset_id: one of Runway's avatars.
            max_duration: Runway ends the session after so many seconds.
            api_url: None for ``RUNWAYML_BASE_URL``, else ``https://api.dev.runwayml.com``.
            api_key: None for ``RUNWAYML_API_SECRET``.
            avatar_participant_identity: of the avatar in the room; None for ``runway-avatar-agent``.
            avatar_participant_name: the same.
            conn_options: LiveKit Agents' form of the next three, in place of them: its ``timeout``,
                ``max_retry`` (tries in all, as in the plugin; 0 is 1) and ``retry_interval``.
            timeout_s: longest time for one request and its answer.
            tries: how often a request is made that may be repeated.
            retry_interval_s: seconds between two tries.
            repeat_uncertain: also repeat a request that may have started a session, as the plugin does.

        Raises:
            ConfigurationError: not exactly one avatar is named, no key, or something is malformed.
        """
        super().__init__()
        avatar_of(avatar_id, preset_id)
        if conn_options is not None:
            timeout_s, retry_interval_s = conn_options.timeout, conn_options.retry_interval
            tries = max(1, conn_options.max_retry)
        self._client = RunwayClient(
            api_key, base_url=api_url, timeout_s=timeout_s, tries=tries, retry_interval_s=retry_interval_s
        )
        self._create: dict[str, Any] = {
            "avatar_id": avatar_id,
            "preset_id": preset_id,
            "max_duration_s": None if max_duration is NOT_GIVEN else max_duration,
            "repeat_uncertain": repeat_uncertain,
        }
        self._identity = avatar_participant_identity or AVATAR_IDENTITY
        self._name = avatar_participant_name or AVATAR_IDENTITY
        self._session_id: str | None = None
        self._may_run = False
        self._end = SessionEnd(self._client)
        self._end_room: rtc.Room | None = None

    @property
    def avatar_identity(self) -> str:
        """Identity of the avatar in the room."""
        return self._identity

    @property
    def provider(self) -> str:
        """Whose avatar it is."""
        return "runway"

    @property
    def session_id(self) -> str | None:
        """Runway's id of the session, once it is there."""
        return self._session_id

    async def start(
        self,
        agent_session: AgentSession,
        room: rtc.Room,
        *,
        livekit_url: str | None = None,
        livekit_api_key: str | None = None,
        livekit_api_secret: str | None = None,
    ) -> None:
        """Create the session, have its avatar join ``room``, and send the agent's speech there.

        Args:
            livekit_url: what the avatar joins by; None for ``LIVEKIT_URL``.
            livekit_api_key: None for ``LIVEKIT_API_KEY``.
            livekit_api_secret: None for ``LIVEKIT_API_SECRET``.

        Raises:
            ConfigurationError: one of the three is missing.
            RunwayError: no session; see its subclasses and ``session_may_exist``. With that, it comes up to
                5 s later: should the avatar turn up, it is told of the end.
        """
        from livekit import api

        await super().start(agent_session, room)
        url, key, secret = (
            given or os.environ.get(name)
            for given, name in (
                (livekit_url, "LIVEKIT_URL"),
                (livekit_api_key, "LIVEKIT_API_KEY"),
                (livekit_api_secret, "LIVEKIT_API_SECRET"),
            )
        )
        if not (url and key and secret):
            raise ConfigurationError(
                "livekit_url, livekit_api_key, and livekit_api_secret must be set "
                "by arguments or environment variables"
            )
        job = get_job_context(required=False)
        agent = job.local_participant_identity if job is not None else room.local_participant.identity
        token = (
            api.AccessToken(key, secret)
            .with_kind("agent")
            .with_identity(self._identity)
            .with_name(self._name)
            .with_grants(api.VideoGrants(room_join=True, room=room.name))
            .with_attributes({ON_BEHALF_ATTRIBUTE: agent})
            .to_jwt()
        )
        self._end_room = room
        way = {"url": url, "token": token, "roomName": room.name, "agentIdentity": agent}
        try:
            self._session_id = await self._client.create_session(livekit=way, **self._create)
        except RunwayError as error:
            self._may_run = error.session_may_exist
            if self._may_run:
                await self._end_unseen(room)
            raise
        self._may_run = True
        agent_session.on("close", self._on_agent_session_close)
        agent_session.output.replace_audio_tail(
            DataStreamAudioOutput(
                room=room,
                destination_identity=self._identity,
                wait_remote_track=rtc.TrackKind.KIND_VIDEO,
                sample_rate=SAMPLE_RATE,
            )
        )

    async def aclose(self) -> None:
        """End the session and let go of the agent's. Never raises but when the caller is cancelled, and then
        only once the session is ended."""
        self._begin_end()
        await self._end.wait()
        await super().aclose()

    async def _end_unseen(self, room: rtc.Room) -> None:
        """If the session was started all the same, its avatar comes into the room, and can be told there."""
        with contextlib.suppress(TimeoutError, RuntimeError):  # RuntimeError: the room went down
            async with asyncio.timeout(UNSEEN_WAIT_S):
                await utils.wait_for_participant(room, identity=self._identity)
            self._begin_end()
            await self._end.wait()

    def _on_agent_session_close(self, _: Any) -> None:
        self._begin_end()

    def _begin_end(self) -> None:
        # A session that may have been started unseen is told of its end in the room as well.
        if self._may_run:
            self._end.begin(self._session_id, self._end_room, lambda _: [self._identity])
