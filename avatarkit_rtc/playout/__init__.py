"""Motion frames and their arrival to the pose to show now.

Pure: nothing here knows about clocks, asyncio, the network, sound or the screen. Everything takes ``now``.
"""

from avatarkit_rtc.playout.playout import Playout
from avatarkit_rtc.playout.playout_options import PlayoutOptions
from avatarkit_rtc.playout.pose import Pose, PoseKind

__all__ = ["Playout", "PlayoutOptions", "Pose", "PoseKind"]
