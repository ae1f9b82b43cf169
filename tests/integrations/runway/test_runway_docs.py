"""docs/runway.md: each row of its tables names a test, and each named test exists."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from avatarkit_rtc.integrations.runway import create_rpc_handler
from tests.support.docs_tables import check_row, rows

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs" / "runway.md"


def test_each_row_names_a_test_that_exists() -> None:
    compared = rows(DOCS.read_text().partition("## Row by row")[2])
    assert len(compared) > 70
    for row in compared:
        check_row(row, HERE)


def test_each_option_of_the_handler_is_told() -> None:
    text = DOCS.read_text()
    options = inspect.signature(create_rpc_handler).parameters
    assert [name for name in options if f"`{name}`" not in text] == []


def test_the_defaults_that_are_told_are_those_of_the_handler() -> None:
    options = inspect.signature(create_rpc_handler).parameters
    told = {}
    for row in rows(DOCS.read_text().partition("## Tool calls")[2].partition("## Sessions")[0]):
        _, names, defaults, *_ = row.split("|")
        said = re.findall(r"\d+|True|False", defaults)
        told |= dict(zip(re.findall(r"`(\w+)`", names), map(ast.literal_eval, said), strict=False))
    assert len(told) >= 7
    assert told == {name: options[name].default for name in told}


@pytest.mark.usefixtures("own_server")  # which finds, or builds, the program that it starts
async def test_the_program_that_tries_it_without_runway_runs_as_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = DOCS.read_text().partition("## Trying it without Runway")[2]
    program, _, _ = text.partition("```python\n")[2].partition("```")
    await eval(compile(program, DOCS, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), {})
    (said,) = re.findall(r"print\(.*\)  # (.*)", program)
    assert ast.literal_eval(capsys.readouterr().out) == ast.literal_eval(said)
