"""The microphone where simulated devices are busy or know one rate only."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from avatarkit_rtc.audio import LiveMicrophone, Microphone, open_source
from avatarkit_rtc.errors import AudioDeviceError
from tests.support.fake_sound import Card, FakeSound
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
