"""An avatar without a room: sound goes to the service over its WebSocket, motion comes back the same way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any, Final

from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    AvatarKitError,
    ConfigurationError,
    ConnectAbortedError,
    NotConnectedError,
    PublishError,
    SpatialRealError,
)
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.integrations.spatialreal.credentials import SpatialRealCredentials, SpatialRealEndpoints
from avatarkit_rtc.integrations.spatialreal.direct.news import ServiceNews
from avatarkit_rtc.integrations.spatialreal.direct.playback import SpeechPlayback
from avatarkit_rtc.integrations.spatialreal.direct.speaking import Speaking
from avatarkit_rtc.integrations.spatialreal.direct.stage import SpeechOptions
from avatarkit_rtc.integrations.spatialreal.direct.stats import SpatialRealProviderStats
from avatarkit_rtc.integrations.spatialreal.keeper import STABLE_S
from avatarkit_rtc.integrations.spatialreal.link import Link
from avatarkit_rtc.integrations.spatialreal.problems import expected
from avatarkit_rtc.integrations.waiting import wait_out
from avatarkit_rtc.options import ReconnectPolicy
from avatarkit_rtc.providers.base import AudioUplink, ConnectionConfig, ProviderListener, PublishedTrack

SAMPLE_RATES: Final = (8000, 16000, 24000, 32000, 44100, 48000)
"""Samples per second that the service takes and that make whole blocks of 10 ms."""

RETRY: Final = ReconnectPolicy(attempts=5)
"""How a lost connection is made anew: 0.5, 1, 2, 4 and 8 s apart."""

_log = logging.getLogger("avatarkit_rtc.spatialreal")


class SpatialRealProvider:
    """A :class:`~avatarkit_rtc.providers.base.Provider` that speaks with SpatialReal's service itself::

        provider = SpatialRealProvider(app_id=…, avatar_id=…)  # the key: SPATIALREAL_API_KEY
        async with AvatarPlayer(provider, view) as player:
            await player.connect()
            playback = await provider.say("hello.wav")
            await playback.wait()

    What is said is what the player gets as the avatar's voice, in real time, each keyframe with its sound.
    There is no room: what a player publishes has nowhere to go, and ``url`` and ``token`` of its
    ``connect()`` are not needed.

    A connection that is lost is made anew by itself where that can help (state ``reconnecting``); what was
    being said, and what waited, ends with a :class:`~avatarkit_rtc.errors.SpatialRealError` at its playback.
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
        sample_rate: int = 24000,
        options: SpeechOptions | None = None,
        retry: ReconnectPolicy | None = RETRY,
        token_life_s: float = 3600.0,
        on_answer: Callable[[bytes], None] | None = None,
    ) -> None:
        """
        Args:
            api_key: and the next two, where not given, come from ``SPATIALREAL_API_KEY``,
                ``SPATIALREAL_APP_ID`` and ``SPATIALREAL_AVATAR_ID``.
            app_id: see above.
            avatar_id: see above.
            environment: name of a deployment; the vendor's default if not given.
            console_url: address of the HTTP API, if not the environment's.
            ingress_url: address of the WebSocket, if not the environment's.
            sample_rate: samples per second that are sent, and that the player gets: one of
                :data:`SAMPLE_RATES`.
            options: when what was said starts.
            retry: how to come back after a lost connection; None to stay away.
            token_life_s: how long a session may last, in seconds.
            on_answer: called with each answer of the service, a serialised ``Message``, as it came.

        Raises:
            ConfigurationError: something is missing or out of range.
        """
        if sample_rate not in SAMPLE_RATES:
            raise ConfigurationError(
                f"sample_rate is one of {', '.join(map(str, SAMPLE_RATES))}, not {sample_rate!r}"
            )
        if not 60 <= token_life_s <= 7 * 86400:
            raise ConfigurationError("token_life_s is 60 s to a week")
        self._credentials = SpatialRealCredentials.of(api_key, app_id, avatar_id)
        self._endpoints = SpatialRealEndpoints.of(environment, console_url, ingress_url)
        self._sample_rate = sample_rate
        self._retry = retry
        self._token_life_s = token_life_s
        self._on_answer = on_answer
        self._listener: ProviderListener | None = None
        self._speaking = Speaking(sample_rate, options, lambda: self._listener)
        self._state = ConnectionState.DISCONNECTED
        self._link: Link | None = None
        self._opening: asyncio.Task[Link] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._reported: AvatarKitError | None = None
        self._random = random.Random()
        self._attempts = self._reconnects = 0
        self._timeout_s = 20.0

    # -- speaking --------------------------------------------------------------------------------------------

    async def say(
        self, source: Any, *, sample_rate: int | None = None, channels: int | None = None
    ) -> SpeechPlayback:
        """Say ``source`` after what was said before. Returns when it is queued, mostly at once: sending and
        playing go on in the background. While 32 wait this waits, too.

        Args:
            source: as of :meth:`avatarkit_rtc.AvatarPlayer.publish_audio`: a path, an array, bytes, an async
                iterator, a ``PushSource``. An iterator may be slow.
            sample_rate: samples per second of arrays and bytes.
            channels: channels of bytes.

        Raises:
            NotConnectedError: not connected, or the connection is being made anew.
            ConfigurationError: the source is none.
        """
        return await self._speaking.say(source, sample_rate=sample_rate, channels=channels)

    async def interrupt(self) -> None:
        """Be silent now: all that was said and is not over is dropped, here and in the player, before this
        first waits for anything; then the service is told. Ends a pause."""
        await self._speaking.interrupt()

    def pause(self) -> None:
        """Stop speaking; the face goes to idle, and what is said meanwhile waits. The service works on."""
        self._speaking.pause()

    def resume(self) -> None:
        """Go on where :meth:`pause` has stopped. Nothing happens where nothing is paused."""
        self._speaking.stage.resume()

    @property
    def pending(self) -> tuple[SpeechPlayback, ...]:
        """What was said and is not over, in order."""
        return self._speaking.pending

    def stats(self) -> SpatialRealProviderStats:
        """A snapshot."""
        stage = self._speaking.stage
        return SpatialRealProviderStats(
            state=stage.state,
            counters=stage.snapshot(),
            position_s=stage.position_s,
            held_frames=stage.held_frames,
            held_s=stage.held_s,
            utterances_waiting=self._speaking.sender.waiting,
            malformed=self._speaking.malformed,
            reconnects=self._reconnects,
            connection_id=None if self._link is None else self._link.connection_id,
        )

    # -- as a provider ---------------------------------------------------------------------------------------

    def set_listener(self, listener: ProviderListener | None) -> None:
        """Report to ``listener`` from now on."""
        self._listener = listener

    @property
    def owns_connection(self) -> bool:
        """True."""
        return True

    def get_connection_state(self) -> ConnectionState:
        """The state of the connection now."""
        return self._state

    def get_native_client(self) -> Any:
        """None: the vendor's session lasts for one connection only and is used in here."""
        return None

    async def connect(self, config: ConnectionConfig | None = None) -> None:
        """Connect to the service. Safe to cancel. Of ``config`` only ``timeout_s`` counts.

        Raises:
            AlreadyConnectedError: connected, or connecting.
            ConnectAbortedError: ``disconnect()`` was called meanwhile.
            SpatialRealError: the service refused, or did not answer in time; see its subclasses.
            ConfigurationError: the vendor's package does not take the configuration.
            MissingDependencyError: the vendor's package is not installed.
        """
        while self._ending is not None:
            await asyncio.wait([self._ending])
        if self._opening is not None or self._watching is not None:
            raise AlreadyConnectedError("connected or connecting already; disconnect() first")
        self._timeout_s = config.timeout_s if config is not None else 20.0
        opening = self._opening = asyncio.create_task(self._open(), name="connect to SpatialReal")
        self._set_state(ConnectionState.CONNECTING)
        try:
            await asyncio.wait([opening])
        except asyncio.CancelledError:
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await wait_out(opening)
            self._discard(opening)
            self._set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
            raise
        finally:
            aborted = self._opening is not opening
            if not aborted:
                self._opening = None
        if aborted:
            raise ConnectAbortedError("disconnect() was called before the connection was there")
        if (error := opening.exception()) is not None:
            self._set_state(ConnectionState.FAILED, DisconnectReason.JOIN_FAILURE)
            raise error
        self._attempts = 0
        self._watching = asyncio.create_task(self._watch(opening.result()), name="watch SpatialReal")
        self._came_up(opening.result())

    async def disconnect(self) -> None:
        """End the session; what is said breaks off. Takes at most some seconds, may be called at any time and
        more than once. Never raises but when the caller is cancelled, and goes on then."""
        if self._ending is None:
            # In a task of its own: a connection that nobody closes is paid for.
            self._ending = asyncio.create_task(self._end(), name="disconnect from SpatialReal")
            self._ending.add_done_callback(self._ended)
        await asyncio.shield(self._ending)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("disconnecting from SpatialReal failed", exc_info=error)

    async def _end(self) -> None:
        opening, self._opening = self._opening, None
        watching, self._watching = self._watching, None
        for task in (opening, watching):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if opening is not None:
            self._discard(opening)
        await self._go_down(NotConnectedError("disconnect() was called while it was said"))
        self._set_state(ConnectionState.DISCONNECTED, DisconnectReason.CLIENT_INITIATED)
        if self._closing:
            await asyncio.wait(set(self._closing))

    async def open_uplink(
        self, *, name: str, sample_rate: int, channels: int, live: bool = False
    ) -> AudioUplink:
        """Not here: nobody listens.

        Raises:
            PublishError: always.
        """
        raise PublishError("without a room nobody hears what is published; say() makes the avatar speak")

    async def publish_track(self, track: Any) -> PublishedTrack:
        """Not here: nobody listens.

        Raises:
            PublishError: always.
        """
        raise PublishError("without a room nobody hears what is published; say() makes the avatar speak")

    def __repr__(self) -> str:
        return f"<SpatialRealProvider {self._state} {self._credentials.avatar_id}>"

    # -- the connection --------------------------------------------------------------------------------------

    async def _open(self) -> Link:
        link = Link(self._credentials, self._endpoints, ServiceNews(self._service_failed))
        try:
            await link.open(
                valid_for_s=self._token_life_s,
                timeout_s=self._timeout_s,
                sample_rate=self._sample_rate,
                transport_frames=lambda data, is_last: self._on_motion(link, data),
            )
        except BaseException:
            self._close(link)
            raise
        return link

    def _on_motion(self, link: Link, data: bytes) -> None:
        if link is self._link:
            if self._on_answer is not None:
                self._on_answer(data)
            self._speaking.motion(data)

    def _service_failed(self, error: AvatarKitError, request_id: str | None) -> None:
        """The utterance ends, if it is about one; the player is told in any case."""
        key = None if not request_id else self._speaking.stage.key_of(request_id)
        if key is not None:
            self._speaking.fail(error, key)
        self._report(error)

    def _discard(self, opening: asyncio.Task[Link]) -> None:
        """It may have come about in the very moment that nobody wanted it any more."""
        if not opening.cancelled() and opening.exception() is None and opening.result() is not self._link:
            self._close(opening.result())

    def _close(self, link: Link) -> None:
        task = asyncio.create_task(link.aclose(), name="close SpatialReal")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _came_up(self, link: Link) -> None:
        self._link = link
        self._set_state(ConnectionState.CONNECTED)
        if self._listener is not None:
            self._listener.on_avatar_joined(self._credentials.avatar_id)
        self._speaking.start(link)

    async def _watch(self, link: Link) -> None:
        """Wait until the connection is lost, and make another one, for as long as that makes sense."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            problem = await link.wait_lost()
            _log.warning("the connection to SpatialReal is lost: %s", problem)
            stable = loop.time() - began >= STABLE_S
            if stable:
                self._attempts = 0
            again = self._worth_a_retry(problem)
            if again:
                self._set_state(ConnectionState.RECONNECTING)
            await self._go_down(problem)
            self._report(problem)
            made = await self._reopen(problem, stable=stable) if again else problem
            if isinstance(made, AvatarKitError):
                self._watching = None
                self._set_state(ConnectionState.DISCONNECTED, _reason(made))
                return
            link = made
            self._reconnects += 1
            self._came_up(link)

    async def _reopen(self, problem: AvatarKitError, *, stable: bool) -> Link | AvatarKitError:
        """Another connection, or why there is none. ``stable``: the one before had lasted for a while."""
        assert self._retry is not None
        at_once = stable and isinstance(problem, SpatialRealError) and expected(problem)
        while self._retry.attempts is None or self._attempts < self._retry.attempts:
            self._attempts += 1
            if not at_once:
                await asyncio.sleep(self._retry.delay_s(self._attempts, self._random))
            at_once = False
            try:
                return await self._open()
            except AvatarKitError as error:
                problem = error
                if not self._worth_a_retry(error):
                    break
        self._report(problem)
        return problem

    def _worth_a_retry(self, problem: AvatarKitError) -> bool:
        return (
            self._retry is not None and isinstance(problem, SpatialRealError) and self._retry.retries(problem)
        )

    async def _go_down(self, problem: AvatarKitError) -> None:
        """The one way out of a connection."""
        link, self._link = self._link, None
        if link is not None:
            self._close(link)
        await self._speaking.stop(problem)

    def _report(self, problem: AvatarKitError) -> None:
        if problem is self._reported:
            return  # the service has said it, and then closed the connection
        self._reported = problem
        if self._listener is not None:
            self._listener.on_provider_error(problem)

    def _set_state(self, state: ConnectionState, reason: DisconnectReason | None = None) -> None:
        if state is self._state:
            return
        self._state = state
        if self._listener is not None:
            with contextlib.suppress(Exception):  # it promised not to
                self._listener.on_connection_state(state, reason)


def _reason(problem: AvatarKitError) -> DisconnectReason:
    if isinstance(problem, SpatialRealError) and problem.close_code == 1000:
        return DisconnectReason.ROOM_CLOSED
    if isinstance(problem, SpatialRealError) and problem.retryable:
        return DisconnectReason.SIGNAL_CLOSED
    return DisconnectReason.REJECTED
