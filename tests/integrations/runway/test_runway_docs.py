"""docs/runway.md: each row of its tables names a test, and each named test exists."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

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
