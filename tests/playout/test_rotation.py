from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.playout.rotation import compose, relative, slerp

angles = st.floats(-3.0, 3.0)
vectors = st.lists(st.tuples(angles, angles, angles), min_size=1, max_size=5)


def matrices(rotations: np.ndarray) -> np.ndarray:
    """Rotation matrices by Rodrigues' formula: a second, independent way to say the same rotation."""
    made = []
    for vector in np.atleast_2d(rotations):
        angle = float(np.linalg.norm(vector))
        x, y, z = vector / angle if angle > 1e-12 else np.zeros(3)
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        made.append(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
    return np.array(made)


@given(vectors, vectors)
def test_what_leads_from_one_to_the_other_does(one: list, other: list) -> None:
    count = min(len(one), len(other))
    a, b = np.array(one[:count]), np.array(other[:count])
    np.testing.assert_allclose(matrices(compose(a, relative(a, b))), matrices(b), atol=1e-6)
    np.testing.assert_allclose(matrices(compose(a, b)), matrices(a) @ matrices(b), atol=1e-6)


@given(vectors, st.floats(0.0, 1.0))
def test_slerp_goes_part_of_the_way(one: list, weight: float) -> None:
    a = np.array(one)
    b = a[:, ::-1] * 0.9
    made = slerp(a, b, weight)
    np.testing.assert_allclose(matrices(made), matrices(compose(a, weight * relative(a, b))), atol=1e-5)


def test_no_rotation_stays_none() -> None:
    none = np.zeros((2, 3))
    assert not compose(none, none).any()
    assert not relative(none, none).any()
    assert not slerp(none, none, 0.3).any()


@pytest.mark.parametrize("tiny", [1e-12, 1e-9, 1e-7])
def test_tiny_rotations_keep_their_size(tiny: float) -> None:
    a, b = np.zeros((1, 3)), np.array([[tiny, 0.0, 0.0]])
    np.testing.assert_allclose(slerp(a, b, 0.5), b / 2, rtol=1e-6)
