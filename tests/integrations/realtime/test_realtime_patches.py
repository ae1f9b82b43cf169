"""Which update an answer is of."""

from __future__ import annotations

import asyncio

import pytest

from avatarkit_rtc.errors import RealtimeServerError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime.patches import MAX_GIVEN_UP, Patches
from tests.support.realtime import virtual_time


def refusal(event_id: str | None) -> RealtimeServerError:
    return RealtimeServerError("no", event_id=event_id)


def test_answers_come_in_order_errors_say_of_what_they_are() -> None:
    async def main() -> None:
        patches = Patches()
        first, second, third = (patches.sent(name) for name in "abc")
        patches.accepted()
        assert (first.done(), second.done()) == (True, False)
        assert patches.refused(refusal("c"))
        with pytest.raises(RealtimeServerError):
            await third
        assert not patches.refused(refusal("other"))
        assert patches.refused(refusal(None))
        with pytest.raises(RealtimeServerError):
            await second
        assert not patches.refused(refusal(None))
        patches.accepted()  # of nobody

    with virtual_time() as run:
        run(main())


@pytest.mark.parametrize("late", [True, False])
def test_behind_one_that_was_given_up(late: bool) -> None:
    """Its answer is late, or never comes."""

    async def main() -> None:
        loop, patches = asyncio.get_running_loop(), Patches(1.0)
        patches.sent("a")
        patches.forget("a")
        patches.forget("a")
        began, accepted = loop.time(), patches.sent("b")
        patches.accepted()
        await asyncio.sleep(0.5)
        assert not accepted.done()
        if late:
            patches.accepted()
        await accepted
        assert loop.time() - began == pytest.approx(0.5 if late else 1.0)
        patches.forget("b")
        third = patches.sent("c")
        patches.accepted()
        assert third.done()
        await asyncio.sleep(1.0)

    with virtual_time() as run:
        run(main())


@pytest.mark.parametrize("answers", [1, 2, 3])
def test_two_at_once_behind_one_that_was_given_up(answers: int) -> None:
    """The third answer is the late one; with one answer only, the second of the two has none."""

    async def main() -> None:
        patches = Patches(1.0)
        patches.sent("a")
        patches.forget("a")
        both = [patches.sent(name) for name in "bc"]
        for _ in range(answers):
            patches.accepted()
        await asyncio.sleep(0.5)
        assert [each.done() for each in both] == [answers > 1, answers > 2]
        await asyncio.sleep(1.0)
        assert [each.done() for each in both] == [True, answers > 1]

    with virtual_time() as run:
        run(main())


@pytest.mark.parametrize("refused", [False, True])
def test_the_doubt_begins_anew_with_each_answer(refused: bool) -> None:
    async def main() -> None:
        patches = Patches(1.0)
        patches.sent("a")
        patches.forget("a")
        patches.sent("b")
        third = patches.sent("c")
        patches.accepted()
        await asyncio.sleep(0.9)
        if refused:
            assert patches.refused(refusal("b"))
        else:
            patches.accepted()
        await asyncio.sleep(0.9)
        assert not third.done()
        assert patches.refused(refusal("c"))
        with pytest.raises(RealtimeServerError):
            await third
        await asyncio.sleep(1.0)

    with virtual_time() as run:
        run(main())


@pytest.mark.parametrize("answers", [1, 2, 3])
def test_one_sent_while_another_is_in_doubt(answers: int) -> None:
    """The third answer is the late one; with one answer only, the second of the two has none."""

    async def main() -> None:
        patches = Patches(1.0)
        patches.sent("a")
        patches.forget("a")
        second = patches.sent("b")
        patches.accepted()
        await asyncio.sleep(0.5)
        third = patches.sent("c")
        for _ in range(answers - 1):
            patches.accepted()
        assert (second.done(), third.done()) == (answers > 1, answers > 2)
        await asyncio.sleep(1.5)
        assert (second.done(), third.done()) == (True, answers > 1)

    with virtual_time() as run:
        run(main())


def test_what_one_that_nobody_waits_for_any_more_leaves_in_doubt() -> None:
    """Its own answer, and that of the one before it, are of none that was sent later."""

    async def main() -> None:
        patches = Patches(1.0)
        patches.sent("a")
        patches.forget("a")
        patches.sent("b")
        patches.accepted()
        patches.forget("b")
        both = [patches.sent(name) for name in "cd"]
        patches.accepted()
        await asyncio.sleep(1.5)
        assert [each.done() for each in both] == [True, False]

    with virtual_time() as run:
        run(main())


def test_as_many_answers_in_doubt_as_updates() -> None:
    async def main() -> None:
        patches = Patches(1.0)
        for name in "ab":
            patches.sent(name)
            patches.forget(name)
        both = [patches.sent(name) for name in "cd"]
        patches.accepted()
        patches.accepted()
        assert not any(each.done() for each in both)
        await asyncio.sleep(1.5)
        assert all(each.done() for each in both)

    with virtual_time() as run:
        run(main())


def test_an_error_of_one_that_was_given_up_is_its_answer() -> None:
    async def main() -> None:
        patches = Patches()
        patches.sent("a")
        patches.forget("a")
        accepted = patches.sent("b")
        assert patches.refused(refusal("a"))
        patches.accepted()
        assert accepted.done()

    with virtual_time() as run:
        run(main())


def test_not_all_late_answers_are_awaited() -> None:
    async def main() -> None:
        patches = Patches()
        for number in range(MAX_GIVEN_UP + 5):
            patches.sent(str(number))
            patches.forget(str(number))
        for _ in range(MAX_GIVEN_UP):
            patches.accepted()
        accepted = patches.sent("b")
        patches.accepted()
        assert accepted.done()

    with virtual_time() as run:
        run(main())


def test_a_loss() -> None:
    async def main() -> None:
        patches = Patches()
        answers = [patches.sent(name) for name in "ab"]
        patches.lost(RealtimeTransportError("gone"))
        for each in answers:
            with pytest.raises(RealtimeTransportError):
                await each

    with virtual_time() as run:
        run(main())
