from __future__ import annotations

import re

import numpy as np

from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from tests.support.command import ROOT
from tools import make_pictures


def test_the_pictures_of_the_readme_are_there_and_small() -> None:
    named = re.findall(r"docs/[\w.-]+\.(?:png|webp|jpg)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"docs/face.png", "docs/preview.webp", "docs/speaking.png"} <= set(named)
    for name in named:
        assert 5_000 < (ROOT / name).stat().st_size < make_pictures.PREVIEW_LIMIT_BYTES, name


def test_the_speech_rests_speaks_and_rests() -> None:
    faces = make_pictures.speech()
    jaw = np.array([face.coefficients[ARKIT_INDEX["jawOpen"]] for face in faces])
    rest = round(make_pictures.REST_S * 25)
    assert len(faces) == 2 * rest + round(make_pictures.SPEECH_S * 25)
    assert np.abs(np.diff(jaw[rest:-rest])).sum() > 2
    assert jaw[:rest].max() < 0.05
    assert jaw[-1] < 0.05


def test_the_moments_of_the_strip_differ_and_have_open_eyes() -> None:
    faces = make_pictures.speech()
    moments = make_pictures.telling(faces, 6)
    assert moments == sorted(set(moments))
    assert min(np.diff(moments)) > 4
    for moment in moments:
        assert faces[moment].coefficients[ARKIT_INDEX["eyeBlinkLeft"]] < 0.2


def test_a_strip_has_its_pictures_side_by_side() -> None:
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (10, 20, 30)]
    row = make_pictures.strip(pictures, 4)
    assert row.shape == (4, 12, 3)
    assert row[0, ::4, 0].tolist() == [10, 20, 30]
