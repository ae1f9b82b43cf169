"""What tests of the way without LiveKit share: keyframes, answers, and a stage on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from avatarkit_rtc.integrations.spatialreal.direct.keyframes import Reply
from avatarkit_rtc.integrations.spatialreal.direct.outputs import (
    Began,
    Ended,
    Flush,
    Output,
    Packet,
    Sound,
)
from avatarkit_rtc.integrations.spatialreal.direct.stage import SpeechOptions, Stage
from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.packet import Packet as MotionPacket
from avatarkit_rtc.motion.packet import PacketKind, decode_packet

RATE = 16000
BLOCK = RATE // 100


def pose(number: int) -> MotionFrame:
    """A pose that differs from those of other numbers."""
    values = np.zeros(120, np.float32)
    values[9], values[20:24] = 0.0001 * (number + 1), number
    return MotionFrame(values)


def keyframe(number: int) -> bytes:
    return pb.Flame(**pose(number).to_fields()).SerializeToString()


def keyframes(numbers: Iterable[int]) -> tuple[bytes, ...]:
    return tuple(keyframe(number) for number in numbers)


def block(number: int) -> np.ndarray:
    """10 ms of sound that tells its place."""
    return np.full((BLOCK, 1), number + 1, np.int16)


def reply_bytes(req_id: str, frames: Iterable[MotionFrame], *, end: bool = False) -> bytes:
    """What comes over the WebSocket."""
    flames = [pb.Flame(**frame.to_fields()) for frame in frames]
    return pb.Message(
        type=pb.MESSAGE_TYPE_SERVER_RESPONSE_ANIMATION,
        server_response_animation=pb.ServerResponseAnimation(
            req_id=req_id, end=end, animation=pb.FlameAnimation(keyframes=flames)
        ),
    ).SerializeToString()


class Theatre:
    """A stage, its clock, and notes of what came out when."""

    def __init__(self, options: SpeechOptions | None = None) -> None:
        self.stage = Stage(RATE, options)
        self.now = 100.0
        self.outputs: list[tuple[float, Output]] = []
        self.note()

    def note(self) -> None:
        self.outputs += [(self.now, output) for output in self.stage.take()]

    def run(self, seconds: float) -> None:
        """Let time pass, with a tick whenever one is due."""
        until = self.now + seconds
        while (due := self.stage.next_deadline() or self.now) <= until:
            self.now = max(self.now, due)
            self.stage.tick(self.now)
            self.note()
        self.now = until

    def hang(self, seconds: float) -> None:
        """The program is held up."""
        self.now += seconds
        self.stage.tick(self.now)
        self.note()

    def say(self, key: int, blocks: int, *, frames: int | None = None, ended: bool = True) -> str:
        """All the sound, and all or some of the motion, of an utterance; returns its request's name."""
        name = f"request-{key}"
        self.stage.say(key)
        for number in range(blocks):
            self.stage.sound(key, block(number))
        if ended:
            self.stage.sound_ended(key)
        self.stage.identify(key, name)
        count = -(-blocks // 4) if frames is None else frames
        self.stage.motion(Reply(name, keyframes(range(count)), frames is None))
        return name

    # -- what came out ---------------------------------------------------------------------------------------

    def packets(self) -> list[tuple[float, MotionPacket]]:
        """All but the idle ones."""
        found = [
            (at, decode_packet(output.data)) for at, output in self.outputs if isinstance(output, Packet)
        ]
        return [(at, packet) for at, packet in found if packet.kind is not PacketKind.IDLE]

    def frames(self) -> list[tuple[float, int]]:
        """Moments and numbers of the frames."""
        return [(at, packet.seq) for at, packet in self.packets() if packet.seq is not None]

    def kinds(self) -> list[PacketKind]:
        """Kinds of the packets, each only once in a row, without idle."""
        kinds = [packet.kind for _, packet in self.packets()]
        return [kind for number, kind in enumerate(kinds) if not number or kinds[number - 1] is not kind]

    def sound(self) -> list[Sound]:
        return [output for _, output in self.outputs if isinstance(output, Sound)]

    def heard(self) -> list[tuple[float, int]]:
        """Moments and numbers of the blocks that are no silence."""
        return [(each.t, int(each.samples[0, 0]) - 1) for each in self.sound() if each.key is not None]

    def ended(self) -> list[Ended]:
        return [output for _, output in self.outputs if isinstance(output, Ended)]

    def began(self) -> list[int]:
        return [output.key for _, output in self.outputs if isinstance(output, Began)]

    def flushes(self) -> int:
        return sum(isinstance(output, Flush) for _, output in self.outputs)
