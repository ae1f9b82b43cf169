"""What tests of the realtime manager's pure core read out of its effects."""

from __future__ import annotations

from typing import Any

from avatarkit_rtc.errors import RealtimeServerError, RealtimeTransportError
from avatarkit_rtc.integrations.realtime import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.core.effects import Connect, Effect, Emit, Settle
from avatarkit_rtc.integrations.realtime.core.machine import Machine
from avatarkit_rtc.integrations.realtime.core.tables import Phase
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistry

BROKEN = RealtimeTransportError("broken")
REFUSED = RealtimeServerError("no such voice")


def voice(name: str) -> RealtimeSessionConfig:
    return RealtimeSessionConfig(voice=name)


def told(effects: list[Effect]) -> list[str]:
    return [effect.event for effect in effects if isinstance(effect, Emit)]


def settled(effects: list[Effect]) -> list[tuple[Any, Any]]:
    return [(effect.waiter, effect.error) for effect in effects if isinstance(effect, Settle)]


def only(effects: list[Effect], kind: type) -> Any:
    (found,) = [effect for effect in effects if isinstance(effect, kind)]
    return found


def machine(registry: ToolRegistry | None = None, default: RealtimeSessionConfig | None = None) -> Machine:
    return Machine(registry or ToolRegistry(), lambda: "our-id", default)


def active(started: Machine | None = None) -> Machine:
    started = started or machine()
    started.opened(only(started.start("start", None), Connect).op, 0.0)
    assert started.phase is Phase.ACTIVE
    return started
