"""The level meter."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit_rtc.audio.level import FLOOR_DBFS, LevelMeter
from tests.support.pulse import tone


def blocks(samples: np.ndarray) -> list[np.ndarray]:
    return [samples[i : i + 480, np.newaxis] for i in range(0, len(samples), 480)]


def test_a_sine_of_half_scale_has_minus_6_peak_and_minus_9_mean() -> None:
    meter = LevelMeter()
    levels = [meter.add(block, 48000, i * 0.01) for i, block in enumerate(blocks(tone(1000, 0.2)))]
    assert [i for i, level in enumerate(levels) if level is not None] == [9, 19]
    level = levels[9]
    assert level is not None
    assert level.peak_dbfs == pytest.approx(-6.02, abs=0.05)
    assert level.rms_dbfs == pytest.approx(-9.03, abs=0.05)


def test_silence_is_the_floor_and_full_scale_is_0() -> None:
    for value, expected in ((0, FLOOR_DBFS), (-32768, 0.0), (1, -90.3)):
        meter = LevelMeter(0.01)
        level = meter.add(np.full((480, 2), value, np.int16), 48000, 0.0)
        assert level is not None
        assert level.rms_dbfs == level.peak_dbfs == pytest.approx(expected, abs=0.05)


def test_a_burst_of_late_blocks_brings_one_level() -> None:
    meter = LevelMeter()
    found = [meter.add(block, 48000, 1.0) for block in blocks(tone(1000, 0.5))]
    assert sum(level is not None for level in found) == 1


def test_reset_forgets() -> None:
    meter = LevelMeter(0.02)
    meter.add(np.full((480, 1), 30000, np.int16), 48000, 0.0)
    meter.reset()
    assert meter.add(np.zeros((480, 1), np.int16), 48000, 0.01) is None
    level = meter.add(np.zeros((480, 1), np.int16), 48000, 0.03)
    assert level is not None
    assert level.peak_dbfs == FLOOR_DBFS
