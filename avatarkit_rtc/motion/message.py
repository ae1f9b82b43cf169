"""The motion message inside a packet: protobuf to and from :class:`MotionFrame`."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import FIELD_SIZES, FIELD_SLICES, FRAME_SIZE, FloatArray, MotionFrame


class Malformed(StrEnum):
    """Why a packet was refused. The keys of ``stats().motion.malformed``."""

    TOO_SHORT = "too-short"
    """Fewer than the five bytes of the header."""
    TOO_LONG = "too-long"
    """More than 64 KiB before decompression."""
    TRUNCATED = "truncated"
    """The header promises more bytes than there are."""
    TRAILING_BYTES = "trailing-bytes"
    """There are more bytes than the header promises."""
    UNKNOWN_FLAG = "unknown-flag"
    """A flag bit that the protocol does not have."""
    FLAG_CONFLICT = "flag-conflict"
    """Flags that exclude each other, or an idle packet with a body."""
    BAD_COMPRESSION = "bad-compression"
    """Not gzip, cut off, or its checksum is wrong."""
    INFLATES_TOO_FAR = "inflates-too-far"
    """Would decompress to more than 64 KiB; stopped there."""
    BAD_BODY = "bad-body"
    """The body ends inside a sequence number or length, or its lengths do not add up."""
    BAD_MESSAGE = "bad-message"
    """Not a protobuf message."""
    NOT_MOTION = "not-motion"
    """A message of another type, or without a keyframe."""
    NOT_FINITE = "not-finite"
    """A parameter is infinite or not a number."""


class PacketError(ValueError):
    """A packet cannot be understood; ``kind`` says why."""

    def __init__(self, kind: Malformed) -> None:
        super().__init__(kind.value)
        self.kind = kind


class MotionMessage(NamedTuple):
    """One decoded message: a frame, and what the service says about it."""

    frame: MotionFrame
    """Its first keyframe."""
    req_id: str = ""
    """The service's name for the turn, if it gives one."""
    extra_keyframes: int = 0
    """Keyframes after the first; a message in a room carries one."""
    resized_fields: int = 0
    """Fields that were shorter or longer than FLAME's and were padded with zeros or cut."""


def decode_message(data: bytes) -> MotionMessage:
    """Parse one serialised message.

    Fields of unexpected length are padded with zeros or cut, and counted in the result.

    Raises:
        PacketError: with ``BAD_MESSAGE``, ``NOT_MOTION`` or ``NOT_FINITE``.
    """
    try:
        message = pb.Message.FromString(data)
    except (DecodeError, ValueError) as exc:  # the second from a protobuf runtime in pure Python
        raise PacketError(Malformed.BAD_MESSAGE) from exc
    response = message.server_response_animation
    keyframes = response.animation.keyframes
    if not keyframes:
        raise PacketError(Malformed.NOT_MOTION)
    values, resized = _values(keyframes[0])
    if not np.isfinite(values).all():
        raise PacketError(Malformed.NOT_FINITE)
    return MotionMessage(MotionFrame.adopt(values), response.req_id, len(keyframes) - 1, resized)


# A Flame with all fields at full length always serialises to the same layout: per field a tag, a length
# and packed little-endian floats, in the order of the numbers. Cutting those bytes out is several times
# faster than copying 120 Python floats, and protobuf has parsed them before, however they were encoded on
# the wire.
_LAYOUT: Final = pb.Flame(**{name: [1.0] * size for name, size in FIELD_SIZES.items()}).SerializeToString()


def _spans() -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    heads, floats, at = [], [], 0
    for size in FIELD_SIZES.values():
        head = 1 + (1 if 4 * size < 128 else 2)
        heads.append(slice(at, at + head))
        floats.append(slice(at + head, at + head + 4 * size))
        at += head + 4 * size
    return tuple(heads), tuple(floats)


_HEADS, _FLOATS = _spans()
_LAYOUT_HEADS: Final = tuple(_LAYOUT[head] for head in _HEADS)
_FLOAT32_LE: Final = np.dtype("<f4")


def _values(flame: pb.Flame) -> tuple[FloatArray, int]:
    """The 120 values of ``flame``, and how many of its fields had to be padded or cut."""
    packed = flame.SerializeToString()
    if len(packed) == len(_LAYOUT) and tuple([packed[head] for head in _HEADS]) == _LAYOUT_HEADS:
        joined = b"".join([packed[span] for span in _FLOATS])
        return np.frombuffer(joined, _FLOAT32_LE).astype(np.float32, copy=False), 0
    values, resized = np.zeros(FRAME_SIZE, np.float32), 0
    for name, size in FIELD_SIZES.items():
        numbers = getattr(flame, name)
        resized += len(numbers) != size
        start = FIELD_SLICES[name].start
        values[start : start + min(len(numbers), size)] = numbers[:size]
    return values, resized


def encode_message(
    frame: MotionFrame, *, req_id: str = "", connection_id: str = "", avatar_id: str = "", end: bool = False
) -> bytes:
    """Serialise ``frame`` as a message with one keyframe."""
    flame = pb.Flame(**frame.to_fields())
    return pb.Message(
        type=pb.MESSAGE_TYPE_SERVER_RESPONSE_ANIMATION,
        server_response_animation=pb.ServerResponseAnimation(
            connection_id=connection_id,
            req_id=req_id,
            end=end,
            animation=pb.FlameAnimation(keyframes=[flame]),
            avatar_id=avatar_id,
        ),
    ).SerializeToString()
