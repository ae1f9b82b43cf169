"""The short form of ``bench.lipsync``: it measures, and following the voice beats drawing on arrival."""

from __future__ import annotations

import numpy as np
import pytest

from bench.lipsync import offsets_ms, quick
from tests.support.system import require


def test_a_mouth_is_matched_with_its_beep() -> None:
    heard = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(offsets_ms([1.01, 1.98, 9.0], heard), [10.0, -20.0], atol=1e-6)
    assert len(offsets_ms([], heard)) == 0


@pytest.mark.alone
def test_the_face_that_follows_is_nearer_to_its_voice() -> None:
    require("pulseaudio", "parec", "pactl")
    report = quick()
    ours, theirs = (report.figure(f"clean, {way}: median").value for way in ("following", "on arrival"))
    assert ours < theirs / 2, report.table()
