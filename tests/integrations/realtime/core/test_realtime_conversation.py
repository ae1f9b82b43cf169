"""What goes on in a session that is connected: speech, the voice, errors."""

from __future__ import annotations

from avatarkit_rtc.integrations.realtime import RealtimeSessionConfig, TurnDetection
from avatarkit_rtc.integrations.realtime.core.effects import (
    Disconnect,
    Emit,
    EndAudio,
    FlushAudio,
    Log,
    PlayAudio,
    TellInterrupted,
)
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDelta,
    AssistantDone,
    AssistantStarted,
    AudioDelta,
    AudioDone,
    ErrorReported,
    SessionCreated,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    UsageReported,
    UserTranscript,
)
from avatarkit_rtc.integrations.realtime.output import OutputEnded, OutputLevel, OutputStarted
from tests.support.realtime_machine import REFUSED, active, machine, settled, told


class TestErrors:
    def test_one_that_the_session_goes_on_after(self) -> None:
        its = active()
        its.handle(AssistantStarted("r"), 0.0)
        effects = its.handle(ErrorReported(REFUSED), 0.0)
        assert told(effects) == ["realtime:error", "realtime:state"]
        assert (its.state.connection, its.state.response.status) == ("connected", "responding")
        assert its.state.last_error is REFUSED

    def test_one_that_it_does_not_go_on_after(self) -> None:
        its = active()
        its.update("update", None)
        effects = its.handle(ErrorReported(REFUSED, recoverable=False), 0.0)
        assert told(effects) == ["realtime:error", "realtime:state"]
        assert settled(effects) == [("update", REFUSED)]
        assert isinstance(effects[-1], Disconnect)
        assert (its.state.connection, its.state.session.status) == ("error", "stopped")


class TestConversation:
    def test_what_the_user_says(self) -> None:
        its = active()
        assert told(its.handle(SpeechStarted("i"), 0.0)) == ["realtime:user:speech:start"]
        assert told(its.handle(SpeechStopped("i"), 0.0)) == ["realtime:user:speech:end"]
        (said,) = its.handle(UserTranscript("hello"), 0.0)
        assert isinstance(said, Emit)
        assert (said.event, said.payload.text) == ("realtime:user:transcript", "hello")

    def test_usage_has_our_id_of_the_session(self) -> None:
        (emit,) = active().handle(UsageReported({"total_tokens": 3}, "m", "r"), 0.0)
        assert isinstance(emit, Emit)
        usage = emit.payload
        assert emit.event == "realtime:usage"
        assert (usage.usage, usage.model, usage.response_id, usage.session_id) == (
            {"total_tokens": 3},
            "m",
            "r",
            "our-id",
        )

    def test_other_events_are_noted(self) -> None:
        (log,) = active().handle(SessionCreated("s"), 0.0)
        assert isinstance(log, Log)
        assert log.context == {"event": "SessionCreated"}

    def test_the_user_speaking_into_a_response_interrupts_it_silence_first(self) -> None:
        its = active()
        its.handle(AssistantStarted("r"), 0.0)
        its.heard(OutputStarted())
        effects = its.handle(SpeechStarted("i"), 0.0)
        assert isinstance(effects[0], FlushAudio)
        assert told(effects) == ["tts:audio:end", "realtime:state", "realtime:user:speech:start"]
        assert isinstance(effects[-1], TellInterrupted)
        assert its.state.response.status == "interrupted"
        assert not its.state.audio_playing

    def test_also_when_only_its_sound_still_plays(self) -> None:
        its = active()
        its.heard(OutputLevel(0.5))
        assert isinstance(its.handle(SpeechStarted(), 0.0)[-1], TellInterrupted)

    def test_also_when_its_sound_is_complete_and_not_heard_yet(self) -> None:
        its = active()
        for event in (AssistantStarted("r"), AudioDelta(b"\0\0", 24000, "r", "i"), AssistantDone("", "r")):
            its.handle(event, 0.0)
        assert not its.state.audio_playing
        effects = its.handle(SpeechStarted(), 0.0)
        assert isinstance(effects[0], FlushAudio)
        assert isinstance(effects[-1], TellInterrupted)
        assert told(its.handle(SpeechStarted(), 0.0)) == ["realtime:user:speech:start"]  # nothing is left

    def test_but_not_once_all_of_it_was_heard(self) -> None:
        its = active()
        for event in (AudioDelta(b"\0\0", 24000, "r", "i"), AssistantDone("", "r")):
            its.handle(event, 0.0)
        its.heard(OutputStarted())
        its.heard(OutputEnded())
        assert told(its.handle(SpeechStarted(), 0.0)) == ["realtime:user:speech:start"]

    def test_but_not_where_the_config_says_no(self) -> None:
        its = machine(default=RealtimeSessionConfig(turn_detection=TurnDetection(interrupt_response=False)))
        active(its).handle(AssistantStarted("r"), 0.0)
        assert told(its.handle(SpeechStarted(), 0.0)) == ["realtime:user:speech:start"]
        assert its.state.response.status == "responding"

    def test_interrupting(self) -> None:
        its = active()
        its.handle(AssistantDelta("Hel", "r"), 0.0)
        effects = its.interrupt()
        assert isinstance(effects[0], FlushAudio)
        assert told(effects) == ["realtime:state"]
        assert (its.state.response.status, its.state.response.text) == ("interrupted", "Hel")

    def test_the_voice(self) -> None:
        its = active()
        assert told(its.heard(OutputStarted())) == ["tts:audio:start", "realtime:state"]
        assert its.state.audio_playing
        assert its.heard(OutputStarted()) == []
        (level,) = its.heard(OutputLevel(0.25))
        assert isinstance(level, Emit)
        assert (level.event, level.payload.rms) == ("tts:lipsync:update", 0.25)
        assert told(its.heard(OutputEnded())) == ["tts:audio:end", "realtime:state"]
        assert its.heard(OutputEnded()) == []

    def test_sound_is_played_as_long_as_its_response_counts(self) -> None:
        its = active()
        audio = AudioDelta(b"\0\0", 24000, "r", "i")
        assert its.handle(audio, 0.0)[-1] == PlayAudio(audio)
        assert its.handle(audio, 0.0) == [PlayAudio(audio)]
        assert its.handle(AudioDone("r", "i"), 0.0) == [EndAudio()]
        assert told(its.handle(AssistantDone("", "r"), 0.0)) == ["realtime:assistant:done", "realtime:state"]
        assert its.handle(audio, 0.0) == []

    def test_tools_are_called(self) -> None:
        assert told(active().handle(ToolCalled("c", "none", "{}"), 0.0)) == [
            "realtime:tool:call",
            "realtime:tool:error",
        ]

    def test_a_level_that_is_audible_means_that_the_voice_plays(self) -> None:
        its = active()
        assert told(its.heard(OutputLevel(0.001))) == ["tts:lipsync:update"]
        assert told(its.heard(OutputLevel(0.002))) == [
            "tts:audio:start",
            "realtime:state",
            "tts:lipsync:update",
        ]
