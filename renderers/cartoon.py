"""The cartoon face: a clean 2D drawing that speaks, blinks, looks, nods, turns and tilts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from avatarkit_rtc.face import Driver, FaceDriver, FacePose
from renderers import cartoon_shapes as shapes
from renderers.canvas import Backend, Canvas, Color, Points, make_canvas
from renderers.cartoon_parts import Clothes, HeadParts, chin_shadows, head_parts, neck
from renderers.cartoon_rig import Features, features
from renderers.cartoon_shapes import EyeShape, MouthShape, Projection, closed
from renderers.cartoon_sketch import Sketch
from renderers.face import DEFAULT_SIZE, Image, check_size, hush

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.playout.pose import Pose


def _rgb(red: int, green: int, blue: int) -> Color:
    return blue, green, red


def _mix(start: Color, end: Color, t: float) -> Color:
    blue, green, red = (round(a + (b - a) * t) for a, b in zip(start, end, strict=True))
    return blue, green, red


_BACKGROUND_TOP: Final = _rgb(236, 240, 246)
_BACKGROUND_BOTTOM: Final = _rgb(196, 208, 226)
_SKIN: Final = _rgb(250, 216, 190)
_SKIN_EDGE: Final = _rgb(233, 176, 146)
_SKIN_SHADOW: Final = _rgb(214, 150, 122)
_BLUSH: Final = _rgb(240, 128, 112)
_HAIR: Final = _rgb(88, 56, 46)
_HAIR_DARK: Final = _rgb(58, 36, 32)
_HAIR_LIGHT: Final = _rgb(146, 98, 74)
_BROW: Final = _rgb(82, 52, 44)
_LASH: Final = _rgb(44, 28, 30)
_EYE_WHITE: Final = _rgb(252, 250, 248)
_EYE_SHADE: Final = _rgb(205, 200, 208)
_IRIS: Final = _rgb(66, 122, 118)
_IRIS_RING: Final = _rgb(32, 62, 66)
_IRIS_GLOW: Final = _rgb(128, 186, 164)
_PUPIL: Final = _rgb(18, 20, 26)
_WHITE: Final = _rgb(255, 255, 255)
_LIP_UPPER: Final = _rgb(200, 98, 94)
_LIP_LOWER: Final = _rgb(219, 121, 114)
_LIP_LINE: Final = _rgb(140, 58, 58)
_MOUTH: Final = _rgb(84, 26, 34)
_TONGUE: Final = _rgb(206, 98, 104)
_TEETH: Final = _rgb(250, 248, 244)
_SWEATER: Final = _rgb(58, 92, 150)
_SWEATER_DARK: Final = _rgb(40, 66, 116)
_SWEATER_LIGHT: Final = _rgb(80, 118, 178)

_STRANDS: Final = tuple(
    (_mix(_HAIR, color, 0.55), width)
    for color, width in (
        (_HAIR_DARK, 3.0),
        (_HAIR_LIGHT, 4.5),
        (_HAIR_LIGHT, 2.0),
        (_HAIR_DARK, 2.6),
        (_HAIR_LIGHT, 2.4),
    )
)
"""Colour and width of each of :data:`renderers.cartoon_parts.STRAND_SHARES`."""


def _shades(edge: Color, middle: Color, steps: int) -> list[Color]:
    return [_mix(edge, middle, t * (2 - t)) for t in np.linspace(0, 1, steps).tolist()]


_HAIR_SHADES: Final = _shades(_HAIR, _HAIR_DARK, 5)
_SKIN_SHADES: Final = _shades(_SKIN_EDGE, _SKIN, 13)
_CLOTHES_SHADES: Final = _shades(_SWEATER_LIGHT, _SWEATER, 10)
_CHIN_SHADES: Final = [
    _mix(_mix(_SKIN, _SKIN_EDGE, 0.75), _SKIN_SHADOW, 0.35 + 0.65 * t) for t in (0, 0.25, 0.5, 0.75, 1)
]
_SKIN_DEPTH: Final = np.linspace(0, 0.42, len(_SKIN_SHADES))[:, None, None]
"""How far each shade of the face lies on the way from its edge to the light."""

_ARCH_04, _ARCH_05, _ARCH_06 = shapes.ARCH**0.4, shapes.ARCH**0.5, shapes.ARCH**0.6
_ARCH_LASH: Final = 0.4 + 0.6 * shapes.ARCH**0.35
_NOSE_WIDTH: Final = np.interp(
    np.linspace(0, 1, len(shapes.NOSE_BASE)), [0, 0.15, 0.5, 0.85, 1], [0.8, 2.6, 2.2, 2.6, 0.8]
)
_FLICK_CURVE: Final = shapes.spline(np.eye(3))
"""The flick of the lashes is this, shape (n, 3), times its three knots."""
_FLICK_WIDTH: Final = np.linspace(3.2, 0.6, len(_FLICK_CURVE))
_IRIS_COLORS: Final = (
    _IRIS_RING,
    _IRIS,
    _mix(_IRIS, _IRIS_GLOW, 0.35),
    _mix(_IRIS, _IRIS_GLOW, 0.75),
    _PUPIL,
)
_IRIS_DISCS: Final = np.array(
    [
        (14.6, 0, 0),
        (12.8, 0, 0),
        (10.6, 0, 1.8),
        (8.8, 0, 3.0),
        (6.6, 0, 0),
        (4.0, -4.6, -5.2),
        (1.9, 4.4, 4.8),
    ]
)
"""Radius and place on the iris of each of its colours, and of two sparks."""
_DOT: Final = np.stack([np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], axis=1)


def _background(size: tuple[int, int]) -> Image:
    """Soft vertical gradient with a halo behind the head."""
    width, height = size
    unit = min(size) / shapes.DESIGN
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    picture = np.asarray(_BACKGROUND_TOP) * (1 - y) + np.asarray(_BACKGROUND_BOTTOM) * y
    across = (np.arange(width, dtype=np.float32) - width / 2) / (300 * unit)
    down = (np.arange(height, dtype=np.float32) - (height - 300 * unit)) / (300 * unit)
    halo = np.exp(-1.6 * (across[None, :] ** 2 + down[:, None] ** 2))[..., None]
    picture = picture + (255 - picture) * 0.55 * halo
    # A little noise keeps the gradient from showing steps.
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (height, width, 1))
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


class CartoonFace:
    """Draws poses as a cartoon portrait; a :class:`renderers.Face`.

    A picture of 512 x 512 takes a few milliseconds with OpenCV, about three times that with Pillow. The face
    is driven by what a stream says and how it sounds: use one face for one stream.
    """

    def __init__(
        self,
        size: tuple[int, int] = DEFAULT_SIZE,
        *,
        backend: Backend = "auto",
        driver: Driver | None = None,
    ) -> None:
        """A face with pictures of ``size`` (width, height) pixels.

        Args:
            size: width and height.
            backend: what draws.
            driver: what turns poses and sound into a face; None for a
                :class:`~avatarkit_rtc.face.FaceDriver` of its own.

        Raises:
            ConfigurationError: the size or the backend cannot be right.
            MissingDependencyError: neither OpenCV nor Pillow can be loaded.
        """
        self._size = check_size(size)
        self._canvas: Canvas = make_canvas(backend)
        self._back = _background(self._size)
        self._clothes: Clothes | None = None
        self.driver: Driver = driver if driver is not None else FaceDriver()
        """What moves the face."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._size

    def hear(self, block: AudioBlock) -> None:
        """Take a block of the avatar's sound, by which the mouth moves. Any thread."""
        self.driver.hear(block)

    def hush(self) -> None:
        """The sound that came is cut off where the face is now; on any thread."""
        hush(self.driver)

    def render(self, pose: Pose) -> Image:
        """Draw ``pose`` as the driver understands it, see :meth:`draw`."""
        return self.draw(self.driver.pose(pose))

    def draw(self, pose: FacePose) -> Image:
        """Draw ``pose``: shape (height, width, 3), uint8, blue-green-red. Any numbers will do."""
        shown = features(pose)
        canvas = self._canvas
        canvas.begin(self._back)
        to = Projection(shown, self._size)
        if self._clothes is None:
            self._clothes = Clothes.of(to.unit, to.corner)
        sketch = Sketch(to)
        _Painter(sketch, to, shown, self._clothes).paint()
        sketch.paint(canvas)
        return canvas.image()


