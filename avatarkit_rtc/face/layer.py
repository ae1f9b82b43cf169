"""What is put on a face besides its speech: an expression, gestures of the head, a direction of the eyes.

A program (or a model by its tools) sets them; :class:`LayeredDriver` mixes them into whatever face a driver
makes, of any avatar whose poses go through one. Deterministic in the poses' times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face.driver import FaceDriver
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.face.frame_driver import Driver
from avatarkit_rtc.face.rate_limit import LONGEST_STEP_S
from avatarkit_rtc.motion.arkit import set_gaze
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from avatarkit_rtc.motion.frame import FloatArray
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.playout.rotation import compose

EXPRESSION_S: Final = 0.25
"""Time constant of a change of expression."""
GAZE_S: Final = 0.08
HEAD_S: Final = 0.30
"""Time constants of eyes and head on their way to where is looked: the head follows the eyes."""

GAZE_ASIDE: Final = 0.45
GAZE_UP: Final = 0.30
"""Radians that eyes and head together turn for x or y of 1."""
_BY_HEAD: Final = 0.40
"""Part of that which is the head's."""

# Chosen by eye on the heads of this package.
_EXPRESSIONS: Final[dict[str, dict[str, float]]] = {
    "neutral": {},
    "happy": {"mouthSmile": 0.60, "cheekSquint": 0.35, "eyeSquint": 0.20, "browInnerUp": 0.10},
    "sad": {"mouthFrown": 0.45, "browInnerUp": 0.60, "eyeSquint": 0.10, "mouthShrugLower": 0.20},
    "angry": {"browDown": 0.70, "noseSneer": 0.30, "eyeSquint": 0.30, "mouthPress": 0.30},
    "surprised": {"browInnerUp": 0.70, "browOuterUp": 0.60, "eyeWide": 0.55, "jawOpen": 0.12},
    "thoughtful": {"browDown": 0.25, "eyeSquint": 0.25, "mouthPress": 0.20, "browInnerUp": 0.20},
}


class _Gesture(NamedTuple):
    seconds: float
    turn: Callable[[float], tuple[float, float, float]]
    """Nod, turn and tilt in radians at 0 … 1 of it."""


def _swing(progress: float, times: float) -> float:
    """``times`` there and back, beginning and ending at rest."""
    return math.sin(math.pi * progress) * math.sin(2 * math.pi * times * progress)


_MOTIONS: Final[dict[str, tuple[_Gesture, ...]]] = {
    "nod": (
        _Gesture(0.6, lambda p: (0.16 * math.sin(math.pi * p) ** 2, 0.0, 0.0)),
        _Gesture(1.1, lambda p: (0.14 * math.sin(2 * math.pi * p) ** 2, 0.0, 0.0)),
    ),
    "shake": (
        _Gesture(1.2, lambda p: (0.0, 0.18 * _swing(p, 2), 0.0)),
        _Gesture(1.0, lambda p: (0.0, 0.10 * _swing(p, 1.5), 0.0)),
    ),
    "tilt": (
        _Gesture(1.6, lambda p: (0.0, 0.0, 0.14 * math.sin(math.pi * p) ** 2)),
        _Gesture(1.6, lambda p: (0.0, 0.0, -0.14 * math.sin(math.pi * p) ** 2)),
    ),
}


def _coefficients(named: Mapping[str, float]) -> FloatArray:
    values = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, weight in named.items():
        found = [each for each in (name, f"{name}Left", f"{name}Right") if each in ARKIT_INDEX]
        for each in found:
            values[ARKIT_INDEX[each]] = weight
    values.flags.writeable = False
    return values


EXPRESSIONS: Final[Mapping[str, FloatArray]] = {
    name: _coefficients(named) for name, named in _EXPRESSIONS.items()
}
"""ARKit's coefficients of each expression, shape (52,)."""

MOTIONS: Final[Mapping[str, int]] = {name: len(variants) for name, variants in _MOTIONS.items()}
"""Gestures of the head, and how many variants there are of each."""


