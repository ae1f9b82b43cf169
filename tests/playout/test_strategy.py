"""Strategies and presets by name, and what is told of names that are none."""

from __future__ import annotations

import pytest

from avatarkit_rtc.playout import Playout, PlayoutOptions
from avatarkit_rtc.playout.adaptive_delay import AdaptiveDelay
from avatarkit_rtc.playout.delay import QuantileDelay
from avatarkit_rtc.playout.strategy import PRESETS, STRATEGIES, make_strategy
from tests.support.frames import face, play


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_strategy_plays_a_clean_network(name: str) -> None:
    strategy = make_strategy(name)  # type: ignore[arg-type]
    assert strategy.name == name
    for turn in range(2):
        begin = 100.0 * turn + 10
        shown = play(strategy.new_buffer(), [(begin + 0.04 * n, n, face(n)) for n in range(50)], begin + 3)
        assert {int(pose.position) for _, pose in shown} >= set(range(49))
    assert 0.0 <= strategy.target_delay_s <= 0.080
    assert 0.0 <= strategy.jitter_s < 0.001
    strategy.clock_packet(120.0)
    assert strategy.cuts_start_transition == (name != "reference")


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_was_learnt_outlives_the_round(name: str) -> None:
    strategy = make_strategy(name)  # type: ignore[arg-type]
    assert strategy.new_buffer() is not strategy.new_buffer()
    assert make_strategy(name).estimator is not strategy.estimator  # type: ignore[arg-type]


def test_the_cap_holds_for_the_target_of_every_strategy() -> None:
    strategy = make_strategy("quantile", max_delay_s=0.03)
    assert isinstance(strategy.estimator, QuantileDelay)
    strategy.estimator.observe(0.5, 1.0)
    assert strategy.estimator.target_s == 0.5
    assert strategy.target_delay_s == 0.03


def test_the_given_delays_are_the_targets() -> None:
    assert make_strategy("fixed", max_delay_s=0.16).target_delay_s == 0.16
    assert make_strategy("reference", max_delay_s=0.16).target_delay_s == 0.16
    assert make_strategy("direct", max_delay_s=0.16).target_delay_s == 0.0


@pytest.mark.parametrize(("name", "ms"), [("low", 40), ("default", 80), ("balanced", 200), ("smooth", 400)])
def test_presets(name: str, ms: float) -> None:
    assert PRESETS[name] == ms
    options = PlayoutOptions(max_buffer_delay_ms=name)
    assert options.max_delay_s == pytest.approx(ms / 1000)
    playout = Playout(options)
    playout.strategy.estimator.observe(0.9, 1.0)
    assert playout.target_delay_s <= ms / 1000


def test_the_default_is_80_ms_and_adaptive() -> None:
    assert PlayoutOptions().max_delay_s == 0.080
    assert Playout().strategy.name == "adaptive"


def test_without_the_jitter_buffer_the_strategy_is_direct() -> None:
    assert Playout(PlayoutOptions(enable_jitter_buffer=False, strategy="reference")).strategy.name == "direct"


def test_unknown_names_are_refused_with_the_ones_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"no strategy 'psychic'.*adaptive, quantile, fixed, reference, direct"
    ):
        make_strategy("psychic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no strategy 'psychic'"):
        PlayoutOptions(strategy="psychic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no preset 'silky'.*low, default, balanced, smooth"):
        PlayoutOptions(max_buffer_delay_ms="silky")
    with pytest.raises(ValueError, match="catch_up, skip"):
        make_strategy(on_backlog="weep")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="catch_up, skip"):
        PlayoutOptions(on_backlog="weep")  # type: ignore[arg-type]


def test_packets_between_the_rounds_tell_the_strategy_of_stalls() -> None:
    playout, now = Playout(), 100.0
    for _ in range(6):
        for _ in range(240):
            playout.clock_packet(now)
            now += 0.04
        now += 0.3
    assert isinstance(playout.strategy.estimator, AdaptiveDelay)
    assert playout.strategy.estimator.stall_period_s == pytest.approx(9.9, abs=0.1)
