"""The microphone where simulated devices are busy or know one rate only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from avatarkit_rtc.audio import LiveMicrophone, Microphone, list_devices, lookout, open_source
from avatarkit_rtc.audio import live_microphone as live_module
from avatarkit_rtc.audio import release as release_module
from avatarkit_rtc.audio import restart as restart_module
from avatarkit_rtc.audio.restart import RESTART
from avatarkit_rtc.errors import AudioDeviceError
from tests.support.fake_sound import Card, FakeSound
from tests.support.livekit import until
from tests.support.pulse import peak_frequency


async def test_a_device_of_another_rate_is_recorded_at_its_own_and_read_at_48_khz(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeSound([Card("CD only", rates=(44100,), channels=0, inputs=2)]).install(monkeypatch)
    microphone = LiveMicrophone()
    await microphone.start()
    try:
        assert (await anext(microphone)).sample_rate == 44100
        reader = open_source(microphone)
        blocks = [await anext(reader) for _ in range(40)]
        await reader.aclose()
    finally:
        await microphone.aclose()
    assert {(block.sample_rate, *block.samples.shape) for block in blocks} == {(48000, 480, 1)}
    heard = np.concatenate([block.samples[:, 0] for block in blocks[5:]])
    assert peak_frequency(heard) == pytest.approx(441, abs=4)
    assert FakeSound.now.open_streams() == []


async def test_a_busy_device_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeSound([Card("USB", inputs=1, busy=True)]).install(monkeypatch)
    with pytest.raises(AudioDeviceError, match=r"'USB' \(Fake\) cannot be opened: .*unavailable; close the"):
        await asyncio.to_thread(Microphone().start)


async def test_a_busy_device_records_once_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    usb = Card("USB", inputs=1, busy=True)
    FakeSound([usb]).install(monkeypatch)
    back: list[str] = []
    microphone = LiveMicrophone(on_back=back.append)
    problem = await microphone.start(or_silence=True)
    try:
        assert problem is not None
        assert "Device unavailable" in problem
        assert not (await anext(microphone)).samples.any()
        usb.busy = False
        async with asyncio.timeout(10):
            while not (await anext(microphone)).samples.any():
                pass
        assert back == ["USB"]
    finally:
        await microphone.aclose()
    assert FakeSound.now.open_streams() == []


@contextlib.asynccontextmanager
async def recording(microphone: LiveMicrophone) -> AsyncIterator[None]:
    """It is started and read meanwhile."""

    async def read() -> None:
        async for _ in microphone:
            pass

    await microphone.start()
    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        await microphone.aclose()
        await asyncio.wait_for(reading, 10)


async def test_of_two_alike_the_one_of_the_index_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "_REFRESH_EVERY_S", 60.0)  # it is gone for a moment only
    monkeypatch.setattr(live_module, "_DEFAULT_AFTER_S", 60.0)
    usb = Card("USB", inputs=1)
    sound = FakeSound([Card("built-in", inputs=1), Card("USB", inputs=1), usb]).install(monkeypatch)
    back: list[str] = []
    async with recording(LiveMicrophone(2, on_back=back.append)):
        await until(lambda: sound.streams[0].played, "sound", 10)
        usb.plugged = False
        await until(lambda: sound.streams[0].closed, "the loss", 10)
        usb.plugged = True
        await until(lambda: back, "the return", 10)
        assert sound.streams[-1].card is usb


@pytest.mark.parametrize("default_meanwhile", [False, True])
async def test_a_part_of_the_name_finds_the_card_under_another_number(
    monkeypatch: pytest.MonkeyPatch, default_meanwhile: bool
) -> None:
    monkeypatch.setattr(live_module, "_REFRESH_EVERY_S", 0.05)
    monkeypatch.setattr(live_module, "_DEFAULT_AFTER_S", 0.1 if default_meanwhile else 60.0)
    monkeypatch.setattr(lookout, "WANTED_EVERY_S", 0.1)
    usb = Card("USB Audio: - (hw:1,0)", inputs=1)
    sound = FakeSound([Card("built-in", inputs=1), usb]).install(monkeypatch)
    back: list[str] = []
    async with recording(microphone := LiveMicrophone("usb audio", on_back=back.append)):
        await until(lambda: sound.streams[0].played, "sound", 10)
        usb.plugged = False
        await until(lambda: sound.streams[0].closed, "the loss", 10)
        if default_meanwhile:
            await until(lambda: microphone.device == "built-in", "the default device", 10)
        usb.name, usb.plugged = "USB Audio: - (hw:2,0)", True
        await until(lambda: usb.name in back, "the return", 10)


@pytest.mark.parametrize("makes_way", [False, True])
async def test_a_sound_system_that_hangs_is_asked_before_the_device_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, makes_way: bool
) -> None:
    """Opening would be kept in PortAudio, and with it everybody who opens or lists a device."""
    monkeypatch.setattr(release_module, "ABANDON_S", 0.2)
    usb = Card("USB", inputs=1)
    sound = FakeSound([usb]).install(monkeypatch)
    lost: list[str] = []
    back: list[str] = []
    microphone = LiveMicrophone("USB", on_lost=lost.append, on_back=back.append)
    async with recording(microphone), contextlib.AsyncExitStack() as at_last:
        at_last.callback(usb.answers.set)
        await until(lambda: sound.streams[0].played, "sound", 10)
        usb.answers.clear()
        if makes_way:
            monkeypatch.setattr(restart_module, "GIVE_UP_S", 0.3)
            assert RESTART.ask(time.monotonic())
        await until(lambda: ("list",) in sound.looks, "the question whether it answers", 10)
        assert len(lost) > len(back)
        assert len(await asyncio.to_thread(list_devices)) == 1  # others are not kept
        usb.answers.set()
        await until(lambda: len(back) == len(lost), "the return", 10)
    assert sound.open_streams() == []
