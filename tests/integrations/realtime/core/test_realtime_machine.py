"""Orders of events, and what becomes of configs and of those who wait: the machine without event loop."""

from __future__ import annotations

from typing import Any

import pytest

from avatarkit_rtc.errors import RealtimeServerError, RealtimeStateError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime import Character, RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.core.effects import (
    CancelOp,
    Connect,
    Disconnect,
    Emit,
    FlushAudio,
    Log,
    Settle,
    Update,
)
from avatarkit_rtc.integrations.realtime.core.opening import MAX_EARLY_EVENTS
from avatarkit_rtc.integrations.realtime.core.tables import Phase
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistry
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDelta,
    AssistantStarted,
    ConnectionLost,
    ErrorReported,
    SessionEnded,
    SpeechStarted,
    UserTranscript,
)
from avatarkit_rtc.integrations.realtime.output import OutputStarted
from tests.support.realtime import tool
from tests.support.realtime_machine import BROKEN, REFUSED, active, machine, only, settled, told, voice


class TestStarting:
    def test_a_start_that_succeeds(self) -> None:
        its = machine()
        effects = its.start("start", voice("a"))
        assert told(effects) == ["realtime:state"]
        connect = only(effects, Connect)
        assert (connect.config.voice, connect.again) == ("a", False)
        effects = its.opened(connect.op, 0.0)
        assert told(effects) == ["realtime:state", "realtime:session:start"]
        assert settled(effects) == [("start", None)]
        assert isinstance(effects[-1], Settle)
        assert its.state.session.config == connect.config
        assert its.session_id == "our-id"

    def test_a_start_that_fails(self) -> None:
        its = machine()
        connect = only(its.start("start", None), Connect)
        effects = its.open_failed(connect.op, BROKEN, 0.0)
        assert told(effects) == ["realtime:error", "realtime:state"]
        assert settled(effects) == [("start", BROKEN)]
        assert its.state.last_error is BROKEN
        assert its.state.session.config is None
        assert its.session_id is None

    def test_the_next_start_forgets_the_error(self) -> None:
        its = machine()
        its.open_failed(only(its.start("start", None), Connect).op, BROKEN, 0.0)
        its.start("again", None)
        assert its.state.last_error is None

    def test_a_connection_lost_before_connect_was_seen_to_return_is_a_failed_start(self) -> None:
        its = machine()
        connect = only(its.start("start", None), Connect)
        assert its.handle(ConnectionLost("failed", BROKEN), 0.0) == []
        effects = its.opened(connect.op, 0.0)
        assert told(effects) == ["realtime:error", "realtime:state"]
        assert settled(effects) == [("start", BROKEN)]
        assert isinstance(effects[-1], Disconnect)  # something may be open

    @pytest.mark.parametrize(
        "event",
        [SessionEnded("expired"), ErrorReported(REFUSED, recoverable=False)],
        ids=lambda it: type(it).__name__,
    )
    def test_so_is_one_that_the_provider_ended(self, event: Any) -> None:
        its = machine()
        connect = only(its.start("start", None), Connect)
        its.handle(event, 0.0)
        its.opened(connect.op, 0.0)
        assert its.phase is Phase.FAILED
        assert isinstance(its.state.last_error, RealtimeServerError)

    def test_an_error_while_starting_is_only_noted(self) -> None:
        its = machine()
        connect = only(its.start("start", None), Connect)
        assert told(its.handle(ErrorReported(REFUSED), 0.0)) == ["realtime:state"]
        assert its.state.last_error is REFUSED
        its.opened(connect.op, 0.0)
        assert its.phase is Phase.ACTIVE
        assert its.state.last_error is None

    def test_events_that_come_before_connect_was_seen_to_return_are_kept(self) -> None:
        its = machine()
        connect = only(its.start("start", None), Connect)
        assert its.handle(SpeechStarted("i"), 0.0) == its.handle(UserTranscript("hello"), 0.0) == []
        effects = its.opened(connect.op, 0.0)
        assert told(effects)[-2:] == ["realtime:user:speech:start", "realtime:user:transcript"]

    def test_but_not_without_bound(self) -> None:
        its = machine()
        connect = only(its.start("start", None), Connect)
        for _ in range(MAX_EARLY_EVENTS + 3):
            its.handle(SpeechStarted(), 0.0)
        assert its.opening.dropped == 3
        assert len(told(its.opened(connect.op, 0.0))) == 2 + MAX_EARLY_EVENTS

    def test_stopped_meanwhile(self) -> None:
        its = machine()
        its.start("start", None)
        effects = its.stop("stop")
        assert told(effects) == ["realtime:state"]
        ((waiter, error),) = settled(effects)
        assert waiter == "start"
        assert isinstance(error, RealtimeStateError)
        assert str(error) == "Realtime session was stopped while it was starting"
        effects = its.closed(only(effects, Disconnect).op)
        assert told(effects) == ["realtime:state"]  # it has not begun, so it does not end
        assert settled(effects) == [("stop", None)]

    def test_an_update_meanwhile_is_made_as_soon_as_it_is_connected(self) -> None:
        its = machine()
        connect = only(its.start("start", voice("a")), Connect)
        assert settled(its.update("update", voice("b"))) == [("update", None)]
        effects = its.opened(connect.op, 0.0)
        assert only(effects, Update).config.voice == "b"
        assert told(effects) == ["realtime:state", "realtime:session:start", "realtime:state"]


