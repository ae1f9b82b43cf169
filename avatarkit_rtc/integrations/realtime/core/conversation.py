"""What goes on in a session that is connected: speech, responses, sound and tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.core.effects import (
    Effect,
    Emit,
    EndAudio,
    FlushAudio,
    Log,
    PlayAudio,
    TellInterrupted,
)
from avatarkit_rtc.integrations.realtime.core.response import Responses
from avatarkit_rtc.integrations.realtime.core.tool_calls import ToolCalls
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistry
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDelta,
    AssistantDone,
    AssistantStarted,
    AudioDelta,
    AudioDone,
    ClientEvent,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    UsageReported,
    UserTranscript,
)
from avatarkit_rtc.integrations.realtime.output import (
    OutputEvent,
    OutputLevel,
    OutputStarted,
)
from avatarkit_rtc.integrations.realtime.payloads import LipSync, StateChanged, Usage, UserSpeech, Words
from avatarkit_rtc.integrations.realtime.types import RealtimeState

AUDIBLE_RMS: Final = 0.001
"""A level above it is sound: playing has begun, whether or not that was told."""


class Conversation:
    """Pure: what happened goes in, effects come out."""

    def __init__(
        self,
        registry: ToolRegistry,
        snapshot: Callable[[], RealtimeState],
        session_id: Callable[[], str | None],
    ) -> None:
        """
        Args:
            snapshot: the whole state.
        """
        self._snapshot = snapshot
        self._session_id = session_id
        self.responses = Responses(snapshot)
        self.calls = ToolCalls(registry)
        self.audio_playing = False
        """Whether the model is heard."""
        self.voice_pending = False
        """Whether the output has sound that it has not told the end of: from before the model is heard, which
        a sound card is late by, until it is no more."""

    def begin(self) -> None:
        """A session begins."""
        self.calls.begin()
        self.reset()

    def reset(self) -> None:
        """Nothing is said any more."""
        self.responses.reset()
        self.audio_playing = self.voice_pending = False

    def lost(self) -> list[Effect]:
        """The connection is; the calls are dropped apart."""
        self.responses.lost()
        return self._silence()

    def end(self) -> list[Effect]:
        """The session is about to: silence, and no call is answered any more."""
        return [*self._silence(), *self.calls.drop(lost=False)]

    def interrupt(self) -> list[Effect]:
        """The caller wants no more of the response."""
        effects = self._silence()
        self.responses.interrupt()
        return [*effects, self._state()]

    def heard(self, event: OutputEvent) -> list[Effect]:
        """What the sound output tells, of a session that is connected."""
        if isinstance(event, OutputStarted):
            return self._playing()
        if isinstance(event, OutputLevel):
            begun = self._playing() if event.rms > AUDIBLE_RMS else []
            return [*begun, Emit("tts:lipsync:update", LipSync(event.rms))]
        effects = self._stopped()
        return [*effects, self._state()] if effects else []

    # What the client tells.

    def handle(self, event: ClientEvent, config: RealtimeSessionConfig) -> list[Effect]:
        """An event that is neither about the session nor about its connection."""
        match event:
            case AudioDelta():
                begun = self.responses.sound(event.response_id)
                effects = [] if begun is None else [*begun, PlayAudio(event)]
                self.voice_pending = self.voice_pending or begun is not None
            case AudioDone():
                effects = [EndAudio()]
            case AssistantStarted():
                effects = self.responses.started(event.response_id)
            case AssistantDelta():
                effects = self.responses.words(event)
            case AssistantDone():
                effects = self.responses.done(event)
            case ToolCalled():
                effects = self.calls.called(event)
            case SpeechStarted():
                effects = self._speech_started(event, config)
            case SpeechStopped():
                effects = [Emit("realtime:user:speech:end", UserSpeech(event.item_id))]
            case UserTranscript():
                effects = [Emit("realtime:user:transcript", Words(event.text))]
            case UsageReported():
                usage = Usage(event.usage, event.model, event.response_id, self._session_id())
                effects = [Emit("realtime:usage", usage)]
            case _:
                effects = [Log("debug", "Realtime client event", {"event": type(event).__name__})]
        return effects

    def _speech_started(self, event: SpeechStarted, config: RealtimeSessionConfig) -> list[Effect]:
        told = Emit("realtime:user:speech:start", UserSpeech(event.item_id))
        detection = config.turn_detection
        wanted = detection is None or detection.interrupt_response is not False
        if not wanted or not (self.audio_playing or self.voice_pending or self.responses.responding):
            return [told]
        # Silence comes first: everything else can wait.
        return [*self.interrupt(), told, TellInterrupted()]

    def _playing(self) -> list[Effect]:
        if self.audio_playing:
            return []
        self.audio_playing = True
        return [Emit("tts:audio:start"), self._state()]

    def _silence(self) -> list[Effect]:
        return [FlushAudio(), *self._stopped()]

    def _stopped(self) -> list[Effect]:
        playing, self.audio_playing, self.voice_pending = self.audio_playing, False, False
        return [Emit("tts:audio:end")] if playing else []

    def _state(self) -> Effect:
        return Emit("realtime:state", StateChanged(self._snapshot()))
