"""One HTTP request to Runway's API: time limits, which failures are tried again, typed errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from avatarkit_rtc.errors import (
    ConfigurationError,
    RunwayConnectionError,
    RunwayError,
    RunwayReplyError,
    RunwayStatusError,
    RunwayTimeoutError,
)
from avatarkit_rtc.integrations.http import checked_key, load_aiohttp, proxy_for
from avatarkit_rtc.providers.connect_errors import without_secrets
from avatarkit_rtc.providers.join_token import redacted

if TYPE_CHECKING:
    import aiohttp

_log = logging.getLogger("avatarkit_rtc.runway")

DEFAULT_BASE_URL: Final = "https://api.dev.runwayml.com"
"""Where Runway's own packages send their requests."""
API_VERSION: Final = "2024-11-06"
"""Value of the header ``X-Runway-Version``."""
BASE_URL_VARIABLE: Final = "RUNWAYML_BASE_URL"
API_KEY_VARIABLE: Final = "RUNWAYML_API_SECRET"

TRIES: Final = 3
RETRY_INTERVAL_S: Final = 2.0
TIMEOUT_S: Final = 10.0
_LONGEST_RETRY_AFTER_S: Final = 30.0
_LONGEST_BODY: Final = 1 << 20
_KEPT_BODY: Final = 64 << 10
_SHOWN_BODY: Final = 300

REFUSED_FOR_NOW: Final = frozenset({408, 429})
"""Answers that say that the request was not carried out and may be repeated."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, and after what, a request is made again."""

    tries: int = TRIES
    """Requests in all."""
    interval_s: float = RETRY_INTERVAL_S
    """Seconds from a failure to the next try; a longer ``Retry-After`` wins, up to 30 s."""
    repeat_uncertain: bool = True
    """Also after failures that leave open whether the request was carried out (5xx, no or half an answer).
    False where carrying it out twice does harm."""

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigurationError: a figure is out of range.
        """
        if self.tries < 1 or self.interval_s < 0:
            raise ConfigurationError("tries must be 1 or more, and the pause between them not negative")


@dataclass(frozen=True, slots=True)
class _Failure:
    error: RunwayError
    uncertain: bool
    """The request may have been carried out."""
    final: bool = False


class RunwayHttp:
    """Requests to one base URL. The key is kept out of every error, log line and repr."""

    def __init__(self, base_url: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        """
        Args:
            base_url: ``https://…``; None for ``RUNWAYML_BASE_URL``, else :data:`DEFAULT_BASE_URL`.
            timeout_s: longest time for one request and its answer.

        Raises:
            ConfigurationError: that is no address, or the time is not positive.
        """
        self.base_url = checked_base_url(base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL)
        if not timeout_s > 0:
            raise ConfigurationError("timeout_s must be more than 0")
        self.timeout_s = timeout_s

    async def request(
        self,
        method: str,
        path: str,
        key: str,
        *,
        body: Mapping[str, Any] | None = None,
        retry: Retry,
        abandoned: asyncio.Event | None = None,
    ) -> Any:
        """Make the request; returns the JSON of the answer, or None for an empty one.

        Args:
            path: begins with ``/v1``.
            key: sent as bearer token.
            body: sent as JSON; None for no body.
            abandoned: when it is set, nothing is tried again, and a pause before that ends at once.

        Raises:
            RunwayStatusError: an answer other than 2xx.
            RunwayTimeoutError: no (full) answer in time.
            RunwayConnectionError: no connection, or it broke off in the middle.
            RunwayReplyError: the answer is no JSON.
            MissingDependencyError: aiohttp is not installed.
        """
        for attempt in range(1, retry.tries + 1):
            outcome = await self._once(method, path, key, body)
            if not isinstance(outcome, _Failure):
                return outcome
            error = outcome.error
            error.session_may_exist = outcome.uncertain and not retry.repeat_uncertain
            pause = self._pause(error, retry)
            if (
                outcome.final
                or attempt == retry.tries
                or pause is None
                or (outcome.uncertain and not retry.repeat_uncertain)
            ):
                raise error
            _log.warning("%s; trying again in %.3g s (%d of %d)", error, pause, attempt + 1, retry.tries)
            if await _set_within(abandoned, pause):
                raise error
        raise AssertionError("tries is 1 or more")

    @staticmethod
    def _pause(error: RunwayError, retry: Retry) -> float | None:
        """Seconds until the next try; None for one that would have to wait too long."""
        asked = error.retry_after_s if isinstance(error, RunwayStatusError) else None
        if asked is not None and asked > _LONGEST_RETRY_AFTER_S:
            return None
        return max(retry.interval_s, asked or 0.0)

    async def _once(self, method: str, path: str, key: str, body: Mapping[str, Any] | None) -> Any:  # noqa: PLR0911
        """The answer, or a :class:`_Failure`."""
        aiohttp = load_aiohttp("Runway's API", "runway")
        what = f"{method} {self.base_url}{path}"
        headers = {"Authorization": f"Bearer {key}", "X-Runway-Version": API_VERSION}
        if method == "POST":
            headers["Content-Type"] = "application/json"
        try:
            # A connection of its own for each request: one that is used again may be closed by the other end
            # at that very moment, and nobody knows then whether the request got there.
            connector = aiohttp.TCPConnector(force_close=True)
            timeout = aiohttp.ClientTimeout(total=self.timeout_s)
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(
                    method,
                    self.base_url + path,
                    headers=headers,
                    data=None if body is None else json.dumps(body),
                    # A redirect would take the key elsewhere and turn a POST into a GET.
                    allow_redirects=False,
                    proxy=proxy_for(self.base_url),
                ) as response,
            ):
                content = await _read(response)
                status, answered = response.status, response.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            text = f"{what}: no connection: {_said(error, key)}; check the address and the network"
            return _Failure(_caused(RunwayConnectionError(text), error), uncertain=False)
        except TimeoutError as error:
            text = f"{what}: no answer within {self.timeout_s:g} s; try later, or allow more time"
            return _Failure(_caused(RunwayTimeoutError(text), error), uncertain=True)
        except (aiohttp.ClientError, OSError) as error:
            text = f"{what}: the connection broke off: {_said(error, key)}; try again"
            # What aiohttp says of a proxy's answer holds the proxy's login.
            cause = None if isinstance(error, aiohttp.ClientResponseError) else error
            return _Failure(_caused(RunwayConnectionError(text), cause), uncertain=True)
        except _TooLongError:
            return _Failure(
                RunwayReplyError(f"{what}: an answer of more than {_LONGEST_BODY} bytes; is that the API?"),
                uncertain=True,
                final=True,
            )
        text = redacted(content.decode("utf-8", "replace"), key)
        if not 200 <= status < 300:
            return _status_failure(what, status, text, answered)
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            # The cause is left out: it quotes the answer, which may hold a token.
            text = f"{what}: status {status}, and the answer is no JSON; is {self.base_url} Runway's API?"
            return _Failure(RunwayReplyError(text), uncertain=True, final=True)

    def __repr__(self) -> str:
        return f"<RunwayHttp {redacted(self.base_url)}>"


def checked_base_url(url: str) -> str:
    """``url`` without a slash at its end.

    Raises:
        ConfigurationError: it is no HTTP address.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        fits = fits and parts.username is None and not parts.query and not parts.fragment
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"{without_secrets(url)!r} is no base URL, which has neither login nor query; one looks like "
            f"{DEFAULT_BASE_URL}"
        )
    return url.rstrip("/")


