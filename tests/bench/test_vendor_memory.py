"""The short form of ``bench.vendor_memory``."""

from __future__ import annotations

import pytest

pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")

from bench.vendor_memory import CASES, measure


@pytest.mark.long
def test_a_service_far_ahead_takes_no_more_memory() -> None:
    report = measure(20.0)
    for case in CASES:
        assert report.figure(f"{case}: growth, first quarter to last").met, report.table()
        assert report.figure(f"{case}: keyframes held at most").met, report.table()
