"""System libraries that are not there, and the one line that says how to get them."""

from __future__ import annotations

import sys

from avatarkit_rtc.errors import AvatarKitError


def opencv_problem() -> str | None:
    """Why OpenCV does not load; None when it does."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def sound_problem() -> str | None:
    """Why PortAudio does not load; None when it does. Takes as long as PortAudio needs to start."""
    from avatarkit_rtc.audio.portaudio import load_sounddevice

    try:
        load_sounddevice()
    except AvatarKitError as error:
        return str(error.__cause__ or error)
    return None


def what_to_install() -> str | None:
    """One line on what is missing for windows and for sound, and how to install it; None if nothing is."""
    lacking, debian, python = [], [], []
    if (problem := opencv_problem()) is not None:
        lacking.append(f"OpenCV, for windows ({problem})")
        debian += ["libgl1", "libglib2.0-0"]
        python.append("opencv-python")
    if (problem := sound_problem()) is not None:
        lacking.append(f"PortAudio, for sound ({problem})")
        debian.append("libportaudio2")
        python.append("sounddevice")
    if not lacking:
        return None
    remedy = f"pip install --force-reinstall {' '.join(python)}"
    if sys.platform == "linux":
        remedy = f"apt-get install {' '.join(debian)} (Debian, Ubuntu), or {remedy} if that is not enough"
    return f"not loading here: {'; '.join(lacking)}. To install: {remedy}"
