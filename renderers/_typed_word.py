"""A word as a key: what ends a kiosk's window."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

_TYPED_WITHIN_S: Final = 5.0


class TypedWord:
    """Notices that a word is typed."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._typed: deque[tuple[str, float]] = deque(maxlen=len(word))

    def key(self, letter: str) -> bool:
        """A key was pressed; True if it is the last one of the word."""
        now = time.monotonic()
        self._typed.append((letter, now))
        word = "".join(each for each, _ in self._typed)
        return word == self._word and now - self._typed[0][1] <= _TYPED_WITHIN_S
