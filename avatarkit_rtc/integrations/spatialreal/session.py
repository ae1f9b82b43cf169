"""A session of SpatialReal's: an avatar in a LiveKit room of the user's, from its start to its one end."""

from __future__ import annotations

import dataclasses
import logging
import time
from types import TracebackType
from typing import Any, Final, Self

from avatarkit_rtc.emitter import EventHub, Handler
from avatarkit_rtc.errors import (
    AvatarKitError,
    ConfigurationError,
    SpatialRealEgressError,
    SpatialRealError,
)
from avatarkit_rtc.integrations.sigterm import SigtermEnd
from avatarkit_rtc.integrations.spatialreal.credentials import SpatialRealCredentials, SpatialRealEndpoints
from avatarkit_rtc.integrations.spatialreal.direct.playback import SpeechPlayback
from avatarkit_rtc.integrations.spatialreal.egress import AvatarToken, EgressRoom
from avatarkit_rtc.integrations.spatialreal.events import EVENTS
from avatarkit_rtc.integrations.spatialreal.keeper import Keeper
from avatarkit_rtc.integrations.spatialreal.link import Link
from avatarkit_rtc.integrations.spatialreal.speech import Speech
from avatarkit_rtc.integrations.spatialreal.states import OVER, SessionState
from avatarkit_rtc.integrations.spatialreal.stats import SessionStats
from avatarkit_rtc.integrations.spatialreal.vendor import loaded_spatialreal
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.join_token import JoinToken, read_join_token
from avatarkit_rtc.providers.minting import AVATAR_IDENTITY

SAMPLE_RATE: Final = 24000
"""Samples per second that livekit-plugins-spatialreal sends by default."""
TOKEN_MARGIN_S: Final = 23 * 3600.0
"""A day together with the session's hour, as livekit-plugins-spatialreal gives it: tokens of an hour ran out
in the middle of sessions."""
MAX_LIFE_S: Final = 7 * 86400.0
"""Longest time that tokens are asked for."""
RETRY: Final = ReconnectPolicy(attempts=5, max_delay_s=8.0)
_CODES_KEPT: Final = 32

_log = logging.getLogger("avatarkit_rtc.spatialreal")


