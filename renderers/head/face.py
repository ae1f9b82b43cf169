"""The default face: poses in, pictures of a head out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers.face import DEFAULT_SIZE, Image, check_size, hush
from renderers.head.asset import Floats
from renderers.head.looks import DEFAULT_LOOK, HeadLook, check_color, find_look
from renderers.head.paint import color
from renderers.head.person import BREATHS, make_person
from renderers.head.rig import Rig
from renderers.head.touches import Glint, Stroke

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.face import Driver
    from avatarkit_rtc.playout.pose import Pose

BACKGROUND: Final = "studio"
"""A light grey wall, a little darker towards the corners."""

_LASH_COLOR: Final = (17, 20, 29)
_TONGUE: Final = ARKIT_INDEX["tongueOut"]
_TONGUE_OUT: Final = 0.45
"""Coefficient from which on the tongue is over the lips."""
_LAMP: Final = (-0.20, 0.17, 0.0)
_FLOOR: Final = (0.17, -0.22, 0.0)
"""Where eyes mirror lamp and floor, from the middle of the cornea, in radii of the eyeball."""


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
        self._person = make_person(self.look, self._size)
        self._rig = Rig(self._person.mobile, self._size)
        self._painter = self._person.painter()
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

    def hush(self) -> None:
        """The sound that came is cut off where the face is now; on any thread."""
        hush(self.driver)

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
        step = round(breath * (BREATHS - 1))
        screen = self._rig.project(points)
        shoulders, covered = self._person.shoulders(step)
        image = shoulders.copy() if alpha else self._backed_shoulders(step).copy()
        mask = covered.copy() if alpha else None
        self._painter.paint(
            screen,
            normals,
            image,
            mask,
            self._glints(points),
            self._lashes(screen),
            emerged=float(pose.coefficients[_TONGUE]) > _TONGUE_OUT,
            solid=covered == 255,
        )
        if mask is None:
            return image
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
        upper, lower = self._person.mobile.lip_middles
        return max(0.0, float(points[upper, 1] - points[lower, 1])) / self._person.height

    def _glints(self, points: Floats) -> list[Glint]:
        """What the eyes mirror: a window above, and the light from below."""
        result = []
        for eye, ball in zip(self._person.mobile.eyes, self._person.mobile.eye_balls, strict=True):
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

    def _lashes(self, screen: Floats) -> list[Stroke]:
        """Upper lashes: a line that widens outwards, with the tips of single ones."""
        strength, length = (0.90, 0.80) if self.look.sex < 0 else (0.70, 0.40)
        strokes = []
        for roots, tips in self._person.mobile.lashes:
            start, end = screen[roots, :2], screen[tips, :2]
            part = np.linspace(0.35, 1.0, len(start))[:, None] * length
            peaks = start + (end - start) * part
            between = (start[:-1] + start[1:]) / 2
            notches = between + ((peaks[:-1] + peaks[1:]) / 2 - between) * 0.85
            upper = np.empty((2 * len(start) - 1, 2))
            upper[::2], upper[1::2] = peaks, notches
            # Below the root, too: the margin of the lid is dark.
            lower = start - (end - start) * 0.22
            strokes.append(Stroke(np.concatenate([upper, lower[::-1]]), _LASH_COLOR, strength))
        return strokes

    def _backed_shoulders(self, step: int) -> Image:
        if step not in self._backed:
            image, mask = self._person.shoulders(step)
            seen = 1 - mask[:, :, None].astype(np.float32) / 255
            whole = image + self._backdrop * seen
            self._backed[step] = np.clip(np.rint(whole), 0, 255).astype(np.uint8)
        return self._backed[step]


def _straight(image: Image, mask: npt.NDArray[np.uint8]) -> Image:
    """Blue, green, red, alpha from colours that are multiplied by alpha."""
    import cv2

    result: Image = np.empty((*mask.shape, 4), np.uint8)
    cv2.mixChannels([image, mask], [result], [0, 0, 1, 1, 2, 2, 3, 3])
    rows, columns = np.nonzero((mask > 0) & (mask < 255))
    share = mask[rows, columns].astype(np.float32)[:, None] / 255
    result[rows, columns, :3] = np.clip(np.rint(image[rows, columns] / share), 0, 255)
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
