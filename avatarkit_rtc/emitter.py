"""The emitter behind ``player.on``: pyee, with handlers kept apart from each other."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from pyee.base import EventEmitter

from avatarkit_rtc.errors import ConfigurationError, ConnectAbortedError

_log = logging.getLogger("avatarkit_rtc.events")

Handler: TypeAlias = Callable[..., Any]

_NO_PAYLOAD: Final = object()


class EventHub:
    """Named events with sync and async handlers.

    A handler that takes no argument is called without one. A handler that raises does not stop the others:
    its exception is logged and reported as ``error``. Handlers run on the event loop, in the order they were
    added.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._emitter = EventEmitter()
        self._wrappers: dict[tuple[str, Handler], list[Handler]] = {}
        self._tasks: set[asyncio.Future[Any]] = set()

    def on(self, event: str, handler: Handler) -> Handler:
        """Call ``handler`` at each ``event``; returns it, so that this can be a decorator.

        Raises:
            ConfigurationError: there is no such event, or the handler cannot be called.
        """
        self._check(event)
        if not callable(handler):
            raise ConfigurationError(f"a handler must be callable, not {type(handler).__name__}")
        takes_payload = _takes_argument(handler)

        def call(payload: Any = _NO_PAYLOAD) -> None:
            if not takes_payload:
                arguments: tuple[Any, ...] = ()
            else:
                arguments = (None if payload is _NO_PAYLOAD else payload,)
            try:
                result = handler(*arguments)
                if inspect.isawaitable(result):
                    self._follow(event, result)
            except Exception as error:
                self._failed(event, error)

        self._wrappers.setdefault((event, handler), []).append(call)
        self._emitter.on(event, call)
        return handler

    def off(self, event: str, handler: Handler) -> None:
        """Stop calling ``handler``. Nothing happens when it was not added.

        Raises:
            ConfigurationError: there is no such event.
        """
        self._check(event)
        wrappers = self._wrappers.get((event, handler))
        if wrappers:
            self._emitter.remove_listener(event, wrappers.pop())
            if not wrappers:
                del self._wrappers[event, handler]

    def listened(self, event: str) -> bool:
        """Whether ``event`` has handlers, so that what is costly to find out can be left out."""
        return bool(self._emitter.listeners(event))

    def emit(self, event: str, payload: Any = _NO_PAYLOAD) -> None:
        """Call the handlers of ``event``. Never raises on their behalf; must run on the event loop."""
        self._check(event)
        if event == "error" and not self._emitter.listeners(event):
            _log.error("%s: %s", getattr(payload, "code", type(payload).__name__), payload)
            return
        if payload is _NO_PAYLOAD:
            self._emitter.emit(event)
        else:
            self._emitter.emit(event, payload)

    def _check(self, event: str) -> None:
        if event not in self._names:
            raise ConfigurationError(f"there is no event {event!r}; events: {', '.join(sorted(self._names))}")

    def _follow(self, event: str, result: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(result)
        self._tasks.add(task)  # the loop itself keeps only a weak reference

        def done(finished: asyncio.Future[Any]) -> None:
            self._tasks.discard(finished)
            if not finished.cancelled() and (error := finished.exception()) is not None:
                self._failed(event, error)

        task.add_done_callback(done)

    def _failed(self, event: str, error: BaseException) -> None:
        if isinstance(error, ConnectAbortedError):
            # `player.on("stalled", player.reconnect)` and a disconnect() meanwhile: wanted, not failed.
            _log.info("a handler of %r was ended by disconnect()", event)
            return
        _log.error("a handler of %r raised %s: %s", event, type(error).__name__, error, exc_info=error)
        if event != "error" and self._emitter.listeners("error"):
            self._emitter.emit("error", error)


def _takes_argument(handler: Handler) -> bool:
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # a builtin that does not say
        return True
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True