class SpatialRealSession:
    """Brings an avatar into a room and makes it speak::

        async with SpatialRealSession(room_name="lobby") as session:
            session.on("interrupted", player.flush)
            await player.connect(session.viewer())
            playback = await session.say("hello.wav")
            print(await playback.wait())

    with ``SPATIALREAL_API_KEY``, ``SPATIALREAL_APP_ID``, ``SPATIALREAL_AVATAR_ID``, ``LIVEKIT_URL``,
    ``LIVEKIT_API_KEY`` and ``LIVEKIT_API_SECRET`` in the environment. The service's own worker joins the room
    with a token that is made here; the server must be one that it can reach.

    Starts on entering and ends on leaving, also when the block raises or is cancelled, and when the process
    gets SIGTERM while that is not handled otherwise (exit code 143 then). A connection that is lost is made
    anew, with fresh tokens, where it is worth it (``docs/spatialreal.md`` has the table); what was being said
    then is over. All calls belong on one event loop.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        app_id: str | None = None,
        avatar_id: str | None = None,
        environment: str | None = None,
        console_url: str | None = None,
        ingress_url: str | None = None,
        livekit_url: str | None = None,
        livekit_api_key: str | None = None,
        livekit_api_secret: str | None = None,
        room_name: str | None = None,
        avatar_token: AvatarToken | None = None,
        avatar_identity: str = AVATAR_IDENTITY,
        on_behalf_of: str = "avatarkit-rtc",
        session_length_s: float = 3600.0,
        token_margin_s: float = TOKEN_MARGIN_S,
        idle_timeout_s: int = 0,
        sample_rate: int = SAMPLE_RATE,
        lead_s: float = 2.0,
        retry: ReconnectPolicy | None = RETRY,
        connect_timeout_s: float = 15.0,
        end_on_sigterm: bool = True,
    ) -> None:
        """
        Args:
            api_key: secret; None for ``SPATIALREAL_API_KEY``.
            app_id: None for ``SPATIALREAL_APP_ID``.
            avatar_id: None for ``SPATIALREAL_AVATAR_ID``.
            environment: name of a deployment; None for ``SPATIALREAL_ENVIRONMENT``, else the package's own.
            console_url: where session tokens come from; None for ``SPATIALREAL_CONSOLE_ENDPOINT``, else the
                environment's.
            ingress_url: where the WebSocket is; None for ``SPATIALREAL_INGRESS_ENDPOINT``, else the
                environment's.
            livekit_url: None for ``LIVEKIT_URL``.
            livekit_api_key: None for ``LIVEKIT_API_KEY``.
            livekit_api_secret: secret; None for ``LIVEKIT_API_SECRET``.
            room_name: None for the room of ``avatar_token``, or a new one.
            avatar_token: a ready join token for the avatar, or a function that returns one for each
                connection; None to make them from key and secret.
            avatar_identity: whom the avatar joins as.
            on_behalf_of: identity of the participant whose avatar it is (attribute ``lk.publish_on_behalf``).
            session_length_s: so long the service's session token is valid, a week at most; then the service
                ends the connection, and another one is made.
            token_margin_s: so much longer than that the avatar's join token is valid: the service's worker
                joins anew with it after losses of its own, for as long as the connection lasts.
            idle_timeout_s: seconds of complete silence after which the service ends the avatar; 0 for its
                own limit.
            sample_rate: of what is sent: 8000 to 48000 in steps of 100.
            lead_s: sound is sent at most this much ahead of real time.
            retry: how often and when a lost connection is made anew; None for never.
            connect_timeout_s: longest time for one connection.
            end_on_sigterm: see above; False to leave SIGTERM and SIGHUP alone.

        Raises:
            ConfigurationError: something is missing, or cannot be right.
        """
        if not 8000 <= sample_rate <= 48000 or sample_rate % 100:
            raise ConfigurationError(f"sample_rate is 8000 to 48000 in steps of 100, not {sample_rate!r}")
        if not (0 < session_length_s <= MAX_LIFE_S and 0 <= token_margin_s <= MAX_LIFE_S):
            raise ConfigurationError(
                "session_length_s is more than 0, token_margin_s not negative, and each a week at most"
            )
        if not connect_timeout_s > 0:
            raise ConfigurationError("connect_timeout_s must be more than 0")
        if not 0.1 <= lead_s <= 60 or idle_timeout_s < 0:
            raise ConfigurationError("lead_s is 0.1 to 60, and idle_timeout_s not negative")
        if not (avatar_identity and on_behalf_of):
            raise ConfigurationError("avatar_identity and on_behalf_of must not be empty")
        self._credentials = SpatialRealCredentials.of(api_key, app_id, avatar_id)
        self._endpoints = SpatialRealEndpoints.of(environment, console_url, ingress_url)
        self._room = EgressRoom.of(livekit_url, room_name, livekit_api_key, livekit_api_secret, avatar_token)
        self._identity, self._on_behalf_of = avatar_identity, on_behalf_of
        self._length_s, self._margin_s = session_length_s, token_margin_s
        self._idle_timeout_s, self._rate = idle_timeout_s, sample_rate
        self._connect_timeout_s = connect_timeout_s
        self._hub = EventHub(EVENTS)
        self._keeper = Keeper(self, retry, self._hub.emit)
        self._speech = Speech(self._keeper.connected, self._hub.emit, sample_rate=sample_rate, lead_s=lead_s)
        self._token: JoinToken | None = None
        self._told: AvatarKitError | None = None  # what the service has said last
        self._stats = SessionStats()
        self._sigterm = SigtermEnd(self._keeper.begin_end)
        self._end_on_sigterm = end_on_sigterm

    # -- life ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """Where it stands (compares as str)."""
        return self._keeper.state

    @property
    def error(self) -> AvatarKitError | None:
        """Why it has failed, or the last connection was lost; None if nothing has gone wrong since."""
        return self._keeper.error

    @property
    def room_name(self) -> str:
        """The LiveKit room that the avatar is brought into."""
        return self._room.name

    @property
    def avatar_identity(self) -> str:
        """Whom the avatar joins as."""
        return self._identity

    @property
    def connection_id(self) -> str | None:
        """The service's name of the present connection: what its support asks for."""
        link = self._keeper.link
        return None if link is None else link.connection_id

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the service says it can do (``playback_control``, ``playback_state``)."""
        link = self._keeper.link
        return () if link is None else link.capabilities

    @property
    def room_doubt(self) -> str | None:
        """Why the service may not be able to reach the LiveKit server, by its address; None for no doubt."""
        return self._room.doubt(self._endpoints.ingress_url)

    def viewer(self, identity: str | None = None) -> ConnectionConfig:
        """How to watch: what ``player.connect()`` takes, with a fresh token at each (re)connect.

        Args:
            identity: whom the viewer joins as; None for a new name.

        Raises:
            ConfigurationError: the LiveKit server's key and secret are not known here.
        """
        return self._room.viewer(identity)

    def stats(self) -> SessionStats:
        """What it did so far."""
        speech = self._speech
        return dataclasses.replace(
            self._stats,
            connections=self._keeper.connections,
            errors=dict(self._stats.errors),
            said=speech.said,
            duplicate_ends=speech.duplicate_ends,
            unexpected=speech.unexpected,
        )

    async def start(self) -> None:
        """Connect to the service, which then brings the avatar into the room. Failures that may pass are
        tried again as ``retry`` says.

        Raises:
            SpatialRealError: see its subclasses; ``status`` and ``close_code`` say more.
            ConfigurationError: the ready token is none, the environment unknown.
            AlreadyConnectedError: it was started before; a session starts once.
            MissingDependencyError: ``spatialreal`` or ``livekit-api`` is not installed.
        """
        if self.state is SessionState.NEW:
            await loaded_spatialreal()
            if (doubt := self.room_doubt) is not None:
                _log.warning("%s", doubt)
        await self._keeper.start()

    async def aclose(self) -> None:
        """End the session; further calls wait for the same end. Takes some 5 s at most.

        Never raises but when the caller is cancelled, and then only once the session has ended."""
        self._keeper.begin_end()
        await self._keeper.wait_out()

    async def wait_ended(self) -> None:
        """Wait until it is over: ended here, by the service, or lost for good."""
        await self._keeper.wait_ended()

    async def __aenter__(self) -> Self:
        with self._sigterm.entering(watch=self.state is SessionState.NEW and self._end_on_sigterm):
            await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sigterm.leave(self.aclose(), error)

    def __repr__(self) -> str:
        return f"<SpatialRealSession {self.state.value}, room {self._room.name!r}>"

    # -- speaking --------------------------------------------------------------------------------------------

    @property
    def playback(self) -> SpeechPlayback | None:
        """What is being sent or said; None for nothing."""
        return self._speech.playback

    @property
    def paused(self) -> bool:
        """Whether the service holds what is being said."""
        return self._speech.paused

    async def say(
        self, source: Any, *, sample_rate: int | None = None, channels: int | None = None
    ) -> SpeechPlayback:
        """Say something; returns when all of it is sent (``lead_s`` before its end), or :meth:`interrupt` has
        cut it off. While something else is being said this waits for its turn, and while the connection is
        being made anew, for that.

        A cancelled call ends the utterance where it is; what was sent is still said.

        Args:
            source: as of :meth:`avatarkit_rtc.AvatarPlayer.publish_audio`: a path, an array, bytes, an async
                iterator, a ``PushSource``, a started microphone. An iterator may be slow.
            sample_rate: samples per second of arrays and bytes.
            channels: channels of bytes.

        Returns:
            What becomes of it: ``await playback.wait()``, which raises what it was lost by.

        Raises:
            SpatialRealError: the connection was lost before all was sent, or the service refused it.
            NotConnectedError: not started, or over.
            ConfigurationError: the source is none.
        """
        if self.state is SessionState.NEW or self.state in OVER:
            raise self._keeper.why_over()
        return await self._speech.say(source, sample_rate=sample_rate, channels=channels)

    async def interrupt(self) -> None:
        """Cut off what is being said, and each :meth:`say` that still sends or waits. ``interrupted`` is
        emitted at once: ``session.on("interrupted", player.flush)`` silences a player without the way to
        the service and back. Returns when the service has reported where it stopped, or 2 s later."""
        await self._speech.interrupt()

    async def pause(self) -> bool:
        """Hold what is being said. Sound goes on being sent meanwhile; the service cuts off what is held for
        too long (reason ``pause_timeout``).

        Returns:
            Whether it is held: False where nothing is being said, and where the service does not report that
            within 2 s.

        Raises:
            SpatialRealUnsupportedError: the service cannot (:attr:`capabilities`).
            SpatialRealError: the connection is gone.
        """
        return await self._speech.hold(on=True)

    async def resume(self) -> bool:
        """Go on with what :meth:`pause` holds. Returns whether it does; the same errors."""
        return await self._speech.hold(on=False)

    def on(self, event: str, handler: Handler | None = None) -> Any:
        """Call ``handler`` at each ``event`` (:data:`~.events.EVENTS`); without a handler, a decorator.

        Raises:
            ConfigurationError: there is no such event.
        """
        if handler is None:
            return lambda function: self._hub.on(event, function)
        return self._hub.on(event, handler)

    def off(self, event: str, handler: Handler) -> None:
        """Stop calling ``handler``."""
        self._hub.off(event, handler)

    # -- reports of the link ---------------------------------------------------------------------------------

    def on_signal(self, request_id: str, end: bool) -> None:
        """Called by the link."""
        self._speech.on_signal(request_id, end)

    def on_playback_state(self, request_id: str, state: str, position_s: float, reason: str) -> None:
        """Called by the link."""
        self._speech.on_playback_state(request_id, state, position_s, reason)

    def on_service_error(self, error: AvatarKitError, request_id: str | None) -> None:
        """Called by the link."""
        self._told = self._explain(error)
        self._count(error)
        self._speech.on_service_error(error, request_id)
        self._hub.emit("error", error)

    # -- what the keeper asks --------------------------------------------------------------------------------

    def new_link(self) -> Link:
        """Called by the keeper."""
        return Link(self._credentials, self._endpoints, self)

    async def open_link(self, link: Link) -> None:
        """Called by the keeper."""
        spatialreal = await loaded_spatialreal()
        began = time.monotonic()

        def token_came() -> None:
            self._stats = dataclasses.replace(self._stats, token_s=time.monotonic() - began)

        token = await self._room.token_for_avatar(
            self._identity, self._on_behalf_of, self._length_s + self._margin_s
        )
        self._token = read_join_token(token)
        await link.open(
            valid_for_s=self._length_s,
            timeout_s=self._connect_timeout_s,
            on_token=token_came,
            sample_rate=self._rate,
            livekit_egress=spatialreal.LiveKitEgressConfig(
                url=self._room.url,
                api_token=token,
                room_name=self._room.name,
                publisher_id=self._identity,
                extra_attributes={"lk.publish_on_behalf": self._on_behalf_of},
                idle_timeout=self._idle_timeout_s,
            ),
        )
        self._stats = dataclasses.replace(self._stats, connect_s=time.monotonic() - began)

    def explained(self, error: AvatarKitError) -> AvatarKitError:
        """Called by the keeper. Adds what the avatar's token itself says, where that may be the reason."""
        if error is not self._told:  # else the service has said it before it closed the connection
            self._explain(error)
            self._count(error)
        if isinstance(error, SpatialRealError) and error.close_code is not None:
            codes = (*self._stats.close_codes, error.close_code)[-_CODES_KEPT:]
            self._stats = dataclasses.replace(self._stats, close_codes=codes)
        return error

    def gave_up(self, error: AvatarKitError) -> None:
        """Called by the keeper."""
        if error is not self._told:
            self._hub.emit("error", error)

    def _explain(self, error: AvatarKitError) -> AvatarKitError:
        if isinstance(error, SpatialRealEgressError) and (complaint := self._complaint()) is not None:
            error.args = (f"{error}. The avatar's join token: {complaint}",)
        return error

    def _complaint(self) -> str | None:
        """Why the avatar's token cannot be accepted now; only good for explaining, as clocks may be wrong."""
        return None if self._token is None else self._token.complaint(time.time())

    def worth_a_retry(self, error: SpatialRealError, *, stable: bool) -> bool:
        """Called by the keeper."""
        if isinstance(error, SpatialRealEgressError) and error.token_refused:
            # The next connection brings a fresh token. One that was refused when it was fresh is of no use.
            return self._room.mints and (stable or self._complaint() is not None)
        return error.retryable

    def link_lost(self, error: AvatarKitError | None) -> None:
        """Called by the keeper."""
        self._speech.lost(error, "session-ended" if error is None else "connection-lost")

    async def closed(self) -> None:
        """Called by the keeper."""
        await self._speech.aclose()

    def _count(self, error: AvatarKitError) -> None:
        self._stats.errors[error.code] = self._stats.errors.get(error.code, 0) + 1
