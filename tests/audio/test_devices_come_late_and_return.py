"""A real sound server: devices that come after the program, or come back while another one plays.

``kiosk`` is a device by name, as a USB card is: an ALSA device that is one sink or source of the server.
"""

from __future__ import annotations

import ctypes.util
import sys
import time
from collections.abc import Iterator

import pytest

from tests.support.command import Child, clean_environment
from tests.support.pulse import PulseServer, audible, peak_frequency, rms, tone
from tests.support.system import missing
from tests.support.tries import despite_stalls

ALSA = """
pcm.kiosk {{ type pulse device "kiosk{suffix}" }}
ctl.kiosk {{ type pulse }}
"""

SPEAKER = """
import asyncio, sys, time
import numpy as np
from avatarkit_rtc.audio import AudioBlock, lookout, open_speaker

lookout.DEFAULT_EVERY_S = 2.0

async def main():
    print("started", flush=True)
    speaker, problem = await open_speaker(
        sys.argv[1] or None, on_event=lambda change, message: print(change.value, message, flush=True)
    )
    print("problem", problem, flush=True)
    at = 0
    due = time.monotonic()
    while True:
        t = (at + np.arange(480)) / 48000
        loud = t % 2.0 < 1.2  # a voice has pauses
        samples = np.rint(9000 * loud * np.sin(2 * np.pi * 440 * t)).astype(np.int16)[:, np.newaxis]
        speaker.write(AudioBlock(samples, 48000, time.monotonic()))
        at += 480
        due += 0.01
        await asyncio.sleep(max(0.0, due - time.monotonic()))

asyncio.run(main())
"""

MICROPHONE = """
import asyncio, sys
import numpy as np
from avatarkit_rtc.audio import LiveMicrophone

async def main():
    microphone = LiveMicrophone(
        sys.argv[1] or None,
        on_lost=lambda reason: print("lost", reason, flush=True),
        on_back=lambda name: print("back", name, flush=True),
    )
    print("problem", await microphone.start(or_silence=True), flush=True)
    loud_before = None
    async for block in microphone:
        loud = bool(np.abs(block.samples.astype(int)).max() > 500)
        if loud != loud_before:
            print("loud" if loud else "silent", microphone.device, flush=True)
            loud_before = loud

asyncio.run(main())
"""


@pytest.fixture
def pulse() -> Iterator[PulseServer]:
    """A daemon of this test's own, with another sink than the one that comes and goes."""
    if ctypes.util.find_library("portaudio") is None:
        missing("needs the PortAudio library (libportaudio2)")
    with PulseServer("other") as server:
        yield server


def list_kiosk(pulse: PulseServer, suffix: str = "") -> None:
    (pulse.directory / ".asoundrc").write_text(ALSA.format(suffix=suffix))


def program(pulse: PulseServer, script: str, device: str, suffix: str = "", *, listed: bool = True) -> Child:
    if listed:
        list_kiosk(pulse, suffix)
    return Child([sys.executable, "-c", script, device], env={**clean_environment(), **pulse.env()})


def restart_without_it(pulse: PulseServer) -> None:
    """The daemon crashes. (Unloading the sink would not do: the daemon moves what plays to another one.)"""
    pulse.kill()
    pulse.revive()
    pulse.pactl("set-default-source", "other.monitor")


def heard(pulse: PulseServer, sink: str, timeout: float = 10.0) -> None:
    """Wait until the tone is heard on ``sink``."""
    with pulse.recording(sink) as recording:
        deadline = time.monotonic() + timeout
        while rms(recording.samples[-4800:]) < 0.05:
            assert time.monotonic() < deadline, f"nothing is heard on {sink}"
            time.sleep(0.05)


def test_the_speaker_comes_after_the_program(pulse: PulseServer) -> None:
    """As when a kiosk boots before its sound server."""
    pulse.kill()
    with program(pulse, SPEAKER, "") as child:
        child.wait_for("problem no sound output device")
        pulse.revive()
        child.wait_for("back the")
        heard(pulse, "other")
        assert "is there" in child.out


def test_the_speaker_that_was_asked_for_comes_late_and_goes_and_returns(pulse: PulseServer) -> None:
    with program(pulse, SPEAKER, "kiosk") as child:
        child.wait_for("problem the sound output device 'kiosk' (ALSA) cannot be opened")
        child.wait_for("moved ")
        heard(pulse, "other")
        pulse.load_sink("kiosk")
        pulse.keep_busy("kiosk")
        child.wait_for("back the")
        heard(pulse, "kiosk")
        restart_without_it(pulse)
        child.wait_for("lost ")
        child.wait_for_count("moved ", 2)
        heard(pulse, "other")
        pulse.load_sink("kiosk")
        pulse.keep_busy("kiosk")
        child.wait_for_count("back the", 2)
        heard(pulse, "kiosk")


def test_the_speaker_follows_the_sound_server_s_default(pulse: PulseServer) -> None:
    pulse.load_sink("usb")
    pulse.keep_busy("usb")
    pulse.pactl("set-default-sink", "other")
    with program(pulse, SPEAKER, "") as child:
        child.wait_for("problem None")
        heard(pulse, "other")
        time.sleep(1.5)  # the first look, at what the default is
        pulse.pactl("set-default-sink", "usb")
        heard(pulse, "usb")
        child.wait_for("default-changed the sound server's default output is usb now")
        assert "lost" not in child.out


