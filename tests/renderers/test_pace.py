from __future__ import annotations

from renderers._pace import SLOW_RATE_HZ, Pace


class Drawing:
    """A second-hand for a pace: poses at a rate, each drawn at once in so many seconds."""

    def __init__(self, pace: Pace, rate: float) -> None:
        self.pace, self.rate = pace, rate
        self.k = 0

    def run(self, seconds: float, drawing_s: float) -> float:
        """Poses drawn a second."""
        poses = round(seconds * self.rate)
        drawn = 0
        for _ in range(poses):
            now = self.k / self.rate
            self.k += 1
            if self.pace.due(now):
                drawn += 1
                self.pace.drawn(drawing_s, now)
        return drawn / seconds


def test_what_is_drawn_quickly_enough_is_all_drawn() -> None:
    pace = Pace(60.0)
    assert Drawing(pace, 60.0).run(20, 0.009) == 60
    assert (pace.slow, pace.slowdowns) == (False, 0)


def test_slow_drawing_gets_every_second_pose_within_two_seconds() -> None:
    pace = Pace(60.0)
    drawing = Drawing(pace, 60.0)
    drawing.run(2, 0.014)
    assert pace.slow
    assert drawing.run(20, 0.014) == SLOW_RATE_HZ
    assert pace.slowdowns == 1


def test_a_few_slow_pictures_change_nothing() -> None:
    pace = Pace(60.0)
    drawing = Drawing(pace, 60.0)
    for _ in range(10):
        drawing.run(1, 0.005)
        drawing.run(0.1, 0.060)
    assert not pace.slow


def test_it_goes_back_when_drawing_has_been_quick_for_a_while_and_waits_longer_each_time() -> None:
    pace = Pace(60.0)
    drawing = Drawing(pace, 60.0)
    waits = []
    for _ in range(3):
        drawing.run(4, 0.014)
        assert pace.slow
        began = drawing.k
        while pace.slow:
            drawing.run(0.1, 0.004)
        waits.append((drawing.k - began) / 60)
    assert 5 <= waits[0] <= 8
    assert waits[1] > 1.5 * waits[0]
    assert waits[2] > 1.5 * waits[1]
    assert pace.slowdowns == 3


def test_in_between_it_stays_as_it_is() -> None:
    pace = Pace(60.0)
    drawing = Drawing(pace, 60.0)
    drawing.run(3, 0.014)
    drawing.run(100, 0.009)
    assert pace.slow, "9 ms is too much to go back, and little enough to stay at 60"


def test_a_stream_of_25_a_second_is_never_thinned() -> None:
    for pace in (Pace(None), Pace(30.0)):
        drawing = Drawing(pace, 25.0)
        assert drawing.run(10, 0.2) == 25
        assert not pace.slow
    slow = Pace(60.0)
    drawing = Drawing(slow, 25.0)
    drawing.run(4, 0.2)
    assert slow.slow
    assert drawing.run(10, 0.2) == 25


def test_times_that_go_back_are_drawn() -> None:
    pace = Pace(60.0)
    Drawing(pace, 60.0).run(2, 0.014)
    assert pace.slow
    assert pace.due(1000.0)
    assert not pace.due(1000.01)
    assert pace.due(0.0)
