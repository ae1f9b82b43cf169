"""The mouth shapes that speech is made of, and what each is in ARKit's coefficients."""

from __future__ import annotations

from typing import Final

import numpy as np

from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from avatarkit_rtc.motion.frame import FloatArray

MOUTH_SHAPES: Final = ("open", "mid", "wide", "round", "pucker", "relaxed", "teeth", "closed")
"""Names of the shapes, in the order of every array of eight weights here, each with a sound it belongs to:
a, e, i, o, u, the vowel of "the", s, m."""

# Chosen by eye on heads with ARKit's shapes; the openings keep the order that phonetics gives them.
_BOTH: Final[dict[str, dict[str, float]]] = {
    "open": {"mouthLowerDown": 0.30, "mouthUpperUp": 0.14, "mouthStretch": 0.06},
    "mid": {"mouthLowerDown": 0.28, "mouthUpperUp": 0.16, "mouthStretch": 0.20, "mouthSmile": 0.12},
    "wide": {"mouthLowerDown": 0.30, "mouthUpperUp": 0.16, "mouthStretch": 0.28, "mouthSmile": 0.26},
    "round": {"mouthLowerDown": 0.14},
    "pucker": {},
    "relaxed": {"mouthLowerDown": 0.16, "mouthUpperUp": 0.08},
    "teeth": {"mouthLowerDown": 0.34, "mouthUpperUp": 0.16, "mouthStretch": 0.14, "mouthSmile": 0.06},
    "closed": {"mouthPress": 0.30},
}
_MIDDLE: Final[dict[str, dict[str, float]]] = {
    "open": {"jawOpen": 0.60},
    "mid": {"jawOpen": 0.38},
    "wide": {"jawOpen": 0.24},
    "round": {"jawOpen": 0.40, "mouthFunnel": 0.32, "mouthPucker": 0.38},
    "pucker": {"jawOpen": 0.22, "mouthFunnel": 0.10, "mouthPucker": 0.85},
    "relaxed": {"jawOpen": 0.31},
    "teeth": {"jawOpen": 0.09},
    "closed": {"mouthRollLower": 0.14, "mouthRollUpper": 0.08},
}


def _table() -> FloatArray:
    table = np.zeros((len(MOUTH_SHAPES), len(ARKIT_NAMES)), np.float32)
    for row, shape in enumerate(MOUTH_SHAPES):
        for name, weight in _MIDDLE[shape].items():
            table[row, ARKIT_INDEX[name]] = weight
        for name, weight in _BOTH[shape].items():
            for side in ("Left", "Right"):
                table[row, ARKIT_INDEX[name + side]] = weight
    table.flags.writeable = False
    return table


MOUTH_COEFFICIENTS: Final[FloatArray] = _table()
"""ARKit's coefficients of each shape at its strongest, shape (8, 52), float32: a mouth of weights ``w``,
shape (8,), is ``w @ MOUTH_COEFFICIENTS``."""
