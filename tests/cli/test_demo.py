"""``avatarkit-rtc demo``: with a window, without a display, without libraries, through a server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.testing.server import find_server
from tests.support.command import (
    Child,
    Done,
    assert_no_loose_ends,
    clean_environment,
    run_command,
    start_command,
    without_system_libraries,
)
from tests.support.display import start_display
from tests.support.livekit import external_server
from tests.support.system import missing, require

signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to end a child with")


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout_s} s"
        time.sleep(0.2)


def streams(path: Path) -> dict[str, dict[str, Any]]:
    """What a player finds in the file, by kind of stream; every packet of it is read."""
    require("ffprobe")
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return {stream["codec_type"]: stream for stream in json.loads(done.stdout)["streams"]}


def film_a_talk(path: Path, *arguments: str | Path, **options: Any) -> Done:
    """``demo`` for two seconds, of which ``path`` has to be a film: H.264 and AAC, about so long, at some 25
    pictures a second. A busy machine draws fewer; where it stood still for a second, once more."""
    for _ in range(3):
        path.unlink(missing_ok=True)
        done = run_command("demo", *arguments, "--duration", "2", **options)
        assert_no_loose_ends(done)
        found = streams(path)
        assert found["video"]["codec_name"] == "h264"
        assert found["audio"]["codec_name"] == "aac"
        heard_s = int(found["audio"]["nb_read_frames"]) * 1024 / int(found["audio"]["sample_rate"])
        if int(found["video"]["nb_read_frames"]) >= 0.4 * 25 * 2.0 and heard_s >= 0.7 * 2.0:
            return done
    pytest.fail(f"too short: {found}")


def test_without_a_display_it_says_so_and_writes_a_file(tmp_path: Path) -> None:
    done = film_a_talk(tmp_path / "avatarkit-demo.mp4", cwd=tmp_path)
    (line,) = [line for line in done.err_lines if "no window" in line]
    assert "DISPLAY is not set" in line
    assert "avatarkit-demo.mp4" in line


def test_a_display_that_is_dead_is_no_display(tmp_path: Path) -> None:
    env = clean_environment(DISPLAY=":4077")
    done = run_command("demo", "--duration", "0.5", "--out", tmp_path / "film.mp4", env=env)
    assert_no_loose_ends(done)
    assert "nothing answers at DISPLAY=:4077" in done.err
    assert (tmp_path / "film.mp4").stat().st_size > 1000


def test_where_system_libraries_are_missing_it_runs_and_says_what_to_install(tmp_path: Path) -> None:
    env = without_system_libraries(tmp_path)
    film = tmp_path / "film.mp4"
    done = film_a_talk(film, "--no-window", "--out", film, env=env)
    (line,) = [line for line in done.err_lines if "install" in line]
    assert "apt-get install libgl1 libglib2.0-0 libportaudio2" in line


def test_with_a_display_but_no_opencv_it_writes_a_file(tmp_path: Path) -> None:
    env = without_system_libraries(tmp_path, DISPLAY=":4077")
    done = run_command("demo", "--duration", "0.5", "--out", tmp_path / "film.mp4", env=env)
    assert_no_loose_ends(done)
    assert len([line for line in done.err_lines if "install" in line]) == 1
    assert (tmp_path / "film.mp4").stat().st_size > 1000


def test_a_window_with_a_moving_face_opens_and_q_ends_it(tmp_path: Path) -> None:
    title = "avatarkit-rtc demo"
    with start_display() as display:
        env = clean_environment(DISPLAY=display.name)
        with start_command("demo", "--mute", env=env, cwd=tmp_path) as child:
            child.wait_for("is here")
            wait_for(lambda: display.window(title), "window")
            seen: list[np.ndarray[Any, Any]] = []

            def another() -> bool:
                shot = display.screenshot()
                if shot.std() > 5 and not any(np.array_equal(shot, other) for other in seen):
                    seen.append(shot)
                return len(seen) == 3

            wait_for(another, "three different pictures")
            display.press(title, "q")
            assert_no_loose_ends(child.finish(20))
    assert not list(tmp_path.iterdir()), "with a window no file is written"


def test_a_kiosk_fills_the_screen_and_typing_quit_ends_it(tmp_path: Path) -> None:
    title = "avatarkit-rtc demo"
    with start_display() as display:
        env = clean_environment(DISPLAY=display.name)
        with start_command("demo", "--kiosk", "--size", "96x64", "--mute", env=env, cwd=tmp_path) as child:
            child.wait_for("typing quit ends it")
            child.wait_for("is here")
            wait_for(
                lambda: display.window(title) and display.place(title) == (0, 0, *display.size), "full screen"
            )
            for key in ("q", "Escape"):
                display.press(title, key)
            display.type(title, "quit", lambda: child.process.poll() is not None)
            assert_no_loose_ends(child.finish(20))


def test_through_a_server_of_its_own(tmp_path: Path) -> None:
    if external_server() is None and find_server() is None:
        missing("there is no LiveKit server program to start")
    done = film_a_talk(tmp_path / "avatarkit-demo.mp4", "--livekit", "--no-window", cwd=tmp_path)
    assert "a LiveKit server of our own" in done.err


def test_through_a_server_that_runs(server_env: dict[str, str], tmp_path: Path) -> None:
    url = ("--livekit", server_env["LIVEKIT_URL"])
    film = tmp_path / "avatarkit-demo.mp4"
    done = film_a_talk(film, *url, "--no-window", cwd=tmp_path, env=server_env)
    assert "of our own" not in done.err


@signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_file_is_whole(number: int, tmp_path: Path) -> None:
    with start_command("demo", "--no-window", cwd=tmp_path) as child:
        child.wait_for("is here")
        film = tmp_path / "avatarkit-demo.mp4"
        # It is written in pieces of half a second.
        wait_for(lambda: film.exists() and film.read_bytes().count(b"moof") >= 2, "film of a second")
        child.signal(number)
        done = child.finish(20)
    assert_no_loose_ends(done)
    assert "wrote avatarkit-demo.mp4" in done.err
    assert int(streams(film)["video"]["nb_read_frames"]) > 10


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_on_a_terminal_figures_are_live_and_elsewhere_they_are_lines(tmp_path: Path) -> None:
    import pty

    with start_command("demo", "--no-window", "--duration", "6.5", cwd=tmp_path) as plain:
        ours, theirs = pty.openpty()
        env = clean_environment(TERM="xterm-256color", COLUMNS="80")
        shown = b""
        command = [sys.executable, "-m", "avatarkit_rtc", "demo", "--no-window", "--duration", "4.5"]
        with Child([*command, "--out", "other.mp4"], env=env, cwd=tmp_path, stderr=theirs) as live:
            import os

            os.close(theirs)
            while True:
                try:
                    piece = os.read(ours, 4096)
                except OSError:  # what Linux says when the other end is closed
                    break
                if not piece:
                    break
                shown += piece
            os.close(ours)
            assert live.finish(20).code == 0
        text = shown.decode()
        # Painted anew in place several times a second, nothing cut off at the terminal's edge.
        assert text.count("\x1b[2K") > 5
        for figure in ("fps", "latency", "freezes", "loss", "connected"):
            assert figure in text
        done = plain.finish(30)
    assert "\x1b" not in done.err
    lines = [line for line in done.err_lines if " fps " in line]
    assert len(lines) == 1
    for figure in ("fps", "latency", "freezes", "loss", "connected"):
        assert figure in lines[0]
