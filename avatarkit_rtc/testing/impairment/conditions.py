"""What a bad network does to packets, as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias, get_args

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.impairment.trace import DelayTrace

JitterDistribution: TypeAlias = Literal["uniform", "normal", "exponential", "pareto"]


@dataclass(frozen=True, slots=True)
class BurstLoss:
    """Losses in bursts: the Gilbert-Elliott model, a chain of a good and a bad state that moves on with each
    packet of the link, whatever stream it belongs to."""

    to_bad: float
    """Probability to go from the good to the bad state, per packet."""
    to_good: float
    """Probability to go back; bursts are 1 / to_good packets long on average."""
    loss_in_bad: float = 1.0
    """Share of the packets lost in the bad state."""
    loss_in_good: float = 0.0
    """Share of the packets lost in the good state."""

    def __post_init__(self) -> None:
        for each in fields(self):
            _check_share(f"BurstLoss.{each.name}", getattr(self, each.name))
        if self.to_good <= 0:
            raise ConfigurationError("BurstLoss.to_good must be more than 0: bursts have to end")

    @classmethod
    def of(cls, loss: float, mean_run: float) -> BurstLoss:
        """A share ``loss`` of the packets lost, in runs of ``mean_run`` packets on average.

        Raises:
            ConfigurationError: ``loss`` is not 0 … 0.9, or ``mean_run`` is below 1 or too short for it.
        """
        if not 0 <= loss <= 0.9:
            raise ConfigurationError(f"the loss in bursts must be 0 … 0.9, not {loss}")
        if not 1 <= mean_run < math.inf:
            raise ConfigurationError(f"a burst is 1 packet or more on average, not {mean_run}")
        to_bad = loss / ((1.0 - loss) * mean_run)
        if to_bad > 1:
            raise ConfigurationError(f"{loss:.0%} cannot be lost in runs as short as {mean_run:g} packets")
        return cls(to_bad, 1.0 / mean_run)

    @property
    def mean_loss(self) -> float:
        """Share of the packets lost in the long run."""
        bad = self.to_bad / (self.to_bad + self.to_good)
        return bad * self.loss_in_bad + (1.0 - bad) * self.loss_in_good


@dataclass(frozen=True, slots=True)
class Outage:
    """Nothing passes for a while, once or again and again."""

    start_s: float
    """When it begins, in seconds from the moment the conditions came into force."""
    length_s: float
    """How long it lasts."""
    period_s: float | None = None
    """It comes back so often; None for once."""
    holds: bool = False
    """Packets wait for its end, as on Wi-Fi that looks at other channels, instead of being lost."""

    def __post_init__(self) -> None:
        _check_time("Outage.start_s", self.start_s)
        _check_time("Outage.length_s", self.length_s)
        if self.period_s is not None and not self.length_s < self.period_s < math.inf:
            raise ConfigurationError("Outage.period_s must be longer than the outage itself")

    def end_at(self, t: float) -> float | None:
        """When the outage of time ``t`` (seconds from the start of the conditions) is over; None if there is
        none then."""
        since = t - self.start_s
        if since < 0:
            return None
        begin = self.start_s
        if self.period_s is not None:
            begin += math.floor(since / self.period_s) * self.period_s
        # Only an end that lies ahead: rounding must not hold a packet for ever.
        return begin + self.length_s if t < begin + self.length_s else None


@dataclass(frozen=True, slots=True)
class Impairment:
    """The conditions of one direction of a link. The default is a perfect one.

    A packet first waits for its turn on the line (``rate_bps``, outages that hold), may then be lost, and
    then takes the delays, which add up. Packets keep their order unless ``reorder`` is given.
    """

    loss: float = 0.0
    """Share of the packets lost at random, 0 … 1."""
    burst_loss: BurstLoss | None = None
    """Losses in bursts, on top."""
    delay_s: float = 0.0
    """Delay of every packet."""
    jitter_s: float = 0.0
    """Mean of the random delay on top of it, which is never negative."""
    jitter_distribution: JitterDistribution = "uniform"
    """``uniform`` (0 … 2 x the mean), ``normal`` (half of one), ``exponential`` or ``pareto`` (rarely
    much more)."""
    reorder: float = 0.0
    """Share of the packets that neither wait for those before them nor hold up those behind; 1 makes every
    difference in delay change the order."""
    reorder_extra_s: float = 0.0
    """Delay of these packets on top: at 40 ms and more, packets sent each 40 ms are overtaken."""
    duplicate: float = 0.0
    """Share of the packets that come twice, the second one with a random delay of its own."""
    rate_bps: float | None = None
    """Bits per second that pass; None for no limit."""
    queue_bytes: int = 128 * 1024
    """Bytes that may wait for their turn; what comes on top is lost (drop-tail)."""
    outages: Sequence[Outage] = ()
    """When nothing passes."""
    trace: DelayTrace | None = None
    """A recorded delay on top: each packet takes the one of the moment it is sent at, or is lost where the
    trace has lost one."""

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            _check_share(f"Impairment.{name}", getattr(self, name))
        for name in ("delay_s", "jitter_s", "reorder_extra_s"):
            _check_time(f"Impairment.{name}", getattr(self, name))
        if self.jitter_distribution not in get_args(JitterDistribution):
            raise ConfigurationError(
                f"there is no jitter distribution {self.jitter_distribution!r}; "
                f"there are {', '.join(get_args(JitterDistribution))}"
            )
        if self.rate_bps is not None and not 0 < self.rate_bps < math.inf:
            raise ConfigurationError("Impairment.rate_bps must be more than 0, or None for no limit")
        if self.queue_bytes < 0:
            raise ConfigurationError("Impairment.queue_bytes must be 0 or more")
        object.__setattr__(self, "outages", tuple(self.outages))


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{name} must be 0 … 1, not {value}")


def _check_time(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ConfigurationError(f"{name} must be 0 or more seconds, not {value}")


CLEAN: Final = Impairment()
"""A perfect link."""
