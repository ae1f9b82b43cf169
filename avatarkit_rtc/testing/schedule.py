"""What a stand-in avatar sends and when, as plain data: no clocks, no network.

The order is that of an avatar service: idle packets, transition packets, frames each 40 ms, transition-end
packets, idle packets; and one unbroken stream of sound next to it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.motion.packet import (
    encode_frame,
    encode_idle,
    encode_message,
    encode_transition,
    encode_transition_end,
)
from avatarkit_rtc.testing.noise import FOREIGN_TOPIC, NoiseKind, make_noise
from avatarkit_rtc.testing.performer import Utterance

AUDIO_BLOCK_S: Final = 0.020
"""Length of a block of sound."""

_SEQUENCE_MODULUS: Final = 1 << 32
_TRANSITION_END_TICKS: Final = 20
_NOISE_PER_TICK: Final = 0.5


class SentKind(StrEnum):
    """What a sent packet is."""

    IDLE = "idle"
    TRANSITION = "transition"
    FRAME = "frame"
    TRANSITION_END = "transition-end"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class StandInOptions:
    """How a stand-in avatar behaves. The defaults are what an avatar service does."""

    rounds: int | None = None
    """Rounds to play, one utterance each, beginning again after the last; None to go on for ever."""
    pause_s: float | Sequence[float] = 2.0
    """Seconds from the end of a round's frames to the next round; also after the last round. Several are
    taken in turn."""
    start_idle_s: float = 0.4
    """Seconds of idling before the first round."""
    idle_packets: bool = True
    """Send an idle packet each 40 ms while nothing else is sent."""
    transition_lead_frames: int = 8
    """Transition packets before frame 0, one each 40 ms; 0 for none."""
    transition_end: bool = True
    """Repeat transition-end packets for 0.8 s (or the pause, if that is shorter) after the last frame."""
    send_end: bool = False
    """Put the end flag on the last frame (services mostly do not)."""
    redundancy: bool = True
    """Each frame packet carries the two frames before it again."""
    lose_start: bool = False
    """Withhold the packet with the start flag."""
    withhold_every: int | None = None
    """Withhold every Nth frame packet of a round: 7 withholds the 7th, 14th, …"""
    withhold: Collection[int] | Callable[[int, int], bool] = ()
    """Withhold frame packets with these sequence numbers, or those for which ``f(round, seq)`` is true."""
    withhold_audio: Sequence[tuple[float, float]] = ()
    """Send no sound in these spans of each round, in seconds from the start of its sound."""
    audio: bool = True
    """Send sound."""
    audio_delay_ms: int = 40
    """How much later than its frame the sound is sent."""
    one_frame_rounds: bool = False
    """Play only the first frame of each utterance."""
    restart_at: int | None = None
    """Restart the sequence at 0, with the start flag, at this frame of each round (1, 2, …)."""
    first_seq: int = 0
    """Sequence number of each round's first frame."""
    noise: bool = False
    """Mix in packets that are none (see :mod:`avatarkit_rtc.testing.noise`), and some of another topic."""
    seed: int = 0
    """Decides about the noise."""

    def __post_init__(self) -> None:
        checks = {
            "rounds must be None or 1 or more": self.rounds is None or self.rounds >= 1,
            "pause_s must be 0 … 3600": len(self.pauses_s) > 0
            and all(0 <= pause <= 3600 for pause in self.pauses_s),
            "start_idle_s must be 0 … 3600": 0 <= self.start_idle_s <= 3600,
            "transition_lead_frames must be 0 … 1000": 0 <= self.transition_lead_frames <= 1000,
            "withhold_every must be None or 1 or more": self.withhold_every is None
            or self.withhold_every >= 1,
            "audio_delay_ms must be 0 … 10000": 0 <= self.audio_delay_ms <= 10000,
            "restart_at must be None or 1 or more": self.restart_at is None or self.restart_at >= 1,
            "first_seq must be 0 … 2^32-1": 0 <= self.first_seq < _SEQUENCE_MODULUS,
        }
        for message, holds in checks.items():
            if not holds:
                raise ConfigurationError(f"stand-in avatar: {message}")

    @property
    def pauses_s(self) -> Sequence[float]:
        """The pauses, in turn."""
        return (self.pause_s,) if isinstance(self.pause_s, int | float) else self.pause_s


