"""Reading what an avatar shall say, until it ends or is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.audio.sources import SourceReader
    from avatarkit_rtc.integrations.agents.playback import Playback


async def until_cut(reader: SourceReader, playback: Playback) -> AsyncGenerator[AudioBlock, None]:
    """The blocks of ``reader``, until its end, or until ``playback`` is interrupted: then at once, also while
    the source lets itself be waited for."""
    cut = asyncio.ensure_future(playback.wait_cut())
    try:
        while (block := await _next(reader, cut)) is not None:
            yield block
    finally:
        cut.cancel()


async def _next(reader: SourceReader, cut: asyncio.Future[None]) -> AudioBlock | None:
    block = asyncio.ensure_future(anext(reader, None))
    try:
        waiting: set[asyncio.Future[Any]] = {block, cut}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return None if cut.done() else block.result()
    finally:
        block.cancel()  # a reader loses nothing by this
