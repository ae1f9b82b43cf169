"""What requests to web services share: the library, keys that can be sent, proxies."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError

_SECURE: Final = {"ws": "http", "wss": "https"}


def load_aiohttp(what: str, extra: str) -> Any:
    """The module ``aiohttp``, which ``what`` needs and the extra ``extra`` brings.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import aiohttp
    except ImportError as error:
        raise MissingDependencyError(f"{what} needs aiohttp: pip install 'avatarkit-rtc[{extra}]'") from error
    return aiohttp


def checked_key(key: str, what: str) -> str:
    """``key`` if it can be sent in a header.

    Raises:
        ConfigurationError: it cannot. The message holds nothing of it.
    """
    key = key.strip() if isinstance(key, str) else ""
    if not (key and key.isascii() and key.isprintable() and " " not in key):
        raise ConfigurationError(f"{what} cannot be right: it is empty, or has characters that no key has")
    return key


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (``HTTPS_PROXY``, ``NO_PROXY``, …) names for ``url``, ``http(s)://`` or
    ``ws(s)://``.

    Not aiohttp's ``trust_env``, which would put a login of ``~/.netrc`` in the key's place.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(_SECURE.get(parts.scheme, parts.scheme))
