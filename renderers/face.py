"""How a pose looks: the face protocol, and the faces by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.face import ExpressionMap, FaceLayer
    from avatarkit_rtc.playout.pose import Pose

Image: TypeAlias = npt.NDArray[np.uint8]
"""A picture, shape (height, width, 3), uint8, channels blue, green, red."""

DEFAULT_SIZE: Final = (512, 512)
"""Width and height in pixels of a face made by name."""

FACE_NAMES: Final = ("head", "cartoon", "flame", "flame-mesh:FILE", "null")
"""What :func:`make_face` knows by name."""

DEFAULT_FACE: Final = "head"
"""The face of a view that was not told another."""

_MIN_SIDE, _MAX_SIDE = 16, 8192


@runtime_checkable
class Face(Protocol):
    """Draws poses. One face serves one view: it may remember what it drew before.

    A face that moves its mouth by the avatar's sound has a second method ``hear(block)`` that takes each
    :class:`~avatarkit_rtc.audio.block.AudioBlock` before it is heard, on whatever thread it comes, and only
    queues it. A view hands on the sound it gets to a face that has this method. If it has a method ``hush()``
    too, that is called when the user interrupts: what came and is not heard yet will not be.
    """

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures in pixels."""

    def render(self, pose: Pose) -> Image:
        """Draw ``pose``; poses come in the order they are shown, from one thread at a time.

        Returns:
            A new array of shape (height, width, 3), uint8, blue-green-red; the caller owns it.
        """


def hearing(face: Face | None) -> Callable[[AudioBlock], None] | None:
    """The method of ``face`` that takes the avatar's sound; None where it has none."""
    hear = getattr(face, "hear", None)
    return hear if callable(hear) else None


def hush(listener: object) -> None:
    """Tell ``listener``, a face or its driver, that the sound it was given is cut off where the face is now;
    nothing happens where it has no method ``hush()``."""
    call = getattr(listener, "hush", None)
    if callable(call):
        call()


def put_on(face: Face | None, layer: FaceLayer) -> bool:
    """Let ``face`` show ``layer``: expressions, gestures, gaze. Returns whether it can: its driver has to be
    in its attribute ``driver``, as with the heads and the cartoon."""
    driver = getattr(face, "driver", None)
    if driver is None:
        return False
    from avatarkit_rtc.face import LayeredDriver

    face.driver = LayeredDriver(driver, layer)  # type: ignore[union-attr]
    return True


def check_size(size: Any) -> tuple[int, int]:
    """``size`` as (width, height).

    Raises:
        ConfigurationError: it is not two whole numbers from 16 to 8192.
    """
    try:
        width, height = (int(side) for side in size)
    except (TypeError, ValueError):
        raise ConfigurationError(f"size must be (width, height) in pixels, not {size!r}") from None
    if not (_MIN_SIDE <= width <= _MAX_SIDE and _MIN_SIDE <= height <= _MAX_SIDE):
        raise ConfigurationError(f"size must be {_MIN_SIDE} to {_MAX_SIDE} pixels each way, not {size!r}")
    return width, height


def make_face(face: str | Face | None = DEFAULT_FACE, size: tuple[int, int] = DEFAULT_SIZE) -> Face | None:
    """The face called ``face``, with pictures of ``size`` (width, height) pixels.

    ``"head"`` is a 3D head, ``"head:ben"`` another look of it (:data:`renderers.head.LOOKS` has the names);
    where OpenCV cannot be loaded, the cartoon is drawn instead. ``"flame"`` and ``"flame:ben"`` are that head
    with its mouth moved by the stream's expression in place of the sound, by a fit that ``avatarkit-rtc face
    fit`` has made of FLAME's model file. ``"flame-mesh:FILE"`` draws the mesh of such a file as it is.
    ``"cartoon"`` is a 2D drawing. ``"null"`` (or None) draws nothing: the result is None, and a view then
    hands on poses without pictures. An object with ``size`` and ``render()`` is returned as it is, and keeps
    its size.

    Raises:
        ConfigurationError: no face or look has that name, the size cannot be right, or for ``flame`` no fit
        was
            made.
        MissingDependencyError: neither OpenCV nor Pillow can be loaded.
    """
    if face is None or face == "null":
        return None
    name, _, look = face.partition(":") if isinstance(face, str) else ("", "", "")
    if name == "head":
        return _head(look, check_size(size))
    if name == "flame":
        from renderers.flame.fit import load_fit

        return _head(look, check_size(size), load_fit())
    if name == "flame-mesh":
        from renderers.flame import FlameMeshFace, read_flame

        if not look:
            raise ConfigurationError("flame-mesh needs FLAME's model file: flame-mesh:FILE")
        return FlameMeshFace(read_flame(look), check_size(size))
    if face == "cartoon":
        from renderers.cartoon import CartoonFace

        return CartoonFace(check_size(size))
    if isinstance(face, str):
        raise ConfigurationError(f"there is no face {face!r}; the faces are {', '.join(FACE_NAMES)}")
    if isinstance(face, Face):
        return face
    raise ConfigurationError(
        f"a face is one of {', '.join(FACE_NAMES)}, or an object with size and render(), not {face!r}"
    )


def _head(look: str, size: tuple[int, int], expression: ExpressionMap | None = None) -> Face:
    from avatarkit_rtc.face import FaceDriver
    from renderers.head.looks import DEFAULT_LOOK, find_look

    chosen, driver = find_look(look or DEFAULT_LOOK), FaceDriver(expression=expression)
    try:
        from renderers.head.face import HeadFace

        return HeadFace(size, chosen, driver=driver)
    except MissingDependencyError:
        from renderers.cartoon import CartoonFace

        log = logging.getLogger("avatarkit_rtc")
        log.warning("the cartoon is drawn instead of the head, which needs OpenCV")
        return CartoonFace(size, driver=driver)
