"""How long calls take that must not block."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

STOOD_STILL = 3


def calls_s(calls: Iterable[Callable[[], object]]) -> float:
    """Seconds that ``calls`` took, without the longest three: the machine may have stood still then."""
    took = []
    for call in calls:
        began = time.monotonic()
        call()
        took.append(time.monotonic() - began)
    return sum(sorted(took)[:-STOOD_STILL])
