"""The realtime manager: one live conversation at a time with a model, whichever provider it is from."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.emitter import Handler
from avatarkit_rtc.errors import ConfigurationError, RealtimeStateError
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.config import Character, RealtimeSessionConfig, ToolDefinition
from avatarkit_rtc.integrations.realtime.core.effects import LogLevel
from avatarkit_rtc.integrations.realtime.core.machine import Machine
from avatarkit_rtc.integrations.realtime.core.tables import Phase
from avatarkit_rtc.integrations.realtime.core.tools import (
    DEFAULT_TOOL_TIMEOUT_S,
    ToolRegistration,
    ToolRegistry,
)
from avatarkit_rtc.integrations.realtime.log import RealtimeLogger, StandardLogger
from avatarkit_rtc.integrations.realtime.operations import Timeouts, as_realtime_error
from avatarkit_rtc.integrations.realtime.output import AudioOutput
from avatarkit_rtc.integrations.realtime.shell import EventBridge, ResultProjector, Shell
from avatarkit_rtc.integrations.realtime.timed_output import TimedOutput
from avatarkit_rtc.integrations.realtime.types import RealtimeState


class RealtimeManager:
    """Starts, updates and stops sessions, keeps them over lost connections, answers tool calls, and tells
    what goes on as events (:data:`~.payloads.PAYLOADS`). All of it on one event loop."""

    def __init__(
        self,
        client: RealtimeClient,
        *,
        tools: Iterable[ToolRegistration] = (),
        default_config: RealtimeSessionConfig | None = None,
        character: Character | None = None,
        audio_output: AudioOutput | None = None,
        result_projectors: Iterable[ResultProjector] = (),
        event_emitter: EventBridge | None = None,
        logger: RealtimeLogger | logging.Logger | None = None,
        tool_timeout_s: float = DEFAULT_TOOL_TIMEOUT_S,
        timeouts: Timeouts | None = None,
    ) -> None:
        """
        Args:
            client: of the provider; used by this manager only, and disconnected by it.
            tools: to begin with; more by :meth:`register_tool`.
            default_config: what sessions are started with where :meth:`start_session` is told nothing else.
            character: who the model is to be; see :meth:`set_character`.
            audio_output: plays the model's voice; None for none, where its timing is told all the same.
            result_projectors: see :meth:`add_result_projector`.
            event_emitter: see :meth:`set_event_emitter`.
            logger: None for Python's ``avatarkit_rtc.realtime``.
            tool_timeout_s: longest time for one tool call, where the tool does not say.
            timeouts: of what the client is asked for.

        Raises:
            ConfigurationError: an argument is malformed.
        """
        if not isinstance(client, RealtimeClient):
            raise ConfigurationError(f"{type(client).__name__} is no RealtimeClient: methods are missing")
        if not tool_timeout_s > 0:
            raise ConfigurationError(f"tool_timeout_s must be more than 0, not {tool_timeout_s!r}")
        self._client = client
        self._registry = ToolRegistry()
        for tool in tools:
            self._registry.register(tool)
        self._machine = Machine(self._registry, lambda: str(uuid.uuid4()), default_config)
        self._machine.character = character
        self._shell = Shell(
            client,
            self._machine,
            audio_output or TimedOutput(),
            StandardLogger(logger) if logger is None or isinstance(logger, logging.Logger) else logger,
            result_projectors,
            tool_timeout_s=tool_timeout_s,
            timeouts=timeouts or Timeouts(),
        )
        self._shell.bridge = event_emitter
        self._closed = False

    # Sessions.

    async def start_session(self, config: RealtimeSessionConfig | None = None) -> None:
        """Start a session with ``config`` over what was asked for before. Cancelled, it is stopped again.

        Raises:
            RealtimeStateError: there is one, or it was stopped meanwhile.
            AvatarKitError: it could not be started; ``realtime:error`` and ``realtime:state`` have told so.
        """
        if self._closed:
            raise RealtimeStateError("this realtime manager is closed; make another")
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shell.perform(self._machine.start(started, config))
        try:
            await started
        except asyncio.CancelledError:
            if self._machine.phase is Phase.STARTING:
                self._shell.perform(self._machine.stop(None))
            raise

    async def update_session(self, config: RealtimeSessionConfig | None = None) -> None:
        """Change the session to ``config`` over what was asked for before, and to the character and the tools
        as they are now. One change at a time is under way; calls meanwhile share the next one. Without a
        connection it is remembered for the next one.

        Raises:
            RealtimeError: the session could not be changed and is as it was.
        """
        updated: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shell.perform(self._machine.update(updated, config))
        await updated

    async def stop_session(self) -> None:
        """End the session, whatever it is at. Nothing happens when there is none.

        Raises:
            RealtimeError: the connection could not be closed in good order; there is no session all the same.
        """
        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shell.perform(self._machine.stop(stopped))
        await stopped
        await self._shell.closed()  # also of a session that has failed

    async def aclose(self) -> None:
        """End the session and everything that runs for it. Never raises; may be called again."""
        self._closed = True
        with contextlib.suppress(Exception):
            await self.stop_session()
        await self._shell.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # What is said.

    async def send_message(self, text: str) -> None:
        """Say ``text`` as the user.

        Raises:
            RealtimeStateError: there is no session, or it is reconnecting.
            RealtimeError: it could not be sent.
        """
        self._machine.check_connected()
        await _sent(self._client.send_text(text))

    async def send_audio_chunk(self, audio: bytes | npt.NDArray[np.int16]) -> None:
        """Append the user's sound, at the config's ``input_rate``.

        Args:
            audio: 16-bit mono; bytes are little-endian, an array has shape (n,) or (n, 1).

        Raises:
            ConfigurationError: it is something else.
            RealtimeStateError: there is no session, or it is reconnecting.
            RealtimeError: it could not be sent.
        """
        pcm = _pcm(audio)
        self._machine.check_connected()
        await _sent(self._client.send_audio(pcm))

    async def commit_audio(self) -> None:
        """End the user's turn, in a session without turn detection.

        Raises:
            RealtimeStateError: there is no session, or it is reconnecting.
            RealtimeError: it could not be sent.
        """
        self._machine.check_connected()
        await _sent(self._client.commit_audio())

    async def interrupt(self) -> None:
        """End the model's response and its voice, which is silent when this is called, not when it returns.

        Raises:
            RealtimeStateError: there is no session, or it is reconnecting.
            RealtimeError: the provider could not be told.
        """
        self._shell.perform(self._machine.interrupt())
        await _sent(self._shell.interrupt_client())

    # What it is made of.

    def set_character(self, character: Character | None) -> None:
        """Who the model is to be, from the next start, :meth:`update_session` or reconnect on."""
        self._shell.perform(self._machine.set_character(character))

    def register_tool(self, tool: ToolRegistration) -> None:
        """Answer calls of ``tool``; the model learns of it with the next start, update or reconnect.

        Raises:
            ConfigurationError: it is malformed.
        """
        self._registry.register(tool)

    def unregister_tool(self, name: str) -> None:
        """Refuse calls of it; the model learns of that with the next start, update or reconnect."""
        self._registry.unregister(name)

    def get_registered_tools(self) -> tuple[ToolDefinition, ...]:
        """What the model is told of tools."""
        return self._registry.definitions()

    def add_result_projector(self, projector: ResultProjector) -> None:
        """Show ``projector`` each tool's result after the model was sent it. One that raises only warns."""
        self._shell.projectors.append(projector)

    def set_event_emitter(self, emitter: EventBridge | None) -> None:
        """Hand all events to ``emitter`` as well; None: to nobody."""
        self._shell.bridge = emitter

    def get_state(self) -> RealtimeState:
        """The state now."""
        return self._machine.state

    @property
    def session_id(self) -> str | None:
        """This manager's own id of the session; None without one."""
        return self._machine.session_id

    def on(self, event: str, handler: Handler) -> Handler:
        """Call ``handler``, sync or async, at each ``event``; returns it.

        Raises:
            ConfigurationError: there is no such event.
        """
        return self._shell.hub.on(event, handler)

    def off(self, event: str, handler: Handler) -> None:
        """Stop calling ``handler``.

        Raises:
            ConfigurationError: there is no such event.
        """
        self._shell.hub.off(event, handler)

    def log(self, level: LogLevel, message: str, context: Mapping[str, Any] | None = None) -> None:
        """Write a line where the manager does, with its ``sessionId`` in place of one in ``context``."""
        self._shell.log(level, message, context)


async def _sent(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        wrapped = as_realtime_error(error, "send")
        raise wrapped from wrapped.__cause__


def _pcm(audio: bytes | npt.NDArray[np.int16]) -> bytes:
    if isinstance(audio, np.ndarray):
        mono = audio.ndim == 1 or (audio.ndim == 2 and audio.shape[1] == 1)
        if (audio.dtype.kind, audio.dtype.itemsize) != ("i", 2) or not mono:
            said = f"{audio.dtype} of shape {audio.shape}"
            raise ConfigurationError(f"audio must be int16 of shape (n,) or (n, 1), not {said}")
        return audio.astype("<i2", copy=False).tobytes()
    if not isinstance(audio, bytes | bytearray | memoryview) or len(bytes(audio)) % 2:
        raise ConfigurationError("audio must be whole 16-bit samples: an array, or an even number of bytes")
    return bytes(audio)
