"""A program that is told lines and answers in JSON: answers, events and its end."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.json_program import JsonProgram

SOURCE = """
import json, sys
def say(**what): print(json.dumps(what), flush=True)
say(ready=True)
for line in sys.stdin:
    say(event=line.strip(), t=1.5)
    say(noise=0)
    say(told=line.strip())
sys.exit(3)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[JsonProgram]:
    (tmp_path / "answering.py").write_text(SOURCE)
    with JsonProgram("answering", environment={**os.environ, "PYTHONPATH": str(tmp_path)}) as program:
        program.wait_for("ready")
        yield program


def test_answers_are_apart_from_events(program: JsonProgram) -> None:
    assert program.ask("lost", "told") == {"told": "lost"}
    assert program.ask("back", "told") == {"told": "back"}
    assert program.events == [{"event": "lost", "t": 1.5}, {"event": "back", "t": 1.5}]
    assert program.changes(0) == ["lost", "back"]
    assert program.changes(1) == ["back"]
    assert program.event("back", 0) == {"event": "back", "t": 1.5}


def test_what_does_not_come_is_not_waited_for_longer_than_that(program: JsonProgram) -> None:
    program.ask("lost", "told")
    assert program.event("lost", 1, timeout_s=0.05) is None
    with pytest.raises(queue.Empty):
        program.wait_for("told", timeout_s=0.05)


def test_it_ends_when_its_input_does(program: JsonProgram) -> None:
    assert program.exit_code is None
    with program:
        pass
    assert program.exit_code == 3
