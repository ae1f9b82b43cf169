"""``bench.realtime``: how moments are matched, and a short form. A busy machine is not judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import realtime
from tests.support.pulse import rms


def test_the_vowel_is_even() -> None:
    sound = np.frombuffer(realtime.vowel(1.0), "<i2")
    assert len(sound) == 24000
    loudness = [rms(sound[at : at + 480]) for at in range(0, 24000, 480)]
    assert min(loudness) > 0.6 * max(loudness)


def test_moments_are_matched_with_what_came_before_them() -> None:
    assert realtime.after([1.1, 2.3, 9.0], [1.0, 2.0, 5.0]) == pytest.approx([100, 300])
    assert realtime.after([], [1.0]) == []


def test_a_mouth_opens_and_comes_to_rest() -> None:
    poses = [
        f"{n * 0.02:.3f} {0.3 if 10 <= n < 20 or 22 <= n < 30 or 60 <= n < 65 else 0.0}" for n in range(99)
    ]
    opened, shut = realtime.mouth_moments([*poses, "1.9"])  # a line that was cut off
    assert opened == pytest.approx([0.2, 1.2])
    assert shut == pytest.approx([0.6, 1.3])
    assert realtime.mouth_moments(["0.0 0.0"]) == ([], [])


def test_sound_and_mouth_stand_beside_the_sum_of_their_known_parts() -> None:
    poses = [f"{n * 0.01:.3f} {0.3 if 115 <= n < 220 else 0.0}" for n in range(300)]
    speaker = {"depth_ms": 60.0, "device_ms": 90.0, "underruns": 0, "held_up_ms": 0.0}
    found = realtime.report(np.array([1.17]), np.array([2.1]), poses, [1.0], [2.0], speaker)
    figures = {each.name: each.value for each in found.figures}
    assert figures["first sound of the model to sound, median"] == pytest.approx(170)
    assert figures["known parts to sound, sum"] == pytest.approx(155)
    assert figures["first sound of the model to moving mouth, median"] == pytest.approx(150)
    assert figures["known parts to moving mouth: those to sound, and half a pose"] == pytest.approx(
        155 + 1000 / 120
    )
    rest = "the rest: socket, and, before its first frame, the mouth's way from rest"
    assert figures[rest] == pytest.approx(150 - 155 - 1000 / 120)


@pytest.mark.long
def test_short_form(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    for _ in range(3):  # a machine that stands still for seconds takes a turn or two with it
        realtime.main(["--quick", "--json", str(written)])
        figures = {each["name"]: each for each in json.loads(written.read_text())["figures"]}
        assert figures["user speaks to silence, median"]["goal"] == 150
        assert figures["user speaks to still mouth, median"]["goal"] == 150
        if (
            50 < figures["first sound of the model to sound, median"]["value"] < 1000
            and figures["turns without a measurement"]["value"] <= 4
        ):
            return
    raise AssertionError(figures)
