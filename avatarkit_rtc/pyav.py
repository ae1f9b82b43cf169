"""Loads PyAV, after OpenCV."""

from __future__ import annotations

import contextlib
import sys
from typing import Any


def load_av() -> Any:
    """The module ``av``.

    Under Linux PyAV and OpenCV bring some libraries of X each, of the same names. Whoever comes first serves
    both, and with PyAV's the windows of OpenCV hang; so OpenCV comes first.

    Raises:
        ImportError: PyAV is not installed.
    """
    if sys.platform == "linux" and "av" not in sys.modules:
        with contextlib.suppress(ImportError):
            import cv2  # noqa: F401
    import av

    return av