class TestUpdating:
    def test_a_patch_that_succeeds(self) -> None:
        its = active()
        effects = its.update("update", voice("b"))
        assert told(effects) == ["realtime:state"]
        update = only(effects, Update)
        assert its.state.session.config is not None
        assert its.state.session.config.voice is None  # replaced only after success
        effects = its.patched(update.op)
        assert told(effects) == ["realtime:state"]
        assert settled(effects) == [("update", None)]
        assert its.state.session.config == update.config

    def test_a_patch_that_fails(self) -> None:
        its = active()
        before = its.state.session
        effects = its.patch_failed(only(its.update("update", voice("b")), Update).op, BROKEN)
        assert told(effects) == ["realtime:error", "realtime:state"]
        assert settled(effects) == [("update", BROKEN)]
        assert its.state.session == before
        assert its.state.last_error is BROKEN

    def test_what_a_patch_that_was_not_refused_wanted_stays_wanted(self) -> None:
        its = active()
        its.patch_failed(only(its.update("update", voice("b")), Update).op, BROKEN)
        assert only(its.update("update", None), Update).config.voice == "b"

    def test_what_the_provider_refused_is_not_asked_for_again(self) -> None:
        its = active(machine(default=voice("a")))
        its.patch_failed(only(its.update("update", voice("none")), Update).op, REFUSED)
        assert only(its.update("update", None), Update).config.voice == "a"

    def test_unless_more_was_wanted_since(self) -> None:
        its = active()
        update = only(its.update("one", voice("none")), Update)
        its.update("two", RealtimeSessionConfig(max_tokens=5))
        effects = its.patch_failed(update.op, REFUSED)
        assert (only(effects, Update).config.voice, only(effects, Update).config.max_tokens) == ("none", 5)

    def test_calls_while_one_is_in_flight_merge_into_one_more_and_share_its_result(self) -> None:
        its = active()
        update = only(its.update("one", voice("a")), Update)
        assert its.update("two", voice("b")) == its.update("three", RealtimeSessionConfig(max_tokens=7)) == []
        effects = its.patched(update.op)
        assert settled(effects) == [("one", None)]
        second = only(effects, Update)
        assert (second.config.voice, second.config.max_tokens) == ("b", 7)
        effects = its.patch_failed(second.op, BROKEN)
        assert settled(effects) == [("two", BROKEN), ("three", BROKEN)]
        assert [effect for effect in effects if isinstance(effect, Update)] == []

    def test_the_one_more_is_made_also_when_the_first_failed(self) -> None:
        its = active()
        update = only(its.update("one", voice("a")), Update)
        its.update("two", voice("b"))
        effects = its.patch_failed(update.op, BROKEN)
        assert settled(effects) == [("one", BROKEN)]
        assert only(effects, Update).config.voice == "b"

    def test_without_a_session_it_is_remembered(self) -> None:
        its = machine()
        effects = its.update("update", voice("b"))
        assert effects == [Settle("update")]
        assert only(its.start("start", None), Connect).config.voice == "b"

    def test_it_brings_tools_and_character(self) -> None:
        registry = ToolRegistry()
        its = active(machine(registry))
        registry.register(tool("wave", print))
        assert told(its.set_character(Character("c", "Ada", voice="x"))) == ["realtime:state"]
        assert its.state.session.character_id == "c"
        config = only(its.update("update", None), Update).config
        assert [each.name for each in config.tools] == ["wave"]
        assert config.instructions.startswith("You are Ada.")
        assert config.voice == "x"


