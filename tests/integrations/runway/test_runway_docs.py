"""docs/runway.md: each row of its tables names a test, and each named test exists."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path

from avatarkit_rtc.integrations.runway import create_rpc_handler

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs" / "runway.md"


def rows(text: str) -> list[str]:
    """Rows of tables, without their heads."""
    lines = text.splitlines()
    return [
        line
        for before, line in pairwise(lines)
        if line.startswith("|") and not line.startswith("|---") and before.startswith("|")
    ]


def defined(path: Path) -> set[str]:
    """Functions of a file, ``Class::name`` or ``name``."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            inner = (item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}::{item.name}" for item in inner}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return found


def test_each_row_names_a_test_that_exists() -> None:
    compared = rows(DOCS.read_text().partition("## Row by row")[2])
    assert len(compared) > 70
    for row in compared:
        named = re.search(r"`(test_\w+\.py)::([\w:]+)` \|$", row)
        assert named is not None, f"no test: {row}"
        file, name = named.groups()
        assert name in defined(HERE / file), f"no such test: {row}"


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