class FaceLayer:
    """Expression, gesture and gaze of one face. Setting them is for any thread; they show in the next
    pose."""

    def __init__(self, expressions: Mapping[str, Mapping[str, float]] | None = None) -> None:
        """
        Args:
            expressions: further ones by name, over :data:`EXPRESSIONS`: ARKit's coefficients by name, where a
                name without ``Left`` or ``Right`` means both.

        Raises:
            ConfigurationError: a coefficient is unknown or not 0 … 1.
        """
        self._expressions = dict(EXPRESSIONS)
        for name, named in (expressions or {}).items():
            for coefficient, weight in named.items():
                if not {coefficient, f"{coefficient}Left"} & set(ARKIT_NAMES) or not 0 <= weight <= 1:
                    raise ConfigurationError(
                        f"expression {name!r}: {coefficient!r} is no coefficient of ARKit's, or {weight!r} "
                        "is not 0 to 1"
                    )
            self._expressions[name] = _coefficients(named)
        self._wanted = self._expressions["neutral"]
        self._gaze = (0.0, 0.0)
        self._pending: _Gesture | None = None
        self.expression = "neutral"
        """The one that was set last."""

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names for :meth:`set_expression`."""
        return tuple(self._expressions)

    def set_expression(self, name: str) -> None:
        """Put the expression ``name`` on; it stays.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self._expressions:
            raise ConfigurationError(
                f"there is no expression {name!r}; there are {', '.join(self._expressions)}"
            )
        self.expression, self._wanted = name, self._expressions[name]

    def play(self, motion: str, variant: int = 0) -> None:
        """Make a gesture of :data:`MOTIONS`, once; it takes the place of one that is going on.

        Raises:
            ConfigurationError: there is none of that name, or no such variant.
        """
        variants = _MOTIONS.get(motion, ())
        if not 0 <= variant < len(variants):
            raise ConfigurationError(
                f"there is no motion {motion!r} number {variant}; there are "
                + ", ".join(f"{name} 0 to {count - 1}" for name, count in MOTIONS.items())
            )
        self._pending = variants[variant]

    def look_at(self, x: float, y: float) -> None:
        """Look to ``x`` (-1 far left to 1 far right, as the viewer sees it) and ``y`` (-1 far down to 1 far
        up); 0, 0 is the viewer, where the eyes then go their own ways again. More than 1 counts as 1.

        Raises:
            ConfigurationError: one is no number.
        """
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ConfigurationError(f"look_at takes two numbers, not {x!r} and {y!r}")
        self._gaze = (max(-1.0, min(1.0, x)), max(-1.0, min(1.0, y)))

    def reset(self) -> None:
        """Neutral, and looking at the viewer."""
        self.set_expression("neutral")
        self.look_at(0.0, 0.0)
        self._pending = None

    def take_gesture(self) -> _Gesture | None:
        """For the driver: the gesture that was asked for since the last call."""
        pending, self._pending = self._pending, None
        return pending

    @property
    def wanted(self) -> tuple[FloatArray, tuple[float, float]]:
        """For the driver: coefficients and gaze to come to."""
        return self._wanted, self._gaze


class LayeredDriver:
    """A :class:`~avatarkit_rtc.face.Driver` that puts a layer on another one's faces."""

    def __init__(self, driver: Driver | None = None, layer: FaceLayer | None = None) -> None:
        """
        Args:
            driver: makes the face; None for a :class:`~avatarkit_rtc.face.FaceDriver`.
            layer: what is put on it; None for one of its own, in :attr:`layer`.
        """
        self.driver: Final[Driver] = driver if driver is not None else FaceDriver()
        """Makes the face."""
        self.layer: Final = layer if layer is not None else FaceLayer()
        """What is put on it."""
        self._t: float | None = None
        self._expression: FloatArray = np.zeros(len(ARKIT_NAMES), np.float32)
        self._eyes = np.zeros(2, np.float32)
        self._head = np.zeros(2, np.float32)
        self._gesture: tuple[_Gesture, float] | None = None

    @property
    def blinks(self) -> int:
        """Blinks that were added to the stream's own."""
        return int(getattr(self.driver, "blinks", 0))

    def hear(self, block: AudioBlock) -> None:
        """Take a block of the avatar's sound; any thread."""
        self.driver.hear(block)

    def hush(self) -> None:
        """The sound that came is cut off; any thread."""
        call = getattr(self.driver, "hush", None)
        if callable(call):
            call()

    def pose(self, pose: Pose) -> FacePose:
        """The face at ``pose``, with the layer."""
        face = self.driver.pose(pose)
        before = pose.t if self._t is None else self._t
        self._t = pose.t
        dt = min(max(0.0, pose.t - before), LONGEST_STEP_S)
        wanted, (x, y) = self.layer.wanted
        self._expression = self._expression + _share(dt, EXPRESSION_S) * (wanted - self._expression)
        target = np.array([-y * GAZE_UP, x * GAZE_ASIDE], np.float32)
        self._head = self._head + _share(dt, HEAD_S) * (_BY_HEAD * target - self._head)
        self._eyes = self._eyes + _share(dt, GAZE_S) * (target - self._head - self._eyes)
        turn = np.array([*self._head, 0.0], np.float32) + self._gesture_at(pose.t)
        free = (1.0 - face.coefficients) * (1.0 - self._expression)
        coefficients: FloatArray = (1.0 - free).astype(np.float32)
        # The further from the viewer it is looked, the less do the eyes wander.
        gaze = face.gaze * np.float32(1.0 - max(abs(x), abs(y)))
        gaze[:, :2] += self._eyes
        set_gaze(coefficients, gaze)
        rotation = compose(turn[None], face.rotation[None])[0].astype(np.float32)
        return FacePose(coefficients, rotation, gaze, face.translation, face.breath)

    def _gesture_at(self, t: float) -> FloatArray:
        asked = self.layer.take_gesture()
        if asked is not None:
            self._gesture = (asked, t)
        if self._gesture is None:
            return np.zeros(3, np.float32)
        gesture, start = self._gesture
        progress = (t - start) / gesture.seconds
        if not 0.0 <= progress < 1.0:
            self._gesture = None
            return np.zeros(3, np.float32)
        return np.array(gesture.turn(progress), np.float32)


def _share(dt: float, time_constant: float) -> np.float32:
    return np.float32(1.0 - math.exp(-dt / time_constant))
