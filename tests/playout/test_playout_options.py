from __future__ import annotations

import math

import pytest

from avatarkit_rtc.playout import PlayoutOptions


@pytest.mark.parametrize(
    "options",
    [
        {"max_buffer_delay_ms": -1},
        {"max_buffer_delay_ms": math.nan},
        {"max_buffer_delay_ms": 20_000},
        {"start_transition_frames": -1},
        {"end_transition_frames": 1001},
        {"disconnect_transition_frames": -5},
    ],
)
def test_refuses_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        PlayoutOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("ms", [-1, 10_001, float("nan"), float("inf")])
def test_caps_out_of_range_are_refused(ms: float) -> None:
    with pytest.raises(ValueError, match="max_buffer_delay_ms"):
        PlayoutOptions(max_buffer_delay_ms=ms)
