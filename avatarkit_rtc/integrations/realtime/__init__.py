"""One live conversation with a realtime model, whichever provider it is from.

>>> from avatarkit_rtc.integrations.realtime import RealtimeManager, WebSocketRealtimeClient

The clients need ``pip install 'avatarkit-rtc[realtime]'``; the manager needs nothing. What was taken over
from ``@charivo/realtime``, and what is different here, is listed in ``docs/realtime.md``.
"""

from avatarkit_rtc.integrations.realtime.avatar import RealtimeAvatar
from avatarkit_rtc.integrations.realtime.avatar_tools import avatar_projector, create_avatar_tools
from avatarkit_rtc.integrations.realtime.client import RealtimeClient
from avatarkit_rtc.integrations.realtime.config import (
    DEFAULT_REALTIME_AGENT_INSTRUCTIONS,
    Character,
    RealtimeSessionConfig,
    ToolDefinition,
    TurnDetection,
    build_realtime_session_config,
)
from avatarkit_rtc.integrations.realtime.core.tools import ToolContext, ToolRegistration
from avatarkit_rtc.integrations.realtime.log import RealtimeLogger
from avatarkit_rtc.integrations.realtime.manager import RealtimeManager
from avatarkit_rtc.integrations.realtime.operations import Timeouts
from avatarkit_rtc.integrations.realtime.output import (
    AudioOutput,
    Heard,
    OutputEnded,
    OutputLevel,
    OutputStarted,
)
from avatarkit_rtc.integrations.realtime.payloads import ToolOutcome
from avatarkit_rtc.integrations.realtime.remote_client import RemoteRealtimeClient
from avatarkit_rtc.integrations.realtime.types import (
    RealtimeConnection,
    RealtimeState,
    ResponseState,
    ResponseStatus,
    SessionState,
    SessionStatus,
)
from avatarkit_rtc.integrations.realtime.websocket_client import WebSocketRealtimeClient

__all__ = [
    "DEFAULT_REALTIME_AGENT_INSTRUCTIONS",
    "AudioOutput",
    "Character",
    "Heard",
    "OutputEnded",
    "OutputLevel",
    "OutputStarted",
    "RealtimeAvatar",
    "RealtimeClient",
    "RealtimeConnection",
    "RealtimeLogger",
    "RealtimeManager",
    "RealtimeSessionConfig",
    "RealtimeState",
    "RemoteRealtimeClient",
    "ResponseState",
    "ResponseStatus",
    "SessionState",
    "SessionStatus",
    "Timeouts",
    "ToolContext",
    "ToolDefinition",
    "ToolOutcome",
    "ToolRegistration",
    "TurnDetection",
    "WebSocketRealtimeClient",
    "avatar_projector",
    "build_realtime_session_config",
    "create_avatar_tools",
]
