"""Whether two pictures of a face show the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Box = tuple[slice, slice]
"""Rows and columns."""


def alike(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], boxes: Iterable[Box] = ()) -> bool:
    """Whether they show the same: as a whole, in the middle of the face, and in each of ``boxes``.

    Other versions of OpenCV fill and look up a little differently. In a small box, such as an eye, that
    weighs more, and so does what must not be.
    """
    if one.shape != other.shape:
        return False
    difference = np.abs(one.astype(int) - other).max(2)
    height, width = difference.shape
    middle = difference[
        round(0.30 * height) : round(0.77 * height), round(0.29 * width) : round(0.71 * width)
    ]
    if not all(part.mean() < 1.0 and (part > 24).mean() < 0.006 for part in (difference, middle)):
        return False
    return all(difference[box].mean() < 4.0 and (difference[box] > 24).mean() < 0.08 for box in boxes)
