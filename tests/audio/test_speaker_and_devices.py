"""The speaker where simulated devices are busy, know one rate only, go, come back and change places."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from avatarkit_rtc.audio import AudioBlock, Microphone, NullSpeaker, Speaker, list_devices, open_speaker
from avatarkit_rtc.audio import keeper as keeper_module
from avatarkit_rtc.audio import lookout as lookout_module
from avatarkit_rtc.audio import release as release_module
from avatarkit_rtc.audio.portaudio import PORTAUDIO_LOCK
from avatarkit_rtc.audio.streams import refresh_devices
from avatarkit_rtc.errors import AudioDeviceError
from avatarkit_rtc.events import AudioDeviceChange
from tests.support.fake_sound import Card, FakeSound, Stream
from tests.support.pulse import peak_frequency, tone
from tests.support.tries import despite_stalls

LOST, BACK, MOVED = AudioDeviceChange.LOST, AudioDeviceChange.BACK, AudioDeviceChange.MOVED


class Playing:
    """A speaker and what is said about its device."""

    def __init__(self, spec: str | None, *, keep_trying: bool) -> None:
        self.told: list[tuple[AudioDeviceChange, str]] = []
        self.speaker = Speaker(spec, on_event=lambda change, message: self.told.append((change, message)))
        with contextlib.suppress(AudioDeviceError):
            self.speaker.start(keep_trying=keep_trying)

    def changes(self) -> list[AudioDeviceChange]:
        return [change for change, _ in self.told]


@contextmanager
def playing(spec: str | None = None, *, keep_trying: bool = False) -> Iterator[Playing]:
    made = Playing(spec, keep_trying=keep_trying)
    try:
        yield made
    finally:
        made.speaker.close()


def wait(condition: Callable[[], object], what: str, timeout: float = 8.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.01)


def is_in_portaudio() -> bool:
    """Another thread is."""
    free = PORTAUDIO_LOCK.acquire(blocking=False)
    if free:
        PORTAUDIO_LOCK.release()
    return not free


def quiet(*_: object) -> None:
    """A callback that does nothing."""


async def until(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait, condition, what)


def write(speaker: Speaker, seconds: float, rate: int = 48000) -> None:
    """A tone in blocks of 20 ms, in real time."""
    sound, step, due = tone(441, seconds, rate=rate)[:, np.newaxis], rate // 50, time.monotonic()
    for at in range(0, len(sound), step):
        speaker.write(AudioBlock(sound[at : at + step], rate, due))
        due += 0.02
        time.sleep(max(0.0, due - time.monotonic()))


def write_until(speaker: Speaker, condition: Callable[[], object], what: str) -> None:
    """As :func:`write`, for as long as it takes: neither the writer nor the card is ever on time."""
    deadline = time.monotonic() + 8.0
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        write(speaker, 0.1)


def write_until_playing(speaker: Speaker) -> None:
    write_until(speaker, lambda: speaker.stats().playing, "playing")


async def test_a_busy_device_says_what_to_do_and_plays_once_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usb = Card("USB", busy=True)
    FakeSound([usb]).install(monkeypatch)
    told: list[tuple[AudioDeviceChange, str]] = []
    speaker, problem = await open_speaker(on_event=lambda *what: told.append(what))
    try:
        assert problem is not None
        assert "'USB' (Fake) cannot be opened" in problem
        assert "Device unavailable" in problem
        assert "close the program that uses it" in problem
        assert speaker.write(AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0)) is None
        assert speaker.stats().device is None
        assert speaker.stats().unheard_ms == pytest.approx(10)
        usb.busy = False
        await until(lambda: told, "the device")
        assert told == [(BACK, "the sound output device USB, Fake is there")]
        assert speaker.stats().active
    finally:
        await speaker.aclose()


async def test_a_device_that_comes_after_the_start_is_played_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = FakeSound([]).install(monkeypatch)
    told: list[tuple[AudioDeviceChange, str]] = []
    speaker, problem = await open_speaker("USB", on_event=lambda *what: told.append(what))
    try:
        assert problem is not None
        assert problem.startswith("no sound output device: connect a speaker")
        sound.cards = [Card("USB")]
        await until(lambda: told, "the device")
        assert told == [(BACK, "the sound output device USB, Fake is there")]
    finally:
        await speaker.aclose()


async def test_without_keep_trying_no_device_gives_a_null_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeSound([]).install(monkeypatch)
    speaker, problem = await open_speaker(keep_trying=False)
    assert isinstance(speaker, NullSpeaker)
    assert problem is not None
    assert problem.startswith("no sound output device: connect a speaker")


async def test_a_wrong_name_names_the_near_one_and_the_default_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_DEFAULT_AFTER_S", 0.3)
    FakeSound([Card("HDMI"), Card("Jabra Speak 510: USB Audio (hw:2,0)")]).install(monkeypatch)
    told: list[tuple[AudioDeviceChange, str]] = []
    speaker, problem = await open_speaker("jabbra", on_event=lambda *what: told.append(what))
    try:
        assert problem is not None
        assert "did you mean 'Jabra Speak 510: USB Audio (hw:2,0)'?" in problem
        await until(lambda: told, "the default device")
        assert told == [
            (MOVED, "the sound output device jabbra is not there; HDMI, Fake is used in its place")
        ]
    finally:
        await speaker.aclose()


@pytest.mark.alone
@pytest.mark.parametrize("rate", [48000, 16000])
@despite_stalls
def test_a_device_of_another_rate_gets_its_own(monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    sound = FakeSound([Card("CD only", rates=(44100,))]).install(monkeypatch)
    with playing() as played:
        write(played.speaker, 0.6, rate)
        stats = played.speaker.stats()
    assert stats.sample_rate == 44100
    assert stats.underruns == 0
    heard = np.concatenate(sound.streams[0].played)[:, 0]
    loud = np.flatnonzero(np.abs(heard.astype(int)) > 1000)
    assert peak_frequency(heard[loud[0] : loud[0] + 8820], 44100) == pytest.approx(441, abs=3)


def test_it_comes_back_by_name_although_its_number_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    usb = Card("USB")
    sound = FakeSound([Card("HDMI"), usb]).install(monkeypatch)
    with playing("USB") as played:
        write_until(played.speaker, lambda: played.speaker.stats().played_ms > 100, "sound")
        before = played.speaker.write_position
        usb.plugged = False
        wait(lambda: played.changes() == [LOST], "the loss")
        assert played.speaker.write(AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0)) is None
        assert played.speaker.write_position is None
        assert not played.speaker.stats().active
        assert played.speaker.stats().unheard_ms == pytest.approx(10)
        heard = played.speaker.stats().played_ms
        assert heard > 100
        sound.cards = [usb, Card("HDMI")]
        usb.plugged = True
        wait(lambda: played.changes() == [LOST, BACK], "the return")
        assert sound.open_streams()[0].card is usb
        after = played.speaker.write_position
        assert after is not None
        assert before is not None
        assert after >= before  # positions are never used twice
        assert played.speaker.stats().played_ms == heard
        write_until_playing(played.speaker)
        assert played.speaker.stats().reopened == 1
        assert played.speaker.stats().played_ms > heard
    assert sound.open_streams() == []


def test_a_device_of_a_list_is_found_although_its_number_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    usb = Card("USB", inputs=1)
    sound = FakeSound([Card("HDMI", inputs=1), usb]).install(monkeypatch)
    listed = next(device for device in list_devices() if device.name == "USB")
    sound.cards = [usb, Card("HDMI", inputs=1)]
    assert refresh_devices()
    with contextlib.closing(Speaker(listed)) as speaker, contextlib.closing(Microphone(listed)) as microphone:
        speaker.start()
        microphone.start()
        assert [stream.card for stream in sound.open_streams()] == [usb, usb]


def test_without_it_the_default_device_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_DEFAULT_AFTER_S", 0.5)
    usb = Card("USB")
    sound = FakeSound([Card("HDMI"), usb]).install(monkeypatch)
    monkeypatch.setattr(lookout_module, "WANTED_EVERY_S", 0.1)
    with playing("usb") as played:
        usb.plugged = False
        wait(lambda: played.changes() == [LOST, MOVED], "the move")
        assert sound.open_streams()[0].card.name == "HDMI"
        assert "USB, Fake did not come back; HDMI, Fake" in played.told[1][1]
        # And back again, because somebody has asked for it. Nobody speaks, so there is no need to wait.
        usb.plugged = True
        wait(lambda: played.changes() == [LOST, MOVED, BACK], "the return")
        assert played.told[2][1].endswith("USB, Fake is back and is used in place of HDMI, Fake")
        assert [stream.card for stream in sound.open_streams()] == [usb]
        looks = len(sound.looks)
        time.sleep(0.3)
        assert len(sound.looks) == looks  # there is nothing left to look for


@pytest.mark.alone
@despite_stalls
def test_the_return_waits_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_DEFAULT_AFTER_S", 0.2)
    monkeypatch.setattr(lookout_module, "WANTED_EVERY_S", 0.1)
    usb = Card("USB", plugged=False)
    sound = FakeSound([Card("HDMI"), usb]).install(monkeypatch)
    with playing("USB", keep_trying=True) as played:
        wait(lambda: played.changes() == [MOVED], "the default device")
        usb.plugged = True
        write(played.speaker, 1.0)
        assert [stream.card.name for stream in sound.open_streams()] == ["HDMI"]
        assert played.speaker.stats().underruns == 0
        wait(lambda: played.changes() == [MOVED, BACK], "the return")


def test_a_device_that_is_listed_and_does_not_work_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_DEFAULT_AFTER_S", 0.2)
    monkeypatch.setattr(lookout_module, "WANTED_EVERY_S", 0.1)
    usb = Card("USB", busy=True, works=False)
    sound = FakeSound([Card("HDMI"), usb]).install(monkeypatch)
    with playing("USB", keep_trying=True) as played:
        wait(lambda: played.changes() == [MOVED], "the default device")
        restarts = sound.restarts
        wait(lambda: len(sound.looks) > 6, "looks")
        assert sound.restarts == restarts
        assert [stream.card.name for stream in sound.open_streams()] == ["HDMI"]


def test_two_speakers_make_way_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio finds a device that came later only when it starts anew, which no stream may be open for."""
    hdmi, usb = Card("HDMI"), Card("USB", plugged=False)
    sound = FakeSound([hdmi, usb]).install(monkeypatch)
    with playing("HDMI") as first, playing("USB", keep_trying=True) as second:
        usb.plugged = True
        wait(lambda: second.changes() == [BACK], "the device")
        wait(lambda: len(sound.open_streams()) == 2, "both")
        assert {stream.card.name for stream in sound.open_streams()} == {"HDMI", "USB"}
        assert first.told == []
        write_until_playing(first.speaker)


