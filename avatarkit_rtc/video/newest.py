"""One picture on its way from one writer to one reader: the newest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from avatarkit_rtc.video.picture import Picture


class NewestPicture:
    """Keeps the newest picture until it is read; one that it replaces is dropped and counted. On one event
    loop."""

    def __init__(self) -> None:
        self._picture: Picture | None = None
        self._wake = asyncio.Event()
        self._ended = False
        self.arrived = 0
        """Pictures that came."""
        self.dropped = 0
        """Pictures that were replaced before they were read."""

    @property
    def ended(self) -> bool:
        """No more pictures will come."""
        return self._ended

    def put(self, picture: Picture) -> None:
        """A picture came. Ignored once ended."""
        if self._ended:
            return
        self.arrived += 1
        self.dropped += self._picture is not None
        self._picture = picture
        self._wake.set()

    def end(self) -> None:
        """No more will come; the reader stops. More than once is fine."""
        self._ended = True
        self._picture = None
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[Picture]:
        return self

    async def __anext__(self) -> Picture:
        while self._picture is None:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        picture, self._picture = self._picture, None
        return picture