def api_key_or_environments(key: str | None) -> str:
    """``key``, else that of the environment.

    Raises:
        ConfigurationError: there is none, or it is malformed.
    """
    found = key or os.environ.get(API_KEY_VARIABLE)
    if not found:
        raise ConfigurationError(f"api_key is missing; pass it, or set {API_KEY_VARIABLE}")
    return checked_key(found, "api_key")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for: a number, or a date, which counts from the answer's own date."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(
            0.0,
            (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds(),
        )
    except (TypeError, ValueError):
        return None


async def _set_within(event: asyncio.Event | None, seconds: float) -> bool:
    """Wait so long, or until ``event`` is set, and whether it is."""
    if event is None:
        await asyncio.sleep(seconds)
        return False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


class _TooLongError(Exception):
    pass


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(64 << 10):
        content += chunk
        if len(content) > _LONGEST_BODY:
            raise _TooLongError
    return bytes(content)


def _status_failure(what: str, status: int, text: str, headers: Mapping[str, str]) -> _Failure:
    after = retry_after_s(headers)
    advice = {
        401: "; check the API key",
        403: "; check what the API key may do",
        404: "; check the session id and the base URL",
        429: "; too many requests" if after is None else f"; too many requests, try again in {after:g} s",
    }.get(status, "")
    shown = " ".join(text.split())[:_SHOWN_BODY]
    return _Failure(
        RunwayStatusError(
            f"{what}: status {status}{': ' if shown else ''}{shown}{advice}",
            status=status,
            body=text[:_KEPT_BODY],
            retry_after_s=after,
        ),
        uncertain=status >= 500,
        final=status < 500 and status not in REFUSED_FOR_NOW,
    )


def _said(error: BaseException, key: str) -> str:
    return redacted(str(error) or type(error).__name__, key)


def _caused(error: RunwayError, cause: BaseException | None) -> RunwayError:
    error.__cause__ = cause
    return error
