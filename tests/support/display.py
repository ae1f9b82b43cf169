"""An X server of the tests' own, what is on its screen, and what a user does to a window there."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.system import missing, require

# Debian and Ubuntu: xvfb, xdotool (which brings libx11-6), ffmpeg.


@dataclass(frozen=True)
class Display:
    """A running X server."""

    name: str
    """Value for ``DISPLAY``."""
    process: subprocess.Popen[bytes]
    size: tuple[int, int]

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with this display and no other."""
        others = ("WAYLAND_DISPLAY", "XAUTHORITY", "QT_QPA_PLATFORM")
        return {k: v for k, v in os.environ.items() if k not in others} | {"DISPLAY": self.name}

    def screenshot(self, *, mouse: bool = False) -> npt.NDArray[np.uint8]:
        """The whole screen, shape (height, width, 3), blue-green-red; with ``mouse`` its cursor, too."""
        width, height = self.size
        command = ["ffmpeg", "-v", "error", "-f", "x11grab", "-draw_mouse", str(int(mouse)), "-video_size"]
        command += [f"{width}x{height}", "-i", self.name, "-frames:v", "1", "-f", "rawvideo"]
        command += ["-pix_fmt", "bgr24", "-"]
        raw = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3)

    def xdotool(self, *arguments: str) -> str:
        """Run xdotool here and return what it prints."""
        command = ["xdotool", *arguments]
        environment = self.environment
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=30
        )
        return done.stdout

    def window(self, title: str) -> str:
        """The number of the window with ``title``; empty if none is to be seen."""
        return next(iter(self.xdotool("search", "--onlyvisible", "--name", f"^{title}$").split()), "")

    def place(self, title: str) -> tuple[int, int, int, int]:
        """Where the window with ``title`` is: x, y, width, height."""
        lines = self.xdotool("getwindowgeometry", "--shell", self.window(title)).split()
        values = dict(line.split("=") for line in lines if "=" in line)
        x, y, width, height = (int(values[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))
        return x, y, width, height

    def resize(self, title: str, width: int, height: int) -> None:
        """Drag the window with ``title`` to that size."""
        self.xdotool("windowsize", "--sync", self.window(title), str(width), str(height))

    def press(self, title: str, key: str) -> None:
        """Press a key in the window with ``title``."""
        self.xdotool("windowfocus", "--sync", self.window(title), "key", key)

    def type(
        self, title: str, keys: Sequence[str], ended: Callable[[], bool], timeout_s: float = 20.0
    ) -> None:
        """Press ``keys`` in the window with ``title``, again and again until ``ended()``: of two keys that
        come while a busy program looks away, OpenCV hands out the later only."""
        deadline = time.monotonic() + timeout_s
        while not ended() and time.monotonic() < deadline:
            for key in keys:
                if not ended():
                    self.press(title, key)
                    time.sleep(0.05)
            again = time.monotonic() + 2.0
            while not ended() and time.monotonic() < again:
                time.sleep(0.01)

    def close_window(self, title: str) -> None:
        """Do what the close button of a title bar does; there is no window manager here."""
        _send_delete(self.name, int(self.window(title)))

    def save_screen(self, after_s: int) -> None:
        """Cover the screen when nobody has touched anything for so long, now and then again; 0: no longer."""
        x11, connection = _connect(self.name)
        x11.XForceScreenSaver(connection, 0)
        x11.XSetScreenSaver(connection, after_s, 0, 0, 1)
        x11.XSync(connection, 0)
        x11.XCloseDisplay(connection)

    def stop(self) -> None:
        """End the server; more than once is fine."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def start_display(size: tuple[int, int] = (900, 700)) -> Iterator[Display]:
    """Start an X server without a screen; skips (or fails) where its parts are missing."""
    require("Xvfb", "xdotool", "ffmpeg")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size[0]}x{size[1]}x24"]
    command += ["-nolisten", "tcp", "-noreset"]
    process = subprocess.Popen(
        command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    if not number:
        process.kill()
        process.wait()
        missing("Xvfb did not start")
    display = Display(f":{number}", process, size)
    try:
        yield display
    finally:
        display.stop()


class _ClientMessage(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 24),
    )


def _connect(display: str) -> tuple[Any, ctypes.c_void_p]:
    x11: Any = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    return x11, ctypes.c_void_p(x11.XOpenDisplay(display.encode()))


def _send_delete(display: str, window: int) -> None:
    x11, connection = _connect(display)
    x11.XInternAtom.restype = ctypes.c_ulong
    protocols = x11.XInternAtom(connection, b"WM_PROTOCOLS", 0)
    delete = x11.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
    message = _ClientMessage(type=33, send_event=1, window=window, message_type=protocols, format=32)
    message.data[0] = delete
    x11.XSendEvent(connection, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XSync(connection, 0)
    x11.XCloseDisplay(connection)
