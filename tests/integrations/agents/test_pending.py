"""Which of what was said a worker's report is of."""

from __future__ import annotations

import pytest

from avatarkit_rtc.integrations.agents.pending import OWED_S, Pending
from avatarkit_rtc.integrations.agents.playback import Playback, PlaybackFinished

PLAYED = PlaybackFinished(1.0, False)
STOPPED = PlaybackFinished(0.5, True)
UNREPORTED = PlaybackFinished(None, True, reported=False)


def said(pending: Pending, seconds: float = 1.0, now: float = 0.0) -> Playback:
    """An utterance, all of it sent."""
    playback = Playback()
    pending.add(playback)
    playback.wrote(seconds, now)
    playback.all_sent = True
    return playback


async def test_a_beginning_and_an_end_are_of_the_first() -> None:
    pending = Pending()
    first, second = said(pending), said(pending)
    pending.started()
    assert (first.started, second.started) == (True, False)
    pending.finished(PLAYED, 1.0, interrupting=False)
    assert (first.finished, list(pending)) == (PLAYED, [second])
    pending.finished(PLAYED, 2.0, interrupting=False)
    assert not pending
    await pending.wait()
    assert pending.unexpected == 0


def test_what_belongs_to_nothing_is_counted() -> None:
    pending = Pending()
    pending.started()
    pending.finished(PLAYED, 1.0, interrupting=False)
    playback = said(pending, seconds=20.0)
    pending.finished(PLAYED, 1.0, interrupting=False)  # it cannot have been played in a second
    assert pending.unexpected == 3
    assert not playback.over


def test_an_interruption_ends_all_that_was_cut_off_with_one_report() -> None:
    pending = Pending()
    cut = [said(pending), said(pending)]
    assert pending.cut_off() == cut
    assert all(playback.cut for playback in cut)
    later = said(pending)
    pending.finished(STOPPED, 0.5, interrupting=True)
    assert [playback.finished for playback in cut] == [STOPPED, PlaybackFinished(0.0, True, reported=False)]
    assert list(pending) == [later]


@pytest.mark.parametrize("late_s", [0.0, OWED_S - 0.1, OWED_S + 0.1])
def test_the_late_report_of_what_was_given_up_ends_nothing_newer(late_s: float) -> None:
    pending = Pending()
    old = said(pending)
    pending.not_stopped(pending.cut_off(), now=0.0)
    assert old.finished == UNREPORTED
    new = said(pending)
    pending.finished(STOPPED, late_s, interrupting=False)
    assert new.over == (late_s > OWED_S)
    pending.finished(STOPPED, late_s, interrupting=False)  # only one was owed
    assert new.finished == STOPPED
    assert pending.unexpected == (late_s > OWED_S)


def test_what_is_owed_is_not_taken_for_late_while_the_worker_is_told_to_stop() -> None:
    pending = Pending()
    said(pending)
    pending.not_stopped(pending.cut_off(), now=0.0)
    new = said(pending)
    pending.cut_off()
    pending.finished(STOPPED, 1.0, interrupting=True)
    assert new.finished == STOPPED


def test_nothing_is_owed_of_what_was_reported_in_time() -> None:
    pending = Pending()
    playback = said(pending)
    cut = pending.cut_off()
    pending.finished(STOPPED, 0.5, interrupting=True)
    pending.not_stopped(cut, now=1.0)
    assert playback.finished == STOPPED
    new = said(pending)
    pending.finished(STOPPED, 1.5, interrupting=False)
    assert new.over


def test_ends_that_nobody_reports() -> None:
    pending = Pending()
    overdue, never, left = said(pending), Playback(), said(pending)
    pending.add(never)
    pending.never_sent(never)
    pending.never_sent(never)
    pending.not_reported(overdue)
    assert overdue.finished == PlaybackFinished(None, False, reported=False)
    assert list(pending) == [left]
    pending.give_up()
    assert left.cut
    assert left.finished == UNREPORTED
    assert not pending
    assert not never.over
