"""Whether a window can be opened here, found out without risking this process."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from typing import Final

_PROBE_TIMEOUT_S: Final = 20.0

_UNIX_SOCKET: Final = "/tmp/.X11-unix/X{}"

_PROBE: Final = """
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
import cv2
cv2.namedWindow("probe", cv2.WINDOW_NORMAL)
cv2.destroyAllWindows()
print("window", flush=True)
"""

# What decides where a window goes: a cached answer holds as long as these stay the same.
_VARIABLES: Final = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "QT_QPA_PLATFORM")

_lock = threading.Lock()
_answers: dict[tuple[str | None, ...], tuple[bool, str]] = {}


def display_available() -> tuple[bool, str]:
    """Whether a window can be opened, and if not, why and what to do.

    OpenCV ends the whole process where it finds no display, so on Linux and other systems with X a child
    process tries it (about half a second). The answer is kept for the values of ``DISPLAY``,
    ``WAYLAND_DISPLAY``, ``XAUTHORITY`` and ``QT_QPA_PLATFORM``. On macOS and Windows, and in a frozen
    program, which cannot start Python as a child, the answer is yes without a try.
    """
    key = tuple(os.environ.get(name) for name in _VARIABLES)
    with _lock:
        if key not in _answers:
            _answers[key] = _probe()
        return _answers[key]


def _probe() -> tuple[bool, str]:
    if sys.platform in ("darwin", "win32") or getattr(sys, "frozen", False) or not sys.executable:
        return True, ""
    if not os.environ.get("DISPLAY") and not os.environ.get("QT_QPA_PLATFORM"):
        missing = "DISPLAY is not set: run this in a graphical session, or under xvfb-run"
        if os.environ.get("WAYLAND_DISPLAY"):
            missing = (
                "there is a Wayland display only, OpenCV's windows need X: start XWayland and set DISPLAY"
            )
        return False, missing
    try:
        child = subprocess.run(
            [sys.executable, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"opening a window on display {_display()} took more than {_PROBE_TIMEOUT_S:g} s"
    except OSError as error:
        return False, f"the display could not be tried: {error}"
    if child.returncode == 0 and "window" in child.stdout:
        return True, ""
    return False, _reason(child.stderr)


def _display() -> str:
    return os.environ.get("DISPLAY") or os.environ.get("QT_QPA_PLATFORM") or "?"


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else "no message"
    if "ImportError" in stderr or "ModuleNotFoundError" in stderr:
        return (
            f"OpenCV could not be loaded ({last}): pip install opencv-python, and on Debian or Ubuntu "
            "apt-get install libgl1 libglib2.0-0"
        )
    if "not implemented" in stderr:
        return (
            "this OpenCV was built without windows: pip uninstall opencv-python-headless, "
            "then pip install opencv-python"
        )
    if "connect to display" in stderr or "xcb" in stderr:
        return f"nothing answers at DISPLAY={_display()}, or it refuses us: check DISPLAY and XAUTHORITY"
    return f"OpenCV could not open a window on {_display()}: {last}"


class DisplayWatch:
    """Notices that the X server is gone before Qt does, because Qt then ends the process.

    Holds an idle connection to the server; :meth:`alive` looks whether it still stands. Where there is no X
    server, or it cannot be reached this way, it always says yes.
    """

    def __init__(self) -> None:
        self._socket = (
            None if sys.platform in ("darwin", "win32") else _connect(os.environ.get("DISPLAY", ""))
        )
        self._watching = self._socket is not None

    def alive(self) -> bool:
        """False once the X server has gone away. Takes microseconds."""
        if not self._watching:
            return True
        if self._socket is None:
            return False
        try:
            if not select.select([self._socket], [], [], 0)[0]:
                return True
            gone = not self._socket.recv(4096)
        except (OSError, ValueError):
            gone = True
        if gone:
            # The server may also have thrown out our silent connection: only a refused one means that it
            # is gone.
            self.close()
            self._socket = _connect(os.environ.get("DISPLAY", ""))
        return self._socket is not None

    def close(self) -> None:
        """Close the connection; never raises."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _connect(display: str) -> socket.socket | None:
    host, colon, rest = display.rpartition(":")
    number = rest.split(".")[0]
    if not colon or not number.isdigit():
        return None
    try:
        if host in ("", "unix"):
            return _connect_unix(_UNIX_SOCKET.format(number))
        return socket.create_connection((host, 6000 + int(number)), timeout=1.0)
    except OSError:
        return None


def _connect_unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(1.0)
        try:
            connection.connect(path)
        except OSError:
            # Some servers listen in Linux' abstract name space only.
            connection.connect("\0" + path)
    except OSError:
        connection.close()
        raise
    return connection
