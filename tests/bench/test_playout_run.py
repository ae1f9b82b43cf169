"""The command from end to end: tables, JSON, report, strange input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from bench.playout.evaluate import Settings, TraceResult
from bench.playout.measures import Measures
from bench.playout.run import main
from bench.playout.summary import goals, row

FEW = ["--processes", "1", "--policies", "ours-40", "ours-80", "reference-80", "neteq"]


def test_generated_conditions_in_seconds_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "figures.json"
    names = ["--conditions", "clean", "burst_loss"]
    assert main(["--quick", *FEW, *names, "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "without redundant packets" in text
    assert "with redundant packets" in text
    assert "default: cost of the reference at 80 ms" in text
    without, with_copies = json.loads(out.read_text())["runs"]
    assert without["mode"] == "endless"
    assert (without["redundancy"], with_copies["redundancy"]) == (0, 2)
    assert {each["policy"] for each in without["summary"]} == {"ours-40", "ours-80", "reference-80", "neteq"}
    assert [each["trace"] for each in without["traces"]] == ["clean", "burst_loss"]
    for each in without["traces"]:
        for figures in each["policies"].values():
            assert figures["cost_pct"] >= each["warp_pct"] - 0.02


def test_workers_find_the_same(tmp_path: Path) -> None:
    texts = []
    for processes in ("1", "2"):
        out = tmp_path / f"{processes}.json"
        options = ["--quick", "--rounds", "--conditions", "satellite", "reorder", "--redundancy", "without"]
        chosen = ["--policies", "ours-80", "reference-80", "--processes", processes]
        assert main([*options, *chosen, "--json", str(out)]) == 0
        texts.append(out.read_text())
    assert texts[0] == texts[1]


def test_report_with_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the pictures need the extra bench")
    names = ["--conditions", "wifi_scan", "random_loss", "--redundancy", "without"]
    assert main(["--quick", "--rounds", *FEW, *names, "--report", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    for name in ("overview", "cost", "wifi_scan", "random_loss"):
        assert f"rounds-{name}.png" in page
        assert (tmp_path / "report" / f"rounds-{name}.png").stat().st_size > 10_000


def test_folder_of_strange_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    send = np.arange(300) * 0.04
    late = send + np.where(send > 6, 25.0, 0.02)
    np.savez(tmp_path / "lost.npz", send_time_s=send, recv_time_s=np.full(300, np.nan))
    np.savez(tmp_path / "late.npz", send_time_s=send, recv_time_s=late)
    (tmp_path / "one.csv").write_text("0,123.4\n")
    assert main(["--traces", str(tmp_path), *FEW, "--report", str(tmp_path / "report")]) == 0
    text = capsys.readouterr().out
    assert "lost: nothing ever arrived" in text
    assert "~" in text
    assert "failed" not in text


def test_what_cannot_be_used_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--traces", str(tmp_path)]) == 2
    assert "no .npz" in capsys.readouterr().out
    assert main(["--conditions", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().out
    (tmp_path / "lost.csv").write_text("0,\n0.04,\n")
    assert main(["--traces", str(tmp_path)]) == 2
    assert "no trace is left" in capsys.readouterr().out


def result(trace: str, *, warp: float, cut: float, **costs: float) -> TraceResult:
    def figures(cost: float) -> Measures:
        return Measures(cost / 2, 1, 100, cost / 4, 10 * cost, 20 * cost, 1, 1, 0, cost, 100, 100)

    by_name = {name.replace("_", "-"): figures(cost) for name, cost in costs.items()}
    return TraceResult(trace, 100, 0.0, 5.0, 4.0, 1, warp, cut, False, by_name)


def test_goals_are_reckoned_from_means_and_geometric_means() -> None:
    results = [
        result("a", warp=0.9, cut=1.9, ours_80=2, ours_400=1.9, reference_80=4, reference_40=2.5),
        result("b", warp=1.9, cut=3.9, ours_80=1, ours_400=3.9, reference_80=8, reference_40=8),
    ]
    assert row(results, "ours-80").to_reference == pytest.approx(math.sqrt(0.5 * 0.125))
    assert row(results, "ours-400").to_warp == pytest.approx(2.0)
    lines = {each.text: each for each in goals(results, Settings(("ours-80",)))}
    assert lines["default: freeze of the reference at 80 ms"].value == pytest.approx(0.25)
    assert lines["default: highest cost against the better of the reference at 40 and 80 ms (a)"].value == 0.8
    assert lines["smooth: cost / bound without"].held
    assert lines["default: added latency on the clean link a"].value == 20
    assert not lines["default: added latency on the clean link a"].held
    with_copies = goals(results, Settings(("ours-80",), copies=2))
    assert all("brought in time" in each.text for each in with_copies)
    assert goals([], Settings(())) == []
