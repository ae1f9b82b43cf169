from __future__ import annotations

import math
import random
from typing import Any

import pytest

from avatarkit_rtc.audio.echo import VoiceProcessing
from avatarkit_rtc.errors import ConfigurationError, ConnectError, RoomNotOwned
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.options import AvatarPlayerOptions, LiveKitConnectionConfig, ReconnectPolicy


def test_the_defaults_are_the_documented_ones() -> None:
    options = AvatarPlayerOptions()
    assert (options.max_buffer_delay_ms, options.stall_timeout_s, options.log_level) == (80.0, 3.0, "warning")
    assert options.enable_jitter_buffer
    assert options.play_audio
    assert not options.watch_idle
    assert not options.half_duplex
    assert options.voice_processing() == VoiceProcessing(True, True, True, True)
    without = options.replaced({"noise_suppression": False, "echo_cancellation": False})
    assert without.voice_processing() == VoiceProcessing(False, False, True, True)
    assert options.reconnect_policy() is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("log_level", "debug", "info, warning, error, none"),
        ("log_level", ["info"], "info, warning, error, none"),
        ("stall_timeout_s", 0, "math.inf"),
        ("stall_timeout_s", -1.0, "math.inf"),
        ("stall_timeout_s", math.nan, "math.inf"),
        ("stall_timeout_s", "3", "option is wrong"),
        ("max_buffer_delay_ms", -1, "between 0 and 10000"),
        ("max_buffer_delay_ms", 10_001, "between 0 and 10000"),
        ("max_buffer_delay_ms", math.nan, "between 0 and 10000"),
        ("start_transition_frames", -1, "between 0 and 1000"),
        ("end_transition_frames", 1001, "between 0 and 1000"),
        ("disconnect_transition_frames", 1001, "between 0 and 1000"),
        ("idle", "sleepy", "idle"),
        ("auto_reconnect", "yes", "ReconnectPolicy"),
        ("play_audio", 1, "play_audio must be True or False"),
        ("half_duplex", 1, "half_duplex must be True or False"),
        ("echo_cancellation", "yes", "echo_cancellation must be True or False"),
        ("watch_idle", "no", "watch_idle must be True or False"),
        ("enable_jitter_buffer", None, "enable_jitter_buffer must be True or False"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AvatarPlayerOptions(**{name: value})
    with pytest.raises(ConfigurationError, match=message):
        AvatarPlayerOptions().replaced({name: value})


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown option buffer_ms; .*max_buffer_delay_ms"):
        AvatarPlayerOptions().replaced({"buffer_ms": 80})


def test_replaced_keeps_the_rest() -> None:
    options = AvatarPlayerOptions(stall_timeout_s=5.0).replaced({"max_buffer_delay_ms": 0})
    assert (options.stall_timeout_s, options.max_buffer_delay_ms) == (5.0, 0)
    assert options.playout().max_buffer_delay_ms == 0


def test_what_may_be_given_for_idle() -> None:
    for idle in (None, MotionFrame.neutral(), [MotionFrame.neutral()], lambda t: MotionFrame.neutral()):
        assert AvatarPlayerOptions(idle=idle).idle is idle


@pytest.mark.parametrize(
    "figures",
    [
        {"attempts": 0},
        {"first_delay_s": 0},
        {"first_delay_s": 5, "max_delay_s": 1},
        {"max_delay_s": math.inf},
        {"factor": 0.5},
        {"factor": math.inf},
        {"jitter": 1.5},
        {"jitter": -0.1},
        {"first_delay_s": "1"},
        {"first_delay_s": math.nan},
        {"jitter": math.nan},
    ],
)
def test_a_wrong_reconnect_policy_is_refused(figures: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ReconnectPolicy(**figures)


def test_the_pause_grows_to_its_limit_and_never_overflows() -> None:
    policy = ReconnectPolicy(first_delay_s=0.5, factor=2.0, max_delay_s=30.0, jitter=0.0)
    rng = random.Random(1)
    assert [policy.delay_s(attempt, rng) for attempt in (1, 2, 3, 7, 8, 5000)] == [0.5, 1, 2, 30, 30, 30]
    assert ReconnectPolicy(factor=1e300, jitter=0.0).delay_s(100_000, rng) == 30.0


def test_the_pause_varies_by_its_jitter() -> None:
    policy = ReconnectPolicy(first_delay_s=1.0, jitter=0.2)
    rng = random.Random(1)
    pauses = [policy.delay_s(1, rng) for _ in range(200)]
    assert 0.8 <= min(pauses) < 0.85
    assert 1.15 < max(pauses) <= 1.2


def test_what_is_worth_a_retry() -> None:
    assert ReconnectPolicy().retries(ConnectError("gone"))
    assert not ReconnectPolicy().retries(ConfigurationError("wrong token"))
    assert not ReconnectPolicy().retries(RoomNotOwned("yours"))
    assert ReconnectPolicy(worth_a_retry=lambda error: True).retries(RoomNotOwned("yours"))


def test_auto_reconnect_is_a_switch_or_a_policy() -> None:
    policy = ReconnectPolicy(attempts=3)
    assert AvatarPlayerOptions(auto_reconnect=policy).reconnect_policy() is policy
    assert AvatarPlayerOptions(auto_reconnect=True).reconnect_policy() == ReconnectPolicy()


def test_a_connection_config_keeps_its_token_to_itself() -> None:
    config = LiveKitConnectionConfig(
        url="ws://host", token="top-secret", token_provider=lambda: "top-secret-too"
    )
    assert "secret" not in repr(config) + str(config) + f"{config}"
    assert "ws://host" in repr(config)
