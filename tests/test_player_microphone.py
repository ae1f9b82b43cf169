"""The microphone: published, stopped at any moment, lost, muted, metered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio import live_microphone as live_module
from avatarkit_rtc.audio import microphone as microphone_module
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.devices import AudioDevice
from avatarkit_rtc.audio.output import NullSpeaker
from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.errors import AudioDeviceError, NotConnectedError, PublishError
from avatarkit_rtc.player_sound import CUSTOM_TRACK, MICROPHONE_TRACK
from avatarkit_rtc.providers.base import ConnectionConfig
from tests.support.livekit import until
from tests.support.sounding import NotedSpeaker, Sounding

AS_IT_IS = {
    "echo_cancellation": False,
    "noise_suppression": False,
    "auto_gain_control": False,
    "high_pass_filter": False,
}


class FakeMicrophone:
    """10 ms of sound each 10 ms, until closed; raises when the device goes."""

    device = "fake"
    recorded = dropped = overflows = 0
    active = True
    stalled_s = 0.0
    opened = None
    spec: object = None

    def __init__(self) -> None:
        self.closed = self.gone = False

    def give_way(self) -> None:
        pass

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    def discard(self) -> None:
        pass

    async def __anext__(self) -> AudioBlock:
        await asyncio.sleep(0.01)
        if self.gone:
            raise AudioDeviceError("the microphone is gone; plug it in again")
        return AudioBlock(np.ones((480, 1), np.int16), 48000, 0.0)

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def microphones(monkeypatch: pytest.MonkeyPatch) -> list[FakeMicrophone]:
    opened: list[FakeMicrophone] = []

    async def open_microphone(device: object) -> FakeMicrophone:
        if device == "missing":
            raise AudioDeviceError("no such device; see avatarkit-rtc devices")
        await asyncio.sleep(0.01)
        opened.append(FakeMicrophone())
        opened[-1].spec = device
        return opened[-1]

    monkeypatch.setattr(microphone_module, "open_microphone", open_microphone)
    monkeypatch.setattr(live_module, "refresh_devices", lambda at_most_every_s: True)
    monkeypatch.setattr(live_module, "_DEFAULT_AFTER_S", 0.1)
    return opened


async def test_the_microphone_is_published_until_it_is_stopped(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    provider, sound = sounding.provider, sounding.sound
    await provider.connect(ConnectionConfig())
    starting = asyncio.create_task(sound.start_microphone(None))
    await asyncio.sleep(0)
    with pytest.raises(PublishError, match=r"stop_publishing\(\)"):
        await sound.start_microphone(None)
    await starting
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > 3, "sound")
    await sound.publish(PushSource(48000), sample_rate=None, channels=None)
    assert [uplink.name for uplink in provider.uplinks] == [MICROPHONE_TRACK, CUSTOM_TRACK]
    assert [uplink.live for uplink in provider.uplinks] == [True, False]
    await sound.stop_microphone()
    await sound.stop_microphone()
    assert microphones[0].closed
    assert [uplink.closed for uplink in provider.uplinks] == [True, False]
    await sound.start_microphone(None)
    await sound.aclose()
    assert microphones[1].closed
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.012, 0.018, 0.025])
async def test_a_start_that_is_stopped_at_any_moment_sends_nothing(
    microphones: list[FakeMicrophone], after_s: float
) -> None:
    """A matter of privacy: once ``stop_publishing()`` has returned, nothing is sent."""
    sounding = Sounding(**AS_IT_IS)
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    open_uplink = provider.open_uplink

    async def open_slowly(**form: Any) -> Any:
        uplink = await open_uplink(**form)
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            await uplink.aclose()
            raise
        return uplink

    provider.open_uplink = open_slowly  # type: ignore[method-assign]
    starting = asyncio.create_task(sound.start_microphone(None))
    await asyncio.sleep(after_s)
    await sound.stop_microphone()
    assert (sound.stats().microphone, sound.stats().microphone_blocks_sent) == (None, None)
    sent = [len(uplink.blocks) for uplink in provider.uplinks]
    (outcome,) = await asyncio.gather(starting, return_exceptions=True)
    assert isinstance(outcome, PublishError) or (outcome is None and after_s > 0), "it may have been sooner"
    await asyncio.sleep(0.05)
    assert [len(uplink.blocks) for uplink in provider.uplinks] == sent
    assert all(uplink.closed for uplink in provider.uplinks)
    await sound.start_microphone(None)
    await until(lambda: bool(provider.uplinks[-1].blocks), "sound of a later start")
    await sound.aclose()


async def test_a_start_waits_for_the_stop_before_it(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    await sound.start_microphone(None)
    stopping = asyncio.create_task(sound.stop_microphone())
    await asyncio.sleep(0)
    await sound.start_microphone(None)
    await stopping
    assert [microphone.closed for microphone in microphones] == [True, False]
    sent = len(provider.uplinks[1].blocks)
    await until(lambda: len(provider.uplinks[1].blocks) > sent + 3, "sound")
    await sound.aclose()


async def test_a_start_that_is_cancelled_leaves_nothing(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    await sounding.provider.connect(ConnectionConfig())
    for _ in range(2):
        starting = asyncio.create_task(sounding.sound.start_microphone(None))
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert sounding.sound.stats().microphone is None
    assert all(uplink.closed for uplink in sounding.provider.uplinks)
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")


async def test_a_microphone_that_cannot_be_published_is_released(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    with pytest.raises(AudioDeviceError, match="devices"):
        await sounding.sound.start_microphone("missing")
    with pytest.raises(NotConnectedError):
        await sounding.sound.start_microphone(None)
    assert microphones[0].closed
    await sounding.provider.connect(ConnectionConfig())
    await sounding.sound.start_microphone(None)
    await sounding.sound.aclose()


async def test_a_microphone_that_goes_is_reported_and_comes_back_under_the_same_track(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding()
    await sounding.provider.connect(ConnectionConfig())
    await sounding.sound.start_microphone("desk")
    microphones[0].gone = True
    await until(lambda: "microphone-back" in sounding.names(), "the microphone's return")
    assert sounding.names().count("microphone-lost") == 1
    assert "plug it in" in dict(sounding.events)["microphone-lost"].message
    assert "fake" in dict(sounding.events)["microphone-back"].message
    assert microphones[0].closed
    assert not microphones[1].closed
    stats = sounding.sound.stats().microphone
    assert stats is not None
    assert (stats.device, stats.losses) == ("fake", 1)
    assert len(sounding.provider.uplinks) == 1
    await sounding.sound.aclose()
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")


async def test_another_device_takes_over_under_the_same_track(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    await sound.start_microphone("desk")
    await sound.start_microphone("head")
    assert [microphone.closed for microphone in microphones] == [True, False]
    with pytest.raises(AudioDeviceError):
        await sound.start_microphone("missing")  # and the one before goes on
    with pytest.raises(PublishError, match=r"stop_publishing\(\)"):
        await sound.start_microphone("head")
    sent = sound.stats().microphone_blocks_sent or 0
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > sent + 3, "sound")
    assert [(uplink.name, uplink.closed) for uplink in provider.uplinks] == [(MICROPHONE_TRACK, False)]
    assert not {"microphone-lost", "audio-ended", "error"} & set(sounding.names())
    await sound.aclose()
    assert microphones[1].closed


async def test_the_same_device_listed_anew_is_not_opened_a_second_time(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding()
    sound = sounding.sound
    await sounding.provider.connect(ConnectionConfig())
    desk = AudioDevice(3, "desk", "ALSA", 1, 0, 48000.0, False, False)
    await sound.start_microphone(desk)
    for same in (replace(desk, is_default_input=True), "desk, ALSA"):
        with pytest.raises(PublishError, match=r"stop_publishing\(\)"):
            await sound.start_microphone(same)
    assert len(microphones) == 1
    for other in (replace(desk, index=4), 3, None):  # of two alike, the other one
        await sound.start_microphone(other)
    assert [microphone.closed for microphone in microphones] == [True, True, True, False]
    await sound.aclose()


async def test_silence_is_published_without_a_microphone_only_when_asked_for(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    with pytest.raises(AudioDeviceError):
        await sound.start_microphone("missing")
    assert sound.stats().microphone is None
    await sound.start_microphone("missing", or_silence=True)
    assert sounding.names()[0] == "audio-unavailable"
    # The fake's default device exists, so it is what is found in the end.
    await until(lambda: "microphone-back" in sounding.names(), "a microphone")
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > 3, "sound")
    await sound.aclose()


async def test_muting_survives_stop_start_and_reconnect(microphones: list[FakeMicrophone]) -> None:
    sounding = Sounding(**AS_IT_IS)
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    sound.microphone.muted = True
    await sound.start_microphone(None)
    await until(lambda: (sound.stats().microphone_blocks_sent or 0) > 3, "sound")
    await provider.disconnect()
    await provider.connect(ConnectionConfig())
    await sound.republish()
    await until(lambda: len(provider.uplinks[1].blocks) > 3, "sound through the new track")
    await sound.stop_microphone()
    await sound.start_microphone(None)
    await until(lambda: len(provider.uplinks[2].blocks) > 3, "sound of the next microphone")
    assert len(provider.uplinks) == 3
    assert not any(block.samples.any() for uplink in provider.uplinks for block in uplink.blocks)
    sound.microphone.muted = False
    await until(lambda: bool(provider.uplinks[2].blocks[-1].samples.any()), "sound")
    await sound.aclose()


async def test_levels_come_ten_times_a_second_and_only_to_listeners(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding(listened=False)
    await sounding.provider.connect(ConnectionConfig())
    await sounding.sound.start_microphone(None)
    sounding.sound.microphone.muted = True
    await until(lambda: (sounding.sound.stats().microphone_blocks_sent or 0) > 20, "sound")
    assert "microphone-level" not in sounding.names()
    sounding.listened = True
    before = sounding.sound.stats().microphone_blocks_sent or 0
    await until(lambda: (sounding.sound.stats().microphone_blocks_sent or 0) > before + 50, "sound")
    levels = [payload for name, payload in sounding.events if name == "microphone-level"]
    assert 2 <= len(levels) <= 6
    assert all(level.muted and -96.0 <= level.rms_dbfs <= level.peak_dbfs <= 0.0 for level in levels)
    await sounding.sound.aclose()


async def test_half_duplex_silences_the_microphone_while_the_avatar_is_heard(
    microphones: list[FakeMicrophone],
) -> None:
    sounding = Sounding(half_duplex=True, **AS_IT_IS)
    sound, provider = sounding.sound, sounding.provider
    await provider.connect(ConnectionConfig())
    await sound.start_microphone(None)
    uplink = provider.uplinks[0]
    await until(lambda: uplink.blocks and uplink.blocks[-1].samples.any(), "sound")

    class Loud(NotedSpeaker):
        pass

    class Real:
        """A speaker that is no NullSpeaker."""

        volume, muted = 1.0, False

        def stats(self) -> Any:
            return NullSpeaker().stats()

    loud = AudioBlock(np.full((480, 1), 5000, np.int16), 48000, 0.0)
    sound.microphone.played(loud, Loud())
    await asyncio.sleep(0.05)
    assert uplink.blocks[-1].samples.any(), "what plays nowhere is not heard"
    sound.microphone.played(loud, Real())  # type: ignore[arg-type]
    await until(lambda: not uplink.blocks[-1].samples.any(), "silence")
    await until(lambda: bool(uplink.blocks[-1].samples.any()), "sound after the hang-over")
    await sound.aclose()


async def test_an_input_device_is_a_source_and_is_released_with_its_track(
    microphones: list[FakeMicrophone],
) -> None:
    from avatarkit_rtc.audio.devices import AudioDevice

    device = AudioDevice(3, "line", "ALSA", 2, 0, 48000.0, False, False)
    sounding = Sounding()
    sound, provider = sounding.sound, sounding.provider
    with pytest.raises(NotConnectedError):
        await sound.publish(device, sample_rate=None, channels=None)
    assert microphones[0].closed
    await provider.connect(ConnectionConfig())
    await sound.publish(device, sample_rate=None, channels=None)
    assert microphones[1].spec == device
    await until(lambda: provider.uplinks[0].blocks, "sound")
    assert provider.uplinks[0].blocks[0].samples.all(), "it is not processed"
    await sound.unpublish()
    assert microphones[1].closed
    await sound.aclose()
    await until(lambda: len(asyncio.all_tasks()) == 1, "all tasks to end")
