from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face.expression_fit import INPUTS, JAW_OPEN, ExpressionFit
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX

NAMES = ("mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthSmileRight")
STILL = np.zeros(3, np.float32)


def made(seed: int = 0, overlap: Any = None, pull: Any = None) -> ExpressionFit:
    random = np.random.default_rng(seed)
    moves = random.normal(size=(len(NAMES), 60))
    if overlap is None:
        overlap = moves @ moves.T
    if pull is None:
        # Expression 0 is half of a smile, 1 a pucker, the others nothing.
        pull = np.zeros((len(NAMES), INPUTS))
        pull[:, 0] = overlap @ [0, 0, 0.5, 0.5]
        pull[:, 1] = overlap @ [0, 1, 0, 0]
    return ExpressionFit(NAMES, overlap, pull, {"model": "made=up"})


def of(
    fit: ExpressionFit, *expression: float, jaw: tuple[float, float, float] = (0, 0, 0)
) -> dict[str, float]:
    said = np.zeros(INPUTS, np.float32)
    said[: len(expression)] = expression
    result = fit.coefficients(said, np.array(jaw, np.float32))
    return {name: float(result[i]) for name, i in ARKIT_INDEX.items() if result[i] > 0.02}


def test_expressions_become_the_shapes_they_are_made_of() -> None:
    assert of(made(), 0) == {}
    assert of(made(), 1.0) == {
        "mouthSmileLeft": pytest.approx(0.5, abs=0.03),
        "mouthSmileRight": pytest.approx(0.5, abs=0.03),
    }
    both = of(made(), 1.0, 0.5)
    assert both["mouthPucker"] == pytest.approx(0.5, abs=0.03)
    assert both["mouthSmileLeft"] == pytest.approx(0.5, abs=0.03)


def test_no_coefficient_leaves_0_to_1() -> None:
    assert of(made(), -3.0) == {} or max(of(made(), -3.0).values()) <= 1
    assert of(made(), 50.0)["mouthSmileLeft"] == 1.0


def test_the_jaw_is_an_angle_and_needs_no_fit() -> None:
    assert of(made(), jaw=(JAW_OPEN / 2, 0, 0)) == {"jawOpen": pytest.approx(0.5)}
    assert of(made(), jaw=(9, -9, 0)) == {"jawOpen": 1.0, "jawRight": 1.0}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.1, 1.0, 10.0]))
def test_no_other_coefficients_come_nearer(seed: int, strength: float) -> None:
    """Against the same problem, solved by trying each coordinate in turn until nothing changes."""
    random = np.random.default_rng(seed)
    moves = random.normal(size=(len(NAMES), 60))
    wanted = strength * random.normal(size=60)
    overlap = moves @ moves.T
    pull = np.zeros((len(NAMES), INPUTS))
    pull[:, 0] = moves @ wanted
    fit = made(overlap=overlap, pull=pull)
    got = fit.coefficients(np.eye(1, INPUTS, dtype=np.float32)[0], STILL)[
        [ARKIT_INDEX[name] for name in NAMES]
    ]
    best = np.zeros(len(NAMES))
    for _ in range(300):
        for i in range(len(NAMES)):
            rest = pull[i, 0] - 0.01 * overlap[i, i] - overlap[i] @ best + overlap[i, i] * best[i]
            best[i] = np.clip(rest / overlap[i, i], 0, 1)
    assert got == pytest.approx(best, abs=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_any_numbers_give_coefficients(value: float) -> None:
    result = made().coefficients(np.full(INPUTS, value, np.float32), np.full(3, value, np.float32))
    assert np.all((result >= 0) & (result <= 1))


def test_a_fit_is_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "fit.npz"
    fit = made()
    fit.save(path)
    fit.save(path)  # again, over it
    again = ExpressionFit.load(path)
    assert again.names == NAMES
    assert again.about == {"model": "made=up"}
    assert of(again, 1.0, 0.5) == pytest.approx(of(fit, 1.0, 0.5), abs=1e-4)
    assert [file.name for file in path.parent.iterdir()] == ["fit.npz"]


def test_other_files_are_no_fit(tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    with pytest.raises(ConfigurationError, match="cannot read"):
        ExpressionFit.load(path)
    for data in (b"", b"PK\x03\x04", b"hello"):
        path.write_bytes(data)
        with pytest.raises(ConfigurationError, match="fit"):
            ExpressionFit.load(path)
    np.savez(path, version=1)
    with pytest.raises(ConfigurationError, match="face fit FILE again"):
        ExpressionFit.load(path)
    np.savez(path, version=99)
    with pytest.raises(ConfigurationError, match="another version"):
        ExpressionFit.load(path)


@pytest.mark.parametrize(
    ("names", "overlap", "pull"),
    [
        (("mouthFunnel", "nose"), np.eye(2), np.zeros((2, INPUTS))),
        ((), np.eye(0), np.zeros((0, INPUTS))),
        (("mouthFunnel",), np.eye(2), np.zeros((1, INPUTS))),
        (("mouthFunnel",), np.eye(1), np.zeros((1, 3))),
        (("mouthFunnel",), np.zeros((1, 1)), np.zeros((1, INPUTS))),
        (("mouthFunnel",), np.eye(1), np.full((1, INPUTS), np.nan)),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(names: tuple[str, ...], overlap: Any, pull: Any) -> None:
    with pytest.raises(ConfigurationError):
        ExpressionFit(names, overlap, pull)
