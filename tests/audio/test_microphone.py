"""The microphone on a real sound server: the monitor of the null sink ``voice`` stands in for a room."""

from __future__ import annotations

import json

import numpy as np
import pytest

from avatarkit_rtc.audio import Microphone
from avatarkit_rtc.errors import AudioDeviceError, ConfigurationError
from tests.support.pulse import PulseServer, peak_frequency, rms, tone
from tests.support.tries import despite_stalls

RECORD = """
import asyncio, json, sys, time
import numpy as np
from avatarkit_rtc.audio import Microphone, open_microphone
from avatarkit_rtc.errors import AudioDeviceError

async def record(microphone, seconds):
    blocks = []
    async for block in microphone:
        blocks.append(block)
        if len(blocks) >= seconds * 100:
            return blocks
"""


def run_main(pulse: PulseServer, body: str) -> str:
    script = f"{RECORD}\nasync def main():\n" + "\n".join(f"    {line}" for line in body.strip().splitlines())
    return pulse.run(f"{script}\n\nasyncio.run(main())\n", source="voice.monitor")


@pytest.mark.alone
@despite_stalls
def test_what_is_said_is_recorded_in_10_ms_blocks(pulse: PulseServer) -> None:
    with pulse.playing("voice", tone(660, 20.0, level=0.4)):
        out = run_main(
            pulse,
            """
microphone = await open_microphone("pulse")
assert microphone.active and microphone.device == "pulse"
blocks = await record(microphone, 1.0)
now = time.monotonic()
await microphone.aclose()
assert not microphone.active
assert all(b.samples.shape == (480, 1) and b.samples.dtype == np.int16 for b in blocks)
assert all(b.sample_rate == 48000 for b in blocks)
times = np.array([b.t for b in blocks])
assert (np.diff(times) >= 0).all() and times[0] > now - 5 and times[-1] <= now, times.tolist()
print(json.dumps(np.concatenate([b.samples for b in blocks])[24000:, 0].tolist()))
assert microphone.dropped == 0
assert [b async for b in microphone] == []  # closed: the iteration is over
""",
        )
    heard = np.array(json.loads(out), np.int16)
    assert peak_frequency(heard) == pytest.approx(660, abs=3)
    # On a busy machine, who plays it may leave gaps.
    levels = [rms(part) for part in heard.reshape(-1, 480)]
    assert np.median(levels) == pytest.approx(0.4 / np.sqrt(2), rel=0.05)


@despite_stalls
def test_muted_it_goes_on_in_silence(pulse: PulseServer) -> None:
    with pulse.playing("voice", tone(660, 20.0)):
        run_main(
            pulse,
            """
microphone = await open_microphone("pulse", sample_rate=16000, channels=2)
blocks = await record(microphone, 0.4)
assert blocks[-1].samples.shape == (160, 2) and blocks[-1].samples.any()
microphone.muted = True
assert not any(b.samples.any() for b in await record(microphone, 0.3))
microphone.muted = False
assert any(b.samples.any() for b in await record(microphone, 0.3))
await microphone.aclose()
""",
        )


@despite_stalls
def test_a_late_reader_loses_the_oldest_and_it_is_counted(pulse: PulseServer) -> None:
    run_main(
        pulse,
        """
microphone = Microphone("pulse", max_ms=200)
await asyncio.to_thread(microphone.start)
await record(microphone, 0.1)
await asyncio.sleep(1.5)
late = await anext(microphone)
age = time.monotonic() - late.t
assert microphone.dropped >= 50, microphone.dropped
assert age < 0.6, age
microphone.discard()
t = time.monotonic()
assert (await anext(microphone)).t > t - 0.1
await microphone.aclose()
""",
    )


def test_closing_ends_a_reader_that_waits(pulse: PulseServer) -> None:
    run_main(
        pulse,
        """
microphone = await open_microphone("pulse")
async def read():
    return [b async for b in microphone]
task = asyncio.create_task(read())
await asyncio.sleep(0.3)
await microphone.aclose()
blocks = await asyncio.wait_for(task, 5)
assert blocks
await microphone.aclose()
""",
    )


def test_a_wrong_name_is_an_error_that_lists_what_there_is(pulse: PulseServer) -> None:
    out = run_main(
        pulse,
        """
try:
    await open_microphone("trumpet")
except AudioDeviceError as error:
    print(error)
""",
    )
    assert "no sound input device 'trumpet'; there are: " in out


async def test_reading_before_the_start_is_an_error() -> None:
    microphone = Microphone()
    with pytest.raises(AudioDeviceError, match="start"):
        await anext(microphone)
    microphone.close()
    with pytest.raises(AudioDeviceError, match="closed"):
        microphone.start()


@pytest.mark.parametrize("options", [{"channels": 0}, {"sample_rate": 1}, {"max_ms": 1}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Microphone(**options)
