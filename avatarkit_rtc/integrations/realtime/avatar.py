"""A whole conversation: microphone to model to speaker and face.

async with RealtimeAvatar(WebSocketRealtimeClient(url), window) as avatar:
    await avatar.start(RealtimeSessionConfig(instructions="Be brief."))
    await avatar.wait_closed()
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.convert import Converter
from avatarkit_rtc.errors import ConfigurationError, RealtimeError, RealtimeStateError
from avatarkit_rtc.face.layer import MOTIONS, FaceLayer
from avatarkit_rtc.integrations.realtime.avatar_tools import avatar_projector, create_avatar_tools
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.config import (
    DEFAULT_AUDIO_RATE,
    Character,
    RealtimeSessionConfig,
)
from avatarkit_rtc.integrations.realtime.core.machine import ALREADY_ACTIVE
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistration
from avatarkit_rtc.integrations.realtime.echo_guard import EchoGuard
from avatarkit_rtc.integrations.realtime.manager import RealtimeManager
from avatarkit_rtc.integrations.realtime.operations import as_realtime_error
from avatarkit_rtc.integrations.realtime.payloads import (
    Expression,
    Gaze,
    LipSync,
    Motion,
    SessionChanged,
    StateChanged,
)
from avatarkit_rtc.integrations.realtime.performed_output import PerformedOutput, SpeakerQueue
from avatarkit_rtc.integrations.realtime.types import RealtimeConnection, SessionStatus
from avatarkit_rtc.integrations.realtime.vendor_output import Speaker, VendorOutput
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.base import Provider
from avatarkit_rtc.providers.speech import HearingProvider
from avatarkit_rtc.views import View

_log = logging.getLogger("avatarkit_rtc.realtime")

CHUNK_BLOCKS: Final = 2
"""Blocks of 10 ms of the microphone that are sent together."""

_RUNNING: Final = (SessionStatus.STARTING, SessionStatus.ACTIVE)
_LOOK_S: Final = 0.1
_LEVEL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class RealtimeAvatarStats:
    """A snapshot."""

    microphone_s: float
    """Sound of the user's that was sent to the model, in seconds."""
    microphone_dropped_s: float
    """Sound of the user's that was not: no session, reconnecting, or the connection did not take it."""
    speech_queued_s: float
    """Speech of the model's that waits to be said; 0 with a vendor's avatar."""
    speech_dropped_s: float
    """Speech of the model's that found no room, or that a vendor's avatar did not take any more."""
    turns: int
    """Times the model began to be heard."""


