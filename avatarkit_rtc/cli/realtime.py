"""``avatarkit-rtc demo --realtime``: a conversation with a realtime model, to be heard and seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from avatarkit_rtc.cli.running import live_line, say, unless, wait_first
from avatarkit_rtc.cli.watching import narrate
from avatarkit_rtc.errors import RealtimeServerError
from avatarkit_rtc.face import FaceLayer
from avatarkit_rtc.integrations.realtime.avatar import RealtimeAvatar
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.core.effects import LogLevel
from avatarkit_rtc.integrations.realtime.log import StandardLogger
from avatarkit_rtc.integrations.realtime.payloads import (
    Failure,
    ReconnectAttempt,
    SessionChanged,
    ToolCall,
    ToolError,
    Words,
)
from avatarkit_rtc.integrations.realtime.types import RealtimeConnection
from avatarkit_rtc.integrations.realtime.websocket_client import WebSocketRealtimeClient
from avatarkit_rtc.views import View

Model = Annotated[str | None, typer.Option("--model", help="Realtime: name of the model.")]
Voice = Annotated[str | None, typer.Option("--voice", help="Realtime: the model's voice.")]
Instructions = Annotated[
    str | None, typer.Option("--instructions", help="Realtime: who the model is, and what it is to do.")
]
Microphone = Annotated[
    bool, typer.Option("--microphone/--no-microphone", help="Realtime: whether the model hears you.")
]
TRANSCRIPTION_MODEL: Final = "gpt-4o-mini-transcribe"
"""OpenAI's for what the user says."""

NO_MODEL: Final = "none"

Transcription = Annotated[
    str,
    typer.Option(
        "--transcription-model",
        help=f"Realtime: model that writes down what you say; {NO_MODEL} for no such lines.",
    ),
]
Ask = Annotated[str | None, typer.Option("--ask", help="Realtime: what you begin with, in writing.")]


@dataclass(frozen=True, slots=True)
class Talk:
    """What was asked for."""

    url: str
    model: str | None = None
    voice: str | None = None
    instructions: str | None = None
    microphone: bool = True
    ask: str | None = None
    transcription_model: str | None = TRANSCRIPTION_MODEL

    async def run(
        self,
        stop: asyncio.Event,
        view: View,
        layer: FaceLayer | None,
        duration: float | None,
        *,
        play: bool,
        begun: Callable[[], None] | None = None,
    ) -> bool:
        """Talk until stopped, closed or ended. ``begun`` is called once there is a session.

        Raises:
            RealtimeError: there is no session, it was lost for good, or the server has ended it.
        """
        client = WebSocketRealtimeClient(self.url)
        config = RealtimeSessionConfig(
            model=self.model,
            voice=self.voice,
            instructions=self.instructions,
            modalities=("audio",),
            transcription_model=self.transcription_model,
        )
        options: dict[str, Any] = {"manager_options": {"logger": _Narrated()}, "log_level": "error"}
        async with RealtimeAvatar(client, view, layer=layer, play_audio=play, **options) as avatar:
            narrate(avatar.player)
            ended = _narrate(avatar)
            start = avatar.start(config, microphone=None if self.microphone else False)
            await unless(stop, start)
            if begun is not None:
                begun()
            say(f"connected to {client.address}; {'speak' if self.microphone else 'nothing is recorded'}")
            if self.ask is not None:
                await unless(stop, avatar.say_to_model(self.ask))
            player, loop = avatar.player, asyncio.get_running_loop()
            began = loop.time()
            async with live_line(lambda fps: line(avatar, fps), lambda: player.stats().poses_shown):
                await wait_first([stop.wait(), avatar.wait_closed()], duration)
            if ended.is_set():
                raise RealtimeServerError(
                    "the server has ended the session, as it does after its longest time; start again"
                )
            if duration is not None and not stop.is_set() and loop.time() - began >= duration:
                say(f"ended after {duration:g} s, as --duration says")
        return True


class _Narrated:
    """A logger for what people are told by :func:`_narrate` already, so that nothing is said twice."""

    def __init__(self) -> None:
        self._logger = StandardLogger()

    def log(self, level: LogLevel, message: str, context: Mapping[str, Any]) -> None:
        """Write a line, as information at most."""
        self._logger.log("debug" if level == "debug" else "info", message, context)


def line(avatar: RealtimeAvatar, fps: float) -> str:
    """The live figures of a conversation in one line."""
    state, stats = avatar.manager.get_state(), avatar.stats()
    return (
        f"{state.connection.value} | {state.response.status.value} | {fps:.0f} fps | "
        f"you {stats.microphone_s:.0f} s | turns {stats.turns} | to say {stats.speech_queued_s:.1f} s"
    )


def _narrate(avatar: RealtimeAvatar) -> asyncio.Event:
    """Say what happens. The event is set when the server ends the session."""
    manager, ended = avatar.manager, asyncio.Event()

    def heard(event: Words) -> None:
        say(f"you: {event.text}")

    def said(event: Words) -> None:
        if event.text:
            say(f"avatar: {event.text}")

    def called(event: ToolCall) -> None:
        say(f"the model calls {event.name}")

    def tool_failed(event: ToolError) -> None:
        say(f"{event.name} failed: {event.error}")

    def failed(event: Failure) -> None:
        if manager.get_state().connection is not RealtimeConnection.ERROR:  # which is raised
            say(f"error: {event.error}")

    def over(event: SessionChanged) -> None:
        if event.reason == "server":
            ended.set()

    def again(event: ReconnectAttempt) -> None:
        say(f"the connection is lost ({event.cause}); attempt {event.attempt} in {event.delay_ms} ms")

    def interrupted() -> None:
        say("you speak; the avatar listens")

    manager.on("realtime:user:transcript", heard)
    manager.on("realtime:assistant:done", said)
    manager.on("realtime:tool:call", called)
    manager.on("realtime:tool:error", tool_failed)
    manager.on("realtime:error", failed)
    manager.on("realtime:reconnect:attempt", again)
    manager.on("realtime:user:speech:start", interrupted)
    manager.on("realtime:session:end", over)
    return ended
