"""Responses, in order and out of it: which of them counts, and what is told of it."""

from __future__ import annotations

import pytest

from avatarkit_rtc.integrations.realtime.core.effects import Effect, Emit
from avatarkit_rtc.integrations.realtime.core.response import REMEMBERED, Responses
from avatarkit_rtc.integrations.realtime.core.tables import RESPONSES, ResponseInput
from avatarkit_rtc.integrations.realtime.events import AssistantDelta, AssistantDone
from avatarkit_rtc.integrations.realtime.types import RealtimeState, ResponseState, ResponseStatus

START, DELTA, DONE = "realtime:assistant:start", "realtime:assistant:delta", "realtime:assistant:done"
STATE, TEXT = "realtime:state", "realtime:text:delta"


def told(effects: list[Effect] | None) -> list[str]:
    assert effects is not None
    return [effect.event for effect in effects if isinstance(effect, Emit)]


@pytest.fixture
def its() -> Responses:
    made = Responses(lambda: RealtimeState(response=made.state))
    return made


def at(its: Responses, status: ResponseStatus) -> None:
    if status is not ResponseStatus.IDLE:
        its.started("r")
    if status is ResponseStatus.INTERRUPTED:
        its.interrupt()
    if status is ResponseStatus.COMPLETED:
        its.done(AssistantDone("", "r"))
    assert its.state.status is status


@pytest.mark.parametrize("cause", ResponseInput)
@pytest.mark.parametrize("status", ResponseStatus)
def test_every_state_with_every_input(its: Responses, status: ResponseStatus, cause: ResponseInput) -> None:
    at(its, status)
    same = "r" if status is ResponseStatus.RESPONDING else "new"
    match cause:
        case ResponseInput.STARTED:
            its.started("new")
        case ResponseInput.DELTA:
            its.words(AssistantDelta("word", same))
        case ResponseInput.DONE:
            its.done(AssistantDone("", same))
        case ResponseInput.CANCELLED:
            its.done(AssistantDone("", same, cancelled=True))
        case ResponseInput.INTERRUPT:
            its.interrupt()
        case ResponseInput.LOST:
            its.lost()
        case ResponseInput.RESET:
            its.reset()
    assert its.state.status is RESPONSES.get((status, cause), status)


@pytest.mark.parametrize("response_id", ["r", None])
def test_in_order(its: Responses, response_id: str | None) -> None:
    started = its.started(response_id)
    assert told(started) == [START, STATE]
    assert isinstance(started[0], Emit)
    assert started[0].payload.state.response == ResponseState(ResponseStatus.RESPONDING, "")
    words = its.words(AssistantDelta("Hel", response_id))
    assert told(words) == [DELTA, TEXT, STATE]
    assert [each.payload.text for each in words[:2] if isinstance(each, Emit)] == ["Hel", "Hel"]
    its.words(AssistantDelta("lo", response_id))
    assert its.sound(response_id) == []
    done = its.done(AssistantDone("", response_id))
    assert told(done) == [DONE, STATE]
    assert isinstance(done[0], Emit)
    assert done[0].payload.text == "Hello"
    assert its.state == ResponseState(ResponseStatus.COMPLETED, "Hello")


def test_words_said_again_at_the_end_win(its: Responses) -> None:
    its.words(AssistantDelta("Hel", "r"))
    its.done(AssistantDone("Hello.", "r"))
    assert its.state.text == "Hello."


def test_words_or_sound_without_a_beginning_begin_it(its: Responses) -> None:
    assert told(its.words(AssistantDelta("a", "1"))) == [START, DELTA, TEXT, STATE]
    its.done(AssistantDone("", "1"))
    assert told(its.sound("2")) == [START, STATE]


def test_an_end_without_a_beginning_begins_it(its: Responses) -> None:
    assert told(its.done(AssistantDone("all of it", "r"))) == [START, DONE, STATE]


@pytest.mark.parametrize("response_id", ["r", None])
def test_an_end_that_is_said_twice(its: Responses, response_id: str | None) -> None:
    its.started(response_id)
    its.done(AssistantDone("", response_id))
    assert its.done(AssistantDone("", response_id)) == []


def test_a_beginning_that_is_said_twice(its: Responses) -> None:
    its.started("r")
    its.words(AssistantDelta("a", "r"))
    assert its.started("r") == []
    assert its.state.text == "a"
    its.done(AssistantDone("", "r"))
    assert its.started("r") == []


def test_what_comes_of_one_that_is_over(its: Responses) -> None:
    its.started("r")
    its.done(AssistantDone("", "r"))
    assert its.words(AssistantDelta("late", "r")) == []
    assert its.sound("r") is None


def test_what_comes_of_one_that_was_interrupted(its: Responses) -> None:
    its.started("r")
    its.interrupt()
    assert its.words(AssistantDelta("late", "r")) == its.done(AssistantDone("late", "r")) == []
    assert its.sound("r") is None
    assert its.state == ResponseState(ResponseStatus.INTERRUPTED, "")


def test_without_ids_all_that_comes_until_the_next_beginning_is_of_it(its: Responses) -> None:
    its.started(None)
    its.interrupt()
    assert its.words(AssistantDelta("late")) == its.done(AssistantDone("late")) == []
    assert its.sound(None) is None
    its.started(None)
    assert told(its.words(AssistantDelta("new"))) == [DELTA, TEXT, STATE]


def test_one_interrupted_before_it_was_known_to_have_begun_ends_silently(its: Responses) -> None:
    its.interrupt()
    assert its.done(AssistantDone("", "r")) == []
    assert its.state.status is ResponseStatus.INTERRUPTED
    assert its.words(AssistantDelta("late", "r")) == []


def test_one_that_never_ended_is_over_when_the_next_begins(its: Responses) -> None:
    its.started("1")
    assert told(its.started("2")) == [START, STATE]
    assert its.words(AssistantDelta("late", "1")) == []
    assert told(its.words(AssistantDelta("new", "2"))) == [DELTA, TEXT, STATE]
    assert told(its.words(AssistantDelta("newer", "3"))) == [START, DELTA, TEXT, STATE]


def test_the_end_of_another_does_not_end_the_one_that_runs(its: Responses) -> None:
    its.started("1")
    assert its.done(AssistantDone("", "0")) == []
    assert its.responding


def test_one_that_the_provider_cancelled(its: Responses) -> None:
    its.started("r")
    assert told(its.done(AssistantDone("Hel", "r", cancelled=True))) == [STATE]
    assert its.state.status is ResponseStatus.INTERRUPTED
    assert its.done(AssistantDone("", "r", cancelled=True)) == []


def test_one_cancelled_before_it_began_never_begins(its: Responses) -> None:
    assert its.done(AssistantDone("", "r", cancelled=True)) == []
    assert its.words(AssistantDelta("late", "r")) == []
    assert its.state.status is ResponseStatus.IDLE


def test_ids_are_forgotten_after_a_while(its: Responses) -> None:
    for number in range(REMEMBERED + 1):
        its.started(str(number))
        its.done(AssistantDone("", str(number)))
    assert told(its.words(AssistantDelta("?", "0"))) == [START, DELTA, TEXT, STATE]
