"""``avatarkit-rtc token``: a join token from key and secret."""

from __future__ import annotations

from typing import Annotated

import typer

from avatarkit_rtc.cli.options import Key, Room, Secret, Url
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.providers.minting import AVATAR_IDENTITY, LONGEST_TTL_S, avatar_token, join_token


def token(
    url: Url = None,
    key: Key = None,
    secret: Secret = None,
    room: Room = None,
    identity: Annotated[str | None, typer.Option("--identity", help="Who joins with it.")] = None,
    ttl: Annotated[
        float, typer.Option("--ttl", min=1.0, max=LONGEST_TTL_S, help="Seconds for which it admits.")
    ] = 6 * 3600,
    avatar: Annotated[
        bool, typer.Option("--avatar", help="For an avatar: publish only, kind agent.")
    ] = False,
) -> None:
    """Print a join token, and nothing else, on standard output.

    The token does not depend on --url; it is taken so that the same options do for every command.
    """
    if not (key and secret):
        raise ConfigurationError("give --key and --secret (or LIVEKIT_API_KEY and LIVEKIT_API_SECRET)")
    if not room:
        raise ConfigurationError("which room? Give --room")
    if avatar:
        typer.echo(avatar_token(key, secret, room, identity or AVATAR_IDENTITY, ttl_s=ttl))
        return
    if not identity:
        raise ConfigurationError("who joins with it? Give --identity")
    typer.echo(join_token(key, secret, room, identity, ttl))
