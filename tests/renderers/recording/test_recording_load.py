from __future__ import annotations

from itertools import pairwise

from renderers.recording.load import LONGEST_WAIT_S, STEP_UP_S, Load, LoadControl


def steps(control: LoadControl, begin: float, end: float, behind: float, busy: float) -> list[Load]:
    """What it changes to while it is asked ten times a second."""
    asked = (control.update(begin + k / 10, behind, busy) for k in range(round((end - begin) * 10)))
    return [load for load in asked if load is not None]


def test_presets_go_before_pictures_and_each_step_has_time_to_show() -> None:
    control = LoadControl(3)
    taken = steps(control, 0, 10, 1.0, 1.0)
    assert taken == [Load(1, 1), Load(2, 1), Load(2, 2), Load(2, 3), Load(2, 5), Load(2, 10)]
    assert steps(LoadControl(3), 0, 0.8, 1.0, 1.0) == [Load(1, 1)]


def test_it_never_works_harder_than_it_began() -> None:
    control = LoadControl(3, first=1)
    assert control.load == Load(1, 1)
    assert steps(control, 0, 1, 1.0, 1.0) == [Load(2, 1), Load(2, 2)]
    assert steps(control, 2, 500, 0.0, 0.1)[-1] == Load(1, 1)


def test_who_keeps_up_is_left_alone() -> None:
    control = LoadControl(3)
    assert steps(control, 0, 100, 0.05, 0.3) == []
    assert steps(control, 100, 200, 0.3, 0.95) == []
    assert control.load == Load(0, 1)


def test_it_goes_back_once_there_is_room_for_long_enough() -> None:
    control = LoadControl(2)
    steps(control, 0, 2, 1.0, 1.0)
    assert control.load == Load(1, 3)
    assert steps(control, 2, 2 + STEP_UP_S - 1, 0.0, 0.2) == []
    assert steps(control, 2 + STEP_UP_S - 1, 2 + 3.5 * STEP_UP_S, 0.0, 0.2) == [
        Load(1, 2),
        Load(1, 1),
        Load(0, 1),
    ]


def test_a_busy_thread_does_not_go_back() -> None:
    control = LoadControl(2)
    steps(control, 0, 1, 1.0, 1.0)
    assert steps(control, 1, 100, 0.0, 0.6) == []


def test_a_step_that_had_to_be_taken_back_is_tried_later_each_time() -> None:
    control = LoadControl(2, dividers=())
    now, waits = 0.0, []
    assert control.update(now, 1.0, 1.0) == Load(1, 1)
    for _ in range(8):
        began = now
        while control.update(now, 0.0, 0.1) is None:
            now += 0.1
        waits.append(now - began)
        now += 1.0
        assert control.update(now, 1.0, 1.0) == Load(1, 1)
    assert waits[0] < 1.1 * STEP_UP_S
    assert all(later > 1.5 * sooner for sooner, later in pairwise(waits[:5]))
    assert max(waits) < LONGEST_WAIT_S + 1
