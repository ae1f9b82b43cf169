"""A manager, its client and what it tells, on a clock that costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from avatarkit_rtc.integrations.realtime import RealtimeManager
from tests.support.realtime import FakeClient, Lines, Trace, virtual_time


class Session:
    """A manager with a client that does as it is told."""

    def __init__(self, **options: Any) -> None:
        self.client = FakeClient()
        self.lines = Lines()
        self.manager = RealtimeManager(self.client, logger=self.lines, **options)
        self.trace = Trace(self.manager)

    async def started(self) -> Session:
        """With a session; what was told of it is forgotten."""
        await self.manager.start_session()
        self.trace.clear()
        self.client.calls.clear()
        return self


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """``run(coroutine)`` in virtual time; leaves no task behind."""
    with virtual_time() as runner:
        yield runner
