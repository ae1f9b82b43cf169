"""From a stream's poses and its sound to a living face."""

from __future__ import annotations

from random import Random
from typing import Final, Protocol

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face import liveliness
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.face.hearing import MouthHearing
from avatarkit_rtc.face.mouth_shapes import MOUTH_COEFFICIENTS
from avatarkit_rtc.face.mouth_track import LOOKAHEAD_S
from avatarkit_rtc.face.neutral import Neutral, RestingExpression
from avatarkit_rtc.face.rate_limit import (
    BREATH_SPEED,
    COEFFICIENT_SPEEDS,
    GAZE_SPEED,
    ROTATION_SPEED,
    TRANSLATION_SPEED,
    RateLimit,
)
from avatarkit_rtc.motion.arkit import JAW_ASIDE, jaw_opening, set_gaze
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from avatarkit_rtc.motion.frame import FIELD_SLICES, FRAME_SIZE, FloatArray
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.playout.rotation import compose

_ABSURD: Final = 10.0
"""Radians, metres, standard deviations: whatever is larger is cut to this before anything else."""

_BACKWARDS_S: Final = 0.5
"""Poses whose time goes back by more than this are another playing: the face begins anew."""

_SOUND_SPEED: Final = 5.0
"""So fast, per second, does the mouth change between going by the sound and by the stream's jaw."""

_JAW_WITH_SOUND: Final = 0.25
"""Part of the stream's own jaw that is added where the sound moves the mouth: its accents are true."""

_LIVELY_TURN: Final = 0.010
_LIVELY_GAZE: Final = 0.015
"""Radians by which a stream's head or eyes move on the average if they move at all; people do by more."""

_JAW_OPEN: Final = ARKIT_INDEX["jawOpen"]
_LIPS_PART: Final = np.array(
    [
        0.45 * name.startswith("mouthLowerDown") + 0.2 * name.startswith("mouthUpperUp")
        for name in ARKIT_NAMES
    ],
    np.float32,
)
_BROWS_UP: Final = np.array(
    [0.4 * (name == "browInnerUp") + 0.25 * name.startswith("browOuterUp") for name in ARKIT_NAMES],
    np.float32,
)
_ROTATION: Final = FIELD_SLICES["rotation"]
_NECK: Final = FIELD_SLICES["neck_pose"]
_JAW: Final = FIELD_SLICES["jaw_pose"]
_EYES: Final = FIELD_SLICES["eye_pose"]
_LIDS: Final = FIELD_SLICES["eye_lid"]
_TRANSLATION: Final = FIELD_SLICES["translation"]
_EXPRESSION: Final = FIELD_SLICES["expression"]

_SIZES: Final = (len(ARKIT_NAMES), 3, 6, 3, 1)


class ExpressionMap(Protocol):
    """What FLAME's expression is in ARKit's coefficients, as fitted to a model file."""

    def coefficients(self, expression: FloatArray, jaw_pose: FloatArray) -> FloatArray:
        """Coefficients, shape (52,), of an expression, shape (100,), and a jaw rotation, shape (3,)."""


