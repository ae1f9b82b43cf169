"""``avatarkit-rtc devices --test`` on a real sound server, off a terminal."""

from __future__ import annotations

import asyncio
import ctypes.util
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.level import Level
from avatarkit_rtc.audio.output import NullSpeaker, SpeakerStats
from avatarkit_rtc.cli import sound_test
from avatarkit_rtc.cli.sound_test import heard_line, level_line, played_line, tone
from avatarkit_rtc.errors import AudioDeviceError
from tests.support.command import Child, clean_environment, run_command, without_system_libraries
from tests.support.pulse import PulseServer, Recording, audible, peak_frequency
from tests.support.pulse import tone as sine
from tests.support.system import missing


@pytest.fixture
def pulse() -> Iterator[PulseServer]:
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")
    with PulseServer("speaker", "voice") as server:
        yield server


def environment(pulse: PulseServer) -> dict[str, str]:
    return {**clean_environment(), **pulse.env(sink="speaker", source="voice.monitor")}


def unbroken(heard: npt.NDArray[np.int16]) -> npt.NDArray[np.int16] | None:
    """The first 0.2 s of sound without a break that does not begin with a fade; None where there is none."""
    loud = audible(heard)
    if len(loud) < 24:
        return None
    begins = np.flatnonzero(sliding_window_view(loud, 24).all(axis=1))
    return heard[(begins[0] + 2) * 480 : (begins[0] + 22) * 480] if len(begins) else None


def hear_a_tone(recording: Recording, child: Child) -> npt.NDArray[np.int16]:
    """Wait until the tone was heard without a break: the machine may stand still in the middle of one."""
    deadline = time.monotonic() + 30.0
    while (tone_heard := unbroken(recording.samples)) is None:
        assert time.monotonic() < deadline, f"no tone of 0.2 s:\n{child.err}"
        time.sleep(0.05)
    return tone_heard


def test_a_tone_is_played_the_level_is_shown_and_ctrl_c_ends_it(pulse: PulseServer) -> None:
    command = [sys.executable, "-m", "avatarkit_rtc", "devices", "--test"]
    with pulse.playing("voice", sine(500, 60.0, level=0.5)), pulse.recording("speaker") as recording:
        with Child(command, env=environment(pulse)) as child:
            child.wait_for("listening to ")
            child.wait_for_count("dB, peak", 2)
            heard = hear_a_tone(recording, child)
            child.signal(signal.SIGINT)
            done = child.finish(20)
        assert done.code == 0
        assert "Traceback" not in done.err
        assert "a tone each second on " in done.err
        levels = [line for line in done.err_lines if "dB, peak" in line]
        # Not each: where the machine stands still the voice breaks off.
        assert any("peak   -6." in line for line in levels), levels
        assert "the tone was played for " in done.err
        assert "the microphone heard something: -6 dB" in done.err
        assert peak_frequency(heard) == pytest.approx(440, abs=6)


def test_a_tone_that_breaks_off_is_not_taken_for_one() -> None:
    whole = sine(440, 1.0, level=0.2)
    assert peak_frequency(unbroken(whole)) == pytest.approx(440, abs=6)
    broken = whole.copy()
    broken.reshape(-1, 480)[::20] = 0
    assert unbroken(broken) is None
    assert unbroken(whole[:9600]) is None


def test_a_wrong_name_is_said_and_the_rest_is_tried(pulse: PulseServer) -> None:
    done = run_command(
        *("devices", "--test", "--duration", "3", "--input", "trumpet"), env=environment(pulse)
    )
    assert done.code == 1
    assert "the tone was played for " in done.err
    assert "no microphone: no sound input device 'trumpet'" in done.err
    assert "a tone each second on " in done.err


@dataclass
class SlowOutput:
    """An output that asks for its first sound after a while, or never, and counts what it is given."""

    asks_after_s: float
    written_ms: float = 0.0
    begun: float = field(default_factory=time.monotonic)

    def stats(self) -> SpeakerStats:
        asked = time.monotonic() - self.begun >= self.asks_after_s
        return replace(NullSpeaker().stats(), callbacks=int(asked), played_ms=self.written_ms)

    def write(self, block: AudioBlock) -> None:
        if self.stats().callbacks:
            self.written_ms += 1000 * len(block.samples) / block.sample_rate

    async def aclose(self) -> None: ...


@pytest.mark.parametrize(("asks_after_s", "says"), [(0.3, "played for 0."), (1e9, "takes no sound")])
async def test_the_seconds_count_from_the_first_sound(
    asks_after_s: float, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def opened(*_: object, **__: object) -> tuple[SlowOutput, None]:
        return SlowOutput(asks_after_s), None

    async def none(_: object) -> None:
        raise AudioDeviceError("none here")

    monkeypatch.setattr(sound_test, "open_speaker", opened)
    monkeypatch.setattr(sound_test, "open_microphone", none)
    monkeypatch.setattr(sound_test, "_OPENING_S", 5.0 if asks_after_s < 5 else 0.1)
    await sound_test.try_sound(asyncio.Event(), None, None, 0.2)
    assert says in capsys.readouterr().err


def test_devices_has_a_test_long_enough_to_tell_something() -> None:
    assert run_command("devices", "--test", "--duration", "0.5").code == 2


def test_without_portaudio_it_says_what_to_install(tmp_path: Path) -> None:
    done = run_command("devices", "--test", env=without_system_libraries(tmp_path))
    assert done.code == 1
    assert "Traceback" not in done.err
    assert done.err.count("libportaudio2") == 2, "for the tone and for the microphone"


def test_the_tone_has_no_clicks_and_pauses() -> None:
    played = np.concatenate([tone(position)[:, 0] for position in range(0, 96000, 480)]).astype(int)
    assert np.abs(np.diff(played)).max() < 500
    assert not played[int(0.61 * 48000) : 48000].any()
    assert (played[:48000] == played[48000:]).all()


def test_what_is_said_at_the_end() -> None:
    assert "nothing at all" in heard_line(-96.0)
    assert "-20 dB" in heard_line(-20.2)
    assert "takes no sound" in played_line(NullSpeaker().stats())


def test_the_list_says_where_the_sound_server_plays_to(pulse: PulseServer) -> None:
    done = run_command("devices", env=environment(pulse))
    assert "the sound server plays to speaker (" in done.out
    assert "the sound server records voice.monitor (" in done.out


def test_the_bar_and_its_remarks() -> None:
    assert level_line(Level(-30.0, -20.0), -20.0) == f"[{'#' * 20}{' ' * 20}]  -30.0 dB, peak  -20.0 dB"
    assert "too loud" in level_line(Level(-3.0, 0.0), 0.0)
    assert "silence" in level_line(Level(-96.0, -96.0), -96.0)
