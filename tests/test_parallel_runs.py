"""Tests in several processes: who has the machine to itself, and which files come first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.parallel import Machine, in_order


class Worker(threading.Thread):
    """Uses the machine once, for as long as it is let."""

    def __init__(self, folder: Path, *, alone: bool) -> None:
        super().__init__(daemon=True)
        self._machine, self._alone = Machine(folder), alone
        self.within, self.may_end = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._machine.used(alone=self._alone):
            self.within.set()
            self.may_end.wait(10)

    def end(self) -> None:
        self.may_end.set()
        self.join(10)


def test_many_use_it_at_once_and_one_has_it_alone(tmp_path: Path) -> None:
    first, second = Worker(tmp_path, alone=False), Worker(tmp_path, alone=False)
    assert first.within.wait(10)
    assert second.within.wait(10)
    alone = Worker(tmp_path, alone=True)
    assert not alone.within.wait(0.1)
    # Who comes later waits behind it, though others use the machine still.
    later = Worker(tmp_path, alone=False)
    first.end()
    assert not later.within.wait(0.1)
    assert not alone.within.is_set()
    second.end()
    assert alone.within.wait(10)
    assert not later.within.wait(0.1)
    alone.end()
    assert later.within.wait(10)
    later.end()


def test_a_worker_that_fails_gives_it_up(tmp_path: Path) -> None:
    try:
        with Machine(tmp_path).used(alone=True):
            raise ValueError
    except ValueError:
        pass
    with Machine(tmp_path).used(alone=True):
        pass


def test_real_parts_first_and_what_wants_the_machine_alone_last() -> None:
    def item(name: str, *marks: str) -> Any:
        get: Callable[[str], object] = {mark: object() for mark in marks}.get
        return SimpleNamespace(path=Path(name[0]), name=name, get_closest_marker=get)

    items = [item("a1"), item("b1", "server"), item("b2"), item("c1"), item("c2", "alone", "server")]
    items += [item("d1", "server"), item("d2", "server"), item("e1")]
    assert [each.name for each in in_order(items)] == ["d1", "d2", "b1", "b2", "a1", "e1", "c1", "c2"]
