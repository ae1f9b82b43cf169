"""Whether what was sent to a participant has got there: a room that is left at once takes along what was sent
last."""

from __future__ import annotations

import asyncio
from typing import Final

from livekit import rtc

_ROUND_TRIP: Final = "avatarkit.round_trip"
"""RPC method that nobody has: LiveKit's SDKs answer that by themselves."""
_STEPS_TO_ANSWER: Final = 5
"""The SDK sends what a handler of a call returned some steps of the event loop later."""


async def arrived(participant: rtc.LocalParticipant, identity: str, timeout_s: float) -> bool:
    """Wait until what ``participant`` has sent reliably, answers to calls included, is with ``identity``: it
    is in order, so that a call that is answered came after it.

    Returns:
        False where nothing came back within ``timeout_s``. Nobody answers a hidden participant's calls.
    """
    for _ in range(_STEPS_TO_ANSWER):
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(timeout_s):
            await participant.perform_rpc(destination_identity=identity, method=_ROUND_TRIP, payload="")
    except rtc.RpcError as error:
        return error.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
    except Exception:  # TimeoutError; or the room is gone
        return False
    return True
