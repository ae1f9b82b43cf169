from __future__ import annotations

from renderers._still import FADE_S, LOST_AFTER_S, REST_S, Still


def held_after(still: Still, begin: float, blinks: object = None) -> float:
    """Seconds from ``begin`` until nothing more is drawn; looked at 60 times a second."""
    k, drawn = 0, 0
    while True:
        now = begin + k / 60
        at = blinks(now) if callable(blinks) else 0
        wants = still.step(now, at)
        drawn += wants
        if still.held and not wants and drawn and still._held:
            return now - begin
        k += 1
        assert k < 2000


def test_a_face_without_a_connection_state_lives() -> None:
    still = Still()
    assert not any(still.step(float(t), 0) for t in range(100))
    assert (still.held, still.gone(100.0), still.count) == (False, 0.0, 0)


def test_a_short_break_is_not_seen() -> None:
    still = Still()
    still.connection("reconnecting")
    still.step(10.0, 0)
    still.step(10.0 + LOST_AFTER_S - 0.1, 0)
    still.connection("connected")
    still.step(10.0 + LOST_AFTER_S, 0)
    still.step(20.0, 0)
    assert (still.held, still.gone(20.0), still.count) == (False, 0.0, 0)


def test_a_lost_connection_brings_the_face_to_rest_and_holds_it() -> None:
    still = Still()
    still.connection("reconnecting")
    assert REST_S <= held_after(still, 10.0) - LOST_AFTER_S <= REST_S + 0.1
    for state in ("disconnected", "connecting", "failed"):  # all the same to the viewer
        still.connection(state)
        assert not still.step(60.0, 0)
        assert still.held
    assert still.gone(60.0) == 1.0
    assert still.count == 1


def test_while_coming_to_rest_it_asks_for_25_poses_a_second() -> None:
    still = Still()
    still.connection("failed")
    still.step(0.0, 0)
    wanted = sum(still.step(LOST_AFTER_S + k / 1000, 0) for k in range(500))
    assert 12 <= wanted <= 14


def test_it_waits_for_a_blink_to_be_over() -> None:
    still = Still()
    still.connection("reconnecting")
    blink_at = LOST_AFTER_S + REST_S - 0.05
    held = held_after(still, 0.0, lambda now: int(now >= blink_at))
    assert held >= blink_at + 0.4


def test_a_face_that_blinks_all_the_time_is_held_in_the_end() -> None:
    still = Still()
    still.connection("reconnecting")
    assert held_after(still, 0.0, lambda now: int(now * 10)) < LOST_AFTER_S + 4


def test_it_fades_in_and_out_and_may_come_and_go() -> None:
    still = Still()
    for begin in (0.0, 100.0):
        still.connection("reconnecting")
        still.step(begin, 0)
        lost = begin + LOST_AFTER_S
        still.step(lost, 0)
        assert [round(still.gone(lost + FADE_S * part), 3) for part in (0.0, 0.5, 1.0, 2.0)] == [0, 0.5, 1, 1]
        still.connection("connected")
        back = begin + 50.0
        assert not still.step(back, 0)
        assert not still.held
        assert [round(still.gone(back + FADE_S * part), 3) for part in (0.0, 0.5, 1.0, 2.0)] == [1, 0.5, 0, 0]
    assert still.count == 2