def test_the_microphone_that_was_asked_for_comes_late_and_goes_and_returns(pulse: PulseServer) -> None:
    pulse.pactl("set-default-source", "other.monitor")
    with program(pulse, MICROPHONE, "kiosk", ".monitor") as child:
        child.wait_for("problem the sound input device 'kiosk' (ALSA) cannot be opened")
        child.wait_for("back default")
        pulse.load_sink("kiosk")
        pulse.keep_busy("kiosk")
        with pulse.playing("kiosk", tone(400, 60.0)):
            child.wait_for("back kiosk")
            child.wait_for("loud kiosk")
        restart_without_it(pulse)
        child.wait_for("lost ")
        child.wait_for_count("back default", 2)
        pulse.load_sink("kiosk")
        pulse.keep_busy("kiosk")
        child.wait_for_count("back kiosk", 2)


@pytest.mark.parametrize("asked", [44100, pytest.param(48000, marks=pytest.mark.long)])
@despite_stalls
def test_a_sink_of_44100_hz_plays_at_the_right_pitch_and_time(pulse: PulseServer, asked: int) -> None:
    pulse.pactl("load-module", "module-null-sink", "sink_name=cd", "rate=44100")
    pulse.keep_busy("cd")
    with pulse.recording("cd") as recording:
        out = pulse.run(
            f"""
import asyncio, time
import numpy as np
from avatarkit_rtc.audio import AudioBlock, Speaker

async def main():
    speaker = Speaker(sample_rate={asked})
    await asyncio.to_thread(speaker.start)
    t = np.arange(4 * 48000) / 48000
    beep = (t > 3.0) & (t < 3.5)
    sound = np.rint(9000 * beep * np.sin(2 * np.pi * 441 * t)).astype(np.int16)[:, np.newaxis]
    due, heard = time.monotonic(), None
    for at in range(0, len(sound), 480):
        position = speaker.write(AudioBlock(sound[at : at + 480], 48000, due))
        if at == 3 * 48000:
            heard = speaker.audible_at(position)
        due += 0.01
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.sleep(0.5)
    print(heard, speaker.stats().sample_rate)
    await speaker.aclose()

asyncio.run(main())
""",
            sink="cd",
        )
        end, samples = time.monotonic(), recording.samples
    told, rate = out.split()
    assert int(rate) == asked
    loud = audible(samples, threshold=0.05).nonzero()[0]
    start = loud[0] * 480
    assert len(loud) == pytest.approx(50, abs=4)
    assert peak_frequency(samples[start + 2400 : start + 19200]) == pytest.approx(441, abs=3)
    # The recording's end is now, but for what it is late itself.
    assert float(told) == pytest.approx(end - (len(samples) - start) / 48000, abs=0.15)


BOTH = """
import asyncio, sys, time
import numpy as np
from avatarkit_rtc.audio import AudioBlock, LiveMicrophone, open_speaker

restarts = []
initialize = __import__("sounddevice")._initialize
__import__("sounddevice")._initialize = lambda: (restarts.append(time.monotonic()), initialize())

async def main():
    microphone = LiveMicrophone(
        "default",
        on_lost=lambda reason: print("lost", reason, flush=True),
        on_back=lambda name: print("microphone", name, flush=True),
    )
    await microphone.start()
    told = []
    speaker, problem = await open_speaker(
        "kiosk", on_event=lambda change, message: (told.append(change.value), print(change.value, flush=True))
    )
    print("problem", problem, flush=True)
    arrivals = []
    async for block in microphone:
        if np.abs(block.samples.astype(int)).max() > 500:
            arrivals.append(time.monotonic())
        speaker.write(AudioBlock(np.zeros((480, 1), np.int16), 48000, time.monotonic()))
        if "back" in told and restarts and arrivals[-1] > restarts[-1] + 1.0:
            break
    before = max(t for t in arrivals if t < restarts[-1])
    after = min(t for t in arrivals if t > restarts[-1])
    print("gap", round(after - before, 3), microphone.losses, len(restarts), flush=True)
    await speaker.aclose()
    await microphone.aclose()

asyncio.run(main())
"""


def test_the_microphone_makes_way_for_a_speaker_that_comes_late(pulse: PulseServer) -> None:
    pulse.pactl("set-default-source", "other.monitor")
    with pulse.playing("other", tone(400, 60.0)), program(pulse, BOTH, "", listed=False) as child:
        child.wait_for("problem no sound output device 'kiosk'; there are: ")
        pulse.load_sink("kiosk")
        pulse.keep_busy("kiosk")
        list_kiosk(pulse)
        child.wait_for("gap ")
        gap, losses, restarts = child.out.partition("gap ")[2].split()[:3]
        assert float(gap) < 5.0
        assert losses == "0"
        assert restarts == "1"
        assert "lost" not in child.out
        assert "microphone" not in child.out
