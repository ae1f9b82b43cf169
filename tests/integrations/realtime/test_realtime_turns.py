"""When an OpenAI-style server is asked for a response."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from avatarkit_rtc.integrations.realtime.events import (
    AssistantDone,
    AssistantStarted,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
)
from avatarkit_rtc.integrations.realtime.turns import Turns

STARTED, DONE = AssistantStarted("r"), AssistantDone("", "r")
CANCELLED = AssistantDone("", "r", cancelled=True)


def call(call_id: str | None, response_id: str = "r") -> ToolCalled:
    return ToolCalled(call_id, "t", "{}", response_id)


def test_a_message_is_responded_to_at_once() -> None:
    turns = Turns()
    assert turns.asked()
    assert turns.responding
    assert not turns.asked()  # one at a time


def test_a_message_during_a_response_waits_for_its_end() -> None:
    turns = Turns()
    assert not turns.happened(STARTED)
    assert not turns.asked()
    assert not turns.asked()  # two messages, one response to both
    assert turns.happened(DONE)
    assert not turns.happened(SessionUpdated())


def test_the_model_goes_on_once_all_calls_are_answered_and_the_response_is_over() -> None:
    turns = Turns()
    turns.happened(STARTED)
    assert not turns.happened(call("a"))
    assert not turns.happened(call("b"))
    assert not turns.answered("a")
    assert not turns.happened(DONE)
    assert turns.answered("b")


def test_calls_answered_before_the_end_of_their_response() -> None:
    turns = Turns()
    turns.happened(STARTED)
    turns.happened(call("a"))
    assert not turns.answered("a")
    assert turns.happened(DONE)


def test_answers_to_nothing_ask_for_nothing() -> None:
    turns = Turns()
    assert not turns.answered("unknown")
    turns.happened(STARTED)
    turns.happened(call(None))
    turns.happened(call("a"))
    turns.happened(CANCELLED)
    assert not turns.answered("a")


def test_nothing_is_asked_for_while_the_user_speaks() -> None:
    turns = Turns()
    turns.happened(SpeechStarted())
    assert not turns.asked()
    assert not turns.happened(SpeechStopped())  # the server responds by itself
    assert turns.asked()


def test_the_user_who_does_not_speak_any_more_keeps_nobody_waiting() -> None:
    turns = Turns()
    turns.happened(SpeechStarted())
    assert turns.speaking
    assert not turns.asked()
    assert turns.silent()
    assert not turns.speaking
    turns = Turns()
    turns.happened(SpeechStarted())
    assert turns.committed()
    assert not turns.silent()


def test_a_server_that_does_not_respond_by_itself_is_asked_when_the_user_has_spoken() -> None:
    turns = Turns(lambda: False)
    turns.happened(SpeechStarted())
    assert not turns.asked()
    assert turns.happened(SpeechStopped())


def test_a_busy_server_is_asked_again_after_its_response() -> None:
    turns = Turns()
    assert turns.asked()
    assert not turns.happened(STARTED)  # of the server's own, in the same moment
    assert not turns.refused(busy=True)
    assert turns.happened(DONE)


def test_a_server_that_refuses_is_not_asked_again() -> None:
    turns = Turns()
    turns.asked()
    assert not turns.refused(busy=True)  # nothing is under way: it would refuse for ever
    assert not turns.responding
    turns.asked()
    assert not turns.refused(busy=False)
    assert not turns.responding


def test_what_was_cancelled_from_here_is_not_gone_on_with() -> None:
    turns = Turns()
    turns.happened(STARTED)
    turns.happened(call("a"))
    turns.asked()
    turns.cancelled()
    assert not turns.answered("a")
    assert not turns.happened(DONE)
    assert turns.asked()


def test_what_was_asked_for_and_cancelled_before_it_began_is_unwanted() -> None:
    turns = Turns()
    turns.cancelled()
    assert not turns.unwanted  # nothing was asked for
    turns.asked()
    assert not turns.unwanted
    turns.cancelled()
    assert not turns.asked()  # a further message: answered after that
    assert turns.unwanted
    assert not turns.happened(STARTED)
    assert not turns.unwanted
    assert turns.happened(CANCELLED)


def test_nothing_is_unwanted_once_it_is_refused_or_the_user_has_spoken() -> None:
    for ends in (lambda turns: turns.refused(busy=True), lambda turns: turns.happened(SpeechStopped())):
        turns = Turns()
        turns.asked()
        turns.cancelled()
        ends(turns)
        assert not turns.unwanted


def test_calls_are_bounded() -> None:
    turns = Turns()
    turns.happened(STARTED)
    for number in range(1000):
        turns.happened(call(str(number)))
    assert len(turns._unanswered) == 128


class AnyTurns(RuleBasedStateMachine):
    """Whatever happens, a response is asked for only where none is under way and the user is silent."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns()
        self.open: set[str | None] = set()
        self.asked = self.speaking = False

    def check(self, ask: bool) -> None:
        if ask:
            assert not self.open
            assert not self.asked
            assert not self.speaking
            self.asked = True

    @rule(name=st.sampled_from("ab"))
    def started(self, name: str) -> None:
        self.open.add(name)
        self.asked = False
        self.check(self.turns.happened(AssistantStarted(name)))

    @rule(name=st.sampled_from("ab"), cancelled=st.booleans())
    def done(self, name: str, cancelled: bool) -> None:
        self.open.discard(name)
        self.check(self.turns.happened(AssistantDone("", name, cancelled)))

    @rule(name=st.sampled_from("cd"), of=st.sampled_from("ab"))
    def called(self, name: str, of: str) -> None:
        self.check(self.turns.happened(call(name, of)))

    @rule(name=st.sampled_from("cd"))
    def answer(self, name: str) -> None:
        self.check(self.turns.answered(name))

    @rule(starts=st.booleans())
    def speech(self, starts: bool) -> None:
        self.speaking = starts
        self.check(self.turns.happened(SpeechStarted() if starts else SpeechStopped()))

    @rule(here=st.booleans())
    def end_of_speech(self, here: bool) -> None:
        self.speaking = False
        self.check(self.turns.committed() if here else self.turns.silent())

    @rule()
    def write(self) -> None:
        self.check(self.turns.asked())

    @rule(busy=st.booleans())
    def refuse(self, busy: bool) -> None:
        self.asked = False
        self.check(self.turns.refused(busy=busy))

    @rule()
    def cancel(self) -> None:
        self.turns.cancelled()

    @invariant()
    def agrees(self) -> None:
        assert self.turns.responding == (bool(self.open) or self.asked)


TestAnyTurns = AnyTurns.TestCase
TestAnyTurns.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
