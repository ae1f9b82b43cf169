"""The speaker on a real sound server: what is written is heard, and what goes wrong stays bounded and
counted.

Each child process plays through the null sink ``speaker`` while its monitor is recorded.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.audio import AudioBlock, AudioOutput, NullSpeaker, Speaker
from avatarkit_rtc.errors import AudioDeviceError, ConfigurationError
from tests.audio.test_audio_devices import HIDE_PORTAUDIO
from tests.support.pulse import PulseServer, audible, peak_frequency, rms, run_python, tone
from tests.support.tries import despite_stalls

PLAY = """
import asyncio, dataclasses, json, time
import numpy as np
from avatarkit_rtc.audio import AudioBlock, NullSpeaker, open_speaker
from avatarkit_rtc.errors import AudioDeviceError
from tests.support.pulse import tone

async def play(speaker, samples, rate=48000):
    "Write samples in real time, in blocks of 10 ms."
    samples = samples.reshape(len(samples), -1)
    step, due = rate // 100, time.monotonic()
    for at in range(0, len(samples), step):
        speaker.write(AudioBlock(samples[at : at + step], rate, time.monotonic()))
        due += 0.01
        await asyncio.sleep(max(0.0, due - time.monotonic()))

def show(speaker):
    print(json.dumps(dataclasses.asdict(speaker.stats())), flush=True)

async def opened(**options):
    speaker, reason = await open_speaker("pulse", **options)
    assert reason is None, reason
    return speaker
"""


def run_main(pulse: PulseServer, body: str) -> list[dict[str, Any]]:
    """Run ``body`` inside ``async def main`` of a child; returns the stats it showed."""
    script = f"{PLAY}\nasync def main():\n" + "\n".join(f"    {line}" for line in body.strip().splitlines())
    out = pulse.run(f"{script}\n\nasyncio.run(main())\n", sink="speaker")
    return [json.loads(line) for line in out.splitlines()]


def heard_of(pulse: PulseServer, body: str) -> npt.NDArray[np.int16]:
    """What is recorded of the sink while ``body`` runs. Up to three times, as long as the stats that it shows
    say that the machine held something up: a ring that ran empty, or over."""
    for _ in range(3):
        with pulse.recording("speaker") as recording:
            stats, *_ = run_main(pulse, body)
        if not stats["underruns"] and not stats["overruns"]:
            break
    return recording.samples


@pytest.mark.alone
@despite_stalls
def test_what_is_written_is_heard(pulse: PulseServer) -> None:
    with pulse.recording("speaker") as recording:
        (stats,) = run_main(
            pulse,
            """
speaker = await opened()
await play(speaker, tone(440, 1.0))
await asyncio.sleep(0.3)
show(speaker)
await speaker.aclose()
assert not speaker.stats().active
""",
        )
    heard = recording.samples
    loud = audible(heard)
    assert loud.sum() == pytest.approx(100, abs=6)
    first = int(np.argmax(loud))
    middle = heard[(first + 20) * 480 : (first + 80) * 480]
    assert peak_frequency(middle) == pytest.approx(440, abs=2)
    assert rms(middle) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    assert stats["device"] == "pulse"
    assert stats["active"]
    assert not stats["playing"]
    assert stats["written_ms"] == pytest.approx(1000.0)
    assert stats["underruns"] == 0  # the end of the sound is none


@despite_stalls
def test_other_rates_and_channels_are_converted(pulse: PulseServer) -> None:
    with pulse.recording("speaker") as recording:
        run_main(
            pulse,
            """
speaker = await opened()
await play(speaker, np.stack([tone(440, 1.0, rate=16000)] * 2, axis=1), rate=16000)
await asyncio.sleep(0.3)
speaker.close()
""",
        )
    loud = audible(recording.samples)
    first = int(np.argmax(loud))
    assert peak_frequency(recording.samples[(first + 20) * 480 : (first + 70) * 480]) == pytest.approx(
        440, abs=2
    )


@pytest.mark.alone
@despite_stalls
def test_it_plays_stereo(pulse: PulseServer) -> None:
    heard = heard_of(
        pulse,
        """
