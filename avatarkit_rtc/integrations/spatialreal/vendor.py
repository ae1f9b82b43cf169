"""The vendor's package ``spatialreal``: loaded where it is needed, and kept from telling secrets."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from avatarkit_rtc.errors import MissingDependencyError
from avatarkit_rtc.integrations.spatialreal.credentials import SpatialRealCredentials, SpatialRealEndpoints

_HEADER: Final = re.compile(r"(session-?key\W+)\S+", re.IGNORECASE)


def load_spatialreal() -> Any:
    """The module ``spatialreal``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import spatialreal
    except ImportError as error:
        raise MissingDependencyError(
            "SpatialReal's service needs its package: pip install 'avatarkit-rtc[spatialreal]'"
        ) from error
    _keep_session_keys_out_of_logs()
    return spatialreal


async def loaded_spatialreal() -> Any:
    """The module ``spatialreal``. The first time it is read from disk in a thread: that takes longer than an
    event loop may be held.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return await loaded("spatialreal", load_spatialreal)


async def loaded(name: str, load: Callable[[], Any]) -> Any:
    """What ``load`` gives, called in a thread until it has once loaded module ``name``: one that is being
    loaded is in ``sys.modules`` already, and whoever else imports it has to wait."""
    if name in _loaded:
        return load()
    module = await asyncio.to_thread(load)
    _loaded.add(name)
    return module


def vendor_session(
    credentials: SpatialRealCredentials, endpoints: SpatialRealEndpoints, **options: Any
) -> Any:
    """A ``spatialreal.AvatarSession``, good for one connection.

    Args:
        options: further keywords of ``spatialreal.new_avatar_session``.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    if credentials.api_key not in _secrets:
        _secrets.append(credentials.api_key)
    if endpoints.environment:
        options["environment"] = endpoints.environment
    return load_spatialreal().new_avatar_session(
        api_key=credentials.api_key,
        app_id=credentials.app_id,
        avatar_id=credentials.avatar_id,
        console_endpoint_url=endpoints.console_url,
        ingress_endpoint_url=endpoints.ingress_url,
        **options,
    )


class _SecretFilter(logging.Filter):
    """``websockets`` logs the headers of its request where DEBUG is on, the session's key among them, and
    what the other side gives as its reason."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record where needed; every record passes."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            return True
        told = _HEADER.sub(r"\1<hidden>", message)
        for secret in _secrets:
            told = told.replace(secret, "<hidden>")
        if told != message:
            record.msg, record.args = told, None
        return True


_FILTER: Final = _SecretFilter()
_secrets: deque[str] = deque(maxlen=64)
_loaded: set[str] = set()


def _keep_session_keys_out_of_logs() -> None:
    logging.getLogger("websockets.client").addFilter(_FILTER)