class FaceDriver:
    """Makes a :class:`FacePose` of each pose that is shown. One driver serves one face of one avatar.

    * **Head, eyes, lids and jaw** come from the stream, without its constant offsets: what its rest pose is,
      is learnt (:class:`~avatarkit_rtc.face.neutral.Neutral`).
    * **The mouth** comes from the avatar's sound (:meth:`hear`, and
      :class:`~avatarkit_rtc.face.mouth_estimator.MouthEstimator`), with a part of the stream's jaw; without
      any sound from the jaw alone, with a gain. With an ``expression`` map, made of FLAME's own model file,
      it comes from the stream's expression and jaw.
    * **Brows** go up a little with stressed syllables.
    * **Blinks, small turns of the eyes and a slight sway of the head** are added where the stream has none,
      and breath always.
    * **Nothing leaps**, whatever the stream does: see :mod:`~avatarkit_rtc.face.rate_limit` for the speeds.

    Deterministic: the same poses and blocks in the same order give the same faces, for one seed. Poses come
    in the order they are shown, from one thread at a time; sound from any.
    """

    LOOKAHEAD_S: Final = LOOKAHEAD_S
    """A mouth is best with the sound up to so long after its pose. With less it is late by up to 55 ms."""

    def __init__(self, *, seed: int = 0, expression: ExpressionMap | None = None) -> None:
        """
        Args:
            seed: of blinks and turns of the eyes.
            expression: what moves the mouth instead of the sound.
        """
        self._seed = seed
        self._expression = expression
        self._hearing = MouthHearing()
        self._begin()

    def _begin(self) -> None:
        random = Random(self._seed)
        self._t: float | None = None
        self._neutral = Neutral()
        self._resting = RestingExpression()
        self._blinks = liveliness.Blinks(Random(random.random()))
        self._saccades = liveliness.Saccades(Random(random.random()))
        self._emphasis = liveliness.Emphasis()
        self._phase = 100.0 * random.random()
        self._still_head = liveliness.Activity(_LIVELY_TURN)
        self._still_eyes = liveliness.Activity(_LIVELY_GAZE)
        self._by_sound = RateLimit(np.full(1, _SOUND_SPEED, np.float32))
        speeds = np.array([ROTATION_SPEED, GAZE_SPEED, TRANSLATION_SPEED, BREATH_SPEED], np.float32)
        self._limit = RateLimit(np.concatenate([COEFFICIENT_SPEEDS, np.repeat(speeds, _SIZES[1:])]))

    @property
    def blocks_dropped(self) -> int:
        """Blocks of sound that were dropped because no pose was asked for, or that were of no use."""
        return self._hearing.dropped

    @property
    def blinks(self) -> int:
        """Blinks that were added to the stream's own."""
        return self._blinks.count

    def hear(self, block: AudioBlock) -> None:
        """Take a block of the avatar's sound, before or after its pose. Only queues it; any thread."""
        self._hearing.hear(block)

    def hush(self) -> None:
        """The sound that came is cut off where the face is now: the mouth comes to rest. Any thread."""
        self._hearing.hush()

    def pose(self, pose: Pose) -> FacePose:
        """The face at ``pose``. Never fails, whatever the numbers are."""
        dt = self._step(pose.t)
        values = pose.frame.values
        if values.shape != (FRAME_SIZE,) or not np.all(np.abs(values) <= _ABSURD):
            values = np.resize(np.nan_to_num(values, posinf=_ABSURD, neginf=-_ABSURD), FRAME_SIZE)
            values = np.clip(values, -_ABSURD, _ABSURD).astype(np.float32)
        moved = self._neutral.take_off(pose, values, dt)
        target = np.zeros(sum(_SIZES), np.float32)
        coefficients, rotation, gaze, translation, breath = np.split(target, np.cumsum(_SIZES)[:-1])
        self._mouth(pose, values, moved, dt, coefficients)
        self._lids(moved, pose.t, coefficients)
        turn = compose(moved[None, _ROTATION], moved[None, _NECK])[0].astype(np.float32)
        rotation[:] = turn + self._still_head.missing(turn, dt) * liveliness.sway(pose.t, self._phase)
        eyes = moved[_EYES]
        gaze[:] = eyes + self._still_eyes.missing(eyes, dt) * np.tile(self._saccades.gaze(pose.t), 2)
        translation[:] = moved[_TRANSLATION]
        breath[:] = liveliness.breath(pose.t)
        return self._limited(target, dt)

    def _step(self, t: float) -> float:
        """Seconds since the last pose, at least 0."""
        if self._t is not None and t < self._t - _BACKWARDS_S:
            self._begin()
        before = t if self._t is None else self._t
        self._t = max(t, before)
        return self._t - before

    def _limited(self, target: FloatArray, dt: float) -> FacePose:
        coefficients, rotation, gaze, translation, breath = np.split(
            self._limit.follow(target, dt), np.cumsum(_SIZES)[:-1]
        )
        turned = gaze.reshape(2, 3)
        coefficients = np.clip(coefficients, 0.0, 1.0)
        set_gaze(coefficients, turned)
        return FacePose(coefficients, rotation, turned, translation, float(breath[0]))

    def _mouth(
        self, pose: Pose, values: FloatArray, moved: FloatArray, dt: float, coefficients: FloatArray
    ) -> None:
        jaw = jaw_opening(float(moved[_JAW][0]))
        aside = float(moved[_JAW][1]) / JAW_ASIDE
        shape = self._hearing.shape(pose)
        if self._expression is not None:
            coefficients += self._spoken(pose, values, moved, shape, dt)
        else:
            known = float(self._by_sound.follow(np.array([shape is not None], np.float32), dt)[0])
            if shape is not None:
                coefficients += np.float32(known) * (shape @ MOUTH_COEFFICIENTS)
            own = jaw * (1.0 - known * (1.0 - _JAW_WITH_SOUND))
            coefficients[_JAW_OPEN] += own * (1.0 - coefficients[_JAW_OPEN])
            coefficients += np.float32(own * (1.0 - known)) * _LIPS_PART
            stress = self._emphasis.raised(0.0 if shape is None else float(shape.sum()), dt)
            coefficients += np.float32(stress) * _BROWS_UP
        side = "jawLeft" if aside > 0 else "jawRight"
        coefficients[ARKIT_INDEX[side]] = min(1.0, max(coefficients[ARKIT_INDEX[side]], abs(aside)))

    def _spoken(
        self, pose: Pose, values: FloatArray, moved: FloatArray, shape: FloatArray | None, dt: float
    ) -> FloatArray:
        """The coefficients of the stream's expression, beyond that of its resting face."""
        assert self._expression is not None
        said = values[_EXPRESSION]
        if pose.kind not in (PoseKind.IDLE, PoseKind.TRANSITION):
            self._resting.learn(said, None if shape is None else float(shape.sum()), dt)
        elif self._resting.value is None and pose.kind is PoseKind.TRANSITION:
            said = np.zeros_like(said)  # what of the first speech is offset, nobody knows yet
        resting = (
            0.0 if self._resting.value is None else np.float32(self._neutral.share) * self._resting.value
        )
        return self._expression.coefficients(said - resting, moved[_JAW])

    def _lids(self, moved: FloatArray, now: float, coefficients: FloatArray) -> None:
        lids = moved[_LIDS]
        own = self._blinks.shut(now, stream_shut=float(lids.max()))
        for side, lid in zip(("Left", "Right"), lids, strict=True):
            blink = ARKIT_INDEX[f"eyeBlink{side}"]
            coefficients[blink] = max(coefficients[blink], min(1.0, max(own, float(lid))))
            coefficients[ARKIT_INDEX[f"eyeWide{side}"]] += min(1.0, max(0.0, -float(lid)))