speaker = await opened(channels=2)
await play(speaker, tone(440, 0.5))
await asyncio.sleep(0.3)
show(speaker)
speaker.close()
""",
    )
    assert audible(heard).sum() == pytest.approx(50, abs=6)


@pytest.mark.alone
@despite_stalls
def test_volume_and_mute_are_heard(pulse: PulseServer) -> None:
    heard = heard_of(
        pulse,
        """
speaker = await opened()
speaker.volume = 0.1
await play(speaker, tone(440, 0.6))
speaker.muted = True
await play(speaker, tone(440, 0.4))
speaker.muted, speaker.volume = False, 1.0
await play(speaker, tone(440, 0.4))
await asyncio.sleep(0.3)
show(speaker)
speaker.close()
""",
    )
    loud = audible(heard)
    first = int(np.argmax(loud))
    quiet = heard[(first + 10) * 480 : (first + 40) * 480]
    assert rms(quiet) == pytest.approx(0.05 / np.sqrt(2), rel=0.05)
    rest = loud[first:]
    changes = np.flatnonzero(np.diff(rest.astype(int)))
    assert len(changes) == 3, "one silence in the middle"
    assert changes[1] - changes[0] == pytest.approx(40, abs=6)
    assert rms(heard[(first + changes[1] + 10) * 480 : (first + changes[2] - 10) * 480]) > 0.3


@pytest.mark.alone
@despite_stalls
def test_flush_drops_what_is_queued_and_is_no_underrun(pulse: PulseServer) -> None:
    flushed, later = run_main(
        pulse,
        """
speaker = await opened(target_ms=100)
await play(speaker, tone(440, 0.5))
speaker.flush()
show(speaker)
await play(speaker, tone(440, 0.5))
show(speaker)
speaker.close()
""",
    )
    assert flushed["depth_ms"] == 0
    assert 20 <= flushed["flushed_ms"] <= 200
    assert later["playing"]
    assert later["underruns"] == 0


@pytest.mark.alone
@despite_stalls
def test_an_underrun_is_counted_and_playing_waits_for_the_target_again(pulse: PulseServer) -> None:
    before, starved, after = run_main(
        pulse,
        """
speaker = await opened()
await play(speaker, tone(440, 0.3))
show(speaker)
await asyncio.sleep(0.25)
show(speaker)
await play(speaker, tone(440, 0.3))
show(speaker)
speaker.close()
""",
    )
    assert before["playing"]
    assert before["underruns"] == 0
    assert not starved["playing"]
    assert after["playing"]
    assert after["underruns"] == 1
    assert after["depth_ms"] >= 20


@pytest.mark.alone
@despite_stalls
def test_a_stalled_card_leaves_no_lasting_delay(pulse: PulseServer) -> None:
    """The sink is suspended for a second: the ring stays within its bound, and ends near its target."""
    for _ in range(3):
        before, during, after = run_main(pulse, STALLED)
        if not before["underruns"] and not before["overruns"]:
            break  # else the machine held something up before the card did
    assert before["overruns"] == 0
    assert 60 <= during["depth_ms"] <= 200
    assert during["overruns"] > 0
    assert during["dropped_ms"] > 300
    assert during["active"]
    assert after["played_ms"] > during["played_ms"] + 500
    assert after["depth_ms"] <= 100
    lost = after["dropped_ms"] + after["trimmed_ms"] - after["stretched_ms"]
    assert after["written_ms"] + after["unheard_ms"] >= 3000
    assert after["played_ms"] + after["depth_ms"] + lost == pytest.approx(
        after["written_ms"],
        abs=10,  # at +-0.3 %
    )


STALLED = """
import subprocess
speaker = await opened()
await play(speaker, tone(440, 0.5))
show(speaker)
subprocess.run(["pactl", "suspend-sink", "speaker", "1"], check=True)
await play(speaker, tone(440, 1.0))
for _ in range(50):  # it is opened anew meanwhile, which takes its time
    if speaker.stats().depth_ms >= 60:
        break
    await play(speaker, tone(440, 0.1))
show(speaker)
subprocess.run(["pactl", "suspend-sink", "speaker", "0"], check=True)
await play(speaker, tone(440, 1.5))
show(speaker)
speaker.close()
"""


def test_a_device_that_goes_is_seen(portaudio: None) -> None:
    """The sound server is killed: no exception, the ring stays bounded, and closing works."""
    with PulseServer("only") as server:
        script = f"""{PLAY}
