"""Speech performed as an avatar service would: sound in, motion packets and sound out, in time. Pure.

Everything happens on a grid of 10 ms. At each step one block of sound goes out, silence where nothing is
said, so that a player knows how long sound takes to the ear before anybody speaks. Speech that comes goes out
with the next step; motion does not keep it waiting:

* Services send the sound of frame N one frame after the frame. Here frame 0 goes out with the first sound,
  and is about the sound from 40 ms on; what comes before it is the way from idle.
* The mouth is told by the sound that will go out next (:class:`~avatarkit_rtc.face.MouthEstimator`), which
  is there, as speech mostly comes faster than it is played; else by what there is.
* A round ends when its speech is out and nobody announces more, or :data:`LINGER_S` later. Speech that is
  late leaves a silence in its round.

Head, eyes and lids move a little, with a seed: by :mod:`~avatarkit_rtc.face.liveliness`.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from avatarkit_rtc.face import liveliness
from avatarkit_rtc.face.mouth_estimator import MouthEstimator
from avatarkit_rtc.face.mouth_shapes import MOUTH_COEFFICIENTS
from avatarkit_rtc.face.mouth_track import MouthTrack
from avatarkit_rtc.motion.arkit import jaw_rotation
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import FIELD_SLICES, FRAME_INTERVAL_S, FRAME_SIZE, MotionFrame
from avatarkit_rtc.motion.packet import (
    encode_frame,
    encode_idle,
    encode_message,
    encode_transition,
    encode_transition_end,
)

Samples: TypeAlias = npt.NDArray[np.int16]

BLOCK_S: Final = 0.010
BLOCKS_PER_FRAME: Final = round(FRAME_INTERVAL_S / BLOCK_S)

MAX_QUEUED_S: Final = 600.0
"""Speech that waits to go out; what comes beyond it is dropped, and counted."""

LINGER_S: Final = 0.4
"""So long a round waits for further speech where nobody has said that there is none."""

MAX_CATCH_UP_S: Final = 0.25
"""Held up for longer, everything goes on later; it is not sent in a burst."""

_LOOK_AHEAD: Final = 12
"""Blocks of sound that a frame is told by: its own, and what smoothing and the estimator need behind."""
_EARLY_S: Final = 0.0005
_IDLE: Final = encode_idle()
_JAW_OPEN: Final = MOUTH_COEFFICIENTS[:, ARKIT_INDEX["jawOpen"]]
_FULL_SCALE: Final = 32768.0


class Packet(NamedTuple):
    """A motion packet."""

    data: bytes


class Sound(NamedTuple):
    """10 ms of sound."""

    samples: Samples
    """Shape (n,)."""
    sample_rate: int
    name: str | None
    """What was said it is of; None for silence."""
    rms: float
    """How loud it is, 0 … 1."""


class Began(NamedTuple):
    """Somebody begins to speak: the next sound is the first of a round."""


class Ended(NamedTuple):
    """Nothing more is said for now."""


Output: TypeAlias = Packet | Sound | Began | Ended


class _Block(NamedTuple):
    samples: Samples
    sample_rate: int
    name: str | None


class SpeechPerformer:
    """One voice and its face. ``now`` is monotonic seconds, never less than the last time."""

    def __init__(self, *, sample_rate: int = 24000, seed: int = 0) -> None:
        """
        Args:
            sample_rate: of the silence before the first speech, in samples per second.
            seed: of what head, eyes and lids do.
        """
        self._rate = sample_rate
        self._queue: deque[_Block] = deque()
        self._rest: _Block | None = None
        self._said_all = True
        self._base: float | None = None
        self._step = 0
        self._zero: int | None = None  # step of the first block of the round; None between rounds
        self._quiet = 0  # steps of the round without speech
        self._frames = 0
        self._message = b""
        self._told = 0  # the step up to which the mouth knows the sound
        self._mouth, self._track = MouthEstimator(), MouthTrack()
        random = Random(seed)
        self._phase = 100.0 * random.random()
        self._blinks = liveliness.Blinks(Random(random.random()))
        self._saccades = liveliness.Saccades(Random(random.random()))
        self._out: list[Output] = []
        self.rounds = 0
        """Rounds so far."""
        self.dropped_s = 0.0
        """Seconds of speech that found no room."""
        self.late = 0
        """Times speech was late within a round."""
        self.held_up_s = 0.0
        """Seconds that hiccups of this program have cost."""

    @property
    def queued_s(self) -> float:
        """Speech that waits to go out, in seconds."""
        return len(self._queue) * BLOCK_S

    @property
    def next_name(self) -> str | None:
        """Name of what goes out next; None where nothing waits."""
        return self._queue[0].name if self._queue else None

    @property
    def speaking(self) -> bool:
        """A round is on."""
        return self._zero is not None

    # -- what is to be said ----------------------------------------------------------------------------------

    def say(self, samples: Samples, sample_rate: int, name: str | None = None) -> None:
        """Say ``samples``, shape (n,), behind what there is.

        Args:
            samples: mono.
            sample_rate: samples per second, a multiple of 100 from 8000 on.
            name: comes back with the sound.

        Raises:
            ValueError: the rate is another.
        """
        if sample_rate < 8000 or sample_rate % 100:
            raise ValueError(f"sample_rate is 8000 or more in steps of 100, not {sample_rate!r}")
        self._said_all = False
        rest, self._rest = self._rest, None
        if rest is not None and rest.sample_rate == sample_rate and rest.name == name:
            samples = np.concatenate([rest.samples, samples])
        elif rest is not None:
            self._append(_filled(rest))
        size = round(sample_rate * BLOCK_S)
        whole = len(samples) - len(samples) % size
        for start in range(0, whole, size):
            self._append(_Block(samples[start : start + size], sample_rate, name))
        if whole < len(samples):
            self._rest = _Block(samples[whole:].copy(), sample_rate, name)

    def end(self) -> None:
        """What was said so far is all there is to say for now."""
        self._said_all = True
        rest, self._rest = self._rest, None
        if rest is not None:
            self._append(_filled(rest))

    def cut(self) -> bool:
        """Say nothing more. Returns whether a round was on, or something waited."""
        something = self.speaking or bool(self._queue) or self._rest is not None
        self._queue.clear()
        self._rest, self._said_all = None, True
        if self.speaking:
            self._close()
        return something

    def _append(self, block: _Block) -> None:
        if self.queued_s >= MAX_QUEUED_S:
            self.dropped_s += BLOCK_S
        else:
            self._queue.append(block)

    # -- time ------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Time has stood still since the last :meth:`tick`."""
        self._base, self._step = None, 0
        self.cut()
        self._out.clear()

    def next_deadline(self) -> float | None:
        """When to call :meth:`tick` next; None before the first call."""
        return None if self._base is None else self._base + self._step * BLOCK_S

    def tick(self, now: float) -> list[Output]:
        """Do what is due by ``now``; returns what is to go out, in order."""
        if self._base is None:
            self._base = now
        while (late := now - (self._base + self._step * BLOCK_S)) >= -_EARLY_S:
            if late > MAX_CATCH_UP_S:
                self._base += late
                self.held_up_s += late
            self._one_step()
            self._step += 1
        return self.take()

    def take(self) -> list[Output]:
        """What has come of the calls since the last one."""
        out, self._out = self._out, []
        return out

    # -- steps of 10 ms --------------------------------------------------------------------------------------

    def _one_step(self) -> None:
        if not self.speaking and self._queue:
            self._open()
        if self.speaking and not self._queue and (self._said_all or self._quiet * BLOCK_S >= LINGER_S):
            self._close()
        if self.speaking:
            self._listen()
            if (self._step - self._first) % BLOCKS_PER_FRAME == 0:
                self._frame()
        elif self._step % BLOCKS_PER_FRAME == 0:
            self._out.append(Packet(_IDLE))
        if self._queue:
            self._quiet = 0
            block = self._queue.popleft()
            self._rate = block.sample_rate
            self._out.append(Sound(*block, _rms(block.samples)))
            return
        self._out.append(Sound(np.zeros(round(self._rate * BLOCK_S), np.int16), self._rate, None, 0.0))
        if self.speaking:
            self.late += self._quiet == 0
            self._quiet += 1

    @property
    def _first(self) -> int:
        assert self._zero is not None
        return self._zero

    def _open(self) -> None:
        self._zero = self._told = self._step
        self._frames = self._quiet = 0
        self._mouth, self._track = MouthEstimator(), MouthTrack()
        self.rounds += 1
        self._out.append(Began())

    def _close(self) -> None:
        self._zero = None
        self._out += [Packet(encode_transition_end(self._message, compress=False)), Ended()]

    def _listen(self) -> None:
        """Let the mouth know the sound that goes out next, as far as it is there."""
        heard: list[_Block] = []
        first = self._told
        while self._told <= self._step + _LOOK_AHEAD:
            ahead = self._told - self._step
            if ahead < len(self._queue):
                heard.append(self._queue[ahead])
            elif ahead <= 0:  # speech is late
                heard.append(_Block(np.zeros(round(self._rate * BLOCK_S), np.int16), self._rate, None))
            else:
                break
            self._told += 1
        for offset, block in enumerate(heard):
            at = (first + offset - self._first) * BLOCK_S
            self._track.add(self._mouth.hear(block.samples, block.sample_rate, at))

    def _frame(self) -> None:
        at = self._frames * FRAME_INTERVAL_S
        message = encode_message(MotionFrame.adopt(self._pose(at + 1.5 * FRAME_INTERVAL_S)))
        if self._frames == 0:
            self._out.append(Packet(encode_transition(message, compress=False)))
        start = self._frames == 0
        self._out.append(Packet(encode_frame(self._frames, message, start=start, compress=False)))
        self._message = message
        self._frames += 1

    def _pose(self, at: float) -> npt.NDArray[np.float32]:
        """The face ``at`` seconds into the round."""
        values = np.zeros(FRAME_SIZE, np.float32)
        shape = self._track.at(at)
        opening = 0.0 if shape is None else float(shape @ _JAW_OPEN)
        now = self._step * BLOCK_S
        values[FIELD_SLICES["jaw_pose"].start] = jaw_rotation(opening)
        values[FIELD_SLICES["rotation"]] = liveliness.sway(now, self._phase)
        values[FIELD_SLICES["eye_lid"]] = self._blinks.shut(now)
        values[FIELD_SLICES["eye_pose"]] = np.tile(self._saccades.gaze(now), 2)
        return values


def _filled(block: _Block) -> _Block:
    """``block`` with silence to its full length."""
    size = round(block.sample_rate * BLOCK_S)
    samples = np.concatenate([block.samples, np.zeros(size - len(block.samples), np.int16)])
    return block._replace(samples=samples)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float32))))) / _FULL_SCALE
