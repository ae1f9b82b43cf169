from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from renderers import display as module
from renderers.display import DisplayWatch, display_available
from tests.support.display import Display

OPEN_A_WINDOW = """
from avatarkit_rtc.errors import DisplayError
from renderers import OpenCVWindow, display_available
try:
    OpenCVWindow()
except DisplayError as error:
    print(display_available()[0], error)
"""


def run_without_display(**environment: str) -> subprocess.CompletedProcess[str]:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "QT_QPA_PLATFORM"):
        environment.setdefault(name, "")
    return subprocess.run(
        [sys.executable, "-c", OPEN_A_WINDOW],
        env={k: v for k, v in (os.environ | environment).items() if v},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


linux_only = pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="there is always a display on this system"
)


@linux_only
@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "DISPLAY is not set"),
        ({"DISPLAY": ":987"}, "nothing answers at DISPLAY=:987"),
        ({"DISPLAY": "nonsense"}, "nothing answers at DISPLAY=nonsense"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "start XWayland"),
        ({"DISPLAY": ":987", "WAYLAND_DISPLAY": "wayland-0"}, "nothing answers"),
    ],
    ids=["none", "dead", "nonsense", "wayland-alone", "dead-and-wayland"],
)
def test_without_a_display_a_window_is_an_error_and_not_the_end_of_the_process(
    environment: dict[str, str], says: str
) -> None:
    done = run_without_display(**environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("False no window can be opened: ")
    assert says in done.stdout


def test_a_display_that_is_there_is_found(display: Display) -> None:
    assert display_available() == (True, "")


@linux_only
def test_the_answer_is_kept_for_each_display(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    display_available()
    monkeypatch.setattr(module, "_probe", lambda: pytest.fail("probed again"))
    assert display_available() == (True, "")
    monkeypatch.setattr(module, "_probe", lambda: (False, "tried"))
    monkeypatch.setenv("DISPLAY", ":986")
    assert display_available() == (False, "tried")


@linux_only
def test_an_opencv_that_cannot_be_loaded_or_has_no_windows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    fake = tmp_path / "cv2.py"
    fake.write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.setenv("DISPLAY", ":981")
    available, reason = display_available()
    assert not available
    assert "libGL.so.1" in reason
    assert "libgl1 libglib2.0-0" in reason
    fake.write_text(
        "WINDOW_NORMAL = 0\ndef namedWindow(*a): raise RuntimeError('The function is not implemented')"
    )
    monkeypatch.setenv("DISPLAY", ":982")
    assert "opencv-python-headless" in display_available()[1]
    fake.write_text("raise SystemExit('something else')")
    monkeypatch.setenv("DISPLAY", ":983")
    assert "something else" in display_available()[1]


@linux_only
def test_the_watch_sees_the_server_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "X5"
    monkeypatch.setenv("DISPLAY", ":5")
    monkeypatch.setattr(module, "_UNIX_SOCKET", f"{tmp_path}/X{{}}")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    watch = DisplayWatch()
    assert watch.alive()
    connection, _ = server.accept()
    # Thrown out, but the server lives: the watch comes back.
    connection.close()
    time.sleep(0.05)
    assert watch.alive()
    connection, _ = server.accept()
    connection.close()
    server.close()
    path.unlink()
    time.sleep(0.05)
    assert not watch.alive()
    assert not watch.alive()
    watch.close()


@pytest.mark.parametrize("name", ["", "nonsense", ":x", ":979"])
def test_where_nothing_can_be_watched_all_is_well(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", name)
    assert DisplayWatch().alive()
