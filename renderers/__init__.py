"""Views: how a pose looks (a face) and where its images go (a window, a callback, a file).

Importing this package loads neither OpenCV, PyAV nor Pillow: each is loaded by what uses it.
"""

from renderers.display import display_available
from renderers.face import Face, Image, make_face
from renderers.headless import HeadlessSink, Shot
from renderers.recorder import Recorder
from renderers.tee import Tee
from renderers.window import OpenCVWindow

__all__ = [
    "Face",
    "HeadlessSink",
    "Image",
    "OpenCVWindow",
    "Recorder",
    "Shot",
    "Tee",
    "display_available",
    "make_face",
]
