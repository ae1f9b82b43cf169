"""What a stage gives its caller: things for the player, and news of utterances."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from avatarkit_rtc.integrations.spatialreal.direct.utterance import Block


class Packet(NamedTuple):
    """A motion packet for the player."""

    data: bytes
    t: float
    """When it is due, in monotonic seconds."""


class Sound(NamedTuple):
    """10 ms of sound for the player."""

    samples: Block
    """Shape (n, 1)."""
    t: float
    """When they are due, in monotonic seconds."""
    key: int | None
    """Utterance that they are of; None for silence."""


class Began(NamedTuple):
    """The first sound of an utterance has gone to the player."""

    key: int


class Ended(NamedTuple):
    """An utterance is over."""

    key: int
    position_s: float
    """So much of its sound has gone to the player, in seconds."""
    interrupted: bool


class Flush(NamedTuple):
    """The player drops what it was given and has not shown yet."""


Output: TypeAlias = Packet | Sound | Began | Ended | Flush
