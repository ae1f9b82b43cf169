"""Measurements in real time that may fail because the machine does: the best of several tries counts."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, ParamSpec, Self

import pytest

from bench.report import Figure

P = ParamSpec("P")

STALL_S: Final = 0.040
"""A thread that wakes up so late makes sound break off: the machine is to blame."""

_RUNS: Final = 5


class Stalls:
    """How late a thread of this process, which does nothing else, wakes up."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            due += 0.005
            time.sleep(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            self.worst_s = max(self.worst_s, now - due)
            due = max(due, now)


def meets_goals(
    measure: Callable[[], Sequence[Figure]],
    judged: Sequence[str],
    *,
    never_excused: Sequence[str] = (),
    tries: int = 3,
) -> None:
    """One try must meet the goals of all ``judged`` figures. Skips where the machine stalled in each try, but
    not for figures that a stall does not explain: ``never_excused`` ones must be met as well."""
    missed, excused = [], 0
    for _ in range(tries):
        with Stalls() as stalls:
            figures = {figure.name: figure for figure in measure()}
        assert all(figures[name].goal is not None for name in [*judged, *never_excused])
        own = [figures[name] for name in never_excused if not figures[name].met]
        bad = [figures[name] for name in judged if not figures[name].met]
        if not own and not bad:
            return
        excused += not own and stalls.worst_s > STALL_S
        missed.append(f"{', '.join(f'{each.name}: {each.value:.4g} {each.unit}' for each in own + bad)}")
    if excused == tries:
        pytest.skip(f"the machine stalls for more than {1000 * STALL_S:.0f} ms; missed: {'; '.join(missed)}")
    pytest.fail("; ".join(missed))


def despite_stalls(test: Callable[P, None]) -> Callable[P, None]:
    """A test of something that runs in real time, and that a stall of the machine rightly disturbs: where it
    fails and the machine stalled meanwhile, it runs again, five times in all. One that fails without a stall
    has failed."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        for left in reversed(range(_RUNS)):
            with Stalls() as stalls:
                try:
                    return test(*args, **kwargs)
                except AssertionError as error:
                    failure = error
            if not left or stalls.worst_s <= STALL_S:
                raise failure
        return None

    return run


def despite_stalls_async(test: Callable[P, Awaitable[None]]) -> Callable[P, Coroutine[Any, Any, None]]:
    """:func:`despite_stalls` for a test on an event loop."""

    @functools.wraps(test)
    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        for left in reversed(range(_RUNS)):
            with Stalls() as stalls:
                try:
                    return await test(*args, **kwargs)
                except AssertionError as error:
                    failure = error
            if not left or stalls.worst_s <= STALL_S:
                raise failure
        return None

    return run
