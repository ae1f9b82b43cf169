"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.connect_errors import checked_url
from avatarkit_rtc.providers.minting import avatar_token, join_token

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="LIVEKIT_URL", help="Address of the LiveKit server, ws:// or wss://."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="LIVEKIT_TOKEN", help="Join token; on the command line others can see it."
    ),
]
Key = Annotated[
    str | None, typer.Option("--key", envvar="LIVEKIT_API_KEY", help="API key, to make the token here.")
]
Secret = Annotated[
    str | None,
    typer.Option("--secret", envvar="LIVEKIT_API_SECRET", help="API secret; better in the environment."),
]
Room = Annotated[str | None, typer.Option("--room", help="Name of the room.")]
Duration = Annotated[
    float | None, typer.Option("--duration", min=0.0, help="Stop after so many seconds; without it, Ctrl-C.")
]
Clip = Annotated[
    str | None,
    typer.Option("--clip", help="JSON file of FLAME keyframes to perform instead of a made-up one."),
]
Pcm = Annotated[str | None, typer.Option("--pcm", help="Sound of the clip: WAV, or raw 16-bit mono.")]
PcmRate = Annotated[int, typer.Option("--pcm-rate", help="Samples per second of raw sound.")]
Seed = Annotated[int, typer.Option("--seed", help="Another seed, another performance.")]
Face = Annotated[
    str, typer.Option("--face", help="How the avatar looks: head, flame, cartoon; with a look: head:ben.")
]
Fullscreen = Annotated[bool, typer.Option("--fullscreen", help="Fill the screen (key f, too).")]
Kiosk = Annotated[
    bool,
    typer.Option("--kiosk", help="Fill the screen, without keys, mouse and cursor; typing quit ends it."),
]
RenderRate = Annotated[
    float,
    typer.Option("--rate", min=1.0, max=240.0, help="Poses per second in a window; 25 for none between."),
]
PictureSize = Annotated[str, typer.Option("--size", metavar="WxH", help="Width and height in pixels.")]
PictureRate = Annotated[float, typer.Option("--fps", min=1.0, max=120.0, help="Pictures a second, at most.")]
Codec = Annotated[
    str | None, typer.Option("--codec", help="h264, vp8 or vp9, as far as the kind of file takes it.")
]


def window_help(kiosk: bool) -> str:
    """What may be done in a window, a line for people."""
    if kiosk:
        return "typing quit ends it"
    return "q, Esc or closing the window ends it; f fills the screen, i shows live figures"


def window_options(fullscreen: bool, kiosk: bool, size: str, rate: float) -> dict[str, Any]:
    """The options of a window, from those of a command.

    Raises:
        ConfigurationError: the size cannot be read.
    """
    return {
        "fullscreen": fullscreen,
        "kiosk": kiosk,
        "size": parse_size(size),
        "render_rate_hz": None if rate == 1 / FRAME_INTERVAL_S else rate,
    }


def parse_size(size: str) -> tuple[int, int]:
    """``"640x480"`` as (640, 480); one number is a square.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        numbers = [int(side) for side in size.lower().split("x")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 2:
        raise ConfigurationError(f"--size is given as 640x480, not {size!r}")
    return numbers[0], numbers[-1]


@dataclass(frozen=True, slots=True)
class Access:
    """A way into a room, from what was given on the command line or in the environment."""

    url: str
    room: str | None
    token: str | None = field(default=None, repr=False)
    key: str | None = None
    secret: str | None = field(default=None, repr=False)

    def viewer_token(self, identity: str) -> str:
        """The token that was given, or a fresh one to watch and speak."""
        if self.token is not None:
            return self.token
        assert self.key is not None
        assert self.secret is not None
        assert self.room is not None
        return join_token(self.key, self.secret, self.room, identity)

    def viewer(self, identity: str | None = None) -> ConnectionConfig:
        """How a viewer connects: a fresh token at each connect where there is a key."""
        identity = identity or f"viewer-{secrets.token_hex(3)}"
        return ConnectionConfig(
            url=self.url, room_name=self.room, token_provider=lambda: self.viewer_token(identity)
        )

    def avatar_token(self) -> str:
        """The token that was given, or one as an avatar service's worker gets it."""
        if self.token is not None:
            return self.token
        assert self.key is not None
        assert self.secret is not None
        assert self.room is not None
        return avatar_token(self.key, self.secret, self.room)


def access(
    url: str | None, token: str | None, key: str | None, secret: str | None, room: str | None
) -> Access:
    """Check what was given.

    Raises:
        ConfigurationError: something is missing, or the address is none; the message says what.
    """
    if not url:
        raise ConfigurationError("which server? Give --url, or set LIVEKIT_URL")
    checked_url(url)
    if token:
        return Access(url, room, token=token)
    if not (key and secret):
        raise ConfigurationError(
            "no way in: give --token (LIVEKIT_TOKEN), or --key and --secret (LIVEKIT_API_KEY, "
            "LIVEKIT_API_SECRET)"
        )
    if not room:
        raise ConfigurationError("which room? Give --room to make a token for it")
    return Access(url, room, key=key, secret=secret)
