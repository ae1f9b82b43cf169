"""The best of several tries counts, and what excuses none of them (tests/support/tries.py)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from bench.report import Figure
from tests.support.tries import STALL_S, Stalls, despite_stalls, despite_stalls_async, meets_goals


def tries_of(*values: float, name: str = "delay") -> Callable[[], list[Figure]]:
    left = iter(values)
    return lambda: [Figure(name, next(left), "ms", 10)]


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still in every try."""

    def entered(self: Stalls) -> Stalls:
        self.worst_s = 2 * STALL_S
        return self

    monkeypatch.setattr(Stalls, "__enter__", entered)
    monkeypatch.setattr(Stalls, "__exit__", lambda self, *exc: None)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never does."""
    monkeypatch.setattr(Stalls, "__enter__", lambda self: self)
    monkeypatch.setattr(Stalls, "__exit__", lambda self, *exc: None)


def test_one_good_try_is_enough(steady: None) -> None:
    meets_goals(tries_of(99, 99, 9), ["delay"])


def test_three_bad_ones_fail(steady: None) -> None:
    with pytest.raises(pytest.fail.Exception, match="delay: 99 ms"):
        meets_goals(tries_of(99, 99, 99), ["delay"])


def test_a_machine_that_stood_still_in_each_is_no_failure(stalled: None) -> None:
    with pytest.raises(pytest.skip.Exception, match="delay: 99 ms"):
        meets_goals(tries_of(99, 99, 99), ["delay"])


def test_a_stall_does_not_excuse_what_it_does_not_explain(stalled: None) -> None:
    with pytest.raises(pytest.fail.Exception, match="processor time: 99 ms"):
        meets_goals(tries_of(99, 99, 99, name="processor time"), [], never_excused=["processor time"])


def test_a_goal_is_asked_for(steady: None) -> None:
    with pytest.raises(AssertionError):
        meets_goals(lambda: [Figure("delay", 9, "ms")], ["delay"])


def test_a_stall_is_seen() -> None:
    before = sys.getswitchinterval()
    with Stalls() as stalls:
        time.sleep(0.02)
        sys.setswitchinterval(10.0)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:  # no other thread gets its turn
            pass
        sys.setswitchinterval(before)
    assert stalls.worst_s > 0.1


def failing(times: int, calls: list[int]) -> Callable[[], None]:
    """A test that fails so many times."""

    @despite_stalls
    def test() -> None:
        calls.append(1)
        assert len(calls) > times

    return test


def test_a_test_that_fails_while_the_machine_stalls_runs_again(stalled: None) -> None:
    calls: list[int] = []
    failing(4, calls)()
    assert len(calls) == 5


def test_but_not_for_ever(stalled: None) -> None:
    calls: list[int] = []
    with pytest.raises(AssertionError):
        failing(99, calls)()
    assert len(calls) == 5


def test_one_that_fails_on_a_steady_machine_has_failed(steady: None) -> None:
    calls: list[int] = []
    with pytest.raises(AssertionError):
        failing(1, calls)()
    assert len(calls) == 1


async def test_tests_on_an_event_loop_run_again_too(stalled: None) -> None:
    calls: list[int] = []

    @despite_stalls_async
    async def test() -> None:
        calls.append(1)
        assert len(calls) > 2

    await test()
    assert len(calls) == 3


async def test_and_fail_on_a_steady_machine(steady: None) -> None:
    @despite_stalls_async
    async def test() -> None:
        raise AssertionError

    with pytest.raises(AssertionError):
        await test()
