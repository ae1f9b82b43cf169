"""Runs pytest as start.py does: a few tests that failed beside others run once more, alone.

    python -m tests.support.second_chance -n auto -k stream

Thousands of tests use real servers, sound and time, and a machine that stalls for a second can make any of
them fail. So few of them, and never those of the pure core, get one second try in a process of their own; it
counts, and both are printed. What fails because the product is wrong fails again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

import pytest

MOST: Final = 3
"""So many tests may have bad luck in one run."""

PURE: Final = ("tests/motion", "tests/playout", "tests/integrations/realtime/core")
"""Tests here have nothing real in them that could stall."""


class Failed:
    """A plugin that knows, in the end, what has failed."""

    def __init__(self) -> None:
        self.tests: list[str] = []
        self.enough = False
        """The run did not get to its end (``--maxfail``), or has failed for another reason (coverage)."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Called by pytest."""
        asked = session.config.getoption("cov_fail_under", None) is not None
        self.enough = asked or bool(session.shouldfail or session.shouldstop)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Called by pytest, with or without several processes."""
        reports = [report for kind in ("failed", "error") for report in terminalreporter.stats.get(kind, ())]
        self.tests = list(dict.fromkeys(report.nodeid for report in reports))


def deserve_it(failed: Sequence[str]) -> bool:
    """These node ids, all that failed, may run again."""
    pure = any(
        PurePosixPath(test.split("::")[0]).is_relative_to(folder) for test in failed for folder in PURE
    )
    return 0 < len(failed) <= MOST and not pure


def main(arguments: Sequence[str]) -> int:
    """Run the tests that pytest's ``arguments`` name; returns its exit code."""
    failed = Failed()
    code = int(pytest.main([*arguments], plugins=[failed]))
    if code != pytest.ExitCode.TESTS_FAILED or failed.enough or not deserve_it(failed.tests):
        return code
    _say("\n  ".join(["\nFailed beside other tests, run once more alone:", *failed.tests]))
    again = [sys.executable, "-m", "pytest", "-v", *failed.tests]
    code = subprocess.run(again, check=False).returncode
    _say("They passed the second time." if code == 0 else "They failed again.")
    return code


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
