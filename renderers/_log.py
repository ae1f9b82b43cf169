"""Log lines that may come with every frame, thinned."""

from __future__ import annotations

import logging
import time
from typing import Final

_INTERVAL_S: Final = 10.0


class ThinnedLog:
    """Logs one line of its kind each ten seconds at most, and says how many it left out."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, kind: str, message: str, error: BaseException | None = None) -> None:
        """Log ``message`` unless a line of the same ``kind`` was logged a moment ago."""
        now = time.monotonic()
        if now < self._next.get(kind, -1.0):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._next[kind] = now + _INTERVAL_S
        left_out = self._left_out.pop(kind, 0)
        more = f" ({left_out} more like this left out)" if left_out else ""
        self._logger.warning("%s%s", message, more, exc_info=error)
