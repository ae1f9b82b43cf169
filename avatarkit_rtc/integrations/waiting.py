"""Waiting that no cancellation cuts short."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def wait_out(future: asyncio.Future[T]) -> None:
    """Wait until ``future`` is done, also when the caller is cancelled; that is raised afterwards."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
