"""What has become of what was said."""

from __future__ import annotations

from dataclasses import dataclass

from avatarkit_rtc.integrations.spatialreal.direct.states import StageState


@dataclass(slots=True)
class StageCounters:
    """What has become of keyframes and utterances. Live."""

    received: int = 0
    """Keyframes that have come. The sum of the following six, and of what is held."""
    shown: int = 0
    """Given to the player."""
    late: int = 0
    """Left out because they came too late."""
    surplus: int = 0
    """Dropped: more than there can be for the sound that was sent."""
    outdated: int = 0
    """Dropped: of requests that are over, or were interrupted."""
    unasked: int = 0
    """Dropped: of requests that were never made."""
    utterances: int = 0
    """Utterances that are over."""
    interrupted: int = 0
    """Of these, those that were cut off."""
    starved: int = 0
    """Times the sound's source was late in the middle of an utterance."""
    late_starts: int = 0
    """Times sound started without motion, for which it had waited long enough."""
    held_up_s: float = 0.0
    """Seconds that hiccups of this program have cost."""


@dataclass(frozen=True, slots=True)
class SpatialRealProviderStats:
    """A snapshot."""

    state: StageState
    """What is going on."""
    counters: StageCounters
    """What has become of keyframes and utterances."""
    position_s: float | None
    """So much of what is being said has gone to the player, in seconds; None while nothing is."""
    held_frames: int
    """Keyframes that wait to be shown."""
    held_s: float
    """Sound that waits to be played, in seconds."""
    utterances_waiting: int
    """Utterances of which nothing was sent yet."""
    malformed: int
    """Answers that could not be understood."""
    reconnects: int
    """Connections that were made anew after one was lost."""
    connection_id: str | None
    """The service's name of the connection; None while there is none."""
