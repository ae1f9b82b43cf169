"""What a motion stream counts."""

from __future__ import annotations

from dataclasses import dataclass, field

from avatarkit_rtc.motion.message import Malformed


@dataclass(slots=True)
class StreamCounters:
    """What a stream has seen since it was made."""

    packets: int = 0
    """Packets, malformed ones included."""
    frames: int = 0
    """Frames delivered, each counted once."""
    recovered: int = 0
    """Frames of these that a redundant copy or a transition-end brought."""
    idle: int = 0
    transitions: int = 0
    transition_ends: int = 0
    duplicates: int = 0
    """Frames that had arrived before by another packet."""
    stragglers: int = 0
    """Frames of a round that is over, dropped."""
    muted: int = 0
    """Frames dropped because their round was flushed."""
    unconfirmed: int = 0
    """Frames far out of order that no second one confirmed, dropped."""
    rebased: int = 0
    """Jumps of the numbering by more than 250 ahead."""
    restarts: int = 0
    """New rounds found by their numbering alone."""
    resized_fields: int = 0
    """Fields padded or cut to FLAME's lengths."""
    extra_keyframes: int = 0
    """Keyframes beyond the first of a message, ignored."""
    malformed: dict[Malformed, int] = field(default_factory=dict)
    """Packets refused, by kind."""
    malformed_copies: int = 0
    """Redundant copies refused in packets that were well-formed apart from them."""

    def refuse(self, kind: Malformed) -> None:
        """Count one malformed packet."""
        self.malformed[kind] = self.malformed.get(kind, 0) + 1
