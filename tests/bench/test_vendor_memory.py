"""The short form of ``bench.vendor_memory``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")

from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.testing.spatialreal_service import SpatialRealService
from bench import vendor_memory
from bench.vendor_memory import CASES, Found, measure, speak


def test_frames_that_were_lost_show_and_hiccups_excuse_only_themselves() -> None:
    assert Found([], shown=250, spoken_s=10.0).short == 0.0
    assert Found([], shown=200, spoken_s=10.0, held_up_s=1.0).short == pytest.approx(25.0)


async def test_speech_that_fails_ends_it_at_once_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(seconds: float) -> AsyncIterator[Any]:
        del seconds
        raise ValueError("no sound here")
        yield

    monkeypatch.setattr(vendor_memory, "_START_S", 3600.0)
    monkeypatch.setattr(vendor_memory, "speech", broken)
    async with SpatialRealService() as service:
        where = {"api_key": service.api_key, "app_id": service.app_id, "avatar_id": service.avatar_id}
        where |= {"console_url": service.console_url, "ingress_url": service.ingress_url}
        with pytest.raises(AvatarKitError, match="failed: ValueError"):
            await speak("good", where, 3600.0)


@pytest.mark.long
def test_a_service_far_ahead_takes_no_more_memory_and_nothing_is_lost() -> None:
    report = measure(10.0)
    for case in CASES:
        assert report.figure(f"{case}: keyframes unaccounted for").met, report.table()
        assert report.figure(f"{case}: growth, first quarter to last").met, report.table()
        assert report.figure(f"{case}: keyframes held at most").met, report.table()
