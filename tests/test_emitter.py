from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.emitter import EventHub
from avatarkit_rtc.errors import ConfigurationError, ConnectAbortedError


@pytest.fixture
def hub() -> EventHub:
    return EventHub(("happened", "ended", "error"))


def test_handlers_run_in_the_order_they_were_added(hub: EventHub) -> None:
    seen: list[str] = []
    hub.on("happened", lambda payload: seen.append(f"first {payload}"))
    hub.on("happened", lambda payload: seen.append(f"second {payload}"))
    hub.emit("happened", 7)
    assert seen == ["first 7", "second 7"]


class Callable1:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self) -> None:
        self.seen.append("no argument")

    def takes_one(self, payload: object) -> None:
        self.seen.append(payload)

    def may_take_one(self, payload: object = "nothing") -> None:
        self.seen.append(payload)

    def keyword_only(self, *, payload: object = "default") -> None:
        self.seen.append(payload)


@pytest.mark.parametrize(
    ("pick", "expected"),
    [
        (lambda obj: obj, "no argument"),
        (lambda obj: obj.takes_one, 1),
        (lambda obj: obj.may_take_one, 1),
        (lambda obj: obj.keyword_only, "default"),
        (lambda obj: functools.partial(obj.takes_one, 5), 5),
        (lambda obj: obj.seen.append, 1),
    ],
    ids=["object", "method", "optional", "keyword only", "partial", "builtin"],
)
def test_a_handler_gets_the_payload_if_it_takes_one(
    hub: EventHub, pick: Callable[[Callable1], Callable[..., Any]], expected: object
) -> None:
    target = Callable1()
    hub.on("happened", pick(target))
    hub.emit("happened", 1)
    assert target.seen == [expected]


def test_an_event_without_payload_gives_none_to_those_who_want_one(hub: EventHub) -> None:
    seen: list[object] = []
    hub.on("ended", seen.append)
    hub.emit("ended")
    assert seen == [None]


async def test_a_builtin_that_does_not_tell_its_arguments_gets_the_payload(hub: EventHub) -> None:
    seen: dict[str, int] = {}
    hub.on("happened", seen.update)
    hub.emit("happened", {"a": 1})
    assert seen == {"a": 1}


async def test_coroutine_handlers_run_to_their_end(hub: EventHub) -> None:
    done: list[int] = []

    async def handler(payload: int) -> None:
        await asyncio.sleep(0.01)
        done.append(payload)

    hub.on("happened", handler)
    for number in range(20):
        hub.emit("happened", number)
    del handler
    await asyncio.sleep(0.1)
    assert done == list(range(20))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_handler_that_raises_stops_no_other_and_is_reported(
    hub: EventHub, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[object] = []
    errors: list[Exception] = []

    def fails() -> None:
        raise ZeroDivisionError("no")

    async def fails_later() -> None:
        raise ZeroDivisionError("no")

    hub.on("happened", fails_later if asynchronous else fails)
    hub.on("happened", seen.append)
    hub.on("error", errors.append)
    hub.emit("happened", 1)
    await asyncio.sleep(0.01)
    assert seen == [1]
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert "'happened'" in caplog.text


async def test_a_handler_of_error_that_raises_is_logged_only(
    hub: EventHub, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Exception] = []

    def fails(error: Exception) -> None:
        calls.append(error)
        raise error

    hub.on("error", fails)
    hub.emit("error", ValueError("once"))
    assert len(calls) == 1
    assert "ValueError" in caplog.text


def test_an_error_without_handler_is_logged_and_not_raised(
    hub: EventHub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.emit("error", ConfigurationError("the text"))
    assert "configuration: the text" in caplog.text


async def test_a_handler_ended_by_disconnect_has_not_failed(
    hub: EventHub, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = []

    async def reconnects() -> None:
        raise ConnectAbortedError("disconnect() was called")

    hub.on("happened", reconnects)
    hub.on("error", errors.append)
    hub.emit("happened")
    await asyncio.sleep(0.01)
    assert errors == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_off_removes_one_registration_and_ignores_strangers(hub: EventHub) -> None:
    target = Callable1()
    hub.on("happened", target.takes_one)
    hub.on("happened", target.takes_one)
    hub.emit("happened", 1)
    assert target.seen == [1, 1]
    hub.off("happened", target.takes_one)
    hub.emit("happened", 2)
    assert target.seen == [1, 1, 2]
    hub.off("happened", target.takes_one)
    hub.off("happened", target.takes_one)
    hub.off("ended", target)
    hub.emit("happened", 3)
    assert target.seen == [1, 1, 2]


def test_a_handler_may_take_itself_off(hub: EventHub) -> None:
    seen: list[int] = []

    def once(payload: int) -> None:
        seen.append(payload)
        hub.off("happened", once)

    hub.on("happened", once)
    hub.on("happened", seen.append)
    hub.emit("happened", 1)
    hub.emit("happened", 2)
    assert seen == [1, 1, 2]


def test_wrong_names_and_handlers_are_refused(hub: EventHub) -> None:
    with pytest.raises(ConfigurationError, match=r"no event 'hapened'; events: ended, error, happened"):
        hub.on("hapened", print)
    with pytest.raises(ConfigurationError):
        hub.off("hapened", print)
    with pytest.raises(ConfigurationError):
        hub.emit("hapened")
    with pytest.raises(ConfigurationError, match="callable"):
        hub.on("happened", 3)  # type: ignore[arg-type]
