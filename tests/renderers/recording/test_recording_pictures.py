"""Pictures of a video avatar wait for their sound, and not for long."""

from __future__ import annotations

from renderers.recording.pictures import MAX_WAITING, WAIT_S, WaitingPictures
from tests.support.pictures import grey


def test_a_picture_waits_until_its_sound_has_come() -> None:
    waiting = WaitingPictures()
    for k in range(5):
        waiting.put(grey(k / 25), k / 25)
    assert list(waiting.released()) == []
    waiting.sound(0.085)
    assert [t for _, t in waiting.released()] == [0.0, 0.04, 0.08]
    waiting.sound(0.02)  # another track's, late
    assert list(waiting.released()) == []
    assert [t for _, t in waiting.released(all_of_them=True)] == [0.12, 0.16]


def test_without_sound_it_does_not_wait_for_long_and_few_wait() -> None:
    waiting = WaitingPictures()
    held = []
    for k in range(100):
        waiting.put(grey(k / 25), k / 25)
        for _, t in waiting.released():
            assert k / 25 - t > WAIT_S
        held.append(len(waiting._waiting))
    assert max(held) <= WAIT_S * 25 + 1
    for k in range(1000):
        waiting.put(grey(4.0), 4.0 + k / 1000)
        list(waiting.released())
        assert len(waiting._waiting) <= MAX_WAITING