def test_a_stream_of_the_callers_own_is_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_REST_S", 0.3)
    monkeypatch.setattr(lookout_module, "WANTED_EVERY_S", 0.1)
    hdmi, usb = Card("HDMI"), Card("USB", plugged=False)
    sound = FakeSound([hdmi, usb]).install(monkeypatch)
    own = Stream(
        device=0, samplerate=48000, channels=1, blocksize=480, callback=quiet, finished_callback=quiet
    )
    own.start()
    with playing("USB", keep_trying=True) as played:
        usb.plugged = True
        wait(lambda: len(sound.looks) > 3, "looks")
        assert not own.closed
        own.close()
        wait(lambda: played.changes()[-1:] == [BACK], "the device")


def test_the_default_device_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout_module, "DEFAULT_EVERY_S", 0.1)
    hdmi, usb = Card("HDMI"), Card("USB")
    sound = FakeSound([hdmi, usb]).install(monkeypatch)
    with playing() as played:
        wait(lambda: len(sound.looks) > 2, "looks")
        assert played.told == []
        sound.cards = [usb, hdmi]
        wait(lambda: played.told, "the change")
        assert played.changes() == [AudioDeviceChange.DEFAULT_CHANGED]
        assert "USB, Fake now, and was HDMI, Fake" in played.told[0][1]
        assert [stream.card for stream in sound.open_streams()] == [usb]


