"""What goes to the player, and when: the user's own sound in real time, and each keyframe with its sound.

Everything happens on a grid of 10 ms. At each step one block of sound goes out, silence where nothing is
said, so that the player knows how long sound takes to the ear before anybody speaks. Frame N goes out 40 ms
before the block at N x 40 ms, as services do in a room (``audio_delay_ms`` of the player): lip sync is exact
by construction. Packets are those of a service in a room.

* The sound of an utterance starts when there is some motion and sound ahead, or when the motion was waited
  for long enough. From then on it never waits for motion: a keyframe that is late is left out, and the player
  glides over the gap.
* Where the sound itself is late (a slow source), and at a pause, the round is closed, and another one opened
  when it goes on: the numbers of the frames go on as well.
* Where this program was held up for long everything is later by as much, in a round of its own, and goes on
  at once: motion and sound are there, and the face has not gone to idle.

Pure: moments are arguments, in monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from avatarkit_rtc.audio.sync import AUDIO_DELAY_S
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.integrations.spatialreal.direct.keyframes import Reply, message_of
from avatarkit_rtc.integrations.spatialreal.direct.outputs import (
    Began,
    Ended,
    Flush,
    Output,
    Packet,
    Sound,
)
from avatarkit_rtc.integrations.spatialreal.direct.states import StageInput, StageState, next_state
from avatarkit_rtc.integrations.spatialreal.direct.stats import StageCounters
from avatarkit_rtc.integrations.spatialreal.direct.utterance import (
    BLOCK_S,
    BLOCKS_PER_FRAME,
    SLACK_FRAMES,
    Block,
    Keyframe,
    Utterance,
)
from avatarkit_rtc.motion.packet import encode_frame, encode_idle, encode_transition, encode_transition_end

LEAD_BLOCKS: Final = round(AUDIO_DELAY_S / BLOCK_S)
"""A frame goes out so many blocks before its sound."""
LATE_FRAMES: Final = 2
"""A keyframe that is later than this is left out: the player could not show it in time either."""
MAX_CATCH_UP_S: Final = 0.12
"""Held up for longer, sound goes on later: sent in a burst it would be more than a speaker's ring takes."""
PAST_REQUESTS: Final = 256
"""Names of requests that are over which are remembered."""

