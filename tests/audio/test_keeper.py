"""A device that is kept open: closed while it opens, and made way for while the sound system hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from avatarkit_rtc.audio import Speaker, list_devices
from avatarkit_rtc.audio import keeper as module
from avatarkit_rtc.audio import release as release_module
from avatarkit_rtc.audio import restart as restart_module
from avatarkit_rtc.audio.devices import DeviceSpec
from avatarkit_rtc.audio.keeper import DeviceKeeper
from avatarkit_rtc.audio.portaudio import PORTAUDIO_LOCK
from avatarkit_rtc.audio.restart import RESTART, Restart
from avatarkit_rtc.audio.streams import OpenedStream
from avatarkit_rtc.audio.watchdog import Beat
from avatarkit_rtc.errors import AudioDeviceError
from avatarkit_rtc.events import AudioDeviceChange
from tests.support.fake_sound import Card, FakeSound


def wait(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.005)


class NoDevice:
    """A user whose device cannot be opened, which takes until it is let."""

    def __init__(self) -> None:
        self.opening, self.go_on = threading.Event(), threading.Event()

    def open_device(self, spec: DeviceSpec) -> OpenedStream:
        self.opening.set()
        self.go_on.wait(30.0)
        raise AudioDeviceError("the device is busy")

    def beat(self) -> Beat:
        raise AssertionError("nothing is open")

    def device_lost(self) -> None:
        pass

    def quiet(self, now: float) -> bool:
        return True


class Starting:
    """A keeper that a thread starts, to be closed in the midst of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, restart: Restart) -> None:
        monkeypatch.setattr(module, "ABANDON_S", 0.05)
        monkeypatch.setattr(module, "RESTART", restart)
        self.restart, self.user = restart, NoDevice()
        self.keeper = DeviceKeeper("output", None, self.user)
        self.at_exit: list[object] = []
        atexit = SimpleNamespace(register=self.at_exit.append, unregister=self._unregister)
        monkeypatch.setattr(module, "atexit", atexit)
        self.thread = threading.Thread(target=self._start)
        self.thread.start()
        assert self.user.opening.wait(10.0)

    def _start(self) -> None:
        with pytest.raises(AudioDeviceError, match="busy"):
            self.keeper.start(keep_trying=True)

    def _unregister(self, handler: object) -> None:
        self.at_exit[:] = [each for each in self.at_exit if each != handler]

    def assert_nothing_is_left(self) -> None:
        self.thread.join(10.0)
        watching = self.keeper._thread
        if watching is not None:
            watching.join(10.0)
            assert not watching.is_alive()
        assert self.restart._speakers == []
        assert self.at_exit == []


def test_closed_while_a_device_opens_that_fails_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    starting = Starting(monkeypatch, Restart())
    starting.keeper.close()
    starting.user.go_on.set()
    starting.assert_nothing_is_left()
    assert starting.keeper._thread is None


def test_closed_just_before_it_enters_itself_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Restart):
        def join(self, quiet: Callable[[float], bool]) -> None:
            starting.keeper.close()
            super().join(quiet)

    starting = Starting(monkeypatch, Late())
    starting.user.go_on.set()
    starting.assert_nothing_is_left()


def test_after_a_restart_in_which_the_sound_system_hangs_it_is_asked_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Opening would be kept in PortAudio, and with it everybody who opens or lists a device."""
    monkeypatch.setattr(release_module, "ABANDON_S", 0.1)
    monkeypatch.setattr(restart_module, "GIVE_UP_S", 0.3)
    card, told = Card("USB"), []
    sound = FakeSound([card]).install(monkeypatch)
    speaker = Speaker("USB", on_event=lambda change, _: told.append(change))
    speaker.start()
    try:
        wait(lambda: sound.streams[0].played, "sound")
        card.answers.clear()
        assert RESTART.ask(time.monotonic())
        wait(lambda: sound.looks, "the question whether it answers")
        assert told[-1] is AudioDeviceChange.LOST
        free = PORTAUDIO_LOCK.acquire(timeout=10.0)
        assert free
        PORTAUDIO_LOCK.release()
        card.answers.set()
        wait(lambda: told[-1] is AudioDeviceChange.BACK, "the return")
    finally:
        card.answers.set()
        speaker.close()


def test_of_two_devices_alike_the_one_that_was_given_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cards, told = [Card("HDMI"), Card("USB"), Card("USB")], []
    sound = FakeSound(cards).install(monkeypatch)
    speaker = Speaker(list_devices()[2], on_event=lambda change, _: told.append(change))
    try:
        speaker.start()
        wait(lambda: sound.streams[0].played, "sound")
        sound.streams[0]._stop.set()
        wait(lambda: AudioDeviceChange.BACK in told, "the return")
    finally:
        speaker.close()
    assert len(sound.streams) > 1
    assert all(stream.card is cards[2] for stream in sound.streams)
