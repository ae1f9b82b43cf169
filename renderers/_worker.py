"""One thread with a bounded queue: the oldest item gives way when it is full."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from renderers._log import ThinnedLog

T = TypeVar("T")

_JOIN_S: Final = 5.0


class Worker(Generic[T]):
    """Hands items to ``handle`` on a thread of its own, which starts with the first item."""

    def __init__(self, name: str, handle: Callable[[T], None], *, max_queue: int, log: ThinnedLog) -> None:
        self._name = name
        self._handle = handle
        self._log = log
        self._queue: deque[T] = deque()
        self._max_queue = max_queue
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.dropped = 0
        """Items that gave way to newer ones or were still queued when it ended."""
        self.errors = 0
        """Items whose handling raised."""

    @property
    def queued(self) -> int:
        """Items that wait."""
        return len(self._queue)

    @property
    def running(self) -> bool:
        """Its thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def put(self, item: T) -> None:
        """Queue ``item``; never blocks. Ignored once closed."""
        with self._wake:
            if self._closed:
                return
            if len(self._queue) >= self._max_queue:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue:
                    if self._closed:
                        return
                    self._wake.wait()
                item = self._queue.popleft()
            try:
                self._handle(item)
            except Exception as error:
                self.errors += 1
                self._log.warning("worker", f"{self._name}: {type(error).__name__}: {error}", error)

    def close(self, *, drain: bool = False, timeout_s: float = _JOIN_S) -> bool:
        """End the thread, with ``drain`` after the queue is done; more than once is fine.

        Returns:
            Whether the thread has ended (True when called on it: it ends after the current item).
        """
        with self._wake:
            self._closed = True
            if not drain:
                self.dropped += len(self._queue)
                self._queue.clear()
            self._wake.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        if thread.is_alive():
            logging.getLogger("avatarkit_rtc").warning("%s did not end within %g s", self._name, timeout_s)
            return False
        return True