def test_the_sound_server_s_default_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout_module, "DEFAULT_EVERY_S", 0.1)
    monkeypatch.delenv("PULSE_SINK", raising=False)
    sound = FakeSound([Card("default")]).install(monkeypatch)
    sound.server_default = "hdmi"
    with playing() as played:
        wait(lambda: len(sound.looks) > 1, "looks")
        sound.server_default = "usb"
        wait(lambda: played.told, "the change")
        assert played.changes() == [AudioDeviceChange.DEFAULT_CHANGED]
        assert "default output is usb now, and was hdmi" in played.told[0][1]
        assert len(sound.streams) == 1  # the server has moved the sound itself


def test_a_new_default_device_is_used_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hdmi = Card("HDMI")
    FakeSound([hdmi, Card("USB")]).install(monkeypatch)
    with playing() as played:
        hdmi.plugged = False
        wait(lambda: len(played.told) == 2, "the change")
        assert played.changes() == [LOST, AudioDeviceChange.DEFAULT_CHANGED]
        assert played.speaker.stats().device == "USB"


def test_one_that_stays_away_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_SAY_AFTER_S", 0.3)
    card = Card("USB")
    sound = FakeSound([card]).install(monkeypatch)
    with playing() as played:
        card.plugged = False
        wait(lambda: AudioDeviceChange.UNAVAILABLE in played.changes(), "the notice")
        restarts = sound.restarts
        wait(lambda: sound.restarts > restarts + 1, "more attempts")
        assert played.changes() == [LOST, AudioDeviceChange.UNAVAILABLE]
        assert "no sound output device" in played.told[1][1]
        card.plugged = True
        wait(lambda: played.changes()[-1] is BACK, "the return")


