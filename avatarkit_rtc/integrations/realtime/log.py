"""Where the realtime manager's log lines go."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from avatarkit_rtc.integrations.realtime.core.effects import LogLevel

_LEVELS: Final[Mapping[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class RealtimeLogger(Protocol):
    """Takes log lines with their context, of which ``sessionId`` is part during a session."""

    def log(self, level: LogLevel, message: str, context: Mapping[str, Any]) -> None:
        """Write a line; never raises."""


class StandardLogger:
    """Lines of Python's ``logging``, the context behind the message; as ``record.context``, too."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        """
        Args:
            logger: None for ``avatarkit_rtc.realtime``.
        """
        self._logger = logger or logging.getLogger("avatarkit_rtc.realtime")

    def log(self, level: LogLevel, message: str, context: Mapping[str, Any]) -> None:
        """Write a line."""
        number = _LEVELS[level]
        if self._logger.isEnabledFor(number):
            said = "".join(f" {name}={value}" for name, value in context.items())
            self._logger.log(number, "%s%s", message, said, extra={"context": dict(context)})
