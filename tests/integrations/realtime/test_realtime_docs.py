"""docs/realtime.md: each row of its tables names a test that exists, and nothing of the tables is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from avatarkit_rtc import errors
from avatarkit_rtc.integrations.realtime.core.tables import (
    CALLS,
    RECONNECT_DELAYS_MS,
    RESPONSES,
    SHOWN,
    TRANSITIONS,
    diagram,
)
from avatarkit_rtc.integrations.realtime.payloads import PAYLOADS
from avatarkit_rtc.integrations.realtime.types import RealtimeConnection, ResponseStatus, SessionStatus
from tests.support.docs_tables import check_row, rows

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs" / "realtime.md"
TEXT = DOCS.read_text()
COMPARED = TEXT.partition("## Row by row")[2]


def test_each_row_names_a_test_that_exists() -> None:
    compared = rows(COMPARED)
    assert len(compared) > 100
    for row in compared:
        check_row(row, HERE)


@pytest.mark.parametrize("table", [TRANSITIONS, RESPONSES, CALLS], ids=["sessions", "responses", "calls"])
def test_the_diagrams_are_those_of_the_tables(table: Mapping[Any, Any]) -> None:
    assert f"```mermaid\n{diagram(table)}\n```" in TEXT


def test_what_each_phase_is_shown_as() -> None:
    for phase, (connection, session) in SHOWN.items():
        assert f"| {phase} | `{connection}` | `{session}` |" in TEXT


def test_every_event_is_told_with_its_payload_and_has_a_row() -> None:
    told = rows(TEXT.partition("## Events")[2].partition("## The course")[0])
    for event, payload in PAYLOADS.items():
        (row,) = [row for row in told if f"`{event}`" in row]
        assert re.search(r"\| `(\w+)\(" if payload else r"\| none \|", row), row
        if payload is not None:
            fields = ", ".join(payload.__dataclass_fields__)
            assert f"`{payload.__name__}({fields})`" in row
        assert f"`{event}`" in COMPARED, f"no row for {event}"


@pytest.mark.parametrize("states", [RealtimeConnection, SessionStatus, ResponseStatus])
def test_every_state_has_a_row(states: Any) -> None:
    named = ", ".join(f"`{state}`" for state in states)
    assert named in COMPARED


def test_the_delays_are_those_of_the_table() -> None:
    assert f"| {', '.join(map(str, RECONNECT_DELAYS_MS))} ms before each |" in COMPARED


def test_every_error_is_told_with_its_code() -> None:
    told = TEXT.partition("## Errors")[2].partition("## Row by row")[0]
    for error in vars(errors).values():
        if (
            isinstance(error, type)
            and issubclass(error, errors.RealtimeError)
            and error is not errors.RealtimeError
        ):
            assert f"| `{error.__name__}` | `{error.code}` |" in told
