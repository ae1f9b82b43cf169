"""When PortAudio may be started anew."""

from __future__ import annotations

import threading

import pytest

from avatarkit_rtc.audio import restart as module
from avatarkit_rtc.audio.restart import GIVE_UP_S, PATIENCE_S, REST_S, Restart
from avatarkit_rtc.errors import AudioDeviceError


class World:
    """Whose streams are open, and who speaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.foreign = self.speaks = self.open = self.broken = False
        monkeypatch.setattr(module, "foreign_stream_open", lambda: self.foreign)
        monkeypatch.setattr(module, "refresh_devices", self.refresh)
        self.restart = Restart()
        self.restart.join(self.quiet)

    def refresh(self) -> bool:
        if self.broken:
            raise AudioDeviceError("PortAudio cannot start")
        return not self.open

    def quiet(self, now: float) -> bool:
        return not self.speaks


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_nothing_is_due_until_somebody_asks(world: World) -> None:
    assert not world.restart.due(0.0)
    assert world.restart.ask(1.0)
    assert world.restart.ask(1.1)
    assert world.restart.due(1.2)


def test_a_pause_is_waited_for_and_not_for_ever(world: World) -> None:
    world.speaks = True
    world.restart.ask(0.0)
    assert not world.restart.due(PATIENCE_S - 0.1)
    assert world.restart.due(PATIENCE_S + 0.1)


def test_once_begun_it_goes_on_although_somebody_speaks(world: World) -> None:
    world.restart.ask(0.0)
    assert world.restart.due(0.1)
    world.speaks = True
    assert world.restart.due(0.2)


def test_it_ends_when_all_streams_are_closed(world: World) -> None:
    world.open = True
    world.restart.ask(0.0)
    assert world.restart.due(0.1)
    world.restart.attempt(0.1)
    assert world.restart.due(0.2)
    world.open = False
    world.restart.attempt(0.2)
    assert not world.restart.due(0.3)
    assert not world.restart.ask(0.2 + REST_S - 0.1)
    assert world.restart.ask(0.2 + REST_S)


def test_it_is_given_up_when_a_stream_stays_open(world: World) -> None:
    world.open = True
    world.restart.ask(0.0)
    assert world.restart.due(0.1)
    assert not world.restart.due(0.2 + GIVE_UP_S)


def test_a_portaudio_that_does_not_start_holds_nobody_up(world: World) -> None:
    world.broken = True
    world.restart.ask(0.0)
    assert world.restart.due(0.1)
    world.restart.attempt(0.1)
    assert not world.restart.due(0.2)


def test_streams_of_the_program_itself_forbid_it(world: World) -> None:
    world.foreign = True
    assert not world.restart.ask(0.0)
    assert not world.restart.due(0.1)


def test_a_speaker_that_is_gone_is_not_waited_for(world: World) -> None:
    world.speaks = True
    world.restart.leave(world.quiet)
    world.restart.leave(world.quiet)
    world.restart.ask(0.0)
    assert world.restart.due(0.1)


def test_who_looks_whether_it_is_due_does_not_wait_for_portaudio(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def foreign_stream_open() -> bool:
        asked.set()
        return not answer.wait(10.0)

    monkeypatch.setattr(module, "foreign_stream_open", foreign_stream_open)
    asking = threading.Thread(target=world.restart.ask, args=(0.0,))
    asking.start()
    looking = threading.Thread(target=world.restart.due, args=(0.0,))
    try:
        assert asked.wait(10.0)
        looking.start()
        looking.join(5.0)
        assert not looking.is_alive()
    finally:
        answer.set()
        asking.join()
        looking.join()
    assert world.restart.due(0.1)


def test_a_portaudio_that_does_not_answer_is_not_restarted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def foreign_stream_open() -> bool:
        raise AudioDeviceError("the sound system has not answered")

    monkeypatch.setattr(module, "foreign_stream_open", foreign_stream_open)
    assert not world.restart.ask(0.0)
    assert not world.restart.due(0.1)
