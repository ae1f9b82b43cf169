"""Options of the player, checked where they are given."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from avatarkit_rtc.audio.devices import DeviceSpec, checked_device
from avatarkit_rtc.audio.echo import VoiceProcessing
from avatarkit_rtc.errors import ConfigurationError, RoomNotOwned
from avatarkit_rtc.playout.idle import IdleMotion, IdleSpec
from avatarkit_rtc.playout.jitter_buffer import OnBacklog
from avatarkit_rtc.playout.playout_options import PlayoutOptions
from avatarkit_rtc.playout.render_clock import RenderClock
from avatarkit_rtc.playout.strategy import StrategyName
from avatarkit_rtc.providers.base import ConnectionConfig as LiveKitConnectionConfig

__all__ = ["AvatarPlayerOptions", "LiveKitConnectionConfig", "LogLevel", "ReconnectPolicy"]

LogLevel: TypeAlias = Literal["info", "warning", "error", "none"]

LOG_LEVELS: Final = {"info": 20, "warning": 30, "error": 40, "none": 100}
"""Our level names to those of :mod:`logging`."""

_SWITCHES: Final = (
    "enable_jitter_buffer",
    "watch_idle",
    "play_audio",
    "lip_sync",
    "echo_cancellation",
    "noise_suppression",
    "auto_gain_control",
    "high_pass_filter",
    "half_duplex",
)


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """Exponential backoff with jitter."""

    attempts: int | None = 10
    """Attempts before giving up; None to go on for ever."""
    first_delay_s: float = 0.5
    """Pause before the first attempt: native teardown takes its time, and rejoining faster piles up."""
    factor: float = 2.0
    """Growth of the pause from attempt to attempt."""
    max_delay_s: float = 30.0
    """Longest pause, before jitter."""
    jitter: float = 0.2
    """Share of the pause, 0 … 1, by which it varies at random: many clients must not come back at once."""
    worth_a_retry: Callable[[Exception], bool] | None = None
    """Asked after each failed attempt; None: everything but wrong options, a room of the caller's own, and
    errors that say themselves that they are not ``retryable``."""

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigurationError: a figure is out of range.
        """
        try:
            if self.attempts is not None and not self.attempts >= 1:
                raise ConfigurationError("attempts must be 1 or more, or None for no end")
            if not 0 < self.first_delay_s <= self.max_delay_s < math.inf:
                raise ConfigurationError("0 < first_delay_s <= max_delay_s must hold")
            if not 1 <= self.factor < math.inf or not 0 <= self.jitter <= 1:
                raise ConfigurationError("factor must be 1 or more, and jitter between 0 and 1")
        except TypeError as error:
            raise ConfigurationError(f"a figure of the reconnect policy is no number: {error}") from error

    def retries(self, error: Exception) -> bool:
        """Whether another attempt makes sense after ``error``."""
        if self.worth_a_retry is not None:
            return self.worth_a_retry(error)
        refused = isinstance(error, ConfigurationError | RoomNotOwned)
        return not refused and bool(getattr(error, "retryable", True))

    def delay_s(self, attempt: int, rng: random.Random) -> float:
        """Pause before ``attempt`` (1, 2, …), in seconds."""
        try:
            grown = self.first_delay_s * float(self.factor) ** (attempt - 1)
        except OverflowError:  # 2.0 ** 1100, and a kiosk may well try that often
            grown = self.max_delay_s
        return min(grown, self.max_delay_s) * (1 + self.jitter * rng.uniform(-1, 1))


