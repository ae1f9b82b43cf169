"""How long the network library holds the avatar's sound back, asked once for all who want to know."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.providers.base import AudioFeed

POLL_S: Final = 0.3
"""How often it is asked; a question takes 1.5 ms."""

FRESH_S: Final = 0.15
"""An answer that is no older serves for the next question too: each covers the time since the last one, and
shorter spans say little."""


class SharedFeed:
    """A feed that several may ask for its delay."""

    def __init__(self, feed: AudioFeed) -> None:
        self._feed = feed
        self._asked_at = float("-inf")
        self._delay = 0.0

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self._feed.__aiter__()

    @property
    def dropped(self) -> int:
        """See :class:`~avatarkit_rtc.providers.base.AudioFeed`."""
        return self._feed.dropped

    async def aclose(self) -> None:
        """See :class:`~avatarkit_rtc.providers.base.AudioFeed`."""
        await self._feed.aclose()

    async def path_delay_s(self) -> float:
        """See :class:`~avatarkit_rtc.providers.base.AudioFeed`; of up to 0.15 s ago."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= FRESH_S:
            self._delay = await self._feed.path_delay_s()
            self._asked_at = now
        return self._delay


async def follow_path_delay(feed: AudioFeed, tell: Callable[[float], None]) -> None:
    """Tell the feed's delay again and again, until cancelled."""
    while True:
        # A room that is going down answers with an error of the library's own; the last figure stays.
        with contextlib.suppress(Exception):
            tell(await feed.path_delay_s())
        await asyncio.sleep(POLL_S)
