"""Join tokens made here, from a LiveKit server's key and secret: for a viewer, and for an avatar's worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError

AVATAR_IDENTITY: Final = "spatialreal-avatar"
"""Identity of an avatar service's worker in a room."""

LONGEST_TTL_S: Final = 10 * 365 * 86400.0
"""Ten years: a token that is to admit for longer is a slip of the pen, and dates end in the year 9999."""


def load_livekit_api() -> Any:
    """The module ``livekit.api``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from livekit import api
    except ImportError as error:
        raise MissingDependencyError(
            "making tokens needs livekit-api: pip install 'avatarkit-rtc[server]'"
        ) from error
    return api


def join_token(key: str, secret: str, room: str, identity: str, ttl_s: float = 6 * 3600) -> str:
    """A token that admits ``identity`` to ``room``, to watch and to publish sound.

    Raises:
        ConfigurationError: it would admit for more than ten years.
        MissingDependencyError: ``livekit-api`` is not installed.
    """
    api = load_livekit_api()
    grants = api.VideoGrants(
        room_join=True, room=room, can_publish=True, can_subscribe=True, can_publish_data=True
    )
    made = api.AccessToken(key, secret).with_identity(identity).with_grants(grants)
    return str(made.with_ttl(_lifetime(ttl_s)).to_jwt())


def avatar_token(
    key: str,
    secret: str,
    room: str,
    identity: str = AVATAR_IDENTITY,
    *,
    publish_on_behalf: str = "agent",
    ttl_s: float = 6 * 3600,
) -> str:
    """A join token for an avatar service's worker.

    It is of the kind agent and publishes on behalf of another participant; it may publish data, camera and
    microphone, and may not subscribe.

    Args:
        key: API key of the server.
        secret: its API secret.
        room: the room it admits to.
        identity: who joins with it.
        publish_on_behalf: identity of the participant whose avatar it is.
        ttl_s: for how many seconds it admits.

    Raises:
        ConfigurationError: it would admit for more than ten years.
        MissingDependencyError: ``livekit-api`` is not installed.
    """
    api = load_livekit_api()
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_publish_data=True,
        can_publish_sources=["camera", "microphone"],
        can_subscribe=False,
    )
    token = api.AccessToken(key, secret).with_identity(identity).with_kind("agent").with_grants(grants)
    token = token.with_attributes({"lk.publish_on_behalf": publish_on_behalf})
    return str(token.with_ttl(_lifetime(ttl_s)).to_jwt())


def _lifetime(ttl_s: float) -> timedelta:
    if not abs(ttl_s) <= LONGEST_TTL_S:  # one that is over is of use in tests; NaN is nothing at all
        raise ConfigurationError(
            f"a token admits for so many seconds, {LONGEST_TTL_S:.0f} (ten years) at most, not {ttl_s!r}"
        )
    return timedelta(seconds=ttl_s)
