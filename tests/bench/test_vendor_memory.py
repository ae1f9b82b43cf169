"""The short form of ``bench.vendor_memory``."""

from __future__ import annotations

import pytest

pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")

from bench.vendor_memory import CASES, Found, measure


def test_frames_that_were_lost_show_and_hiccups_excuse_only_themselves() -> None:
    assert Found([], shown=250, spoken_s=10.0).short == 0.0
    assert Found([], shown=200, spoken_s=10.0, held_up_s=1.0).short == pytest.approx(25.0)


@pytest.mark.long
def test_a_service_far_ahead_takes_no_more_memory_and_nothing_is_lost() -> None:
    report = measure(10.0)
    for case in CASES:
        assert report.figure(f"{case}: keyframes unaccounted for").met, report.table()
        assert report.figure(f"{case}: growth, first quarter to last").met, report.table()
        assert report.figure(f"{case}: keyframes held at most").met, report.table()