class ScheduledPacket(NamedTuple):
    """One packet of a session."""

    offset: float
    """When it is sent, in seconds from the start of the session."""
    data: bytes
    kind: SentKind
    round: int | None = None
    """Number of its round: 1, 2, …; None between rounds."""
    seq: int | None = None
    """Sequence number; only frames have one."""
    topic: str | None = None
    """Topic to send it on, if not that of motion."""


class ScheduledAudio(NamedTuple):
    """20 ms of sound of a session."""

    offset: float
    """When it is sent, in seconds from the start of the session."""
    samples: npt.NDArray[np.int16] | None
    """Mono, shape (n,); None where it is withheld."""
    sample_rate: int


class _Round(NamedTuple):
    number: int
    first_tick: int
    """When its first packet (transition or frame) is due, in ticks of 40 ms."""
    first_frame_tick: int
    end_tick: int
    """When its last frame is over."""
    next_tick: int
    """When the pause after it is over."""
    utterance: Utterance


def _plan(utterances: Sequence[Utterance], options: StandInOptions) -> Iterator[_Round]:
    tick, number = _ticks(options.start_idle_s), 0
    while options.rounds is None or number < options.rounds:
        utterance = utterances[number % len(utterances)]
        pause = _ticks(options.pauses_s[number % len(options.pauses_s)])
        if options.one_frame_rounds:
            samples = round(FRAME_INTERVAL_S * utterance.sample_rate)
            utterance = replace(utterance, frames=utterance.frames[:1], pcm=utterance.pcm[:samples])
        number += 1
        first_frame = tick + options.transition_lead_frames
        end = first_frame + len(utterance.frames)
        yield _Round(number, tick, first_frame, end, end + pause, utterance)
        tick = end + pause


def _ticks(seconds: float) -> int:
    return round(seconds / FRAME_INTERVAL_S)


def check_utterances(utterances: Sequence[Utterance]) -> int:
    """The sample rate of ``utterances``.

    Raises:
        ConfigurationError: there are none, one has no frame, or their sample rates differ.
    """
    if not utterances:
        raise ConfigurationError("a stand-in avatar needs at least one utterance")
    if not all(utterance.frames for utterance in utterances):
        raise ConfigurationError("every utterance of a stand-in avatar needs at least one frame")
    rates = {utterance.sample_rate for utterance in utterances}
    if len(rates) > 1:
        raise ConfigurationError(
            f"all utterances must have one sample rate, not {', '.join(map(str, sorted(rates)))}"
        )
    return rates.pop()


def motion_schedule(utterances: Sequence[Utterance], options: StandInOptions) -> Iterator[ScheduledPacket]:
    """Every packet of a session, in the order of sending; endless when ``options.rounds`` is None.

    Raises:
        ConfigurationError: see :func:`check_utterances`.
    """
    check_utterances(utterances)
    packets = _motion(utterances, options)
    return _with_noise(packets, utterances, options) if options.noise else packets


def _motion(utterances: Sequence[Utterance], options: StandInOptions) -> Iterator[ScheduledPacket]:
    tick = 0
    for plan in _plan(utterances, options):
        yield from _idle(tick, plan.first_tick, options)
        message = _encoder(plan, options)
        if options.transition_lead_frames:
            data = encode_transition(message(0))
            for at in range(plan.first_tick, plan.first_frame_tick):
                yield ScheduledPacket(at * FRAME_INTERVAL_S, data, SentKind.TRANSITION, plan.number)
        yield from _frames(plan, message, options)
        tick = plan.end_tick
        if options.transition_end:
            data = encode_transition_end(message(len(plan.utterance.frames) - 1))
            until = min(tick + _TRANSITION_END_TICKS, plan.next_tick)
            for at in range(tick, until):
                yield ScheduledPacket(at * FRAME_INTERVAL_S, data, SentKind.TRANSITION_END, plan.number)
            tick = until
        yield from _idle(tick, plan.next_tick, options)
        tick = plan.next_tick


def _idle(tick: int, until: int, options: StandInOptions) -> Iterator[ScheduledPacket]:
    if options.idle_packets:
        data = encode_idle()
        for at in range(tick, until):
            yield ScheduledPacket(at * FRAME_INTERVAL_S, data, SentKind.IDLE)


def _encoder(plan: _Round, options: StandInOptions) -> Callable[[int], bytes]:
    """Encodes frames when they are needed: a whole round at once would hold up the event loop."""
    frames = plan.utterance.frames
    last = len(frames) - 1

    @functools.lru_cache(maxsize=4)
    def message(index: int) -> bytes:
        end = options.send_end and index == last
        return encode_message(frames[index], req_id=f"stand-in-{plan.number}", end=end)

    return message


