"""The microphone that outlives its device, on devices that a test takes away."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import numpy as np
import pytest

from avatarkit_rtc.audio import live_microphone as live_module
from avatarkit_rtc.audio import microphone as microphone_module
from avatarkit_rtc.audio import release as release_module
from avatarkit_rtc.audio import restart as restart_module
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec
from avatarkit_rtc.audio.live_microphone import LiveMicrophone
from avatarkit_rtc.audio.lookout import Answer, Found, ServerMoved
from avatarkit_rtc.audio.release import release_stream, unfinished
from avatarkit_rtc.audio.restart import Restart
from avatarkit_rtc.errors import AudioDeviceError, MissingDependencyError
from tests.support.livekit import until


class Device:
    """One opening of a device; its blocks carry its number."""

    active = True
    recorded, dropped, overflows = 10, 2, 1

    def __init__(self, name: str, number: int, *, mute: bool = False) -> None:
        self.device, self.number = name, number
        self.opened: AudioDevice | None = AudioDevice(number, name, "Fake", 1, 0, 48000.0, False, False)
        self.closed = False
        self.stalled_s = 0.0
        self.mute = mute
        self.reason: str | None = None
        self._gone = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        try:
            async with asyncio.timeout(None if self.mute else 0.005):
                await self._gone.wait()
        except TimeoutError:
            return AudioBlock(np.full((480, 1), self.number, np.int16), 48000, 0.0)
        if self.closed:
            raise StopAsyncIteration
        raise AudioDeviceError(f"{self.device} {self.reason}")

    def discard(self) -> None:
        pass

    def give_way(self) -> None:
        pass

    def fail(self, reason: str) -> None:
        self.reason = reason
        self._gone.set()

    async def aclose(self) -> None:
        self.closed = True
        self.opened = None
        self._gone.set()


class Devices:
    """What is plugged in."""

    def __init__(self) -> None:
        self.there: dict[DeviceSpec, str] = {
            "desk": "desk",
            "head": "head",
            3: "desk",
            None: "built-in",
        }
        self.opened: list[Device] = []
        self.asked: list[DeviceSpec] = []
        self.mute_next = 0
        self.no_library = False

    async def open(self, spec: DeviceSpec) -> Device:
        self.asked.append(spec)
        await asyncio.sleep(0.002)
        if self.no_library:
            raise MissingDependencyError("no PortAudio")
        name = spec.name if isinstance(spec, AudioDevice) else spec
        if name not in self.there:
            raise AudioDeviceError(f"no device {spec!r}")
        self.mute_next -= 1
        self.opened.append(Device(self.there[name], len(self.opened) + 1, mute=self.mute_next >= 0))
        return self.opened[-1]


class Looks:
    """In place of the lookout: finds what a test has put in."""

    def __init__(self, kind: str) -> None:
        assert kind == "input"
        self.rested = 0

    news: ClassVar[list[Found | ServerMoved]] = []
    asked: ClassVar[list[tuple[str | None, DeviceSpec]]] = []

    def look(
        self, now: float, playing: AudioDevice | None, wanted: DeviceSpec, or_else: str | None
    ) -> Found | ServerMoved | None:
        name = wanted.name if isinstance(wanted, AudioDevice) else wanted
        self.asked.append((playing.name if playing else None, name))
        return self.news.pop() if self.news else None

    def rest(self, now: float, seconds: float) -> None:
        self.rested += 1

    def close(self) -> None:
        pass


def found(name: str) -> Found:
    return Found(AudioDevice(9, name, "Fake", 1, 0, 48000.0, False, False))


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Devices:
    devices = Devices()
    monkeypatch.setattr(microphone_module, "open_microphone", devices.open)
    monkeypatch.setattr(live_module, "refresh_devices", lambda at_most_every_s: True)
    monkeypatch.setattr(live_module, "Lookout", Looks)
    monkeypatch.setattr(live_module, "RESTART", Restart())
    monkeypatch.setattr(Looks, "news", [])
    monkeypatch.setattr(Looks, "asked", [])
    monkeypatch.setattr(restart_module, "foreign_stream_open", lambda: False)
    monkeypatch.setattr(restart_module, "refresh_devices", lambda: True)
    monkeypatch.setattr(live_module, "_FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(live_module, "_DEFAULT_AFTER_S", 0.2)
    monkeypatch.setattr(live_module, "_LONGEST_DELAY_S", 0.05)
    monkeypatch.setattr(live_module, "_FIRST_SOUND_S", 0.1)
    monkeypatch.setattr(live_module, "_WATCH_S", 0.02)
    return devices


class Reader:
    """Reads a microphone, and notes what it says."""

    def __init__(self, device: DeviceSpec = None) -> None:
        self.events: list[str] = []
        self.newest = -1
        self.blocks = 0
        self.microphone = LiveMicrophone(
            device,
            on_lost=lambda reason: self.events.append(f"lost: {reason}"),
            on_back=lambda name: self.events.append(f"back: {name}"),
        )
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        await asyncio.sleep(0.01)
        async for block in self.microphone:
            self.newest = int(block.samples[0, 0])
            self.blocks += 1

    async def hears(self, number: int) -> None:
        await until(lambda: self.newest == number, f"sound of opening {number}", 5)

    async def end(self) -> None:
        await self.microphone.aclose()
        await self.microphone.aclose()
        await asyncio.wait_for(self.task, 5)
        await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end", 5)


async def test_a_lost_device_is_opened_again_by_name(devices: Devices) -> None:
    reader = Reader(3)
    await reader.microphone.start()
    await reader.hears(1)
    desk = devices.opened[0].opened
    devices.opened[0].fail("is gone")
    await reader.hears(2)
    assert devices.asked == [3, desk], "an index may be another device by now, and so may a bare name"
    assert devices.opened[0].closed
    assert reader.events == ["lost: desk is gone", "back: desk"]
    assert (reader.microphone.device, reader.microphone.losses) == ("desk", 1)
    assert reader.microphone.counters() == (20, 4, 2), "of both"
    await reader.end()
    assert devices.opened[1].closed


async def test_silence_while_there_is_none_then_the_default(devices: Devices) -> None:
    reader = Reader("desk")
    await reader.microphone.start()
    await reader.hears(1)
    default = devices.there.pop(None)
    del devices.there["desk"]
    devices.opened[0].fail("is gone")
    await reader.hears(0)
    assert not reader.microphone.active
    assert reader.microphone.device is None
    blocks = reader.blocks
    await until(lambda: reader.blocks > blocks + 5, "more silence", 5)
    devices.there[None] = default
    await reader.hears(2)
    assert reader.events == ["lost: desk is gone", "back: built-in"]
    await reader.end()


async def test_a_device_that_brings_nothing_is_taken_for_gone(devices: Devices) -> None:
    reader = Reader()
    await reader.microphone.start()
    await reader.hears(1)
    devices.mute_next = 1  # and the next opening brings nothing either
    devices.opened[0].stalled_s = 0.6
    await reader.hears(3)
    assert len(reader.events) == 2
    assert "no sound for 0.5 s" in reader.events[0]
    assert devices.opened[1].closed
    await reader.end()


async def test_another_device_at_any_moment(devices: Devices) -> None:
    reader = Reader("desk")
    with pytest.raises(AudioDeviceError, match="start"):
        await reader.microphone.swap("head")
    await reader.microphone.start()
    await reader.hears(1)
    await reader.microphone.swap("head")
    await reader.hears(2)
    with pytest.raises(AudioDeviceError):
        await reader.microphone.swap("trumpet")
    assert reader.microphone.spec == "head"
    del devices.there["head"], devices.there[None]
    devices.opened[1].fail("is gone")
    await reader.hears(0)
    await reader.microphone.swap("desk")  # ends the search for the lost one
    await reader.hears(3)
    devices.there["head"] = "head"
    await asyncio.sleep(0.1)
    assert reader.newest == 3
    assert [device.closed for device in devices.opened] == [True, True, False]
    await reader.end()
    with pytest.raises(AudioDeviceError):
        await reader.microphone.swap("desk")


async def test_no_device_at_the_start(devices: Devices) -> None:
    reader = Reader("trumpet")
    del devices.there[None]
    with pytest.raises(AudioDeviceError):
        await reader.microphone.start()
    assert "trumpet" in str(await reader.microphone.start(or_silence=True))
    await reader.hears(0)
    devices.there["trumpet"] = "trumpet"
    await reader.hears(1)
    await reader.end()


async def test_no_library_at_the_start_is_silence_without_a_search(devices: Devices) -> None:
    devices.no_library = True
    reader = Reader()
    assert "PortAudio" in str(await reader.microphone.start(or_silence=True))
    await reader.hears(0)
    await asyncio.sleep(0.1)
    assert devices.asked == [None]
    await reader.end()


async def test_the_default_records_in_its_place_until_it_is_back(devices: Devices) -> None:
    reader = Reader("desk")
    await reader.microphone.start()
    await reader.hears(1)
    del devices.there["desk"]
    devices.opened[0].fail("is gone")
    await reader.hears(2)
    assert reader.microphone.device == "built-in"
    await until(lambda: ("built-in", "desk") in Looks.asked, "looks", 5)
    devices.there["desk"] = "desk"
    Looks.news.append(found("desk"))
    await reader.hears(3)
    assert reader.microphone.device == "desk"
    assert devices.opened[1].closed
    assert [event.split(":")[0] for event in reader.events] == ["lost", "back", "back"]
    assert reader.events[2] == "back: desk"
    assert reader.microphone.losses == 1
    looks = len(Looks.asked)
    await asyncio.sleep(0.1)
    assert len(Looks.asked) == looks  # there is nothing left to look for
    await reader.end()


async def test_another_default_device_is_followed(devices: Devices) -> None:
    reader = Reader()
    await reader.microphone.start()
    await reader.hears(1)
    devices.there[None] = "head"
    Looks.news.append(found("head"))
    await reader.hears(2)
    assert reader.events == ["back: head"]
    Looks.news.append(ServerMoved("usb", "hdmi"))
    await until(lambda: len(reader.events) == 2, "the event", 5)
    assert reader.events[1] == "back: usb"
    assert len(devices.opened) == 2  # the sound server has moved the stream itself
    await reader.end()


async def test_it_makes_way_for_a_restart_of_portaudio_and_goes_on_as_before(devices: Devices) -> None:
    reader = Reader("desk")
    await reader.microphone.start()
    await reader.hears(1)
    assert live_module.RESTART.ask(0.0)
    await reader.hears(2)
    assert devices.opened[0].closed
    assert reader.events == []
    assert reader.microphone.losses == 0
    await reader.end()
    assert not Looks.asked, "there is nothing to look for"


async def test_one_that_does_not_open_after_the_restart_is_lost(devices: Devices) -> None:
    reader = Reader("desk")
    await reader.microphone.start()
    await reader.hears(1)
    there, devices.there = devices.there, {}
    assert live_module.RESTART.ask(0.0)
    await until(lambda: reader.events, "the loss", 5)
    devices.there = there
    await reader.hears(2)
    assert [event.split(":")[0] for event in reader.events] == ["lost", "back"]
    await reader.end()


class Hanging:
    """A stream that does not let itself be closed."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def abort(self, ignore_errors: bool) -> None:
        self.go_on.wait()

    def close(self, ignore_errors: bool) -> None:
        pass


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setattr(release_module, "ABANDON_S", 0.0)
    stream = Hanging()
    yield stream
    stream.go_on.set()
    deadline = time.monotonic() + 10.0
    while unfinished():
        assert time.monotonic() < deadline, "timed out: the stream closed"
        time.sleep(0.005)