class TestStopping:
    def test_a_stop(self) -> None:
        its = active()
        effects = its.stop("stop")
        assert told(effects) == ["realtime:state"]
        effects = its.closed(only(effects, Disconnect).op)
        assert told(effects) == ["realtime:state", "realtime:session:end"]
        end = effects[1]
        assert isinstance(end, Emit)
        assert end.payload.reason == "user"
        assert end.payload.state == its.state
        assert settled(effects) == [("stop", None)]
        assert its.session_id is None

    def test_a_stop_that_fails(self) -> None:
        its = active()
        effects = its.close_failed(only(its.stop("stop"), Disconnect).op, BROKEN)
        assert told(effects) == ["realtime:error", "realtime:state"]
        assert settled(effects) == [("stop", BROKEN)]

    def test_a_second_stop_waits_for_the_first(self) -> None:
        its = active()
        disconnect = only(its.stop("one"), Disconnect)
        assert its.stop("two") == []
        assert settled(its.closed(disconnect.op)) == [("one", None), ("two", None)]

    def test_without_a_session_there_is_nothing_to_do(self) -> None:
        assert machine().stop("stop") == [Settle("stop")]

    def test_it_wins_over_a_patch(self) -> None:
        its = active()
        update = only(its.update("one", voice("a")), Update)
        its.update("two", voice("b"))
        effects = its.stop("stop")
        assert settled(effects) == [("one", None), ("two", None)]  # remembered
        assert its.patched(update.op) == []
        its.closed(only(effects, Disconnect).op)
        assert its.phase is Phase.STOPPED
        assert only(its.start("start", None), Connect).config.voice == "b"

    def test_it_wins_over_a_reconnect(self) -> None:
        its = active()
        its.handle(ConnectionLost("failed"), 0.0)
        connect = only(its.due(0.5), Connect)
        effects = its.stop("stop")
        assert its.deadline is None
        assert its.opened(connect.op, 1.0) == its.open_failed(connect.op, BROKEN, 1.0) == []
        assert told(its.closed(only(effects, Disconnect).op)) == ["realtime:state", "realtime:session:end"]

    def test_the_provider_ends_the_session(self) -> None:
        its = active()
        effects = its.handle(SessionEnded("expired"), 0.0)
        effects = its.closed(only(effects, Disconnect).op)
        end = effects[1]
        assert isinstance(end, Emit)
        assert (end.event, end.payload.reason) == ("realtime:session:end", "server")

    def test_nothing_of_the_client_counts_any_more(self) -> None:
        its = active()
        its.stop("stop")
        assert its.handle(AssistantStarted("r"), 0.0) == its.handle(ErrorReported(BROKEN), 0.0) == []
        assert its.heard(OutputStarted()) == []


