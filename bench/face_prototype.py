"""The throw-away painter that the default face has to beat, run from a directory of its own.

Its directory has ``rig.py``, ``sw2.py``, ``sw4.py`` and ``sw5.py``, and ``full.npz``, which its ``asset.py``
makes there beside the unpacked wheel. It needs scipy. Of what its missing module ``sw`` held, four tables are
used; they are made here: the quads with the eyeballs', two lights, an occlusion that is 1 but for teeth and
tongue, and a gamma curve.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

NEEDED = ("rig.py", "sw2.py", "sw4.py", "sw5.py", "full.npz")


def load_prototype(directory: Path, size: int) -> Callable[[Mapping[str, float], Any], Any]:
    """Its ``draw(coefficients by name, rotation vector)``, with posing, for pictures of ``size``.

    Raises:
        RuntimeError: something of it is missing; the message says what.
    """
    lacking = [name for name in NEEDED if not (directory / name).exists()]
    if lacking:
        raise RuntimeError(f"{directory} lacks {', '.join(lacking)}; its asset.py makes full.npz")
    sys.path.insert(0, str(directory))
    try:
        # It prints as it loads, and reads its data from the working directory.
        with chdir(directory), open(os.devnull, "w", encoding="utf-8") as silence:
            before, sys.stdout = sys.stdout, silence
            try:
                rig = importlib.import_module("rig")
                if not (directory / "sw.py").exists():
                    sys.modules["sw"] = _stand_in(rig)
                painter = importlib.import_module("sw4")
                importlib.import_module("sw5")
            finally:
                sys.stdout = before
    except ImportError as error:
        raise RuntimeError(f"the prototype cannot be loaded: {error} (it needs scipy)") from error
    finally:
        sys.path.remove(str(directory))

    def draw(coefficients: Mapping[str, float], rotation: Any) -> Any:
        points, normals = rig.pose(coefficients, rig.rod(rotation))
        return painter.render(points, normals, size)

    return draw


def _stand_in(rig: Any) -> ModuleType:
    module = ModuleType("sw")
    around = 28
    cap, rings = rig.ef[:around], rig.ef[around:].reshape(-1, 2, 3)
    eye = np.concatenate(
        [
            np.c_[cap, cap[:, 2]],
            np.stack([rings[:, 0, 0], rings[:, 0, 1], rings[:, 0, 2], rings[:, 1, 2]], 1),
        ]
    )
    tables: Any = module
    tables.FQ = np.concatenate([rig.quads, eye + rig.N, eye + rig.N + len(rig.ev)])
    for name, light in (("KD", (-0.45, 0.55, 0.75)), ("FD", (0.8, 0.1, 0.5))):
        vector = np.array(light, np.float32)
        setattr(module, name, vector / np.linalg.norm(vector))
    tables.zocc = np.where((rig.alll == 1) | (rig.alll == 2), 0.6, 1.0).astype(np.float32)
    tables.GAM = (255 * np.linspace(0, 1, 4096) ** (1 / 2.2)).astype(np.float32)
    return module