import os, signal
async def main():
    speaker = await opened()
    while not speaker.stats().playing:
        await play(speaker, tone(440, 0.1))
    show(speaker)
    os.kill({server.pid}, signal.SIGKILL)
    for _ in range(50):
        await play(speaker, tone(440, 0.1))
        if not speaker.stats().active:
            break
    show(speaker)
    await asyncio.wait_for(speaker.aclose(), 10)
    await speaker.aclose()

asyncio.run(main())
"""
        before, after = map(json.loads, server.run(script).splitlines())
    assert before["active"]
    assert not after["active"]
    assert not after["playing"]
    assert after["depth_ms"] <= 200


def test_a_wrong_name_gives_a_null_speaker_and_one_line_if_it_is_not_to_be_waited_for(
    pulse: PulseServer,
) -> None:
    out = pulse.run(
        """
import asyncio
from avatarkit_rtc.audio import open_speaker
speaker, reason = asyncio.run(open_speaker("trumpet", keep_trying=False))
print(type(speaker).__name__)
print(reason)
"""
    )
    kind, *reason = out.splitlines()
    assert kind == "NullSpeaker"
    assert len(reason) == 1
    assert "no sound output device 'trumpet'; there are: " in reason[0]
    assert "pulse (ALSA)" in reason[0]


def test_without_portaudio_a_null_speaker_and_what_to_install() -> None:
    out = run_python(
        HIDE_PORTAUDIO
        + """
import asyncio
from avatarkit_rtc.audio import open_speaker
speaker, reason = asyncio.run(open_speaker())
print(type(speaker).__name__)
print(reason)
"""
    )
    kind, *reason = out.splitlines()
    assert kind == "NullSpeaker"
    assert len(reason) == 1
    assert "PortAudio" in reason[0]
    assert "install" in reason[0]


def test_cancelled_while_it_opens_it_is_closed_again(pulse: PulseServer) -> None:
    out = pulse.run(
        """
import asyncio, threading, time
import avatarkit_rtc.audio.keeper as keeper
import avatarkit_rtc.audio.speaker as module
closed = threading.Event()
opening = threading.Event()
real_open, real_release = module.open_stream, keeper.release_stream
def slow_open(*args, **options):
    opening.set()
    time.sleep(0.3)
    return real_open(*args, **options)
def noted_release(stream, then):
    return real_release(stream, closed.set)
module.open_stream, keeper.release_stream = slow_open, noted_release
async def main():
    task = asyncio.create_task(module.open_speaker("pulse"))
    await asyncio.to_thread(opening.wait)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled", closed.is_set())
    print("closed", await asyncio.to_thread(closed.wait, 5))
asyncio.run(main())
"""
    )
    assert out.splitlines() == ["cancelled False", "closed True"]


def test_closing_twice_or_before_the_start_is_fine_and_starting_after_is_not() -> None:
    speaker = Speaker()
    speaker.close()
    speaker.close()
    with pytest.raises(AudioDeviceError, match="closed"):
        speaker.start()
    speaker.write(AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0))
    assert speaker.stats().written_ms == 0


def test_the_null_speaker_takes_everything() -> None:
    speaker: AudioOutput = NullSpeaker()
    assert isinstance(speaker, AudioOutput)
    assert isinstance(Speaker(), AudioOutput)
    speaker.start()
    speaker.write(AudioBlock(tone(440, 0.5)[:, np.newaxis], 48000, 0.0))
    speaker.flush()
    speaker.volume, speaker.muted = 0.5, True
    assert (speaker.volume, speaker.muted) == (0.5, True)
    assert speaker.stats().written_ms == 500.0
    assert not speaker.stats().active
    speaker.close()


@pytest.mark.parametrize("volume", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("make", [Speaker, NullSpeaker])
def test_volume_out_of_range_is_refused(make: type[Speaker] | type[NullSpeaker], volume: float) -> None:
    speaker = make()
    with pytest.raises(ConfigurationError, match="volume"):
        speaker.volume = volume
    assert speaker.volume == 1.0


@pytest.mark.parametrize(
    "options", [{"target_ms": 5}, {"target_ms": 100, "max_ms": 110}, {"channels": 6}, {"sample_rate": 100}]
)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Speaker(**options)
