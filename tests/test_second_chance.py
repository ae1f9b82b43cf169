"""What failed beside other tests runs once more alone, within bounds (tests/support/second_chance.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.second_chance import MOST, PURE, deserve_it

ROOT = Path(__file__).resolve().parents[1]

LUCK = """
import pathlib
import pytest

def test_passes():
    with open("runs.txt", "a") as runs:
        runs.write("passes\\n")

@pytest.mark.parametrize("way", ["a b", "c::d"])
def test_fails_the_first_time(way):
    seen = pathlib.Path(way.replace(":", ""))
    first = not seen.exists()
    seen.touch()
    assert not first
"""

BROKEN = """
def test_is_broken():
    assert 1 + 1 == 3
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.support.second_chance", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("processes", ["0", "2"])
def test_bad_luck_is_printed_and_passes_the_second_time(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_luck.py").write_text(LUCK)
    done = run(tmp_path, "-n", processes)
    assert done.returncode == 0, done.stdout
    assert "2 failed, 1 passed" in done.stdout
    assert "run once more alone:\n  test_luck.py::test_fails_the_first_time[" in done.stdout
    assert "2 passed in" in done.stdout.partition("once more alone")[2]
    assert "They passed the second time." in done.stdout
    assert (tmp_path / "runs.txt").read_text() == "passes\n"  # the others do not run again


def test_what_is_broken_fails_twice(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text(BROKEN)
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("1 failed in") == 2
    assert "They failed again." in done.stdout


def test_one_run_is_all_where_everything_passes_or_nothing_is_there(tmp_path: Path) -> None:
    (tmp_path / "test_good.py").write_text("def test_good():\n    pass\n")
    done = run(tmp_path)
    assert done.returncode == 0
    assert "once more" not in done.stdout
    assert run(tmp_path, "-k", "nothing").returncode == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_run_that_stopped_early_has_failed(tmp_path: Path) -> None:
    (tmp_path / "test_luck.py").write_text(LUCK + BROKEN)
    assert run(tmp_path, "-x").returncode != 0


def test_coverage_that_is_too_low_has_failed(tmp_path: Path) -> None:
    (tmp_path / "test_luck.py").write_text(LUCK)
    (tmp_path / "some.py").write_text("def never():\n    return 1\n")
    done = run(tmp_path, "--cov=some", "--cov-fail-under=100")
    assert done.returncode == 1
    assert "once more" not in done.stdout


def test_many_failures_are_no_bad_luck_and_the_pure_core_has_none() -> None:
    tests = [f"tests/audio/test_ring.py::test_{n}" for n in range(MOST + 1)]
    assert deserve_it(tests[:MOST])
    assert not deserve_it(tests)
    assert not deserve_it([])
    for folder in PURE:
        assert (ROOT / folder).is_dir()
        assert not deserve_it([tests[0], f"{folder}/test_any.py::test_it[tests/audio]"])
