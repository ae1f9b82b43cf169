"""The default face: poses in, pictures of a head out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES
from renderers.face import DEFAULT_SIZE, Image, check_size
from renderers.head.asset import Floats
from renderers.head.bake import bake_texture
from renderers.head.figure import PARTS, Figure, build_figure
from renderers.head.light import BALL_RADIUS, ball_centers, light_balls
from renderers.head.looks import DEFAULT_LOOK, HeadLook, check_color, find_look
from renderers.head.paint import color
from renderers.head.painter import Glint, Painter, Surface
from renderers.head.rig import Rig
from renderers.head.texture import Layout, texture_scale

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.face import Driver
    from avatarkit_rtc.playout.pose import Pose

BACKGROUND: Final = "studio"
"""A light grey wall, a little darker towards the corners."""

_BREATHS: Final = 7
"""Steps between out and in for which the shoulders are drawn (once each): less than half a pixel each."""

_LAMP: Final = (-0.20, 0.17, 0.0)
_FLOOR: Final = (0.17, -0.22, 0.0)
"""Where eyes mirror lamp and floor, from the middle of the cornea, in radii of the eyeball."""

_SMALLEST: Final = 0.35
"""Square pixels below which a quad is not worth its call: its neighbours' rims cover it."""
_SMALLEST_EAR: Final = 1.6
"""The same, added for ears: hundreds of tiny quads with skin of the same colour behind them."""

_TEXELS_PER_PIXEL: Final = 2.0
"""How far the place in the texture usually goes from one pixel to the next."""


