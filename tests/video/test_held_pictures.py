from __future__ import annotations

from avatarkit_rtc.video.held_pictures import HeldPictures
from tests.support.pictures import grey


def test_a_picture_is_shown_when_it_is_due_and_the_newest_of_several() -> None:
    held = HeldPictures()
    assert held.next_deadline() is None
    assert held.due(0.0) is None
    first, second, third = grey(1.0), grey(1.04), grey(1.08)
    for picture in (first, second, third):
        held.push(picture)
    assert held.next_deadline() == 1.0
    assert held.due(0.99) is None
    assert held.due(1.0) is first
    assert held.due(1.2) is third
    assert (held.skipped, held.hurried, len(held)) == (1, 0, 0)


def test_more_than_there_is_room_for_come_early_and_none_is_lost_for_it() -> None:
    held = HeldPictures(max_pictures=3)
    pictures = [grey(10.0 + k / 25) for k in range(10)]
    shown = []
    for k, picture in enumerate(pictures):
        held.push(picture)
        now = k / 25
        deadline = held.next_deadline()
        assert deadline is not None
        if deadline <= now:
            shown.append(held.due(now))
        assert len(held) <= 3
    assert shown == pictures[:7]
    assert (held.skipped, held.hurried) == (0, 7)
    assert held.clear() == 3
    assert held.next_deadline() is None