class RealtimeAvatar:
    """Wires a player and a :class:`~.manager.RealtimeManager`; both are open to the caller.

    * What the microphone records goes through the player's echo canceller to the model.
    * What the model says is performed by a :class:`~avatarkit_rtc.providers.speech.SpeechProvider`, or by a
      vendor's session: the player plays voice and face in lip sync, and any view shows it.
    * While the canceller has not learnt the room yet, the first 3.5 s of the avatar's speech, the model hears
      silence as long as the avatar speaks (:mod:`~.echo_guard`).
    * When the user begins to speak, as the model's server hears it, both stop at once, and the server is told
      how much was heard.
    * With a ``layer`` the model has tools for expression, gestures and gaze.
    """

    def __init__(
        self,
        client: RealtimeClient,
        view: View | None = None,
        *,
        provider: Provider | None = None,
        speaker: Speaker | None = None,
        layer: FaceLayer | None = None,
        tools: Iterable[ToolRegistration] = (),
        character: Character | None = None,
        manager_options: dict[str, Any] | None = None,
        options: AvatarPlayerOptions | None = None,
        **changes: Any,
    ) -> None:
        """
        Args:
            client: of the model.
            view: what shows the avatar; None to only hear it. Closed by who made it.
            provider: where the avatar comes from, if it is a vendor's; connect :attr:`player` before
                :meth:`start` where that takes an address. None: the speech is performed here.
            speaker: the vendor's session, which says everything; goes with ``provider``, and may be the same.
            layer: what the model sets expression, gestures and gaze of; it has to be on the view's face
                (``renderers.face.put_on``, :class:`~avatarkit_rtc.face.LayeredDriver`). None: the model has
                no such tools.
            tools: the model's further tools.
            character: who the model is to be.
            manager_options: further arguments of :class:`~.manager.RealtimeManager`, by name.
            options: of the player, all at once.
            **changes: options of the player by name.

        Raises:
            ConfigurationError: an argument is malformed.
        """
        if (provider is None) != (speaker is None):
            raise ConfigurationError(
                "provider and speaker go together: where an avatar is seen, and who speaks"
            )
        self.output: PerformedOutput | VendorOutput
        """Where the manager's voice goes."""
        if provider is None or speaker is None:
            self.output = PerformedOutput(self._flush, self._speaker_queue)
            provider = self.output.provider
            provider.set_hear(self._hear)
        else:
            self.output = VendorOutput(speaker, flush=self._flush)
            provider = HearingProvider(provider, self._hear)
        self.player = AvatarPlayer(provider, view, options=options, **changes)
        """Plays the avatar; its events and figures are there for the caller."""
        moving = create_avatar_tools(layer.expressions, MOTIONS) if layer is not None else ()
        self.manager = RealtimeManager(
            client,
            tools=[*moving, *tools],
            character=character,
            audio_output=self.output,
            result_projectors=[avatar_projector],
            **(manager_options or {}),
        )
        """Speaks with the model; its events (``realtime:…``) and sessions are there for the caller."""
        self.layer = layer
        """As given."""
        if layer is not None:
            self.manager.on("realtime:expression", self._expression)
            self.manager.on("realtime:motion", self._motion)
            self.manager.on("realtime:gaze", self._gaze)
        self.manager.on("tts:audio:start", self._turn_began)
        self.manager.on("tts:lipsync:update", self._voice_heard)
        self.manager.on("realtime:session:end", self._session_ended)
        self.manager.on("realtime:state", self._state_changed)
        self._starting = False
        self._over = asyncio.Event()
        self._error: Exception | None = None
        self._converter = Converter(DEFAULT_AUDIO_RATE, 1)
        self._chunk = bytearray()
        self._rate = DEFAULT_AUDIO_RATE
        self._sent_s = self._dropped_s = 0.0
        self._turns = 0
        self._queue = SpeakerQueue(0.0, 0.0)
        self._looked_at = float("-inf")
        self._guard = EchoGuard()
        self._recording = False
        self._underruns = 0

    # -- life ------------------------------------------------------------------------------------------------

    async def start(
        self,
        config: RealtimeSessionConfig | None = None,
        *,
        microphone: int | str | Literal[False] | None = None,
    ) -> None:
        """Start the avatar, the session and the microphone; the avatar is on show before the model answers.

        Args:
            config: of the session; instructions for spoken output and the character, as it is now, are filled
                in where it has none.
            microphone: device by index or name; None for the default, and silence until there is one; False
                for none, where the caller has sound of its own (``player.publish_audio``) or writes.

        Raises:
            RealtimeStateError: a conversation runs or is being started; it is left alone.
            RealtimeError: the session could not be started; nothing runs that this call began.
            AvatarKitError: the microphone cannot be used; the same.
        """
        if self._starting or self.manager.get_state().session.status in _RUNNING:
            raise RealtimeStateError(f"{ALREADY_ACTIVE}; call stop() first")
        self._starting = True
        self._forget_end()
        was_connected = self.player.is_connected
        try:
            if not was_connected:
                await self.player.connect()
            await self.player.stop_publishing()  # the microphone of a session that has ended by itself
            self._forget_end()  # whose state may have been told once more
            await self.manager.start_session(config)
            if microphone is not False:
                await self.player.start_publishing(microphone, or_silence=microphone is None)
        except BaseException:
            await self._stop_session()
            if not was_connected:
                await self.player.disconnect()
            raise
        finally:
            self._starting = False

    async def stop(self) -> None:
        """End session and microphone, and take the avatar off the view. Never raises."""
        await self._stop_session()
        await self.player.disconnect()

    def _forget_end(self) -> None:
        self._over.clear()
        self._error = None

    async def _stop_session(self) -> None:
        try:
            await self.manager.stop_session()
        except Exception as error:
            _log.warning("the realtime session did not end well: %s", error)

    async def aclose(self) -> None:
        """End everything, for good. Never raises; more than once is fine."""
        await self.manager.aclose()
        if isinstance(self.output, VendorOutput):
            await self.output.aclose()
        await self.player.disconnect()
        self._over.set()

    async def __aenter__(self) -> Self:
        await self.player.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
        await self.player.__aexit__(kind, error, trace)

    async def wait_closed(self) -> None:
        """Wait until the session has ended, here or there, or the user has closed the view.

        Raises:
            RealtimeError: the session has failed: the connection was lost for good or could not be closed in
                good order, or the provider reported an error after which the session cannot go on.
        """
        waits = [asyncio.ensure_future(each) for each in (self._over.wait(), self.player.wait_closed())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if self._error is not None:
            raise self._error

    # -- talking ---------------------------------------------------------------------------------------------

    async def say_to_model(self, text: str) -> None:
        """Write ``text`` as the user; the model answers aloud.

        Raises:
            RealtimeError: there is no session, or it could not be sent.
        """
        await self.manager.send_message(text)

    async def interrupt(self) -> None:
        """Silence the avatar at once, as the user's speech does.

        Raises:
            RealtimeError: there is no session, or the model could not be told.
        """
        await self.manager.interrupt()

    def stats(self) -> RealtimeAvatarStats:
        """A snapshot; the player's own figures are at ``player.stats()``."""
        queued_s, dropped_s = 0.0, 0.0
        if isinstance(self.output, PerformedOutput):
            queued_s, dropped_s = (
                self.output.provider.performer.queued_s,
                self.output.provider.performer.dropped_s,
            )
        else:
            dropped_s = self.output.dropped_s
        return RealtimeAvatarStats(
            microphone_s=self._sent_s,
            microphone_dropped_s=self._dropped_s,
            speech_queued_s=queued_s,
            speech_dropped_s=dropped_s,
            turns=self._turns,
        )

    # -- inside ----------------------------------------------------------------------------------------------

    async def _hear(self, block: AudioBlock) -> None:
        """What the player publishes, on its way to the model."""
        now = self._look()
        session = self.manager.get_state().session
        rate = (session.config.input_rate if session.config is not None else None) or self._rate
        if rate != self._rate:
            self._rate, self._converter = rate, Converter(rate, 1)
            self._chunk.clear()
        guarded = self._recording and self.player.options.echo_cancellation and self._guard.closed(now)
        samples = self._converter.convert(block.samples * (not guarded), block.sample_rate)
        self._chunk += samples.astype("<i2").tobytes()
        if len(self._chunk) < CHUNK_BLOCKS * 2 * self._rate // 100:
            return
        pcm = bytes(self._chunk)
        self._chunk.clear()
        seconds = len(pcm) / 2 / self._rate
        if session.status is not SessionStatus.ACTIVE:
            self._dropped_s += seconds
            return
        try:
            await self.manager.send_audio_chunk(pcm)
        except RealtimeError as error:
            self._dropped_s += seconds
            _log.debug("sound of the user's was not sent: %s", error)
        else:
            self._sent_s += seconds

    def _flush(self) -> None:
        self.player.flush()

    def _speaker_queue(self) -> SpeakerQueue:
        self._look()
        return self._queue

    def _look(self) -> float:
        """Look at microphone and speaker now and then; returns the time."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < _LOOK_S:
            return now
        self._looked_at = now
        audio = self.player.stats().audio
        recording, speaker = audio.microphone is not None, audio.speaker
        if recording and not self._recording:
            self._guard.begin()
        self._recording = recording
        if speaker is None or not speaker.active:
            self._queue = SpeakerQueue(0.0, 0.0)
            return now
        depth_ms = max(speaker.depth_ms, speaker.target_ms)
        self._queue = SpeakerQueue(depth_ms / 1000, speaker.device_latency_ms / 1000)
        if speaker.underruns != self._underruns:
            self._underruns = speaker.underruns
            self._guard.gap()
        return now

    def _voice_heard(self, level: LipSync) -> None:
        speaker_plays = sum(self._queue) > 0
        if speaker_plays:
            self._guard.heard(asyncio.get_running_loop().time(), _LEVEL_S, level.rms)

    def _expression(self, event: Expression) -> None:
        self._put_on(lambda layer: layer.set_expression(event.expression_id))

    def _motion(self, event: Motion) -> None:
        self._put_on(lambda layer: layer.play(event.group, event.index))

    def _gaze(self, event: Gaze) -> None:
        self._put_on(lambda layer: layer.look_at(event.x, event.y))

    def _put_on(self, change: Any) -> None:
        assert self.layer is not None
        try:
            change(self.layer)
        except ConfigurationError as error:  # a tool of the caller's own may say anything
            _log.warning("the face was not changed: %s", error)

    def _turn_began(self) -> None:
        self._turns += 1

    def _session_ended(self, event: SessionChanged) -> None:
        del event
        self._over.set()

    def _state_changed(self, event: StateChanged) -> None:
        if event.state.connection is not RealtimeConnection.ERROR:
            return
        error = event.state.last_error
        self._error = as_realtime_error(error, "go on") if error is not None else None
        self._over.set()
