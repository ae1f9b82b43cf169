"""Tables and files that all measurements write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.report import Figure, Report, machine, publish

REPORT = Report(
    "sample",
    [Figure("speed", 1.23456, "ms"), Figure("good", 2.0, "", 2.0), Figure("bad", 3.0, "", 2.0)],
    {"repeats": 3},
    ["a remark"],
)


def test_table_has_every_figure_and_its_verdict() -> None:
    lines = REPORT.table().splitlines()
    assert [line.split()[0] for line in lines] == ["speed", "good", "bad", "note:"]
    assert lines[0].endswith("1.235 ms")
    assert lines[1].endswith("ok (goal: at most 2)")
    assert lines[2].endswith("MISSED (goal: at most 2)")


def test_publishing_prints_writes_and_tells_whether_the_goals_are_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    assert publish(REPORT, machine(), path) == 1
    assert publish(Report("fine", REPORT.figures[:2]), machine(), None) == 0
    printed = capsys.readouterr().out
    assert REPORT.table() in printed
    assert "other work before the start" in printed
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["benchmark"] == "sample"
    assert [figure["met"] for figure in written["figures"]] == [None, True, False]
    assert {"cpu", "cores", "load_before", "load_after", "busy_before_percent"} <= set(written["machine"])


def test_a_figure_of_numpys_is_judged_and_written_as_any_other(tmp_path: Path) -> None:
    missed = Report("x", [Figure("y", np.float64(3.0), "ms", np.float64(2.0))])
    assert missed.met is False
    assert publish(missed, machine(), tmp_path / "x.json") == 1
    assert json.loads((tmp_path / "x.json").read_text())["figures"][0]["met"] is False
