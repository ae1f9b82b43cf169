"""The event loop of threads that go on alone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from avatarkit_rtc.integrations.runway.own_loop import outliving_loop


def test_a_call_that_does_not_return_holds_nothing_up() -> None:
    """A name server that does not answer, say: neither what has a time limit, nor the loop's end."""
    never, found = threading.Event(), []

    async def use() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.to_thread(never.wait)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        found.extend(await asyncio.get_running_loop().getaddrinfo("localhost", 80))

    def run() -> None:
        with asyncio.Runner(loop_factory=outliving_loop) as runner:
            runner.run(use())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    ended = not thread.is_alive()
    never.set()
    assert ended
    assert found
