"""``bench.flame`` measures what it says it does."""

from __future__ import annotations

from bench.flame import POSE_GOAL_MS, measure


def test_reports_a_pose_at_flames_size_against_its_goal() -> None:
    report = measure(None, count=5)
    assert report.figure("vertices").value == 5023
    assert report.figure("a pose, 50 expressions").goal == POSE_GOAL_MS
    assert all(figure.value > 0 for figure in report.figures)