_EARLY_S: Final = 0.0005
_IDLE: Final = encode_idle()


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """How to play."""

    ahead_s: float = 0.2
    """Motion and sound to have before the sound starts, in seconds."""
    start_timeout_s: float = 2.0
    """Longest wait for that, from the first sound on; then the sound starts all the same."""
    transition_s: float = 0.12
    """Time for the way from idle to the first pose."""

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigurationError: a figure is out of range.
        """
        bounds = (("ahead_s", 10.0), ("start_timeout_s", 60.0), ("transition_s", 1.0))
        for name, most in bounds:
            if not 0 <= getattr(self, name) <= most:
                raise ConfigurationError(f"{name} is 0 to {most:g} s, not {getattr(self, name)!r}")


class Stage:
    """Plays utterances one after another, in the order of :meth:`say`."""

    def __init__(self, sample_rate: int, options: SpeechOptions | None = None) -> None:
        """
        Args:
            sample_rate: samples per second, a multiple of 100.
            options: how to play.
        """
        self.options = options or SpeechOptions()
        """As given."""
        self.counters = StageCounters()
        """Live counters."""
        self._silence: Block = np.zeros((round(sample_rate * BLOCK_S), 1), np.int16)
        self._silence.flags.writeable = False
        self._state = StageState.SILENT
        self._utterances: deque[Utterance] = deque()  # the first one is on
        self._by_request: dict[str, Utterance] = {}
        self._past: deque[str] = deque(maxlen=PAST_REQUESTS)
        self._base: float | None = None
        self._step = 0
        self._zero = 0  # step of the first block of the utterance that is on
        self._waiting_since: float | None = None
        self._lead_until: int | None = None  # step at which the way from idle is over
        self._round_open = False
        self._frames_in_round = 0
        self._last_message = b""
        self._t = 0.0  # of this step
        self._out: list[Output] = []

    @property
    def state(self) -> StageState:
        """What is going on."""
        return self._state

    @property
    def position_s(self) -> float | None:
        """So much of what is on has gone to the player, in seconds; None while nothing is."""
        return self._utterances[0].played * BLOCK_S if self._utterances else None

    @property
    def held_s(self) -> float:
        """Sound that waits to be played, in seconds."""
        return sum(len(each.blocks) for each in self._utterances) * BLOCK_S

    @property
    def held_frames(self) -> int:
        """Keyframes that wait to be shown."""
        return sum(each.frames + each.frames_unclaimed for each in self._utterances)

    def answered(self, key: int) -> bool:
        """Whether there is no further motion to come for ``key``."""
        found = self._find(key)
        return found is None or found.motion_ended

    def snapshot(self) -> StageCounters:
        """A copy of the counters."""
        return replace(self.counters)

    # -- what is to be said ----------------------------------------------------------------------------------

    def say(self, key: int) -> None:
        """Play utterance ``key``, a new name, after those before it; sound and motion follow."""
        self._utterances.append(Utterance(key))

    def sound(self, key: int, block: Block) -> None:
        """The next 10 ms of ``key``, shape (n, 1)."""
        found = self._find(key)
        if found is not None:
            found.blocks.append(block)

    def sound_ended(self, key: int) -> None:
        """There is no further sound of ``key``."""
        found = self._find(key)
        if found is not None:
            found.sound_ended = True

    def identify(self, key: int, req_id: str) -> None:
        """The service's name for ``key``."""
        found = self._find(key)
        if found is None:
            if req_id not in self._past:
                self._past.append(req_id)
            return
        if found.req_id is not None:
            return
        found.req_id = req_id
        self._by_request[req_id] = found
        claimed = found.unclaimed.pop(req_id, None)
        self.counters.unasked += found.frames_unclaimed
        found.unclaimed.clear()
        if claimed is not None:
            self.counters.surplus += found.take(*claimed)

    def motion(self, reply: Reply) -> None:
        """The service's answer."""
        counters, count = self.counters, len(reply.keyframes)
        counters.received += count
        found = self._by_request.get(reply.req_id)
        if found is not None:
            counters.surplus += found.take(reply.keyframes, reply.end)
            return
        if reply.req_id in self._past:
            counters.outdated += count
            return
        # The first answer may be here before the call that sent the sound has returned with the name.
        nameless = next((each for each in self._utterances if each.req_id is None), None)
        if nameless is None:
            counters.unasked += count
        else:
            counters.surplus += nameless.keep_unclaimed(*reply)

    def key_of(self, req_id: str) -> int | None:
        """The utterance that the service calls ``req_id``, if it is not over."""
        found = self._by_request.get(req_id)
        return None if found is None else found.key

    def cut(self, key: int | None = None) -> None:
        """Drop ``key``, or everything that was to be said; the player drops it too. Ends a pause."""
        gone = [each for each in self._utterances if key in (None, each.key)]
        on = self._utterances[0] if self._utterances else None
        if on in gone:
            self._out.append(Flush())
            self._close_round()  # behind the flush: the player hears again
        for each in gone:
            self._end(each, interrupted=True)
        if key is None:
            self._move(StageInput.CUT)
        elif on in gone:
            self._move(StageInput.OVER if self._state is not StageState.SILENT else StageInput.CUT)

    def pause(self) -> None:
        """Stop; go on at :meth:`resume` where it stopped."""
        self._close_round()
        self._move(StageInput.PAUSE)

    def resume(self) -> None:
        """Go on. Nothing happens where nothing is paused."""
        self._move(StageInput.RESUME)

    # -- time ------------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Time has stood still since the last :meth:`tick`."""
        self._base, self._step = None, 0

    def next_deadline(self) -> float | None:
        """When to call :meth:`tick` next; None before the first call."""
        return None if self._base is None else self._base + self._step * BLOCK_S

    def tick(self, now: float) -> None:
        """Do what is due by ``now``."""
        if self._base is None:
            self._base = now
        while (late := now - (self._base + self._step * BLOCK_S)) >= -_EARLY_S:
            if late > MAX_CATCH_UP_S:
                self._base += late
                self.counters.held_up_s += late
                if self._state is StageState.SPEAKING and self._frames_in_round:
                    self._close_round()  # the next frame begins another one, of a later time
            self._one_step(self._base + self._step * BLOCK_S)
            self._step += 1

    def take(self) -> list[Output]:
        """What has come of the calls since the last one, in order."""
        out, self._out = self._out, []
        return out

    # -- steps of 10 ms --------------------------------------------------------------------------------------

    def _one_step(self, t: float) -> None:
        self._t = t
        if self._state is StageState.SILENT and self._utterances:
            self._move(StageInput.SAID)
        if self._state is StageState.GATHERING:
            self._gather(self._utterances[0], t)
        block = key = None
        if self._state is StageState.SPEAKING:
            key = self._utterances[0].key
            block = self._speak(self._utterances[0])
        if not self._round_open and self._step % BLOCKS_PER_FRAME == 0:
            self._send(_IDLE)
        if block is None:
            self._out.append(Sound(self._silence, t, None))
        else:
            self._out.append(Sound(block, t, key))

    def _gather(self, on: Utterance, t: float) -> None:
        if not on.blocks:
            if on.sound_ended:
                self._over(on)
            return
        if self._waiting_since is None:
            self._waiting_since = t
        for _missed in on.due(on.played // BLOCKS_PER_FRAME - 1):
            self.counters.late += 1
        self._lead_in(on)
        ahead = round(self.options.ahead_s / BLOCK_S)
        wanted = len(on.blocks) if on.sound_ended else ahead
        enough_motion = on.motion_ended or on.frames * BLOCKS_PER_FRAME >= min(ahead, wanted)
        enough_sound = on.sound_ended or len(on.blocks) >= ahead
        if enough_motion and enough_sound:
            self._begin(on)
        elif t - self._waiting_since >= self.options.start_timeout_s:
            self.counters.late_starts += not enough_motion
            self._begin(on)

    def _lead_in(self, on: Utterance) -> None:
        """The way from idle to the first pose begins as soon as that is known."""
        first = on.next_frame
        if first is None:
            return
        if self._lead_until is None:
            self._lead_until = self._step + round(self.options.transition_s / BLOCK_S)
            self._last_message = message_of(first.data, on.req_id or "")
        elif (self._lead_until - self._step) % BLOCKS_PER_FRAME:
            return
        self._round_open = True
        self._send(encode_transition(self._last_message, compress=False))

    def _begin(self, on: Utterance) -> None:
        self._move(StageInput.READY)
        start = max(self._step + LEAD_BLOCKS, self._lead_until or 0)
        self._zero = start - on.played
        self._waiting_since = self._lead_until = None

    def _speak(self, on: Utterance) -> Block | None:
        at = self._step - self._zero
        due = (at + LEAD_BLOCKS) // BLOCKS_PER_FRAME
        for frame in on.due(due):
            if due - frame.number > LATE_FRAMES:
                self.counters.late += 1
            else:
                self._show(on, frame)
        motion_over = on.motion_ended and not on.frames
        if motion_over:
            self._close_round()
        if at < on.played:
            return None
        if on.blocks:
            on.played += 1
            if not on.began:
                on.began = True
                self._out.append(Began(on.key))
            return on.blocks.popleft()
        if not on.sound_ended:
            self.counters.starved += 1
            self._hold()
        elif motion_over or at - on.played >= SLACK_FRAMES * BLOCKS_PER_FRAME:
            self._over(on)
        return None

    def _show(self, on: Utterance, frame: Keyframe) -> None:
        message = self._last_message = message_of(frame.data, on.req_id or "")
        start = self._frames_in_round == 0
        end = on.motion_ended and not on.frames
        self._send(encode_frame(frame.number, message, start=start, end=end, compress=False))
        self.counters.shown += 1
        self._frames_in_round = 0 if end else self._frames_in_round + 1
        self._round_open = not end

    def _hold(self) -> None:
        """The sound cannot go on now."""
        self._close_round()
        self._move(StageInput.STARVED)

    def _close_round(self) -> None:
        if self._round_open:
            self._send(encode_transition_end(self._last_message, compress=False))
        self._round_open = False
        self._frames_in_round = 0
        self._lead_until = None

    def _over(self, on: Utterance) -> None:
        self._close_round()
        self._end(on, interrupted=False)
        self._move(StageInput.OVER)

    def _end(self, ended: Utterance, *, interrupted: bool) -> None:
        self._utterances.remove(ended)
        if ended.req_id is not None:
            del self._by_request[ended.req_id]
            self._past.append(ended.req_id)
        dropped = ended.drop_motion()
        if interrupted:
            self.counters.outdated += dropped
        else:
            self.counters.late += dropped
        self.counters.utterances += 1
        self.counters.interrupted += interrupted
        self._out.append(Ended(ended.key, ended.played * BLOCK_S, interrupted))

    def _send(self, packet: bytes) -> None:
        self._out.append(Packet(packet, self._t))

    def _move(self, happened: StageInput) -> None:
        self._state = next_state(self._state, happened)
        if happened is not StageInput.READY:
            self._waiting_since = None

    def _find(self, key: int) -> Utterance | None:
        return next((each for each in self._utterances if each.key == key), None)
