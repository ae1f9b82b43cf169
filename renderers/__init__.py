"""Views: how a pose looks (a face) and where its images go (a window, a callback, a file).

Importing this package loads neither OpenCV, PyAV nor Pillow: each is loaded by what uses it.
"""

from renderers.face import Face, Image, make_face

__all__ = ["Face", "Image", "make_face"]
