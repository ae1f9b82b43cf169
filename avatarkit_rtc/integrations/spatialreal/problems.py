"""What the vendor's package raises and reports, as this package's errors: typed, with advice, without
secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from avatarkit_rtc.errors import (
    AvatarKitError,
    ConfigurationError,
    SpatialRealAuthError,
    SpatialRealBillingError,
    SpatialRealClosedError,
    SpatialRealConnectionError,
    SpatialRealEgressError,
    SpatialRealError,
    SpatialRealLimitError,
    SpatialRealNotFoundError,
    SpatialRealReplyError,
)
from avatarkit_rtc.integrations.spatialreal.retries import Retry, retry_after_close, retry_after_status
from avatarkit_rtc.providers.join_token import redacted


@dataclass(frozen=True, slots=True)
class _Kind:
    error: type[SpatialRealError]
    advice: str


_AUTH: Final = _Kind(SpatialRealAuthError, "check SPATIALREAL_API_KEY, and that it belongs to this app id")
_BILLING: Final = _Kind(SpatialRealBillingError, "look after the account's plan and credits")
_LIMIT: Final = _Kind(SpatialRealLimitError, "end another session, or try again later")
_NOT_FOUND: Final = _Kind(SpatialRealNotFoundError, "check the avatar id, the app id and the addresses")
_EGRESS: Final = _Kind(
    SpatialRealEgressError,
    "check that the LiveKit server can be reached from the internet, and the room's keys or token",
)
_CLOSED: Final = _Kind(SpatialRealClosedError, "start another session")
_DENIED: Final = _Kind(SpatialRealClosedError, "check what the session was asked for; the service refuses it")
_UNREACHABLE: Final = _Kind(SpatialRealConnectionError, "check the network and the addresses")
_REPLY: Final = _Kind(SpatialRealReplyError, "is that SpatialReal's service, and this package up to date?")

_BY_STATUS: Final = {401: _AUTH, 402: _BILLING, 403: _AUTH, 404: _NOT_FOUND, 429: _LIMIT}
_BY_CLOSE_CODE: Final = {
    1000: _CLOSED,
    4001: _BILLING,
    4002: _CLOSED,
    4003: _LIMIT,
    4010: _AUTH,
}
_BY_VENDOR_CODE: Final = {
    "sessionTokenExpired": _AUTH,
    "sessionTokenInvalid": _AUTH,
    "appIDUnrecognized": _AUTH,
    "appIDMismatch": _AUTH,
    "avatarNotFound": _NOT_FOUND,
    "billingRequired": _BILLING,
    "creditsExhausted": _BILLING,
    "concurrencyLimit": _LIMIT,
    "invalidEgressConfig": _EGRESS,
    "egressUnavailable": _EGRESS,
    "connectionFailed": _UNREACHABLE,
    "connectionClosed": _UNREACHABLE,
    "protocolError": _REPLY,
}

# How an egress failure is told is published nowhere; its text has to do.
_EGRESS_WORDS: Final = re.compile(r"egress|livekit|publisher|\broom\b|\bjoin\b", re.IGNORECASE)
_TOKEN_WORDS: Final = re.compile(r"token|401|unauthori[sz]ed|expired|permission", re.IGNORECASE)
_REFUSED: Final = (
    "the avatar's join token is not accepted: it may have expired (a longer token_margin_s, or a new token), "
    "or be of another server's key"
)


def problem_of(error: BaseException, *secrets: str) -> AvatarKitError:
    """What the vendor's package raised or reported, as an error of this package.

    Args:
        secrets: taken out of its text, as everything that looks like a token is.
    """
    if isinstance(error, AvatarKitError):
        return error
    if isinstance(error, ValueError):  # an unknown environment, an address that is none
        return _caused(ConfigurationError(redacted(str(error), *secrets)), error, secrets)
    if isinstance(error, TimeoutError):
        return SpatialRealConnectionError(
            "SpatialReal did not answer in time; check the network and the addresses, or try later",
            retryable=True,
        )
    status, close_code = _number(error, "http_status"), _number(error, "close_code")
    vendor_code = getattr(getattr(error, "code", None), "value", None)
    said = redacted(str(getattr(error, "message", None) or error or type(error).__name__), *secrets)
    # In what cannot come from the service the words mean something else.
    service_said = getattr(error, "phase", "") in ("websocket_handshake", "websocket_runtime")
    kind = _kind(status, close_code, vendor_code, said if service_said else "")
    refused = kind is _EGRESS and _TOKEN_WORDS.search(said) is not None
    advice = _REFUSED if refused else kind.advice
    made = kind.error(
        f"SpatialReal: {' '.join(said.split())[:500]}; {advice}",
        status=status,
        close_code=close_code,
        vendor_code=vendor_code,
        retryable=_retry(error, kind, status, close_code) is not Retry.NO,
    )
    if isinstance(made, SpatialRealEgressError):
        made.token_refused = refused
    return _caused(made, error, secrets)


def closed_after(said: SpatialRealError, problem: AvatarKitError) -> AvatarKitError:
    """What ended a connection that was closed as ``problem`` tells, shortly after the service had ``said``
    something: that, with the code of the close, unless the close itself says what is wrong."""
    if not isinstance(problem, SpatialRealConnectionError | SpatialRealClosedError | SpatialRealEgressError):
        return problem
    said.close_code, said.retryable = problem.close_code, problem.retryable
    return said


def expected(error: SpatialRealError) -> bool:
    """Whether the service itself expects a new connection at once."""
    return error.close_code is not None and retry_after_close(error.close_code) is Retry.AT_ONCE


def _kind(status: int | None, close_code: int | None, vendor_code: str | None, said: str) -> _Kind:
    if status is not None:
        return _BY_STATUS.get(status, _UNREACHABLE if status >= 500 else _REPLY)
    # A code of the transport says only that it broke; the text may say why.
    own = close_code is not None and close_code in _BY_CLOSE_CODE and close_code != 1000
    if not own and _EGRESS_WORDS.search(said):
        return _EGRESS
    if close_code is not None:
        by_range = _UNREACHABLE if close_code < 4000 else _DENIED if close_code < 4500 else _CLOSED
        return _BY_CLOSE_CODE.get(close_code, by_range)
    return _BY_VENDOR_CODE.get(vendor_code or "", _Kind(SpatialRealError, "try again later"))


def _retry(error: BaseException, kind: _Kind, status: int | None, close_code: int | None) -> Retry:
    if status is not None:
        return retry_after_status(status)
    if close_code is not None:
        return retry_after_close(close_code)
    if kind is _UNREACHABLE:
        return retry_after_close(None)
    return Retry.BACKOFF if getattr(error, "retryable", False) else Retry.NO


def _number(error: BaseException, name: str) -> int | None:
    value = getattr(error, name, None)
    return int(value) if isinstance(value, int) else None


def _caused(made: AvatarKitError, cause: BaseException, secrets: tuple[str, ...]) -> AvatarKitError:
    """``made`` with its cause, unless a traceback of that would print a secret."""
    told: list[Any] = []
    link: BaseException | None = cause
    while link is not None and len(told) < 10:
        told.append(str(link))
        link = link.__cause__ or link.__context__
    text = "\n".join(told)
    if redacted(text, *secrets) == text:
        made.__cause__ = cause
    return made
