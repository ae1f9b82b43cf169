"""Runway's real-time avatars: backend tool calls, sessions, and the avatar of a LiveKit agent.

>>> from avatarkit_rtc.integrations.runway import RunwaySession, create_rpc_handler

Needs ``pip install 'avatarkit-rtc[runway]'``; :class:`RunwayAvatar` needs the extra ``agents`` instead. What
was taken over from Runway's own packages, and what is different here, is listed in ``docs/runway.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avatarkit_rtc.integrations.runway.answering import RpcHandlerStats
from avatarkit_rtc.integrations.runway.client import (
    RunwayClient,
    RunwayCredentials,
    SessionInfo,
    SessionStatus,
)
from avatarkit_rtc.integrations.runway.rpc_handler import RpcHandler, create_rpc_handler
from avatarkit_rtc.integrations.runway.session import RunwaySession
from avatarkit_rtc.integrations.runway.tools import Tool

if TYPE_CHECKING:
    from avatarkit_rtc.integrations.runway.avatar import RunwayAvatar as RunwayAvatar

__all__ = [
    "RpcHandler",
    "RpcHandlerStats",
    "RunwayClient",
    "RunwayCredentials",
    "RunwaySession",
    "SessionInfo",
    "SessionStatus",
    "Tool",
    "create_rpc_handler",
]


def __getattr__(name: str) -> Any:
    # Its base class is livekit-agents', which is needed for nothing else here.
    if name == "RunwayAvatar":
        from avatarkit_rtc.integrations.runway.avatar import RunwayAvatar

        return RunwayAvatar
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
