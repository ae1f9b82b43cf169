"""Who in a LiveKit room is the avatar, and which of its tracks is its voice. Pure: no connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MOTION_TOPIC: Final = "spatialreal-animation"
"""Topic of the motion packets."""
KNOWN_IDENTITIES: Final = ("spatialreal-avatar", "spatius-avatar-agent", "spatius-avatar")
"""Identities that avatar services join with."""
ON_BEHALF_ATTRIBUTE: Final = "lk.publish_on_behalf"
"""Participant attribute of an avatar worker; its value is the identity of the agent it speaks for."""
VOICE_TRACK: Final = "egress-audio"
"""Name of the avatar's audio track. Where none is so named, any other audio track of the avatar will do."""
WORKER_PREFIX: Final = "worker:"
"""Identities of Runway's workers begin with this."""
PSEUDO_VIDEO_TRACK: Final = "egress-animation"
"""Name of a video track that carries motion in a way of its own and no picture: never to be subscribed."""


@dataclass(frozen=True, slots=True)
class AvatarChange:
    """What :meth:`AvatarFinder.update` found."""

    left: str | None = None
    """Identity of the avatar that is gone."""
    joined: str | None = None
    """Identity of the avatar bound from now on."""


class AvatarFinder:
    """Binds to one avatar and keeps to it until it leaves.

    With a configured identity only that participant counts. Otherwise participants with a known identity come
    first, then those with the attribute, each in the order they joined. A second avatar that joins later does
    not take the binding over.
    """

    def __init__(self, avatar_identity: str | None = None) -> None:
        self._wanted = avatar_identity
        self._bound: str | None = None

    @property
    def bound(self) -> str | None:
        """Identity of the avatar, while there is one."""
        return self._bound

    def update(self, present: Mapping[str, Mapping[str, str]]) -> AvatarChange:
        """Take note of who is there now.

        Args:
            present: attributes of all other participants by identity, in the order they joined.
        """
        if self._bound is not None and self._bound in present:
            return AvatarChange()
        left, self._bound = self._bound, self._best(present)
        return AvatarChange(left=left, joined=self._bound)

    def reset(self) -> None:
        """Forget the binding."""
        self._bound = None

    def _best(self, present: Mapping[str, Mapping[str, str]]) -> str | None:
        if self._wanted is not None:
            return self._wanted if self._wanted in present else None
        known = (identity for identity in present if identity in KNOWN_IDENTITIES)
        # An empty value is how LiveKit removes an attribute.
        marked = (identity for identity, attributes in present.items() if attributes.get(ON_BEHALF_ATTRIBUTE))
        return next(known, None) or next(marked, None)


def choose_voice(tracks: Iterable[tuple[str, str]], current: str | None) -> str | None:
    """Which audio track to listen to.

    Args:
        tracks: ``(sid, name)`` of all audio tracks of the avatar, in the order they were published.
        current: sid of the one listened to now.

    Returns:
        The sid of the track by the voice's name, else ``current`` if it is still there, else of the first.
    """
    names = dict(tracks)
    if names.get(current or "") == VOICE_TRACK:
        return current
    named = next((sid for sid, name in names.items() if name == VOICE_TRACK), None)
    if named is not None:
        return named
    return current if current in names else next(iter(names), None)


def choose_picture(tracks: Iterable[tuple[str, str]], current: str | None) -> str | None:
    """Which video track is the avatar's picture.

    Args:
        tracks: ``(sid, name)`` of all video tracks of the avatar, in the order they were published.
        current: sid of the one watched now.

    Returns:
        ``current`` if it is still there, else the first that is not the pseudo-video; None where there is no
        picture: the avatar is one of motion.
    """
    pictures = [sid for sid, name in tracks if name != PSEUDO_VIDEO_TRACK]
    return current if current in pictures else next(iter(pictures), None)
