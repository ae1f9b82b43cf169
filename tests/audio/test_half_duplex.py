"""The half-duplex gate."""

from __future__ import annotations

import numpy as np

from avatarkit_rtc.audio.half_duplex import HANGOVER_S, HalfDuplex

LOUD = np.full((480, 1), 8000, np.int16)
SILENT = np.zeros((480, 1), np.int16)


def test_closed_from_the_avatars_sound_until_the_hang_over_has_passed() -> None:
    gate = HalfDuplex()
    assert gate.is_open(0.0)
    gate.played(LOUD, 1.0, delay_s=0.1)
    assert not gate.is_open(1.0)
    assert not gate.is_open(1.09 + HANGOVER_S)
    assert gate.is_open(1.11 + HANGOVER_S)


def test_silence_and_nothing_do_not_close_it() -> None:
    gate = HalfDuplex()
    gate.played(SILENT, 1.0)
    gate.played(LOUD[:0], 1.0)
    assert gate.is_open(1.0)


def test_later_and_quieter_sound_does_not_open_it_sooner() -> None:
    gate = HalfDuplex(0.3)
    gate.played(LOUD, 1.0, delay_s=0.5)
    gate.played(LOUD, 1.01, delay_s=0.0)
    gate.played(SILENT, 1.02)
    assert not gate.is_open(1.75)


def test_a_flush_leaves_the_hang_over_only() -> None:
    gate = HalfDuplex(0.3)
    gate.played(LOUD, 1.0, delay_s=2.0)
    gate.flushed(1.1)
    assert not gate.is_open(1.39)
    assert gate.is_open(1.41)
    gate.flushed(5.0)
    assert gate.is_open(5.0), "a flush of nothing closes nothing"


def test_the_change_is_a_ramp() -> None:
    gate = HalfDuplex(0.3)
    assert gate.apply(LOUD, 0.9) is LOUD
    gate.played(LOUD, 1.0)
    closing = gate.apply(LOUD, 1.0)[:, 0].astype(int)
    assert closing[0] == 8000
    assert closing[-1] == 0
    assert np.abs(np.diff(closing)).max() < 20
    assert not gate.apply(LOUD, 1.1).any()
    opening = gate.apply(LOUD, 1.4)[:, 0].astype(int)
    assert (opening[0], opening[-1]) == (0, 8000)
    assert gate.apply(LOUD, 1.5) is LOUD
