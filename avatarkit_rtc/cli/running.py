"""Running a command to its end: Ctrl-C, durations, live figures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, NoReturn, TypeVar

from rich.console import Console
from rich.live import Live
from rich.text import Text

from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.player_stats import PlayerStats

T = TypeVar("T")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
PLAIN_LINE_EVERY_S: Final = 5.0
LIVE_EVERY_S: Final = 0.25

console: Final = Console(stderr=True, highlight=False)
"""Everything meant for people goes to standard error; standard output is for results."""


def say(line: str) -> None:
    """One line for people."""
    console.print(Text(line), soft_wrap=True)


def fail(message: str) -> NoReturn:
    """End the process with exit code 1 and one line."""
    lines = (line.strip() for line in message.splitlines())
    say(f"avatarkit-rtc: {' | '.join(line for line in lines if line)}")
    sys.exit(1)


class SayHandler(logging.Handler):
    """Log lines as lines for people, so that they go well with live figures."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print ``record``."""
        with contextlib.suppress(Exception):
            say(self.format(record))


class Stopped(Exception):  # noqa: N818 (not an error)
    """Ctrl-C came before the work was done."""


async def unless(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """The result of ``work``.

    Raises:
        Stopped: ``stop`` was set first; the work is cancelled.
    """
    task, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(main: Callable[[asyncio.Event], Awaitable[T]]) -> T | None:
    """Run ``main`` on an event loop, with an event that Ctrl-C (or SIGTERM) sets; the second one breaks
    off. None if ``main`` ended with :class:`Stopped`."""

    async def supervised() -> T | None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked_to_stop() -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            stop.set()
            loop.call_later(1.0, say, "ending; Ctrl-C again breaks off")

        with contextlib.ExitStack() as undo:
            for number in STOP_SIGNALS:
                try:
                    loop.add_signal_handler(number, asked_to_stop)
                    undo.callback(loop.remove_signal_handler, number)
                except NotImplementedError:  # Windows: no handlers on the loop
                    before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked_to_stop))
                    undo.callback(signal.signal, number, before)
            try:
                return await main(stop)
            except Stopped:
                return None

    return asyncio.run(supervised())


async def wait_first(waits: Iterable[Awaitable[Any]], timeout: float | None = None) -> None:
    """Wait until one of ``waits`` is done or ``timeout`` seconds are over; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def player_line(player: AvatarPlayer, fps: float) -> str:
    """The live figures of a player in one line."""
    stats = player.stats()
    counters, playout = stats.playout.counters, stats.playout
    delay = playout.current_delay_ms
    lost = counters.recovered + counters.interpolated
    share = 100 * lost / counters.shown if counters.shown else 0.0
    return (
        f"{stats.connection.state.value} | avatar {stats.avatar or '-'} | {playout.state} | {fps:.0f} fps | "
        f"latency {'-' if delay is None else f'{delay:.0f}'} ms (target {playout.target_delay_ms:.0f}) | "
        f"freezes {counters.freezes} ({counters.frozen_s:.1f} s) | loss {share:.1f} % | "
        f"refused {sum(stats.motion.malformed.values())} | sound {stats.audio.blocks_received / 100:.0f} s"
    )


def summary_line(stats: PlayerStats) -> str:
    """What came out of it all, in one line."""
    counters = stats.playout.counters
    rounds = sum(stats.playout.rounds_ended.values())
    return (
        f"{rounds} rounds, {counters.shown} frames shown ({counters.recovered} recovered, "
        f"{counters.interpolated} interpolated), {counters.freezes} freezes ({counters.frozen_s:.1f} s), "
        f"{sum(stats.motion.malformed.values())} packets refused, "
        f"{stats.audio.blocks_received / 100:.0f} s of sound"
    )


@contextlib.asynccontextmanager
async def live_line(make: Callable[[float], str], shown: Callable[[], int]) -> AsyncIterator[None]:
    """Show ``make(fps)`` while the body runs: in place on a terminal, every few seconds elsewhere.

    Args:
        make: the line, given pictures per second since the last one.
        shown: pictures so far.
    """
    task = asyncio.create_task(_show_line(make, shown))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _show_line(make: Callable[[float], str], shown: Callable[[], int]) -> None:
    loop = asyncio.get_running_loop()
    before, since = shown(), loop.time()

    def line() -> str:
        nonlocal before, since
        now, count = loop.time(), shown()
        fps = (count - before) / max(now - since, 1e-6)
        before, since = count, now
        return make(fps)

    if not console.is_terminal:
        while True:
            await asyncio.sleep(PLAIN_LINE_EVERY_S)
            print(line(), file=sys.stderr, flush=True)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            await asyncio.sleep(LIVE_EVERY_S)
            live.update(Text(line()), refresh=True)
