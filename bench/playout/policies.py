"""The policies that are compared.

Ours, the fixed delay and the reference client's rules are the shipped classes, made by the factory the player
itself uses; the NetEQ-style controller is the bench's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from avatarkit_rtc.playout.delay import FixedDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.playout.strategy import make_strategy
from bench.playout.neteq import NetEqStrategy
from bench.playout.player import Strategy

OnBacklog = Literal["catch_up", "skip"]

LOW, DEFAULT, BALANCED, SMOOTH = "ours-40", "ours-80", "ours-200", "ours-400"
REFERENCE, REFERENCE_LOW = "reference-80", "reference-40"
NETEQ, HINDSIGHT = "neteq", "hindsight"

HINDSIGHT_TARGETS_S: Final = (
    0.01,
    0.02,
    0.03,
    0.045,
    0.06,
    0.08,
    0.11,
    0.15,
    0.2,
    0.26,
    0.32,
    0.4,
    0.5,
    0.65,
)
"""What the best constant target is chosen from, on each trace."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One way to play."""

    name: str
    label: str
    family: str
    """``ours``, ``reference``, ``fixed``, ``neteq`` or ``hindsight``."""
    makers: tuple[Callable[[OnBacklog], Strategy], ...]
    """Makes the strategy of one session. Where there are several, the one that cost least is taken."""


def _shipped(
    name: Literal["adaptive", "fixed", "reference"], delay_s: float
) -> Callable[[OnBacklog], Strategy]:
    def make(on_backlog: OnBacklog) -> Strategy:
        return make_strategy(name, max_delay_s=delay_s, on_backlog=on_backlog)

    return make


class ConstantTarget:
    """The shipped jitter buffer, warping and interpolation and all, with a target that never changes."""

    def __init__(self, target_s: float, on_backlog: OnBacklog) -> None:
        self.target_delay_s = target_s
        self._on_backlog = on_backlog

    def new_buffer(self) -> JitterBuffer:
        """The buffer of the next round."""
        target = self.target_delay_s
        return JitterBuffer(FixedDelay(target), max_delay_s=target, on_backlog=self._on_backlog)

    def clock_packet(self, now: float) -> None:
        """There is nothing to learn."""


def _constant(target_s: float) -> Callable[[OnBacklog], Strategy]:
    return lambda on_backlog: ConstantTarget(target_s, on_backlog)


def _table() -> dict[str, Policy]:
    policies = [
        Policy(f"ours-{cap}", f"ours, {preset} ({cap} ms)", "ours", (_shipped("adaptive", cap / 1000),))
        for cap, preset in ((40, "low"), (80, "default"), (200, "balanced"), (400, "smooth"))
    ]
    policies += [
        Policy(f"reference-{cap}", f"reference, {cap} ms", "reference", (_shipped("reference", cap / 1000),))
        for cap in (40, 80, 160)
    ]
    policies += [
        Policy(f"fixed-{delay}", f"fixed, {delay} ms", "fixed", (_shipped("fixed", delay / 1000),))
        for delay in (80, 160, 240)
    ]
    policies.append(Policy(NETEQ, "NetEQ-style", "neteq", (lambda _on_backlog: NetEqStrategy(),)))
    best = tuple(_constant(target) for target in HINDSIGHT_TARGETS_S)
    policies.append(Policy(HINDSIGHT, "best constant target in hindsight", "hindsight", best))
    return {each.name: each for each in policies}


POLICIES: Final = _table()
"""Name to policy, in the order of the tables."""
