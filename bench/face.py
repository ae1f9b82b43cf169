"""What a picture of the default face costs, by size and look, and one of the cartoon."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from bench.face_prototype import load_prototype
from bench.report import Figure, Report, arguments, machine, publish
from renderers.cartoon import CartoonFace
from renderers.head import DEFAULT_LOOK, LOOKS, HeadFace

SIZES = (256, 512, 720)
RATIO_GOAL = 0.85
RATE_HZ = 60.0


def speech(count: int) -> list[FacePose]:
    """Poses as of somebody who speaks, looks around and moves the head a little: 25 coefficients at work."""
    poses = []
    for index in range(count):
        t = index / 25
        wave = 0.5 + 0.5 * math.sin(2 * math.pi * 4 * t) * math.sin(2 * math.pi * 0.6 * t)
        values = np.zeros(len(ARKIT_NAMES), np.float32)
        values[ARKIT_INDEX["jawOpen"]] = 0.35 * wave
        for number, name in enumerate(ARKIT_NAMES):
            if name.startswith(("mouth", "brow", "cheekSquint", "eyeSquint")) and number % 2:
                values[number] = 0.2 + 0.15 * math.sin(3 * t + number)
        for name in ("eyeBlinkLeft", "eyeBlinkRight"):
            values[ARKIT_INDEX[name]] = 1.0 if index % 50 < 4 else 0.0
        turn = [0.03 * math.sin(2.1 * t), 0.12 * math.sin(0.9 * t), 0.03 * math.sin(0.5 * t)]
        gaze = np.array([[0.02, 0.1 * math.sin(1.3 * t), 0]] * 2, np.float32)
        poses.append(FacePose(values, np.array(turn, np.float32), gaze, breath=0.5 + 0.5 * math.sin(1.5 * t)))
    return poses


def timed(draws: Sequence[Callable[[FacePose], Any]], poses: Sequence[FacePose]) -> list[list[float]]:
    """Milliseconds per picture of each of ``draws``, which take turns with each pose."""
    for draw in draws:
        for pose in poses[:: max(1, len(poses) // 20)]:  # shoulders of every breath are drawn once
            draw(pose)
    spent: list[list[float]] = [[] for _ in draws]
    for number, pose in enumerate(poses):
        for which in sorted(range(len(draws)), reverse=bool(number % 2)):
            start = time.perf_counter()
            draws[which](pose)
            spent[which].append((time.perf_counter() - start) * 1000)
    return spent


def by_size_and_look(poses: Sequence[FacePose], looks: Sequence[str], sizes: Sequence[int]) -> list[Figure]:
    """Medians of all sizes and looks, and how regular the smallest is."""
    figures = []
    for size in sizes:
        faces = [HeadFace((size, size), look) for look in looks]
        for look, spent in zip(looks, timed([face.draw for face in faces], poses), strict=True):
            figures.append(Figure(f"{size} x {size}, {look}", statistics.median(spent), "ms"))
            if size == sizes[0] and look == DEFAULT_LOOK:
                late = statistics.quantiles(spent, n=20)[-1]
                figures.append(Figure(f"{size} x {size}, {look}, 95 %", late, "ms", 1000 / RATE_HZ))
    middle = sizes[len(sizes) // 2]
    transparent = HeadFace((middle, middle))
    figures.append(
        Figure(
            f"{middle} x {middle}, with alpha",
            statistics.median(timed([lambda pose: transparent.draw(pose, alpha=True)], poses)[0]),
            "ms",
        )
    )
    start = time.perf_counter()
    HeadFace((middle, middle), DEFAULT_LOOK)
    figures.append(Figure("making another face of that look", (time.perf_counter() - start) * 1000, "ms"))
    return figures


def cartoons(poses: Sequence[FacePose], sizes: Sequence[int]) -> list[Figure]:
    """Medians of the cartoon, all sizes in turn."""
    spent = timed([CartoonFace((size, size)).draw for size in sizes], poses)
    return [
        Figure(f"{size} x {size}, cartoon", statistics.median(each), "ms")
        for size, each in zip(sizes, spent, strict=True)
    ]


def against_prototype(directory: Path, poses: Sequence[FacePose]) -> list[Figure]:
    """Both with posing, picture by picture in turn, at 512 x 512."""
    face, draw = HeadFace((512, 512)), load_prototype(directory, 512)

    def prototype(pose: FacePose) -> Any:
        return draw(dict(zip(ARKIT_NAMES, pose.coefficients.tolist(), strict=True)), pose.rotation)

    ours, theirs = (statistics.median(spent) for spent in timed([face.draw, prototype], poses))
    return [
        Figure("512 x 512 in turn with the prototype", ours, "ms"),
        Figure("the prototype", theirs, "ms"),
        Figure("ratio", ours / theirs, "", RATIO_GOAL),
    ]


def measure(
    *,
    frames: int,
    looks: Sequence[str],
    sizes: Sequence[int] = SIZES,
    prototype: Path | None = None,
) -> Report:
    """All that is asked for."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a picture's cost, not how many cores it can be spread over
    try:
        poses = speech(frames)
        figures = by_size_and_look(poses, looks, sizes) + cartoons(poses, sizes)
        if prototype is not None:
            figures += against_prototype(prototype, poses)
    finally:
        cv2.setNumThreads(before)
    notes = [f"medians of {frames} pictures with posing, on one thread; all looks of a size take turns"]
    return Report("face", figures, {"frames": frames, "looks": list(looks)}, notes)


def main() -> int:
    """The command."""
    parser = arguments(__doc__)
    parser.add_argument("--frames", type=int, default=250, help="pictures of each kind")
    parser.add_argument("--prototype", type=Path, metavar="DIR", help="compare with the painter there")
    options = parser.parse_args()
    if options.frames < 20:
        raise ConfigurationError("--frames must be 20 or more")
    on = machine()
    if options.quick:
        frames, looks = 40, [DEFAULT_LOOK]
    else:
        frames, looks = options.frames, list(LOOKS)
    report = measure(frames=frames, looks=looks, prototype=options.prototype)
    return publish(report, on, options.json)


if __name__ == "__main__":
    sys.exit(main())
