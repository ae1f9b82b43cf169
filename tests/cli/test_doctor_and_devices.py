"""``avatarkit-rtc doctor`` and ``avatarkit-rtc devices``."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import Done, clean_environment, run_command, without_system_libraries
from tests.support.livekit import LiveKitServer


def finding(done: Done, what: str) -> str:
    """The line about ``what``."""
    lines = [line for line in done.out.splitlines() if line[4:].startswith(what)]
    assert len(lines) == 1, done.out
    return lines[0]


def test_doctor_tells_what_works(livekit_server: LiveKitServer) -> None:
    done = run_command("doctor", env=clean_environment(LIVEKIT_URL=livekit_server.url))
    assert (done.code, done.err) == (0, "")
    for what in ("Python", "livekit", "numpy", "opencv-python", "LiveKit library", "video files"):
        assert finding(done, what).startswith("ok")
    assert finding(done, "server in use").startswith("ok")
    window = finding(done, "window")
    assert window.startswith("no")
    assert "DISPLAY" in window


def test_doctor_says_what_to_install_where_system_libraries_are_missing(tmp_path: Path) -> None:
    done = run_command("doctor", env=without_system_libraries(tmp_path))
    assert done.code == 0, "bots and files work without them"
    drawing = finding(done, "drawing")
    assert drawing.startswith("ok")
    assert "Pillow" in drawing
    assert "libGL.so.1" in drawing
    assert "apt-get install libgl1 libglib2.0-0" in drawing
    sound = finding(done, "sound ")
    assert sound.startswith("no")
    assert "libportaudio2" in sound


def test_doctor_says_that_the_server_does_not_answer() -> None:
    done = run_command("doctor", env=clean_environment(LIVEKIT_URL="ws://127.0.0.1:9"))
    assert done.code == 0
    assert finding(done, "server in use").startswith("no")


def test_devices_lists_them_or_says_that_there_are_none() -> None:
    done = run_command("devices")
    assert (done.code, done.err) == (0, "")
    assert "no sound devices" in done.out or "default output" in done.out


def test_devices_without_portaudio_says_what_to_install(tmp_path: Path) -> None:
    done = run_command("devices", env=without_system_libraries(tmp_path))
    assert (done.code, done.out, len(done.err_lines)) == (1, "", 1)
    assert "libportaudio2" in done.err
