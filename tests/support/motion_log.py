"""The motion log of ``play``, and what must hold of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FIELD_SIZES
from avatarkit_rtc.playout.pose import PoseKind

NEW = frozenset({PoseKind.RECEIVED, PoseKind.RECOVERED, PoseKind.INTERPOLATED})
FROM_FRAMES = frozenset({PoseKind.RECEIVED, PoseKind.RECOVERED})

Line = dict[str, Any]


def read_motion_log(path: Path) -> list[Line]:
    """Its lines, each checked for its form."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        assert list(line) == ["t", "round", "position", "kind", "pose"]
        assert line["kind"] in set(PoseKind)
        assert {name: len(values) for name, values in line["pose"].items()} == dict(FIELD_SIZES)
        speech = line["kind"] not in (PoseKind.IDLE, PoseKind.TRANSITION)
        assert (line["position"] is not None) == speech
    return lines


def values_of(line: Line) -> npt.NDArray[np.float64]:
    """All values of a pose, shape (120,)."""
    return np.concatenate([np.asarray(line["pose"][name], np.float64) for name in FIELD_SIZES])


def speech_of(lines: Sequence[Line], number: int = 1) -> list[Line]:
    """The speech of one round."""
    return [line for line in lines if line["round"] == number and line["position"] is not None]


def kinds_of(lines: Sequence[Line]) -> Counter[str]:
    """How many poses of each kind."""
    return Counter(line["kind"] for line in lines)


def recovered_frames(lines: Sequence[Line]) -> list[int]:
    """Numbers of the frames that a redundant copy brought."""
    return [round(line["position"]) for line in lines if line["kind"] == PoseKind.RECOVERED]


def assert_in_order(lines: Sequence[Line]) -> None:
    """Time never runs backwards; within a round the positions of new poses rise, held ones stay."""
    times = [line["t"] for line in lines]
    assert times == sorted(times)
    last: dict[int, float] = {}
    for line in lines:
        number, position = line["round"], line["position"]
        if position is None:
            continue
        before = last.get(number, -1.0)
        assert position > before if line["kind"] in NEW else position == before, line
        last[number] = position


def assert_all_shown(speech: Sequence[Line], source: npt.NDArray[np.float64]) -> None:
    """Every frame of ``source``, shape (n, 120), came, or a pose was made up in its place; and no other."""
    shown = [line["position"] for line in speech if line["kind"] in NEW]
    covered = {round(position) for position in shown}
    assert covered == set(range(len(source)))
    assert len(shown) == len(covered), "a frame was shown twice"


def largest_error(speech: Sequence[Line], source: npt.NDArray[np.float64]) -> float:
    """Largest difference between a frame that came and its source."""
    errors = [
        np.abs(values_of(line) - source[round(line["position"])]).max()
        for line in speech
        if line["kind"] in FROM_FRAMES
    ]
    return float(max(errors))
