"""Draws docs/head-looks.jpg: the default face in all its looks, and a strip of it speaking.

python tools/head_pictures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from renderers.head import LOOKS, HeadFace

OUT = Path(__file__).resolve().parents[1] / "docs" / "head-looks.jpg"
SIDE = 300
TURNS = (0.12, -0.1, 0.0, 0.15, -0.15, 0.08, -0.08, 0.0)

SPOKEN: tuple[dict[str, float], ...] = (
    {},
    {"jawOpen": 0.42},
    {"mouthStretch": 0.5, "mouthSmile": 0.35, "jawOpen": 0.14, "mouthLowerDown": 0.3},
    {"mouthPucker": 0.7, "mouthFunnel": 0.35, "jawOpen": 0.14},
    {"mouthFunnel": 0.45, "jawOpen": 0.28},
    {"mouthPress": 0.5, "eyeBlink": 1.0},
    {"mouthSmile": 0.8, "cheekSquint": 0.5, "mouthUpperUp": 0.2, "jawOpen": 0.1},
    {"browInnerUp": 0.8, "eyeWide": 0.4, "jawOpen": 0.2},
)


def pose(shapes: dict[str, float], turn: float) -> FacePose:
    values = np.zeros(52, np.float32)
    for shape, value in shapes.items():
        for side in ("", "Left", "Right"):
            if shape + side in ARKIT_INDEX:
                values[ARKIT_INDEX[shape + side]] = value
    return FacePose(values, np.array([0.0, turn, 0.0], np.float32))


def main() -> None:
    looks = [
        HeadFace((SIDE, SIDE), look).draw(pose({}, turn)) for look, turn in zip(LOOKS, TURNS, strict=True)
    ]
    face = HeadFace((SIDE, SIDE))
    strip: list[npt.NDArray[np.uint8]] = [face.draw(pose(shapes, 0.0)) for shapes in SPOKEN]
    half = len(looks) // 2
    rows = [np.concatenate(row, axis=1) for row in (looks[:half], looks[half:])]
    cut = [picture[SIDE // 6 : SIDE * 5 // 6, SIDE // 6 : SIDE * 5 // 6] for picture in strip]
    small = [cv2.resize(picture, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA) for picture in cut]
    rows.append(np.concatenate(small, axis=1))
    cv2.imwrite(str(OUT), np.concatenate(rows), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
