"""What a player does where there is no microphone: it says so, or publishes silence if asked to."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command import without_system_libraries
from tests.support.pulse import PulseServer, run_python

PROGRAM = """
import asyncio, json, logging, time
from avatarkit_rtc import AvatarPlayer
from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.testing import MockProvider

async def main():
    provider, events = MockProvider(), []
    async with AvatarPlayer(provider, play_audio=False, log_level="none") as player:
        for name in ("audio-unavailable", "microphone-back", "error"):
            player.on(name, lambda payload, name=name: events.append((name, str(payload))))
        await player.connect()
        try:
            await player.start_publishing(DEVICE)
        except AvatarKitError as error:
            events.append(("raised", error.code, str(error)))
        await player.start_publishing(DEVICE, or_silence=True)
        start = time.monotonic()
        for _ in range(10 * SECONDS):
            await asyncio.sleep(0.1)
            if any(event[0] == "microphone-back" for event in events):
                break
        sent = player.stats().audio.microphone_blocks_sent / (time.monotonic() - start)
        loud = any(block.samples.any() for block in provider.uplinks[0].blocks)
        await asyncio.wait_for(player.disconnect(), 10)
    print(json.dumps({"events": events, "sent": sent, "loud": loud}))

asyncio.run(main())
"""


def program(device: str, seconds: int) -> str:
    return PROGRAM.replace("DEVICE", device).replace("SECONDS", str(seconds))


def test_no_portaudio(tmp_path: Path) -> None:
    out = run_python(program("None", 1), without_system_libraries(tmp_path))
    found = json.loads(out.splitlines()[-1])
    assert found["events"][0][:2] == ["raised", "missing-dependency"]
    assert [event[0] for event in found["events"]] == ["raised", "audio-unavailable"]
    assert all("libportaudio2" in event[-1] for event in found["events"])
    assert 50 < found["sent"] <= 115  # a second
    assert not found["loud"]


def test_no_sound_card(no_sound_env: dict[str, str]) -> None:
    out = run_python(program("None", 1), no_sound_env)
    found = json.loads(out.splitlines()[-1])
    assert [event[0] for event in found["events"]] == ["raised", "audio-unavailable"]
    assert found["events"][0][1] == "audio-device"
    assert 50 < found["sent"] <= 115  # a second
    assert not found["loud"]


def test_a_wrong_name_ends_at_the_default_device_when_silence_was_asked_for(pulse: PulseServer) -> None:
    out = pulse.run(program('"trumpet"', 15), source="voice.monitor")
    found = json.loads(out.splitlines()[-1])
    assert [event[0] for event in found["events"]] == ["raised", "audio-unavailable", "microphone-back"]
    assert "there are: " in found["events"][0][-1]