class TestReconnecting:
    def test_in_the_middle_of_a_response(self) -> None:
        its = active()
        its.handle(AssistantDelta("Hel", "r"), 0.0)
        its.heard(OutputStarted())
        effects = its.handle(ConnectionLost("timeout", BROKEN), 10.0)
        assert told(effects) == ["tts:audio:end", "realtime:state", "realtime:reconnect:attempt"]
        assert isinstance(effects[0], FlushAudio)
        assert (its.state.response.status, its.state.response.text) == ("interrupted", "Hel")
        assert (its.state.connection, its.state.session.status) == ("connecting", "active")
        assert its.state.last_error is BROKEN

    def test_in_a_patch(self) -> None:
        its = active()
        update = only(its.update("one", voice("a")), Update)
        its.update("two", voice("b"))
        effects = its.handle(ConnectionLost("failed"), 0.0)
        assert isinstance(effects[0], CancelOp)
        assert settled(effects) == [("one", None), ("two", None)]
        assert its.patched(update.op) == []
        assert only(its.due(0.5), Connect).config.voice == "b"

    def test_five_attempts_each_after_its_delay(self) -> None:
        its = active()
        effects = its.handle(ConnectionLost("failed"), 100.0)
        now, attempts = 100.0, []
        for number, delay in enumerate((500, 1000, 2000, 4000, 5000), 1):
            attempt = only(
                [each for each in effects if isinstance(each, Emit) and "attempt" in each.event], Emit
            )
            attempts.append((attempt.payload.attempt, attempt.payload.delay_ms, attempt.payload.cause))
            assert its.deadline == pytest.approx(now + delay / 1000)
            assert its.due(now + delay / 1000 - 0.001) == []
            now += delay / 1000
            connect = only(its.due(now), Connect)
            assert connect.again
            now += 0.25
            effects = its.open_failed(connect.op, RealtimeTransportError(f"failure {number}"), now)
        assert attempts == [
            (number, delay, "failed") for number, delay in enumerate((500, 1000, 2000, 4000, 5000), 1)
        ]
        assert told(effects) == [
            "realtime:state",
            "realtime:reconnect:exhausted",
            "realtime:error",
            "realtime:state",
        ]
        exhausted = only(
            [each for each in effects if isinstance(each, Emit) and "exh" in each.event], Emit
        ).payload
        assert (exhausted.attempts, exhausted.total_ms, exhausted.cause) == (5, 13750, "failed")
        assert str(exhausted.last_error) == "failure 5"
        assert (its.state.connection, its.state.session.status) == ("error", "stopped")
        assert its.deadline is None

    def test_success(self) -> None:
        its = active()
        its.handle(ConnectionLost("failed"), 0.0)
        connect = only(its.due(0.5), Connect)
        effects = its.opened(connect.op, 0.75)
        assert told(effects) == ["realtime:state", "realtime:reconnect:success"]  # no second session:start
        success = effects[1]
        assert isinstance(success, Emit)
        assert (success.payload.attempts, success.payload.total_ms, success.payload.cause) == (
            1,
            750,
            "failed",
        )
        assert its.state.last_error is None

    def test_each_attempt_is_made_with_the_newest_config(self) -> None:
        its = active()
        its.handle(ConnectionLost("failed"), 0.0)
        assert its.update("update", voice("a")) == [Settle("update")]
        connect = only(its.due(0.5), Connect)
        assert connect.config.voice == "a"
        its.update("update", voice("b"))
        its.open_failed(connect.op, BROKEN, 1.0)
        connect = only(its.due(5.0), Connect)
        assert connect.config.voice == "b"
        its.update("update", voice("c"))
        assert only(its.opened(connect.op, 6.0), Update).config.voice == "c"

    def test_a_loss_before_connect_was_seen_to_return_is_a_failed_attempt(self) -> None:
        its = active()
        its.handle(ConnectionLost("failed"), 0.0)
        connect = only(its.due(0.5), Connect)
        its.handle(ConnectionLost("failed", BROKEN), 0.5)
        assert told(its.opened(connect.op, 0.5)) == ["realtime:state", "realtime:reconnect:attempt"]
        assert its.phase is Phase.WAITING

    def test_so_is_one_in_the_last_attempt(self) -> None:
        its = active()
        its.handle(ConnectionLost("failed"), 0.0)
        for _ in range(4):
            its.open_failed(only(its.due(100.0), Connect).op, BROKEN, 0.0)
        connect = only(its.due(100.0), Connect)
        its.handle(ConnectionLost("failed", BROKEN), 100.0)
        effects = its.opened(connect.op, 100.0)
        assert its.phase is Phase.FAILED
        assert isinstance(effects[-1], Disconnect)

    def test_an_error_meanwhile_is_only_noted(self) -> None:
        its = active()
        its.handle(ConnectionLost("failed"), 0.0)
        assert its.handle(ErrorReported(REFUSED), 0.1) == []  # the delay runs: there is nothing to hear from
        its.due(0.5)
        assert told(its.handle(ErrorReported(REFUSED), 0.6)) == ["realtime:state"]

    def test_a_loss_without_an_error_has_one_all_the_same(self) -> None:
        its = active()
        its.handle(ConnectionLost("closed"), 0.0)
        assert isinstance(its.state.last_error, RealtimeTransportError)
        assert "closed" in str(its.state.last_error)

    def test_nothing_is_due_without_a_loss(self) -> None:
        assert active().due(1e9) == []


def test_every_log_line_of_the_session_has_its_id() -> None:
    its = active()
    lines = [
        *its.update("update", None),
        *its.handle(ErrorReported(BROKEN), 0.0),
        *its.handle(ConnectionLost("failed"), 0.0),
    ]
    lines += its.stop("stop")
    lines += its.closed(only(lines, Disconnect).op)
    logs = [line for line in lines if isinstance(line, Log)]
    assert [log.message for log in logs] == [
        "Realtime session patch started",
        "Realtime error surfaced",
        "Realtime connection lost",
        "Realtime reconnect attempt",
        "Realtime session ended",
    ]
    assert {log.context["sessionId"] for log in logs} == {"our-id"}