class HeadFace:
    """Draws a 3D head. One face serves one view, from one thread at a time."""

    def __init__(
        self,
        size: tuple[int, int] = DEFAULT_SIZE,
        look: str | HeadLook = DEFAULT_LOOK,
        *,
        background: str | Image = BACKGROUND,
        driver: Driver | None = None,
    ) -> None:
        """Takes about a second to build the head and to paint its skin; the next one of that look nothing.

        Args:
            size: Width and height of the pictures, pixels. The head fills the shorter side.
            look: One of :data:`~renderers.head.looks.LOOKS` by name, or a look of your own.
            background: ``"studio"``, a colour ``"#rrggbb"``, or a picture of that size, shape (height, width,
                3), blue-green-red.
            driver: What turns the player's poses into coefficients; None makes a new
                :class:`~avatarkit_rtc.face.FaceDriver`.

        Raises:
            ConfigurationError: size, look or background cannot be.
            MissingDependencyError: OpenCV cannot be loaded.
        """
        try:
            import cv2
        except ImportError as error:
            raise MissingDependencyError(
                "the face 'head' needs OpenCV, and it cannot be loaded: on Debian and Ubuntu, "
                "'apt install libgl1 libglib2.0-0', or 'pip install opencv-python-headless'; "
                "the face 'cartoon' works without"
            ) from error
        self._cv2: Any = cv2
        self._size = check_size(size)
        self.look: Final = find_look(look)
        if driver is None:
            from avatarkit_rtc.face import FaceDriver

            driver = FaceDriver()
        self.driver: Driver = driver
        self._backdrop = _backdrop(background, self._size)
        self._layout = Layout(texture_scale(self._size))
        self._figure, self._texture = _person(self.look, self._layout)
        self._rig = Rig(self._figure, self._size)
        still = self._figure.still_quads()
        # A row of quads on both sides of the border: the edges of two would let the background through.
        vertices = np.zeros(len(self._figure.rest), np.bool_)
        vertices[self._figure.quads[still]] = True
        self._still = np.asarray(vertices[self._figure.quads].any(axis=1), dtype=np.bool_)
        self._painter = self._make_painter(self._size, ~still)
        self._shoulders: dict[int, tuple[Image, npt.NDArray[np.uint8]]] = {}
        self._backed: dict[int, Image] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures in pixels."""
        return self._size

    def render(self, pose: Pose) -> Image:
        """The picture of the player's ``pose``, as its driver has it. See :class:`renderers.face.Face`."""
        return self.draw(self.driver.pose(pose))

    def hear(self, block: AudioBlock) -> None:
        """Take the avatar's sound, before it is heard; on any thread."""
        self.driver.hear(block)

    def draw(self, pose: FacePose, *, alpha: bool = False) -> Image:
        """The picture of ``pose``.

        Args:
            pose: What to show; numbers beyond what a head can do are bent back.
            alpha: Leave the background out.

        Returns:
            A new array of shape (height, width, 3), uint8, blue-green-red; with ``alpha`` of shape (height,
            width, 4), the fourth channel 0 where nothing is and colours not multiplied by it.

        Raises:
            ValueError: the pose has not 52 coefficients.
        """
        points, normals = self._rig.pose(pose)
        breath = min(1.0, max(0.0, pose.breath)) if np.isfinite(pose.breath) else 0.0
        step = round(breath * (_BREATHS - 1))
        screen = self._rig.project(points)
        if not alpha:
            image = self._backed_shoulders(step).copy()
            self._painter.paint(screen, normals, image, glints=self._glints(points))
            return image
        shoulders, covered = self._shoulders_alone(step)
        image, mask = shoulders.copy(), covered.copy()
        self._painter.paint(screen, normals, image, mask, self._glints(points))
        return _straight(image, mask)

    def draw_coefficients(
        self,
        coefficients: npt.ArrayLike,
        rotation: npt.ArrayLike = (0, 0, 0),
        gaze: npt.ArrayLike = ((0, 0, 0), (0, 0, 0)),
        *,
        alpha: bool = False,
    ) -> Image:
        """As :meth:`draw`, from 52 coefficients in the order of ``ARKIT_NAMES``, and turns in radians."""
        return self.draw(
            FacePose(
                np.asarray(coefficients, np.float32),
                np.asarray(rotation, np.float32),
                np.asarray(gaze, np.float32).reshape(2, 3),
            ),
            alpha=alpha,
        )

    def mouth_opening(self, pose: FacePose) -> float:
        """Gap between the lips in the middle of the mouth, in heads' heights; nothing is drawn."""
        # Upright: the height is then the head's own. Lips at rest press on each other, which is no gap.
        points, _ = self._rig.pose(FacePose(pose.coefficients))
        upper, lower = self._figure.lip_middles
        return max(0.0, float(points[upper, 1] - points[lower, 1])) / self._figure.height

    def _glints(self, points: Floats) -> list[Glint]:
        """What the eyes mirror: a window above, and the light from below."""
        result = []
        for eye, ball in zip(self._figure.eyes, self._figure.eye_balls, strict=True):
            own = points[ball]
            middle, iris = own.mean(0), own[len(own) // 2]
            # Mirrored in the cornea, which is rounder than the eyeball: it goes half way with the iris.
            near = 0.5 * iris + 0.5 * (middle + np.array([0, 0, 0.35 * eye[3]]))
            places = near + np.array([_LAMP, _FLOOR], np.float32) * eye[3]
            screen = self._rig.project(np.asarray(places, dtype=np.float32))
            pixels = float(eye[3]) * self._rig.focal / float(screen[0, 2])
            result.append(Glint(float(screen[0, 0]), float(screen[0, 1]), 0.105 * pixels, 0.95))
            result.append(Glint(float(screen[1, 0]), float(screen[1, 1]), 0.16 * pixels, 0.16))
        return result

    def _make_painter(self, size: tuple[int, int], chosen: npt.NDArray[np.bool_]) -> Painter:
        figure = self._figure
        surface = Surface(
            quads=figure.quads[chosen],
            uvs=self._layout.place(figure)[chosen],
            balls=ball_centers()[figure.materials[chosen]],
            layers=figure.layers[chosen],
            smallest=_SMALLEST + _SMALLEST_EAR * figure.attributes[figure.quads[chosen], 2].mean(1),
            shiny=figure.parts[chosen] == PARTS.index("eye"),
            windows=figure.windows(chosen),
        )
        texels = _TEXELS_PER_PIXEL * self._layout.scale * 512 / min(size)
        return Painter(size, surface, self._texture, _balls(), BALL_RADIUS, texels)

    def _shoulders_alone(self, step: int) -> tuple[Image, npt.NDArray[np.uint8]]:
        """What does not move with the head, on black, multiplied by its coverage, and its coverage."""
        if step not in self._shoulders:
            width, height = self._size
            # Twice the size, as it is drawn only once: 16 numbers per pixel at its edges.
            fine = (2 * width, 2 * height)
            painter = self._make_painter(fine, self._still)
            rig = Rig(self._figure, fine)
            rest = FacePose(np.zeros(len(ARKIT_NAMES), np.float32), breath=step / (_BREATHS - 1))
            points, normals = rig.pose(rest)
            image = np.zeros((2 * height, 2 * width, 3), np.uint8)
            mask = np.zeros((2 * height, 2 * width), np.uint8)
            painter.paint(rig.project(points), normals, image, mask)
            small = [
                self._cv2.resize(p, self._size, interpolation=self._cv2.INTER_AREA) for p in (image, mask)
            ]
            self._shoulders[step] = (small[0], small[1])
        return self._shoulders[step]

    def _backed_shoulders(self, step: int) -> Image:
        if step not in self._backed:
            image, mask = self._shoulders_alone(step)
            seen = 1 - mask[:, :, None].astype(np.float32) / 255
            whole = image + self._backdrop * seen
            self._backed[step] = np.clip(np.rint(whole), 0, 255).astype(np.uint8)
        return self._backed[step]


@lru_cache(maxsize=8)
def _person(look: HeadLook, layout: Layout) -> tuple[Figure, npt.NDArray[np.uint8]]:
    """Geometry and texture. Faces share them: nobody writes into them."""
    figure = build_figure(look)
    return figure, bake_texture(figure, look, layout)


@lru_cache(maxsize=1)
def _balls() -> npt.NDArray[np.uint8]:
    return light_balls()


def _straight(image: Image, mask: npt.NDArray[np.uint8]) -> Image:
    """Blue, green, red, alpha from colours that are multiplied by alpha."""
    result = np.dstack([image, mask])
    partial = (mask > 0) & (mask < 255)
    share = mask[partial].astype(np.float32)[:, None] / 255
    result[partial, :3] = np.clip(np.rint(image[partial] / share), 0, 255)
    return result


def _backdrop(background: str | Image, size: tuple[int, int]) -> Image:
    width, height = size
    if isinstance(background, np.ndarray):
        if background.shape != (height, width, 3) or background.dtype != np.uint8:
            raise ConfigurationError(
                f"background must be a picture of shape ({height}, {width}, 3), uint8, not {background.shape}"
            )
        return background.copy()
    if background == BACKGROUND:
        x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        bright = 1.03 - 0.13 * np.clip((x + 0.15) ** 2 * 0.6 + (y + 0.25) ** 2 * 0.7, 0, 2)
        wall = np.array([224, 219, 212], np.float32)
        # Half a step of fixed noise: no bands in the gradient.
        grain = np.random.default_rng(1).uniform(-0.5, 0.5, (height, width, 1))
        return np.clip(np.rint(wall * bright[:, :, None] + grain), 0, 255).astype(np.uint8)
    plain = np.rint(color(check_color("background", background))[::-1] * 255)
    return np.broadcast_to(plain, (height, width, 3)).astype(np.uint8)