async def test_somebody_else_s_stream_that_has_hung_for_long_is_no_loss(
    devices: Devices, hanging: Hanging
) -> None:
    release_stream(hanging)
    reader = Reader("desk")
    await reader.microphone.start()
    await reader.hears(1)
    assert live_module.RESTART.ask(0.0)
    await reader.hears(2)
    assert reader.events == []
    assert reader.microphone.losses == 0
    await reader.end()


async def test_its_own_that_hangs_is_a_loss_until_the_sound_system_answers(
    devices: Devices, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = False
    monkeypatch.setattr(Answer, "is_there", lambda self, now: answers)
    reader = Reader("desk")
    await reader.microphone.start()
    await reader.hears(1)

    async def hangs() -> None:
        release_stream(hanging)

    monkeypatch.setattr(devices.opened[0], "aclose", hangs)
    assert live_module.RESTART.ask(0.0)
    await until(lambda: reader.events, "the loss", 5)
    assert devices.asked == ["desk"], "a call into PortAudio would be kept"
    answers = True
    await reader.hears(2)
    assert [event.split(":")[0] for event in reader.events] == ["lost", "back"]
    await reader.end()


async def test_closed_while_it_searches(devices: Devices) -> None:
    for pause in (0.0, 0.001, 0.003, 0.02):
        devices.mute_next = 0
        reader = Reader()
        await reader.microphone.start()
        await until(lambda reader=reader: reader.newest > 0, "sound", 5)
        devices.mute_next = 1
        devices.opened[-1].fail("is gone")
        await asyncio.sleep(pause)
        await reader.end()
        await until(lambda: all(device.closed for device in devices.opened), "all devices to be closed", 5)
