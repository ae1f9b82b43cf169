"""Coming back after a lost connection: which attempt it is, when it is due, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from avatarkit_rtc.integrations.realtime.core.effects import Effect, Emit
from avatarkit_rtc.integrations.realtime.core.tables import RECONNECT_DELAYS_MS
from avatarkit_rtc.integrations.realtime.payloads import (
    ReconnectAttempt,
    ReconnectExhausted,
    ReconnectSuccess,
)


class Recovery:
    """From one loss to the end of the attempts. Pure; ``now`` is monotonic seconds."""

    def __init__(self, log: Callable[..., Effect]) -> None:
        """
        Args:
            log: ``log(level, message, **context)``, as an effect.
        """
        self._log = log
        self._attempt = 0
        self._lost_at = 0.0
        self._cause = ""

    def begin(self, cause: str, now: float) -> None:
        """The connection is lost."""
        self._attempt, self._lost_at, self._cause = 0, now, cause

    @property
    def exhausted(self) -> bool:
        """Whether the last attempt has been made."""
        return self._attempt == len(RECONNECT_DELAYS_MS)

    def next_attempt(self, now: float) -> tuple[float, list[Effect]]:
        """When the next attempt is due, and what is told of it."""
        delay = RECONNECT_DELAYS_MS[self._attempt]
        self._attempt += 1
        told = ReconnectAttempt(self._attempt, delay, self._cause)
        log = self._log("info", "Realtime reconnect attempt", attempt=self._attempt, delayMs=delay)
        return now + delay / 1000, [Emit("realtime:reconnect:attempt", told), log]

    def succeeded(self, now: float) -> list[Effect]:
        """The connection is back."""
        took = self._took_ms(now)
        return [
            Emit("realtime:reconnect:success", ReconnectSuccess(self._attempt, took, self._cause)),
            self._say("info", "Realtime reconnect succeeded", took),
        ]

    def failed(self, now: float, error: Exception) -> list[Effect]:
        """There are no more attempts."""
        took = self._took_ms(now)
        told = ReconnectExhausted(self._attempt, took, self._cause, error)
        log = self._say("error", "Realtime reconnect exhausted", took)
        return [Emit("realtime:reconnect:exhausted", told), log]

    def _say(self, level: str, message: str, took_ms: int) -> Effect:
        context: dict[str, Any] = {"attempts": self._attempt, "totalMs": took_ms, "cause": self._cause}
        return self._log(level, message, **context)

    def _took_ms(self, now: float) -> int:
        return round((now - self._lost_at) * 1000)