class _Painter:
    """Sketches one picture, from back to front."""

    def __init__(self, sketch: Sketch, projection: Projection, features: Features, clothes: Clothes) -> None:
        self._sketch = sketch
        self._to = projection
        self._f = features
        self._clothes = clothes
        self._parts: HeadParts = head_parts(projection, features.mouth_open, features.mouth_side)

    def paint(self) -> None:
        self._hair_back()
        self._neck_and_clothes()
        self._head()
        self._nose()
        mouth = MouthShape(self._f)
        self._mouth(mouth)
        # The subject's left eye is on the picture's right.
        for side, lid, gaze in zip((1.0, -1.0), self._f.lids, self._f.gaze, strict=True):
            self._eye(EyeShape(side, lid, gaze))
        for side in (1.0, -1.0):
            self._brow(side)
        self._hair_front()

    # -- helpers --------------------------------------------------------------------------------------------

    def _fill(self, points: Points, color: Color, lift: float = 0.0) -> None:
        self._sketch.fill(points, color, lift)

    def _line(self, points: Points, color: Color, width: Points, lift: float = 0.0) -> None:
        self._sketch.stroke(points, color, width * self._to.length(1.0), lift)

    def _glow(self, x: float, y: float, radius: tuple[float, float], color: Color, alpha: float) -> None:
        radii = (self._to.length(radius[0]), self._to.length(radius[1]))
        self._sketch.glow(np.array([[x, y]]), radii, color, alpha, 0.0)

    def _shaded(self, outlines: Iterable[Points], colors: Iterable[Color]) -> None:
        """Fill outlines that lie in each other, in colours that hardly differ from one to the next."""
        before: Color | None = None
        for outline, color in zip(outlines, colors, strict=True):
            if color != before:
                self._sketch.fill(outline, color, smooth=before is None)
            before = color

    # -- parts ----------------------------------------------------------------------------------------------

    def _hair_back(self) -> None:
        self._shaded(self._parts.hair_back, _HAIR_SHADES)

    def _neck_and_clothes(self) -> None:
        to, sketch, clothes, sway = self._to, self._sketch, self._clothes, np.array([6 * self._f.sway, 0.0])
        aside = sway * to.unit
        sketch.fill(clothes.back + aside, _SWEATER_DARK)
        sketch.fill(clothes.back_edge + aside, _mix(_SWEATER_DARK, _SWEATER, 0.5))
        sketch.fill(neck(to, self._parts.under_chin, sway), _mix(_SKIN, _SKIN_EDGE, 0.5))
        # The shadow of the head on the neck is darkest right under the jaw.
        for outline, color in zip(
            chin_shadows(to, self._parts.under_chin, self._f.pitch), _CHIN_SHADES, strict=True
        ):
            sketch.fill(outline, color)
        self._shaded([outline + aside for outline in clothes.body], _CLOTHES_SHADES)
        for fold in clothes.folds:
            sketch.fill(fold + aside, _SWEATER_DARK)
        for line, color in zip(clothes.collar, (_SWEATER_DARK, _SWEATER_LIGHT, _SWEATER), strict=True):
            sketch.fill(line + aside, color)

    def _head(self) -> None:
        outline, light = self._parts.face, self._parts.light
        self._shaded(outline + (light - outline) * _SKIN_DEPTH, _SKIN_SHADES)
        for side in (-1.0, 1.0):
            self._glow(62 * side, 50 - 5 * self._f.smile, (34, 26), _BLUSH, 0.30)
        self._glow(0, 116 + 22 * self._f.mouth_open, (26, 13), _WHITE, 0.22)
        self._glow(-24, -66, (46, 26), _WHITE, 0.28)

    def _nose(self) -> None:
        self._glow(13, 34, (13, 26), _SKIN_SHADOW, 0.34)
        self._glow(0, 47, (25, 15), _SKIN_SHADOW, 0.30)
        self._glow(-2, 32, (12, 16), _WHITE, 0.55)
        self._glow(-3, 4, (7, 34), _WHITE, 0.26)
        self._line(shapes.NOSE_BASE, _mix(_SKIN_SHADOW, _LIP_LINE, 0.28), _NOSE_WIDTH, 17.0)

    def _mouth(self, mouth: MouthShape) -> None:
        lift = 5.0
        outer_upper = mouth.at(mouth.outer_upper, outer=True)
        outer_lower = mouth.at(mouth.outer_lower, outer=True)
        upper, lower = mouth.at(mouth.inner_upper), mouth.at(mouth.inner_lower)
        self._glow(0, float(mouth.outer_lower.max()) + 7, (26, 9), _SKIN_SHADOW, 0.34)
        self._fill(closed(outer_upper, outer_lower), _LIP_UPPER, lift)
        middle = (mouth.inner_upper + mouth.inner_lower) / 2
        self._fill(closed(mouth.at(middle), outer_lower), _LIP_LOWER, lift)
        lip = float((mouth.outer_lower - mouth.inner_lower).max())
        self._glow(-4, float(mouth.inner_lower.max()) + 0.5 * lip, (17, 0.5 * lip), _WHITE, 0.42)
        if mouth.gap > 0.8:
            self._fill(closed(upper, lower), _MOUTH, lift)
            if mouth.gap > 9:
                self._fill(closed(mouth.at(mouth.tongue), lower), _TONGUE, lift)
                at = len(mouth.tongue) // 2
                top, bottom = float(mouth.tongue[at]) + 3, float(mouth.inner_lower[at])
                if bottom - top > 6:
                    groove = np.array([[mouth.x[at], top], [mouth.x[at], (top + bottom) / 2]])
                    self._line(groove, _mix(_TONGUE, _MOUTH, 0.35), np.array([0.8, 1.8]), lift)
            if float((mouth.inner_lower - mouth.lower_teeth).max()) > 0.5:
                self._fill(closed(mouth.at(mouth.lower_teeth), lower), _mix(_TEETH, _EYE_SHADE, 0.6), lift)
            self._fill(closed(upper, mouth.at(mouth.teeth)), _TEETH, lift)
            self._line(upper, _LIP_LINE, 1.6 * _ARCH_05 + 0.6, lift)
        else:
            self._line(mouth.at(middle), _LIP_LINE, 1.9 * _ARCH_05 + 1.1, lift)
        for end in (upper[0], upper[-1]):
            self._fill(end + 1.9 * _DOT, _LIP_LINE, lift)

    def _eye(self, eye: EyeShape) -> None:
        side = eye.side
        outwards = (shapes.ACROSS * side + 1) / 2
        lift = 2.0
        # Lid and socket: the skin between crease and lashes is a touch darker.
        crease = eye.rest_upper - 7 * _ARCH_05
        self._glow(shapes.EYE_X * side, shapes.EYE_Y - 14, (36, 20), _SKIN_SHADOW, 0.30)
        self._fill(
            closed(eye.curve(crease), eye.curve(np.maximum(eye.upper, crease))),
            _mix(_SKIN, _SKIN_EDGE, 0.72),
            lift,
        )
        self._line(eye.curve(crease), _mix(_SKIN_SHADOW, _HAIR, 0.25), 1.9 * _ARCH_06 + 0.3, lift)
        if eye.opened > 0.06:
            self._fill(closed(eye.curve(eye.upper), eye.curve(eye.lower)), _EYE_WHITE, lift)
            self._iris(eye, lift)
            self._line(eye.curve(eye.lower), _mix(_SKIN_SHADOW, _LASH, 0.35), 1.5 * _ARCH_04 + 0.3, lift)
        # Upper lashes: a stroke that thickens outwards, with a flick beyond the corner.
        lid = eye.curve(eye.upper)
        width = (2.0 + 2.6 * outwards) * _ARCH_LASH
        self._line(lid, _LASH, width, lift + 2)
        corner = lid[-1] if side > 0 else lid[0]
        droop = 5 * (1 - eye.opened)
        flick = corner + np.array([(-3.0 * side, -1.5), (2.5 * side, -1.6), (7 * side, -5.5 + droop)])
        self._line(_FLICK_CURVE @ flick, _LASH, _FLICK_WIDTH, lift + 2)

    def _iris(self, eye: EyeShape, lift: float) -> None:
        *iris, light, glint = eye.discs(_IRIS_DISCS)
        for disc, color in zip(iris, _IRIS_COLORS, strict=True):
            if disc is not None:
                self._fill(disc, color, lift)
        # The lid's shadow lies on white and iris alike.
        shade = np.minimum(eye.upper + 4.5 * _ARCH_05, eye.lower)
        self._fill(closed(eye.curve(eye.upper), eye.curve(shade)), _mix(_IRIS_RING, _EYE_SHADE, 0.45), lift)
        for spark in (light, glint):
            if spark is not None:
                self._fill(spark, _WHITE, lift)

    def _brow(self, side: float) -> None:
        brow = shapes.BROW * (side, 1.0) + (0.0, -7.0 * self._f.brow)
        self._line(brow, _BROW, shapes.BROW_WIDTH, 4.0)

    def _hair_front(self) -> None:
        to, sketch = self._to, self._sketch
        for lock in self._parts.locks:
            # The lock's shadow on the forehead.
            width = np.linspace(5, 13, len(lock.shadow)) * to.unit
            sketch.stroke(lock.shadow, _mix(_SKIN, _SKIN_EDGE, 0.8), width)
        for lock in self._parts.locks:
            sketch.fill(lock.outline, _HAIR)
            # Strands follow the lock from the parting to its tip.
            taper = np.sin(np.linspace(0, np.pi, len(lock.strands[0])))
            for strand, (color, wide) in zip(lock.strands, _STRANDS, strict=True):
                sketch.stroke(strand, color, taper * to.length(wide) + 0.2)
            sketch.stroke(lock.edge, _HAIR_DARK, np.linspace(1.0, 2.6, len(lock.edge)) * to.unit)
        for number, radius in enumerate(((30, 16), (36, 15))):
            at = self._parts.glints[number : number + 1]
            sketch.glow(at, (to.length(radius[0]), to.length(radius[1])), _HAIR_LIGHT, 0.4)
