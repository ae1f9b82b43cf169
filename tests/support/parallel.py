"""Tests in several processes, as start.py runs them (``pytest -n auto``): who has the machine to itself.

Tests that are marked ``alone`` measure real time. While one of them runs, no other worker begins a test, and
it begins only when every other worker has come to the end of its own. Fixtures of a module or a session stay,
in all workers: they must not work much while nobody uses them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

if sys.platform != "win32":
    import fcntl


def worker_count() -> int:
    """How many: most tests wait for something real, so one more than there are processors. None, but pytest
    itself, where :class:`Machine` cannot lock."""
    if sys.platform == "win32":
        return 0
    return min(4, (os.cpu_count() or 1) + 1)


class Machine:
    """A lock among processes, shared by many or held by one; first come, first served."""

    def __init__(self, folder: Path) -> None:
        """The processes that give the same ``folder`` share it; it has to be there."""
        self._folder = folder

    @contextlib.contextmanager
    def used(self, *, alone: bool) -> Iterator[None]:
        """Hold it while the block runs, ``alone`` or with others. Waits for as long as it takes."""
        if sys.platform == "win32":
            yield
            return
        with self._open("turn") as turn, self._open("machine") as machine:
            # Whoever waits for the others to end holds the turn, or those that come later would go on
            # sharing the machine among them for ever.
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(turn, fcntl.LOCK_UN)
            yield

    def _open(self, name: str) -> IO[bytes]:
        # Closing the file gives the lock up, and so does the end of a process that crashed.
        return (self._folder / name).open("ab")


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Whole files in the order in which workers should take them: those that wait for something real first,
    so that the last ones are short; those that want the machine to themselves last, so that nobody waits for
    them meanwhile."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def rank(file: list[pytest.Item]) -> tuple[bool, int]:
        alone = any(item.get_closest_marker("alone") for item in file)
        return alone, -sum(item.get_closest_marker("server") is not None for item in file)

    return [item for file in sorted(files.values(), key=rank) for item in file]
