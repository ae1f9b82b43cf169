"""The face while nobody speaks. It does not come over the wire: a neutral pose, a clip or a function of
time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

from avatarkit_rtc.motion.frame import FIELD_SLICES, FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.interpolation import blend, ease

IdleSpec: TypeAlias = "MotionFrame | Sequence[MotionFrame] | Callable[[float], MotionFrame] | None"
"""None for the default, a still pose, a clip at 25 fps (played there and back), or a function of seconds."""

BREATH_S: Final = 4.0
"""A resting adult breathes some 12 to 20 times a minute."""

BLINK_S: Final = 0.18
"""A blink lasts 0.1 to 0.4 s."""

BLINK_EVERY_S: Final = 4.0
"""Mean pause between blinks at rest."""


def breathing(t: float) -> MotionFrame:
    """Neutral, with breathing, a slight sway and blinks. Depends on ``t`` (seconds) alone."""
    values = np.zeros_like(MotionFrame.neutral().values)
    breath = math.sin(2 * math.pi * t / BREATH_S)
    rotation = FIELD_SLICES["rotation"].start
    values[rotation] = 0.008 * breath
    values[rotation + 1] = 0.015 * math.sin(2 * math.pi * t / 11.0)
    values[rotation + 2] = 0.010 * math.sin(2 * math.pi * t / 17.0)
    values[FIELD_SLICES["translation"].start + 1] = 0.0015 * breath
    values[FIELD_SLICES["eye_lid"]] = _lids(t)
    return MotionFrame.adopt(values)


def _lids(t: float) -> float:
    """Shut-ness 0 … 1 of the lids: one blink in each stretch of time, at a place that looks random but is
    not."""
    stretch = math.floor(t / BLINK_EVERY_S)
    place = math.modf(abs(math.sin(stretch * 12.9898 + 4.1414)) * 43758.5453)[0]
    since = t - stretch * BLINK_EVERY_S - place * (BLINK_EVERY_S - BLINK_S)
    if not 0.0 <= since <= BLINK_S:
        return 0.0
    return ease(1.0 - abs(since / (BLINK_S / 2) - 1.0))


class IdleMotion:
    """The idle pose at any moment, whatever the caller gave for it. Never raises when asked for a pose."""

    def __init__(self, spec: IdleSpec = None) -> None:
        """
        Args:
            spec: see :data:`IdleSpec`.

        Raises:
            TypeError: it is none of these.
            ValueError: the clip is empty.
        """
        self.errors = 0
        """Calls in which the caller's function failed and the neutral pose stood in."""
        self._function = _as_function(spec)

    def pose(self, t: float) -> MotionFrame:
        """The pose ``t`` seconds after the start."""
        try:
            frame = self._function(t)
            if not isinstance(frame, MotionFrame):
                raise TypeError(f"an idle function returns a MotionFrame, not {type(frame).__name__}")
        except Exception:
            # The caller's code runs on every frame of a player that must stay up for months.
            self.errors += 1
            return MotionFrame.neutral()
        return frame


def _as_function(spec: IdleSpec) -> Callable[[float], MotionFrame]:
    if spec is None:
        return breathing
    if isinstance(spec, MotionFrame):
        still = spec
        return lambda _t: still
    if isinstance(spec, Sequence):
        clip = tuple(spec)
        if not clip:
            raise ValueError("an idle clip needs at least one frame")
        if not all(isinstance(frame, MotionFrame) for frame in clip):
            raise TypeError("an idle clip is a sequence of MotionFrame")
        return lambda t: _clip_pose(clip, t)
    if callable(spec):
        return spec
    raise TypeError("idle= takes a MotionFrame, a sequence of them, or a function of seconds")


def _clip_pose(clip: Sequence[MotionFrame], t: float) -> MotionFrame:
    """There and back again, so that the loop has no seam."""
    last = len(clip) - 1
    if last == 0:
        return clip[0]
    place = (t / FRAME_INTERVAL_S) % (2 * last)
    place = min(place, 2 * last - place)
    index = min(int(place), last - 1)
    return blend(clip[index], clip[index + 1], place - index)
