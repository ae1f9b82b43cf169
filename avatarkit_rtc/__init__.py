"""Python client for streamed talking avatars.

>>> from avatarkit_rtc import AvatarPlayer, LiveKitProvider

See the README for a first program, and :class:`AvatarPlayer` for everything a player can do.
"""

import avatarkit_rtc.native_exit  # noqa: F401 - first: its exit handler has to be older than the SDK's
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.push_source import PushSource
from avatarkit_rtc.audio.received import ReceivedAudio, ReceivedAudioStream
from avatarkit_rtc.errors import (
    AlreadyConnectedError,
    AudioDeviceError,
    AvatarKitError,
    AvatarTimeoutError,
    ConfigurationError,
    ConnectAbortedError,
    ConnectError,
    ConnectTimeoutError,
    DisplayError,
    MissingDependencyError,
    NotConnectedError,
    PublishError,
    RecordingError,
    RoomMismatchError,
    RoomNotOwned,
    ServerError,
)
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.face import FaceDriver, FacePose
from avatarkit_rtc.motion.arkit import to_arkit
from avatarkit_rtc.motion.arkit_names import ARKIT_NAMES
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.options import AvatarPlayerOptions, LiveKitConnectionConfig, ReconnectPolicy
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.player_stats import PlayerStats
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.providers.base import Provider
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.providers.loopback import LoopbackProvider
from avatarkit_rtc.video.picture import Picture
from avatarkit_rtc.views import View

__version__ = "0.1.0"

__all__ = [
    "ARKIT_NAMES",
    "AlreadyConnectedError",
    "AudioBlock",
    "AudioDeviceError",
    "AvatarKitError",
    "AvatarPlayer",
    "AvatarPlayerOptions",
    "AvatarTimeoutError",
    "ConfigurationError",
    "ConnectAbortedError",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionState",
    "DisconnectReason",
    "DisplayError",
    "FaceDriver",
    "FacePose",
    "LiveKitConnectionConfig",
    "LiveKitProvider",
    "LoopbackProvider",
    "MissingDependencyError",
    "MotionFrame",
    "NotConnectedError",
    "Picture",
    "PlayerStats",
    "Pose",
    "PoseKind",
    "Provider",
    "PublishError",
    "PushSource",
    "ReceivedAudio",
    "ReceivedAudioStream",
    "ReconnectPolicy",
    "RecordingError",
    "RoomMismatchError",
    "RoomNotOwned",
    "RoundEndReason",
    "ServerError",
    "View",
    "__version__",
    "to_arkit",
]
