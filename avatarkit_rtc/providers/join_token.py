"""Join tokens: asking for one, reading what it says, and keeping it out of messages and logs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import json
import logging
import re
from dataclasses import dataclass
from typing import Any, Final

from avatarkit_rtc.errors import ConfigurationError, ConnectError, RoomMismatchError
from avatarkit_rtc.providers.base import ConnectionConfig

# A JSON Web Token: its first part always encodes '{"'.
_TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+(\.[\w-]*)?")
_SECRET_PARAMETER: Final = re.compile(r"((?:access_token|token|secret)=)[^&\s\"']+", re.IGNORECASE)
_URL_LOGIN: Final = re.compile(r"(://)[^/@\s]+@")
_MALFORMED: Final = (
    "the join token is not a LiveKit access token (three parts with dots between them); pass the token "
    "itself, not the API key or secret"
)


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a join token says. Not verified: only the server can do that."""

    room: str | None
    """The room it admits to, if it names one."""
    identity: str | None
    """Who joins with it."""
    not_before: float | None
    """Valid from this time on, in seconds since 1970."""
    expires: float | None
    """Valid until this time, in seconds since 1970."""

    def complaint(self, wall_clock: float) -> str | None:
        """Why the server will have refused it, as far as ``wall_clock`` (seconds since 1970) tells.

        Only good for explaining a refusal: this machine's clock may be wrong.
        """
        if self.expires is not None and wall_clock > self.expires:
            return f"it expired {_span(wall_clock - self.expires)} ago by this machine's clock; get a new one"
        if self.not_before is not None and wall_clock < self.not_before:
            return (
                f"it is valid only in {_span(self.not_before - wall_clock)} by this machine's clock; "
                "check the clocks"
            )
        return None

    def check_room(self, room_name: str | None) -> None:
        """Compare with the room the caller expects; None expects nothing.

        Raises:
            RoomMismatchError: it is another.
        """
        if room_name is not None and self.room is not None and room_name != self.room:
            raise RoomMismatchError(
                f"the token admits to room {self.room!r}, not to {room_name!r}; get a token for the right "
                "room, or leave room_name out"
            )


async def fresh_token(config: ConnectionConfig) -> str:
    """The token to join with now. A plain function as ``token_provider`` runs in a thread.

    Raises:
        ConnectError: ``token_provider`` failed.
        ConfigurationError: what it returned, or the token itself, is no str.
    """
    if config.token_provider is None:
        token: object = config.token
    else:
        try:
            if inspect.iscoroutinefunction(config.token_provider):
                token = await config.token_provider()
            else:
                token = await asyncio.to_thread(config.token_provider)
                if inspect.isawaitable(token):
                    token = await token
        except Exception as error:
            raise ConnectError(
                f"token_provider failed with {type(error).__name__}; see the cause, and connect again"
            ) from error
    if not isinstance(token, str):
        raise ConfigurationError(f"a token is a str, not {type(token).__name__}")
    return token.strip()


def read_join_token(token: str) -> JoinToken:
    """What ``token`` says, without verifying it.

    Raises:
        ConfigurationError: it is no JSON Web Token. The message holds nothing of it.
    """
    parts = token.split(".")
    claims: Any = None
    if len(parts) == 3:
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (binascii.Error, ValueError):
            claims = None
    if not isinstance(claims, dict):
        # The decoding error is not kept as a cause: it quotes the token.
        raise ConfigurationError(_MALFORMED)
    grants = claims.get("video")
    room = grants.get("room") if isinstance(grants, dict) else None
    return JoinToken(
        room=room if isinstance(room, str) and room else None,
        identity=claims["sub"] if isinstance(claims.get("sub"), str) else None,
        not_before=_number(claims.get("nbf")),
        expires=_number(claims.get("exp")),
    )


def redacted(text: str, *secrets: str) -> str:
    """``text`` without ``secrets``, anything that looks like a token, and logins or tokens in addresses."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "<token>")
    text = _SECRET_PARAMETER.sub(r"\1<hidden>", _TOKEN.sub("<token>", text))
    return _URL_LOGIN.sub(r"\1<hidden>@", text)


class TokenFilter(logging.Filter):
    """Takes join tokens out of log records: LiveKit's SDK logs the whole token when the server refuses it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record where needed; every record passes."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            return True
        if "eyJ" in message:
            record.msg, record.args = redacted(message), None
        return True


_FILTER: Final = TokenFilter()


def keep_tokens_out_of_logs() -> None:
    """Put a :class:`TokenFilter` on the SDK's logger; more than once is fine."""
    logging.getLogger("livekit").addFilter(_FILTER)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
