"""The course of a session: the machine does what the table says in every phase with every input, and nothing
else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from avatarkit_rtc.errors import RealtimeServerError, RealtimeStateError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime.core.effects import Connect, Disconnect, Effect, Update
from avatarkit_rtc.integrations.realtime.core.machine import Machine
from avatarkit_rtc.integrations.realtime.core.tables import (
    CALLS,
    CONNECTED,
    RECONNECT_DELAYS_MS,
    RESPONSES,
    SHOWN,
    TRANSITIONS,
    CallInput,
    CallPhase,
    Input,
    Phase,
    diagram,
)
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistry
from avatarkit_rtc.integrations.realtime.events import ConnectionLost, ErrorReported, SessionEnded
from avatarkit_rtc.integrations.realtime.types import ResponseStatus

BROKEN = RealtimeTransportError("broken")


class Driven:
    """A machine, and the number of the operation that it wants done."""

    def __init__(self) -> None:
        self.machine = Machine(ToolRegistry(), lambda: "id")
        self.now = 0.0
        self.op = 0

    def did(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Connect | Update | Disconnect):
                self.op = effect.op

    def give(self, cause: Input) -> None:
        machine, op, now = self.machine, self.op, self.now
        if cause is Input.DUE:
            self.now += 10.0
        lost, fatal = ConnectionLost("failed"), ErrorReported(RealtimeServerError("over"), recoverable=False)
        inputs: dict[Input, Callable[[], list[Effect]]] = {
            Input.START: lambda: machine.start("start", None),
            Input.UPDATE: lambda: machine.update("update", None),
            Input.STOP: lambda: machine.stop("stop"),
            Input.OPENED: lambda: machine.opened(op, now),
            Input.OPEN_FAILED: lambda: machine.open_failed(op, BROKEN, now),
            Input.EXHAUSTED: lambda: machine.open_failed(op, BROKEN, now),
            Input.PATCHED: lambda: machine.patched(op),
            Input.PATCH_FAILED: lambda: machine.patch_failed(op, BROKEN),
            Input.CLOSED: lambda: machine.closed(op),
            Input.CLOSE_FAILED: lambda: machine.close_failed(op, BROKEN),
            Input.LOST: lambda: machine.handle(lost, now),
            Input.ENDED: lambda: machine.handle(SessionEnded(), now),
            Input.FATAL: lambda: machine.handle(fatal, now),
            Input.DUE: lambda: machine.due(self.now),
        }
        self.did(inputs[cause]())


WAYS: dict[Phase, tuple[Input, ...]] = {
    Phase.IDLE: (),
    Phase.STARTING: (Input.START,),
    Phase.ACTIVE: (Input.START, Input.OPENED),
    Phase.PATCHING: (Input.START, Input.OPENED, Input.UPDATE),
    Phase.WAITING: (Input.START, Input.OPENED, Input.LOST),
    Phase.RECOVERING: (Input.START, Input.OPENED, Input.LOST, Input.DUE),
    Phase.STOPPING: (Input.START, Input.OPENED, Input.STOP),
    Phase.STOPPED: (Input.START, Input.OPENED, Input.STOP, Input.CLOSED),
    Phase.FAILED: (Input.START, Input.OPEN_FAILED),
}
"""How to get to each phase."""

ABOUT_AN_OPERATION = {
    Phase.STARTING: {Input.OPENED, Input.OPEN_FAILED},
    Phase.PATCHING: {Input.PATCHED, Input.PATCH_FAILED},
    Phase.RECOVERING: {Input.OPENED, Input.OPEN_FAILED, Input.EXHAUSTED},
    Phase.STOPPING: {Input.CLOSED, Input.CLOSE_FAILED},
}
OF_OPERATIONS = set().union(*ABOUT_AN_OPERATION.values())


def at(phase: Phase) -> Driven:
    driven = Driven()
    for cause in WAYS[phase]:
        driven.give(cause)
    assert driven.machine.phase is phase
    return driven


@pytest.mark.parametrize("cause", Input)
@pytest.mark.parametrize("phase", Phase)
def test_every_phase_with_every_input(phase: Phase, cause: Input) -> None:
    driven = at(phase)
    if cause is Input.EXHAUSTED and phase is Phase.RECOVERING:
        for _ in RECONNECT_DELAYS_MS[1:]:
            driven.give(Input.OPEN_FAILED)
            driven.give(Input.DUE)
    if cause in OF_OPERATIONS and cause not in ABOUT_AN_OPERATION.get(phase, ()):
        # Only the operation that runs reports; the report of an earlier one is told by its number.
        driven.op -= 1
    expected = TRANSITIONS.get((phase, cause), phase)
    if cause is Input.START and (phase, cause) not in TRANSITIONS:
        with pytest.raises(RealtimeStateError, match="Realtime session already active"):
            driven.give(cause)
    else:
        driven.give(cause)
    assert driven.machine.phase is expected


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_shown(phase: Phase) -> None:
    state = at(phase).machine.state
    assert (state.connection, state.session.status) == SHOWN[phase]


@pytest.mark.parametrize("phase", Phase)
def test_sending_is_allowed_where_connected_and_refused_elsewhere(phase: Phase) -> None:
    machine = at(phase).machine
    if phase in CONNECTED:
        machine.check_connected()
        return
    away = phase in (Phase.WAITING, Phase.RECOVERING)
    said = "Realtime session is reconnecting" if away else "Realtime session not active"
    with pytest.raises(RealtimeStateError, match=said):
        machine.check_connected()
    with pytest.raises(RealtimeStateError, match=said):
        machine.interrupt()


def test_every_phase_can_be_left_and_come_to() -> None:
    assert {before for before, _ in TRANSITIONS} == set(Phase)
    assert set(TRANSITIONS.values()) == set(Phase) - {Phase.IDLE}


def test_stop_is_possible_from_wherever_a_session_is_shown_as_starting_or_active() -> None:
    stoppable = {before for before, cause in TRANSITIONS if cause is Input.STOP}
    shown = {phase for phase, (_, status) in SHOWN.items() if status in ("starting", "active")}
    assert stoppable == shown - {Phase.STOPPING}


def test_the_delays() -> None:
    assert RECONNECT_DELAYS_MS == (500, 1000, 2000, 4000, 5000)


def test_responses_and_calls_come_to_an_end() -> None:
    assert {before for before, _ in RESPONSES} == set(ResponseStatus)
    assert {before for before, _ in CALLS} == set(CallPhase) - {CallPhase.OVER}
    for phase in set(CallPhase) - {CallPhase.CALLED, CallPhase.OVER}:
        assert CALLS[phase, CallInput.DROPPED] is CallPhase.OVER


def test_a_diagram_has_one_arrow_per_pair_of_states() -> None:
    drawn = diagram(CALLS).splitlines()
    assert drawn[0] == "stateDiagram-v2"
    assert "    answering --> over: sent, send failed, dropped" in drawn
    assert len(drawn) == len(set(drawn))


def test_reports_of_an_operation_that_was_given_up_count_for_nothing() -> None:
    driven = at(Phase.PATCHING)
    old = driven.op
    driven.give(Input.LOST)
    machine = driven.machine
    assert machine.patched(old) == machine.patch_failed(old, BROKEN) == machine.opened(old, 0.0) == []
    assert (
        machine.open_failed(old, BROKEN, 0.0)
        == machine.closed(old)
        == machine.close_failed(old, BROKEN)
        == []
    )
    assert machine.phase is Phase.WAITING


def test_closing_what_has_failed_is_not_reported_any_more() -> None:
    driven = at(Phase.ACTIVE)
    driven.give(Input.FATAL)
    machine = driven.machine
    assert machine.closed(driven.op) == machine.close_failed(driven.op, BROKEN) == []
    assert machine.phase is Phase.FAILED
