from __future__ import annotations

import dataclasses

from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.testing.mock_provider import MockProvider
from renderers._figures import figure_lines


def test_without_a_player_only_the_windows_own() -> None:
    assert figure_lines(None, pictures_per_s=59.6, drawing_ms=7.24) == ["60 fps   drawing 7.2 ms"]
    assert "(half rate)" in figure_lines(None, pictures_per_s=30.0, drawing_ms=14.0, slow=True)[0]


async def test_a_players_figures_in_five_lines_of_ascii() -> None:
    stats = AvatarPlayer(MockProvider()).stats()
    lines = figure_lines(stats, pictures_per_s=25.0, drawing_ms=5.0)
    assert lines[0].split() == ["disconnected", "idle"]
    assert lines[2].startswith("delay - (target ")
    assert lines[3] == "freezes 0 (0.0 s)   loss 0.0 %"
    assert lines[4] == "lip sync -"
    counters = dataclasses.replace(
        stats.playout.counters, received=95, recovered=3, interpolated=2, freezes=4
    )
    playout = dataclasses.replace(stats.playout, counters=counters, current_delay_ms=81.6, jitter_ms=3.14)
    busy = dataclasses.replace(stats, playout=playout, av_offset_ms=-12.4)
    lines = figure_lines(busy, pictures_per_s=25.0, drawing_ms=5.0)
    assert lines[2].startswith("delay 82 ms (target ")
    assert lines[2].endswith("jitter 3.1 ms")
    assert lines[3] == "freezes 4 (0.0 s)   loss 5.0 %"
    assert lines[4] == "lip sync -12 ms"
    assert all(line.isascii() for line in lines), "OpenCV has no other letters"
