"""How much an object holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any


def containers(thing: Any, seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """Place and length of every list, dict, set and deque within ``thing`` and the package's objects that it
    refers to."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, list | dict | set | frozenset | deque):
        yield type(thing).__name__, len(thing)
        within = [*thing.keys(), *thing.values()] if isinstance(thing, dict) else list(thing)
        for each in within:
            yield from containers(each, seen)
        return
    if isinstance(thing, tuple):
        for each in thing:
            yield from containers(each, seen)
    if not type(thing).__module__.startswith("avatarkit_rtc."):
        return
    names = [*vars(thing)] if hasattr(thing, "__dict__") else []
    for kind in type(thing).__mro__:
        names += getattr(kind, "__slots__", ())
    for name in names:
        for where, length in containers(getattr(thing, name, None), seen):
            yield f"{type(thing).__name__}.{name}: {where}", length


def largest(thing: Any) -> tuple[int, str]:
    """The longest container within ``thing``, and where it is."""
    return max(((length, where) for where, length in containers(thing)), default=(0, ""))
