"""Tables of the docs in which each row names the test that shows it."""

from __future__ import annotations

import ast
import functools
import re
from itertools import pairwise
from pathlib import Path


def rows(text: str) -> list[str]:
    """Rows of tables, without their heads."""
    lines = text.splitlines()
    return [
        line
        for before, line in pairwise(lines)
        if line.startswith("|") and not line.startswith("|---") and before.startswith("|")
    ]


@functools.cache
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


def check_row(row: str, folder: Path) -> None:
    """That ``row`` ends with a test below ``folder``, and that the test exists."""
    named = re.search(r"`((?:\w+/)?test_\w+\.py)::([\w:]+)` \|$", row)
    assert named is not None, f"no test: {row}"
    file, name = named.groups()
    assert (folder / file).is_file(), f"no such file: {row}"
    assert name in defined(folder / file), f"no such test: {row}"
