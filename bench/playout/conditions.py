"""Network conditions from a seed, so that the bench runs on any machine with no data.

Each is a model of one mechanism, with figures as they are measured on such networks; all is deterministic for
a seed. Delays are in seconds, one packet each 40 ms.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from bench.playout.traces import FloatArray, Trace, from_times

BoolArray = npt.NDArray[np.bool_]
Condition = Callable[[np.random.Generator, int], Trace]

DURATION_S: Final = 300.0
"""Length of each trace unless told otherwise."""


def conditions(seed: int = 1, duration_s: float = DURATION_S) -> list[Trace]:
    """One trace of each condition.

    Args:
        seed: another one gives other traces of the same kinds.
        duration_s: length of each, in seconds.
    """
    return [condition(name, seed, duration_s) for name in CONDITIONS]


def condition(name: str, seed: int = 1, duration_s: float = DURATION_S) -> Trace:
    """The trace of one condition, by its name in :data:`CONDITIONS`.

    Raises:
        KeyError: there is no such condition.
    """
    # By name, not by place in the table: a new condition leaves the others as they were.
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return CONDITIONS[name](rng, max(2, round(duration_s / FRAME_INTERVAL_S)))


def gilbert_elliott(rng: np.random.Generator, n: int, loss: float, mean_run: float) -> BoolArray:
    """Bursts of losses, shape (n,): a share ``loss`` lost in runs of ``mean_run`` packets (a two-state chain
    whose bad state loses everything)."""
    bad = rng.geometric(1.0 / mean_run, size=n)
    good = rng.geometric(min(1.0, loss / ((1.0 - loss) * mean_run)), size=n)
    ends = np.cumsum(np.stack([good, bad], axis=1).ravel())
    state = np.searchsorted(ends, np.arange(n), side="right")
    return np.asarray(state % 2 == 1)


def _light_jitter(rng: np.random.Generator, n: int, scale: float) -> FloatArray:
    return rng.gamma(2.0, scale / 2.0, size=n)


def _stalls(n: int, starts: FloatArray, lengths: FloatArray) -> FloatArray:
    """Extra delay of packets that must wait for the end of a stall: shape (n,)."""
    send = np.arange(n) * FRAME_INTERVAL_S
    extra = np.zeros(n)
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        inside = (send >= start) & (send < start + length)
        extra[inside] = np.maximum(extra[inside], start + length - send[inside])
    return extra


def _in_order(delay: FloatArray) -> FloatArray:
    """A queue keeps the order: nobody overtakes."""
    send = np.arange(len(delay)) * FRAME_INTERVAL_S
    return np.asarray(np.maximum.accumulate(send + delay) - send)


def _trace(name: str, delay: FloatArray, lost: BoolArray | None = None, kind: str = "") -> Trace:
    send: FloatArray = np.arange(len(delay), dtype=np.float64) * FRAME_INTERVAL_S
    gone = np.zeros(len(delay), bool) if lost is None else lost
    recv: FloatArray = np.where(gone, np.nan, send + delay).astype(np.float64)
    return from_times(name, send, recv, {"kind": "generated", "path": kind})


def _clean(rng: np.random.Generator, n: int) -> Trace:
    return _trace("clean", _in_order(_light_jitter(rng, n, 0.003)), kind="wired link, 3 ms of jitter")


def _wifi_bursts(rng: np.random.Generator, n: int) -> Trace:
    """A busy channel: stalls of some 100 ms that come at random, with what waited let go at once."""
    count = rng.poisson(n * FRAME_INTERVAL_S / 4.0)
    starts = rng.uniform(0, n * FRAME_INTERVAL_S, size=count)
    lengths = rng.lognormal(np.log(0.09), 0.8, size=count).clip(0.02, 1.2)
    delay = _in_order(_light_jitter(rng, n, 0.010) + _stalls(n, starts, lengths))
    return _trace("wifi_bursts", delay, rng.random(n) < 0.005, "busy Wi-Fi: random stalls of about 100 ms")


def _wifi_scan(rng: np.random.Generator, n: int) -> Trace:
    """The station leaves the channel to look for others, each 11 s or so."""
    period = 11.0
    starts = np.arange(rng.uniform(1.0, period), n * FRAME_INTERVAL_S, period)
    starts = starts + rng.normal(0.0, 0.05, size=len(starts))
    lengths = rng.normal(0.30, 0.04, size=len(starts)).clip(0.15, 0.5)
    delay = _in_order(_light_jitter(rng, n, 0.006) + _stalls(n, starts, lengths))
    return _trace("wifi_scan", delay, rng.random(n) < 0.002, "Wi-Fi that scans for 300 ms each 11 s")


def _lte_queue(rng: np.random.Generator, n: int) -> Trace:
    """A deep queue behind a link whose rate wanders, shared with traffic that comes and goes."""
    rate_steps = rng.normal(0.0, 0.08, size=n)
    log_rate = np.empty(n)
    level = 0.0
    for k, step in enumerate(rate_steps.tolist()):
        level = 0.995 * level + step
        log_rate[k] = level
    busy = gilbert_elliott(rng, n, 0.30, 150.0)
    load = np.where(busy, 1.05, 0.55) * np.exp(-0.35 * log_rate)
    queue, waits = 0.0, np.empty(n)
    for k, share in enumerate(load.tolist()):
        # Seconds of work that a packet's 40 ms bring and take; what does not fit is dropped.
        queue = min(max(queue + (share - 1.0) * FRAME_INTERVAL_S, 0.0), 1.2)
        waits[k] = queue
    lost = (waits >= 1.2 - 1e-9) & (rng.random(n) < 0.3)
    delay = _in_order(waits + _light_jitter(rng, n, 0.006))
    return _trace("lte_queue", delay, lost, "LTE with a deep queue whose rate wanders")


def _satellite(rng: np.random.Generator, n: int) -> Trace:
    """Another satellite each 15 s: the delay steps, with a short outage between the two."""
    send = np.arange(n) * FRAME_INTERVAL_S
    offset = rng.uniform(0.0, 15.0)
    slot = ((send + offset) // 15.0).astype(int)
    levels = rng.uniform(0.0, 0.045, size=slot.max() + 1)
    since = (send + offset) % 15.0
    outage = rng.exponential(0.08, size=slot.max() + 1).clip(0.0, 0.4)
    lost = (since < outage[slot]) & (rng.random(n) < 0.7)
    lost |= rng.random(n) < 0.01
    delay = levels[slot] + _light_jitter(rng, n, 0.014)
    return _trace("satellite", _in_order(delay), lost, "satellite handover each 15 s, 1 % loss")


def _random_loss(rng: np.random.Generator, n: int) -> Trace:
    delay = _in_order(_light_jitter(rng, n, 0.008))
    return _trace("random_loss", delay, rng.random(n) < 0.03, "3 % of the packets lost at random")


def _burst_loss(rng: np.random.Generator, n: int) -> Trace:
    delay = _in_order(_light_jitter(rng, n, 0.008))
    lost = gilbert_elliott(rng, n, 0.04, 4.0)
    return _trace("burst_loss", delay, lost, "4 % lost in runs of four (Gilbert-Elliott)")


def _reorder(rng: np.random.Generator, n: int) -> Trace:
    """Two paths: some packets go the long way and are overtaken."""
    long_way = rng.random(n) < 0.08
    delay = _light_jitter(rng, n, 0.008) + np.where(long_way, rng.uniform(0.03, 0.13, size=n), 0.0)
    return _trace("reorder", delay, rng.random(n) < 0.005, "8 % of the packets overtaken by 1-3 others")


def _duplicates(rng: np.random.Generator, n: int) -> Trace:
    """A link layer that repeats what it thinks was lost."""
    send = np.arange(n) * FRAME_INTERVAL_S
    delay = _in_order(_light_jitter(rng, n, 0.008))
    twice = rng.random(n) < 0.15
    second = send + delay + rng.exponential(0.03, size=n)
    lost = rng.random(n) < 0.01
    send, recv = np.r_[send, send[twice]], np.r_[np.where(lost, np.nan, send + delay), second[twice]]
    meta = {"kind": "generated", "path": "15 % of the packets come twice"}
    return from_times("duplicates", send, recv, meta)


def _skewed(rng: np.random.Generator, n: int) -> Trace:
    """The sender's clock is slow by 200 ppm; the fastest packet wanders by 12 ms a minute."""
    delay = _in_order(_light_jitter(rng, n, 0.006)) + 200e-6 * np.arange(n) * FRAME_INTERVAL_S
    return _trace("clock_skew", delay, kind="wired link, clocks 200 ppm apart")


CONDITIONS: Final[dict[str, Condition]] = {
    "clean": _clean,
    "wifi_bursts": _wifi_bursts,
    "wifi_scan": _wifi_scan,
    "lte_queue": _lte_queue,
    "satellite": _satellite,
    "random_loss": _random_loss,
    "burst_loss": _burst_loss,
    "reorder": _reorder,
    "duplicates": _duplicates,
    "clock_skew": _skewed,
}
"""Name to the function that makes it."""
