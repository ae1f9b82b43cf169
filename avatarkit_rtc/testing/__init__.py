"""Parts to test with: a stand-in avatar, a provider to script, a LiveKit server on this machine.

>>> provider = LoopbackProvider()                       # from avatarkit_rtc.providers.loopback
>>> avatar = StandInAvatar(provider.avatar, [perform(seed=1, seconds=5.0)])
>>> await avatar.run()                                  # while a player plays the provider
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from avatarkit_rtc.testing.clip import load_clip
from avatarkit_rtc.testing.mock_provider import MockProvider
from avatarkit_rtc.testing.performer import Utterance, perform
from avatarkit_rtc.testing.stand_in import SentKind, StandInAvatar, StandInOptions, Transport

if TYPE_CHECKING:
    from avatarkit_rtc.testing.room import RoomTransport, avatar_token
    from avatarkit_rtc.testing.server import LocalServer
    from avatarkit_rtc.testing.video_avatar import VideoAvatar

__all__ = [
    "LocalServer",
    "MockProvider",
    "RoomTransport",
    "SentKind",
    "StandInAvatar",
    "StandInOptions",
    "Transport",
    "Utterance",
    "VideoAvatar",
    "avatar_token",
    "load_clip",
    "perform",
]

# What needs LiveKit's native library, or a server, is loaded when it is used.
_LAZY: Final = {
    "LocalServer": "avatarkit_rtc.testing.server",
    "RoomTransport": "avatarkit_rtc.testing.room",
    "VideoAvatar": "avatarkit_rtc.testing.video_avatar",
    "avatar_token": "avatarkit_rtc.testing.room",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