def _frames(
    plan: _Round, message: Callable[[int], bytes], options: StandInOptions
) -> Iterator[ScheduledPacket]:
    first, first_seq = 0, options.first_seq
    last = len(plan.utterance.frames) - 1
    for index in range(last + 1):
        if index == options.restart_at:
            first, first_seq = index, 0
        start, end = index == first, options.send_end and index == last
        seq = (first_seq + index - first) % _SEQUENCE_MODULUS
        if _withheld(plan.number, index, seq, start, options):
            continue
        previous = None
        if options.redundancy:
            previous = [message(index - back) if index - back >= first else None for back in (1, 2)]
        yield ScheduledPacket(
            (plan.first_frame_tick + index) * FRAME_INTERVAL_S,
            encode_frame(seq, message(index), start=start, end=end, previous=previous),
            SentKind.FRAME,
            plan.number,
            seq,
        )


def _withheld(number: int, index: int, seq: int, start: bool, options: StandInOptions) -> bool:
    if options.lose_start and start:
        return True
    if options.withhold_every is not None and (index + 1) % options.withhold_every == 0:
        return True
    if callable(options.withhold):
        return options.withhold(number, seq)
    return seq in options.withhold


def _with_noise(
    packets: Iterator[ScheduledPacket], utterances: Sequence[Utterance], options: StandInOptions
) -> Iterator[ScheduledPacket]:
    rng = random.Random(options.seed)
    good = encode_frame(7, encode_message(utterances[0].frames[0]), start=True)
    for packet in packets:
        while rng.random() < _NOISE_PER_TICK:
            noise = make_noise(rng, good)
            topic = FOREIGN_TOPIC if noise.kind is NoiseKind.FOREIGN else None
            yield ScheduledPacket(packet.offset, noise.data, SentKind.NOISE, topic=topic)
        yield packet


def audio_schedule(utterances: Sequence[Utterance], options: StandInOptions) -> Iterator[ScheduledAudio]:
    """The sound of a session in blocks of 20 ms, silence between the rounds included.

    Endless when ``options.rounds`` is None; nothing when ``options.audio`` is false.

    Raises:
        ConfigurationError: see :func:`check_utterances`.
    """
    sample_rate = check_utterances(utterances)
    return _audio(utterances, options, sample_rate) if options.audio else iter(())


def _audio(
    utterances: Sequence[Utterance], options: StandInOptions, sample_rate: int
) -> Iterator[ScheduledAudio]:
    # Counted in samples from the start: rounding must not add up to a drift against the motion.
    block, done = 0, 0
    tail: npt.NDArray[np.int16] = np.zeros(0, np.int16)
    muted: list[tuple[float, float]] = []

    def blocks(timeline: npt.NDArray[np.int16]) -> Iterator[ScheduledAudio]:
        nonlocal block, done, tail
        begin = done
        while (stop := round((block + 1) * AUDIO_BLOCK_S * sample_rate)) <= begin + len(timeline):
            offset = block * AUDIO_BLOCK_S
            middle = offset + AUDIO_BLOCK_S / 2
            silent = any(since <= middle < until for since, until in muted)
            samples = timeline[done - begin : stop - begin]
            block, done = block + 1, stop
            yield ScheduledAudio(offset, None if silent else samples, sample_rate)
        tail = timeline[done - begin :]

    for plan in _plan(utterances, options):
        start_s = plan.first_frame_tick * FRAME_INTERVAL_S + options.audio_delay_ms / 1000
        start, end = round(start_s * sample_rate), round(plan.next_tick * FRAME_INTERVAL_S * sample_rate)
        muted = [span for span in muted if span[1] > done / sample_rate]
        muted += [(start_s + since, start_s + until) for since, until in options.withhold_audio]
        # What an utterance has left when the next one begins is cut off.
        before = _fit(tail, start - done)
        speech = np.concatenate([before, plan.utterance.pcm])
        rest = speech[max(0, end - done) :]
        yield from blocks(_fit(speech, end - done))
        tail = np.concatenate([tail, rest])
    last_block = int(AUDIO_BLOCK_S * sample_rate) + 1
    yield from blocks(_fit(tail, len(tail) + last_block) if tail.any() else tail)


def _fit(samples: npt.NDArray[np.int16], length: int) -> npt.NDArray[np.int16]:
    """``samples`` cut, or filled with silence, to ``length``."""
    cut = samples[: max(0, length)]
    return np.concatenate([cut, np.zeros(max(0, length - len(cut)), np.int16)])
