"""The table of docs/video-avatars.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
AGENTS = "integrations/agents/test_speech_through_an_agents_worker.py"


def named(cell: str) -> list[tuple[str, str]]:
    """The tests that a cell names, (file, function); a file counts until another is named."""
    found, file = [], ""
    for agents, path, name in re.findall(r"`(\[agents\])`|`([\w/.]*)::(\w+)`", cell):
        if agents:
            file = AGENTS
        else:
            file = path or file
            found.append((file, name))
    return found


def test_every_row_has_tests_and_they_exist() -> None:
    text = (TESTS.parent / "docs" / "video-avatars.md").read_text(encoding="utf-8")
    rows = text.split("## Row by row")[1].splitlines()
    rows = [row for row in rows if row.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        tests = named(row.rstrip("| ").rsplit("|", 1)[1])
        assert tests, f"no test: {row}"
        for file, name in tests:
            source = (TESTS / file).read_text(encoding="utf-8")
            assert re.search(rf"def {name}\(", source), f"{file} has no {name}: {row}"
