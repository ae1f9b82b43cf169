"""``avatarkit-rtc doctor`` and ``avatarkit-rtc devices``."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from avatarkit_rtc.cli import doctor
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
    assert finding(done, "server in use").endswith(f"  {livekit_server.url} answers")
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
    url = "ws://me:geheim@127.0.0.1:9/x?key=geheim"
    done = run_command("doctor", env=clean_environment(LIVEKIT_URL=url))
    assert done.code == 0
    line = finding(done, "server in use")
    assert line.startswith("no")
    assert "  ws://127.0.0.1:9 does not answer: " in line
    assert line.endswith("; check LIVEKIT_URL and that the server runs")
    assert "geheim" not in line


def test_doctor_says_what_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_URL", "foo")
    works, detail = doctor._server_in_use()
    assert works is False
    assert detail.startswith("'foo' is no server address; one looks like ")
    assert detail.endswith("check LIVEKIT_URL")


@pytest.mark.parametrize(
    ("answer", "works", "says"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", True, "answers"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", False, "does not answer: status 502;"),
        (b"SSH-2.0-no\r\n", False, "does not answer: "),
        (b"", False, "does not answer: "),
    ],
)
def test_doctor_asks_whatever_is_there(
    answer: bytes, works: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve() -> None:
        calling, _ = server.accept()
        with calling:
            assert calling.recv(4096).startswith(b"GET / HTTP")
            calling.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        monkeypatch.setenv("LIVEKIT_URL", f"ws://me:pw@{where}/rtc")
        found, detail = doctor._server_in_use()
        thread.join(10)
    assert found is works
    assert f"ws://{where} {says}" in detail


def test_devices_lists_them_or_says_that_there_are_none() -> None:
    done = run_command("devices")
    assert (done.code, done.err) == (0, "")
    assert "no sound devices" in done.out or "default output" in done.out


def test_devices_without_portaudio_says_what_to_install(tmp_path: Path) -> None:
    done = run_command("devices", env=without_system_libraries(tmp_path))
    assert (done.code, done.out, len(done.err_lines)) == (1, "", 1)
    assert "libportaudio2" in done.err
