from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face.expression_fit import INPUTS, ExpressionFit
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from renderers.flame import read_flame
from renderers.flame.fit import FitReport, fit_expression, fit_file, last_fit, load_fit
from renderers.flame.model_file import FlameModel
from tests.support.flame import write_npz
from tests.support.flame_head import MEANT, STRENGTH, head_as_flame

STILL = np.zeros(3, np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the default head as another person, with other vertices, in metres."""
    return write_npz(tmp_path_factory.mktemp("flame") / "flame.npz", head_as_flame()[0])


@pytest.fixture(scope="module")
def fitted(model: Path) -> tuple[ExpressionFit, FitReport]:
    return fit_expression(read_flame(model))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "avatarkit-rtc"


@pytest.fixture
def fits(
    fitted: tuple[ExpressionFit, FitReport], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> list[FlameModel]:
    """Models that were fitted; each of them takes a second or more, so all get the one result."""
    models: list[FlameModel] = []

    def fit(model: FlameModel) -> tuple[ExpressionFit, FitReport]:
        models.append(model)
        return fitted

    monkeypatch.setattr("renderers.flame.fit.fit_expression", fit)
    return models


@pytest.mark.parametrize("meant", MEANT)
def test_an_expression_is_told_by_the_shape_it_is(
    fitted: tuple[ExpressionFit, FitReport], meant: str
) -> None:
    expression = np.zeros(INPUTS, np.float32)
    expression[MEANT.index(meant)] = STRENGTH
    said = fitted[0].coefficients(expression, STILL)
    own = [ARKIT_INDEX[name] for name in meant.split("+")]
    assert said[own].min() > 0.6
    others = np.delete(said, own)
    assert others.max() < 0.5
    assert others.max() < 0.5 * said[own].min() + 0.05


def test_two_expressions_at_once_are_both_told(fitted: tuple[ExpressionFit, FitReport]) -> None:
    expression = np.zeros(INPUTS, np.float32)
    expression[MEANT.index("mouthFunnel")] = 0.6 * STRENGTH
    expression[MEANT.index("browInnerUp")] = STRENGTH
    said = dict(zip(ARKIT_NAMES, fitted[0].coefficients(expression, STILL), strict=True))
    assert said["mouthFunnel"] == pytest.approx(0.6, abs=0.2)
    assert said["browInnerUp"] > 0.6
    assert said["mouthSmileLeft"] < 0.1


def test_the_report_says_how_near_the_faces_came_and_what_is_explained(
    fitted: tuple[ExpressionFit, FitReport],
) -> None:
    report = fitted[1]
    assert report.places > 1000
    assert 0.1 < report.distance_mm < 4
    assert 0.7 < report.explained < 1


def test_a_fit_is_kept_for_the_file_and_as_the_last_one(
    model: Path, cache: Path, fits: list[FlameModel]
) -> None:
    with pytest.raises(ConfigurationError, match=r"avatarkit-rtc face fit FILE"):
        load_fit()
    fit, _ = fit_file(model)
    assert last_fit() == cache / "flame.npz"
    assert len(list(cache.iterdir())) == 2
    assert load_fit().about == fit.about == {"model": "flame.npz", "skin": fit.about["skin"]}
    assert load_fit(model).names == fit.names
    assert len(fits) == 1


def test_another_file_is_fitted_anew(
    model: Path, cache: Path, fits: list[FlameModel], tmp_path: Path
) -> None:
    fit_file(model)
    fields = head_as_flame()[0]
    other = write_npz(tmp_path / "other.npz", fields | {"v_template": fields["v_template"] * 1.01})
    assert load_fit(other).about["model"] == "other.npz"
    assert len(fits) == 2
    assert len(list(cache.iterdir())) == 3


def test_a_cache_that_cannot_be_written_is_named(model: Path, cache: Path, fits: list[FlameModel]) -> None:
    cache.parent.mkdir()
    cache.write_text("in the way")
    with pytest.raises(ConfigurationError, match="XDG_CACHE_HOME"):
        fit_file(model)


@pytest.mark.parametrize("turn", ["back to front", "on its side"])
def test_a_model_that_does_not_look_to_the_viewer_is_refused(tmp_path: Path, turn: str) -> None:
    fields, _ = head_as_flame()
    x, y, z = fields["v_template"].T
    other = np.stack([-x, y, -z] if turn == "back to front" else [y, -x, z], axis=1)
    with pytest.raises(ConfigurationError, match="turned"):
        fit_expression(read_flame(write_npz(tmp_path / "turned.npz", fields | {"v_template": other})))
