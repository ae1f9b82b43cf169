"""The table of docs/video-avatars.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
AGENTS = "integrations/agents/test_speech_through_an_agents_worker.py"


def test_every_row_has_tests_and_they_exist() -> None:
    text = (TESTS.parent / "docs" / "video-avatars.md").read_text(encoding="utf-8")
    rows = text.split("## Row by row")[1].splitlines()
    rows = [row for row in rows if row.startswith("| ")][1:]
    assert len(rows) > 20
    named = 0
    for row in rows:
        cell = row.rstrip("| ").rsplit("|", 1)[1]
        assert "test" in cell or "the same" in cell, row
        file = AGENTS if "[agents]" in cell else ""
        for path, name in re.findall(r"`([\w/]*(?:\.py)?)::(\w+)`", cell):
            file = path or (AGENTS if "[agents]" in cell else file)
            source = (TESTS / file).read_text(encoding="utf-8")
            assert re.search(rf"def {name}\(", source), f"{file} has no {name}"
            named += 1
    assert named > 25