@dataclass(frozen=True, slots=True)
class AvatarPlayerOptions:
    """Everything that can be set on an :class:`~avatarkit_rtc.AvatarPlayer`, also as keyword arguments."""

    log_level: LogLevel = "warning"
    """What the ``avatarkit_rtc`` logger lets through; it is one logger for the whole process."""
    enable_jitter_buffer: bool = True
    """False: draw each frame on arrival."""
    max_buffer_delay_ms: float | str = 80.0
    """Cap of the delay that frames are held back for the sake of jitter: 0 … 10000 ms, or ``low`` (40),
    ``default`` (80), ``balanced`` (200) or ``smooth`` (400)."""
    strategy: StrategyName = "adaptive"
    """How the delay is chosen: ``adaptive``, ``quantile``, ``fixed`` (the cap), ``reference``, ``direct``."""
    on_backlog: OnBacklog = "catch_up"
    """After an outage: play what has piled up faster, or ``skip`` to what the cap allows."""
    render_rate_hz: float | Literal["auto"] | None = "auto"
    """Poses per second for the view, interpolated and 40 ms later than without; None: one pose per frame (25
    a second); ``auto``: the rate that the view asks for (a window: 60), if it does."""
    stall_timeout_s: float = 3.0
    """Silence within a round that makes a stall; ``math.inf`` for never."""
    watch_idle: bool = False
    """Take silence between rounds for a stall as well; for services that send idle packets."""
    idle: IdleSpec = None
    """The face while nobody speaks: a pose, a clip, a function of seconds; None: breathing and blinks."""
    start_transition_frames: int = 8
    """Longest way from idle to the first pose, in frames of 40 ms."""
    end_transition_frames: int = 40
    """Way from the last pose to idle, in frames of 40 ms."""
    disconnect_transition_frames: int = 12
    """Way to idle when the stream breaks off, in frames of 40 ms; after an interruption 5 at most."""
    play_audio: bool = True
    """Play the avatar's voice. False: nothing is heard, and no sound library is touched."""
    audio_device: DeviceSpec = None
    """Output device by index, name or as an ``AudioDevice``; None for the default."""
    volume: float = 1.0
    """0 … 1, a factor on the samples of the avatar's voice as it is played; ``player.volume`` changes it."""
    lip_sync: bool = True
    """While the voice is played, hold the face back until it is heard."""
    audio_delay_ms: float = 40.0
    """How much later than its frame the service sends its sound: 40 as services do; more for a sender with
    a queue of its own."""
    lip_sync_correction_ms: float = 0.0
    """Added to the face's delay, for loudspeakers that are heard later (+) than the system says."""
    echo_cancellation: bool = True
    """Take the avatar's voice out of the microphone's sound."""
    noise_suppression: bool = True
    """Take steady noise out of the microphone's sound."""
    auto_gain_control: bool = True
    """Bring quiet and loud voices at the microphone to the same loudness."""
    high_pass_filter: bool = True
    """Take rumble and hum out of the microphone's sound."""
    half_duplex: bool = False
    """Silence the microphone while the avatar is heard: for rooms in which the echo canceller does not get
    on top of the echo. The user cannot interrupt by voice then."""
    auto_reconnect: bool | ReconnectPolicy = False
    """Rejoin by itself after a stall or a lost connection."""

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigurationError: an option is out of range.
        """
        if not (isinstance(self.log_level, str) and self.log_level in LOG_LEVELS):
            raise ConfigurationError(f"log_level must be one of {', '.join(LOG_LEVELS)}")
        if not isinstance(self.auto_reconnect, bool | ReconnectPolicy):
            raise ConfigurationError("auto_reconnect must be True, False or a ReconnectPolicy")
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{name} must be True or False")
        checked_device(self.audio_device)
        try:
            if not self.stall_timeout_s > 0:
                raise ConfigurationError(
                    "stall_timeout_s must be more than 0 (math.inf for no stall detection)"
                )
            for name in ("audio_delay_ms", "lip_sync_correction_ms"):
                if not -2000 <= getattr(self, name) <= 2000:
                    raise ConfigurationError(f"{name} must lie between -2000 and 2000")
            if not 0 <= self.volume <= 1:
                raise ConfigurationError(f"volume must be between 0.0 and 1.0, not {self.volume}")
            if self.render_rate_hz not in ("auto", None):
                RenderClock(float(self.render_rate_hz))
            self.playout()
            IdleMotion(self.idle)
        except ConfigurationError:
            raise
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"an option is wrong: {error}") from error

    def playout(self) -> PlayoutOptions:
        """The part of it that the playout needs."""
        fields = (field.name for field in dataclasses.fields(PlayoutOptions))
        return PlayoutOptions(**{name: getattr(self, name) for name in fields})

    def voice_processing(self) -> VoiceProcessing:
        """The part of it that is done to the microphone's sound."""
        fields = (field.name for field in dataclasses.fields(VoiceProcessing))
        return VoiceProcessing(**{name: getattr(self, name) for name in fields})

    def reconnect_policy(self) -> ReconnectPolicy | None:
        """The policy of ``auto_reconnect``; None when it is off."""
        if isinstance(self.auto_reconnect, ReconnectPolicy):
            return self.auto_reconnect
        return ReconnectPolicy() if self.auto_reconnect else None

    def replaced(self, changes: dict[str, Any]) -> AvatarPlayerOptions:
        """A copy with ``changes``.

        Raises:
            ConfigurationError: a name is unknown or a value out of range.
        """
        known = {field.name for field in dataclasses.fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise ConfigurationError(
                f"unknown option {', '.join(unknown)}; the options are {', '.join(sorted(known))}"
            )
        return dataclasses.replace(self, **changes)
