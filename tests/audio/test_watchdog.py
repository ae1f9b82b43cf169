"""The watchdog's decisions, at moments of its own."""

from __future__ import annotations

import pytest

from avatarkit_rtc.audio.watchdog import SILENT_S, START_S, TABLE, Action, Beat, Signal, State, Watchdog


class Watched:
    """A watchdog that is looked at each 0.1 s, and a device that calls back each 10 ms while it is ``on``."""

    def __init__(self) -> None:
        self.now = 100.0
        self.dog = Watchdog(self.now)
        self.open = self.on = True
        self.works = True
        self.last = 0.0
        self.log: list[tuple[float, Action]] = []

    def run(self, seconds: float) -> list[tuple[float, Action]]:
        """Go on for that long; returns what was to be done, and when in that time."""
        start = self.now
        log: list[tuple[float, Action]] = []
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            if self.open and self.on:
                self.last = self.now - 0.005
            action = self.dog.look(self.now, Beat(self.last, False) if self.open else None)
            if action is not Action.NONE:
                log.append((round(self.now - start, 1), action))
            if action is Action.RELEASE:
                self.open = False
            elif action is Action.OPEN:
                if self.works:
                    self.open, self.last = True, 0.0
                    self.dog.opened(self.now)
                else:
                    self.dog.refused(self.now)
        return log


def test_a_device_that_works_is_left_alone() -> None:
    watched = Watched()
    assert watched.run(60) == [(0.3, Action.WELCOME)]
    assert watched.dog.away_since is None


def test_one_that_falls_silent_is_released_after_half_a_second_and_opened_again() -> None:
    watched = Watched()
    watched.run(5)
    watched.on = False
    log = watched.run(1.0)
    assert log == [(pytest.approx(SILENT_S + 0.1, abs=0.11), Action.RELEASE), (log[0][0] + 0.1, Action.OPEN)]
    assert watched.dog.away_since is not None
    watched.on = True
    assert [action for _, action in watched.run(1.0)] == [Action.WELCOME]
    assert watched.dog.away_since is None


def test_one_that_has_ended_is_released_at_once() -> None:
    dog = Watchdog(0.0)
    assert dog.look(0.05, Beat(0.05, True)) is Action.RELEASE
    assert dog.look(0.05, None) is Action.OPEN


def test_it_is_tried_again_for_ever_and_less_often_with_time() -> None:
    watched = Watched()
    watched.run(1)
    watched.on = watched.works = False
    watched.run(10)
    for seconds, pause in ((40, 0.5), (20, None), (500, 1.5), (60, None), (1000, 5.0)):
        tries = [at for at, action in watched.run(seconds) if action is Action.OPEN]
        if pause is not None:
            assert len(tries) == pytest.approx(seconds / pause, rel=0.25)


def test_one_that_could_not_be_opened_at_all_is_tried_again() -> None:
    watched = Watched()
    watched.dog = Watchdog.away(watched.now)
    watched.open = watched.on = watched.works = False
    assert [action for _, action in watched.run(1)].count(Action.OPEN) in (2, 3)
    watched.on = watched.works = True
    actions = [action for _, action in watched.run(2)]
    assert actions.count(Action.WELCOME) == 1
    assert watched.dog.away_since is None


def test_the_first_buffer_of_a_sound_server_is_no_sign_of_life() -> None:
    """Suspended sinks take some blocks when a stream opens, and no more."""
    dog = Watchdog(0.0)
    for step in range(1, 40):
        action = dog.look(step * 0.1, Beat(0.03, False))
        if action is not Action.NONE:
            break
    assert action is Action.RELEASE
    assert step * 0.1 == pytest.approx(START_S, abs=0.15)


def test_a_slow_start_is_waited_for() -> None:
    watched = Watched()
    watched.on = False
    assert watched.run(2.5) == []
    watched.on = True
    assert [action for _, action in watched.run(1)] == [Action.WELCOME]


def test_being_held_up_itself_is_not_the_devices_fault() -> None:
    watched = Watched()
    watched.run(5)
    last = watched.last
    watched.now += 30.0  # the computer slept; the device calls back a moment later
    assert watched.dog.look(watched.now, Beat(last, False)) is Action.NONE
    watched.now += 0.1
    assert watched.dog.look(watched.now, Beat(watched.now, False)) is Action.NONE
    watched.on = False
    assert Action.RELEASE in [action for _, action in watched.run(1.0)]


def test_every_state_knows_what_it_can_be_told() -> None:
    for state, signal in TABLE:
        assert isinstance(state, State)
        assert isinstance(signal, Signal)
    assert {signal for state, signal in TABLE if state is State.RUNNING} == {
        Signal.CALLED,
        Signal.SILENT,
        Signal.ENDED,
    }
    assert all(
        Action.RELEASE is action for (_, signal), (_, action) in TABLE.items() if signal is Signal.ENDED
    )
