"""What a FLAME model costs: reading its file, a pose at FLAME's size, the fit, and a frame's coefficients.

The model file is made up, with FLAME's sizes (5023 vertices, 5 joints, 400 shapes); ``--model FILE`` takes a
real one.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from avatarkit_rtc.motion.frame import MotionFrame
from bench.report import Figure, Report, arguments, machine, publish
from renderers.flame import FlameMesh, fit_expression, read_flame
from tests.support.flame import make_fields, write_pickle
from tests.support.flame_head import head_as_flame

POSE_GOAL_MS = 1.0
_USED = 50
"""Expression coefficients that streams use."""


def frames(count: int, expressions: int) -> list[MotionFrame]:
    """Random poses, everything turned."""
    random = np.random.default_rng(1)
    return [
        MotionFrame.from_fields(
            {
                "rotation": random.normal(size=3) * 0.1,
                "neck_pose": random.normal(size=3) * 0.1,
                "jaw_pose": random.normal(size=3) * 0.1,
                "eye_pose": random.normal(size=6) * 0.1,
                "expression": random.normal(size=expressions),
            }
        )
        for _ in range(count)
    ]


def median_ms(call: Callable[[MotionFrame], object], poses: Sequence[MotionFrame]) -> float:
    """Median time of ``call``."""
    took = []
    for pose in poses:
        begin = perf_counter()
        call(pose)
        took.append(perf_counter() - begin)
    return 1000 * statistics.median(took)


def measure(model: Path | None, *, count: int) -> Report:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = model or write_pickle(Path(folder) / "made-up.pkl", make_fields())
        begin = perf_counter()
        read = read_flame(path)
        reading = perf_counter() - begin
    mesh = FlameMesh(read)
    half, whole = frames(count, _USED), frames(count, 100)
    if model is None:
        # For the fit a face is needed, not a lumpy ball.
        with tempfile.TemporaryDirectory() as folder:
            face = Path(folder) / "face.pkl"
            read = read_flame(write_pickle(face, head_as_flame()[0]))
    begin = perf_counter()
    fit, report = fit_expression(read)
    fitting = perf_counter() - begin
    figures = [
        Figure("vertices", len(mesh.model.template), ""),
        Figure("reading the file", reading, "s"),
        Figure(f"a pose, {_USED} expressions", median_ms(mesh.vertices, half), "ms", POSE_GOAL_MS),
        Figure("a pose, 100 expressions", median_ms(mesh.vertices, whole), "ms", POSE_GOAL_MS),
        Figure("the fit", fitting, "s"),
        Figure("movement that the head can make", 100 * report.explained, "%"),
        Figure(
            "coefficients of a frame",
            median_ms(lambda f: fit.coefficients(f.expression, f.jaw_pose), half),
            "ms",
        ),
    ]
    return Report("flame", figures, {"model": "made up" if model is None else model.name, "poses": count})


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path, metavar="FILE", help="a real model file")
    options = parser.parse_args(argv)
    where = machine()
    return publish(measure(options.model, count=50 if options.quick else 1000), where, options.json)


if __name__ == "__main__":
    sys.exit(main())