def test_a_handler_may_close_the_speaker_and_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("USB")
    sound = FakeSound([card]).install(monkeypatch)
    told: list[str] = []

    def handler(change: AudioDeviceChange, message: str) -> None:
        told.append(message)
        if change is BACK:
            speaker.close()
        raise RuntimeError("handler")

    speaker = Speaker(on_event=handler)
    speaker.start()
    card.plugged = False
    wait(lambda: len(told) == 1, "the loss")
    card.plugged = True
    wait(lambda: len(told) == 2, "the return")
    wait(lambda: not sound.open_streams(), "the close")
    speaker.close()


def test_closing_while_the_device_is_away_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("USB")
    sound = FakeSound([card]).install(monkeypatch)
    with playing() as played:
        card.plugged = False
        wait(lambda: played.changes() == [LOST], "the loss")
    restarts = sound.restarts
    card.plugged = True
    time.sleep(0.7)
    assert sound.restarts == restarts
    assert sound.open_streams() == []


def test_many_speakers_without_a_device_look_for_it_together(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("USB", plugged=False)
    sound = FakeSound([card]).install(monkeypatch)
    with contextlib.ExitStack() as close:
        many = [close.enter_context(playing(keep_trying=True)) for _ in range(20)]
        restarts, since = sound.restarts, time.monotonic()
        time.sleep(1.5)
        done = sound.restarts - restarts
        # One every two seconds; a sleep may take longer.
        assert done <= 1 + (time.monotonic() - since) / 1.5
        card.plugged = True
        wait(lambda: all(each.changes() == [BACK] for each in many), "the device")


def test_no_open_stream_of_anybody_is_ended_by_looking_for_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeSound([Card("USB")]).install(monkeypatch)
    assert refresh_devices()
    with playing():
        assert not refresh_devices()
    assert refresh_devices()


def test_mute_outlives_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("USB")
    sound = FakeSound([card]).install(monkeypatch)
    with playing() as played:
        played.speaker.muted = True
        card.plugged = False
        wait(lambda: played.changes() == [LOST], "the loss")
        card.plugged = True
        wait(lambda: played.changes() == [LOST, BACK], "the return")
        write_until_playing(played.speaker)
    assert not any(block.any() for stream in sound.streams for block in stream.played)


@despite_stalls
def test_it_tells_when_a_sample_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeSound([Card("USB")]).install(monkeypatch)
    with playing() as played:
        speaker = played.speaker
        assert speaker.audible_at(0) is None
        write(speaker, 0.4)
        position = speaker.write_position
        assert position is not None
        written, now = speaker.write(AudioBlock(np.ones((960, 1), np.int16), 48000, 0.0)), time.monotonic()
        assert written is not None
        heard = speaker.audible_at(written)
        assert heard is not None
        assert written == pytest.approx(position + 20, abs=30)  # the resampler holds some samples back
        # The ring and the card's own 20 ms.
        assert 0.02 < heard - now < 0.25
        assert speaker.queue_s == pytest.approx(heard - now + 0.02, abs=0.03)
    assert speaker.audible_at(written) is None
    assert speaker.queue_s == 0.0


def test_nothing_is_known_of_a_null_speaker() -> None:
    speaker = NullSpeaker()
    assert speaker.write(AudioBlock(np.ones((960, 1), np.int16), 48000, 0.0)) is None
    assert speaker.audible_at(0) is None
    assert speaker.write_position is None
    assert speaker.queue_s == 0.0


def test_a_sound_system_that_hangs_keeps_nobody_and_plays_once_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release_module, "ABANDON_S", 0.3)
    card = Card("USB")
    sound = FakeSound([card, Card("HDMI")]).install(monkeypatch)
    with playing() as played:
        write(played.speaker, 0.3)
        card.answers.clear()
        try:
            wait(lambda: played.changes() == [LOST], "the loss")
            wait(lambda: len(sound.looks) > 0, "the question whether it answers")
            assert len(list_devices()) == 2  # others are not kept
            hung, before = sound.streams[0], len(sound.streams[0].played)
            assert not hung.closed
            with playing("HDMI") as other:
                assert other.speaker.stats().active
        finally:
            card.answers.set()
        wait(lambda: played.changes() == [LOST, BACK], "the return")
        write_until_playing(played.speaker)
        assert hung.closed
        assert [stream.card for stream in sound.open_streams()] == [card]
        # What it held when it hung is not heard beside the new stream's sound.
        assert not any(block.any() for block in hung.played[before + 1 :])


def test_a_speaker_on_a_sound_system_that_hangs_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_module, "ABANDON_S", 0.3)
    monkeypatch.setattr(keeper_module, "ABANDON_S", 0.3)
    card = Card("USB")
    sound = FakeSound([card]).install(monkeypatch)
    opened, opening = Speaker(), Speaker()
    opened.start()
    card.answers.clear()

    def start() -> None:
        with contextlib.suppress(AudioDeviceError):
            opening.start()

    starting = threading.Thread(target=start)
    try:
        starting.start()
        wait(is_in_portaudio, "the call that hangs")
        begin = time.monotonic()
        opened.close()
        opening.close()
        assert time.monotonic() - begin < 5.0
        assert not sound.streams[0].closed
    finally:
        card.answers.set()
        starting.join()
    wait(lambda: all(stream.closed for stream in sound.streams), "both streams closed")
    assert len(sound.streams) == 2
