"""One snapshot of a player."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from avatarkit_rtc.connection import ConnectionStats
from avatarkit_rtc.motion.counters import StreamCounters
from avatarkit_rtc.player_sound import AudioStats
from avatarkit_rtc.player_video import VideoStats
from avatarkit_rtc.playout.stats import PlayoutStats


@dataclass(frozen=True, slots=True)
class PlayerStats:
    """One snapshot of everything; see the parts."""

    connection: ConnectionStats
    motion: StreamCounters
    """Packets and frames; a copy that no longer changes."""
    playout: PlayoutStats
    audio: AudioStats
    video: VideoStats | None
    """A video avatar's picture; None where there never was one."""
    avatar: str | None
    """Identity of the avatar in the room."""
    poses_shown: int
    """Poses handed to the view, idle ones included."""
    view_errors: int
    """Times the view raised."""
    worst_lateness_ms: float
    """Longest time a pose was shown after its deadline: how well the event loop keeps time."""
    av_offset_ms: float | None
    """How much later (+) than its voice is heard the face moves; None while no voice is played, its delay is
    not known, or nobody speaks."""

    audio_delay_estimate_ms: float | None
    """What the option ``audio_delay_ms`` should be, by how the mouth goes with the voice of the last two
    minutes, give or take 20 ms; None while that is not sure. It is not followed by itself."""

    def as_dict(self) -> dict[str, Any]:
        """The snapshot as plain values, ready for JSON."""
        return dataclasses.asdict(self)
