"""The motion message inside a packet: protobuf to and from :class:`MotionFrame`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import FIELD_SIZES, FIELD_SLICES, FRAME_SIZE, MotionFrame

_SIZES: Final = tuple(FIELD_SIZES.values())


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


@dataclass(frozen=True, slots=True)
class MotionMessage:
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
    except DecodeError as exc:
        raise PacketError(Malformed.BAD_MESSAGE) from exc
    response = message.server_response_animation
    keyframes = response.animation.keyframes
    if not keyframes:
        raise PacketError(Malformed.NOT_MOTION)
    flame = keyframes[0]
    numbers = [
        *flame.translation,
        *flame.rotation,
        *flame.neck_pose,
        *flame.jaw_pose,
        *flame.eye_pose,
        *flame.eye_lid,
        *flame.expression,
    ]
    # One float64 sum tells whether any of the float32 numbers is not finite, far cheaper than a look at each.
    if not math.isfinite(sum(numbers)):
        raise PacketError(Malformed.NOT_FINITE)
    values = np.array(numbers, np.float32)
    resized = 0
    if not _has_flame_lengths(flame):
        values, resized = _fit(flame)
    return MotionMessage(MotionFrame.adopt(values), response.req_id, len(keyframes) - 1, resized)


def _has_flame_lengths(flame: pb.Flame) -> bool:
    return (
        len(flame.translation),
        len(flame.rotation),
        len(flame.neck_pose),
        len(flame.jaw_pose),
        len(flame.eye_pose),
        len(flame.eye_lid),
        len(flame.expression),
    ) == _SIZES


def _fit(flame: pb.Flame) -> tuple[np.ndarray[tuple[int], np.dtype[np.float32]], int]:
    values, resized = np.zeros(FRAME_SIZE, np.float32), 0
    for name, size in FIELD_SIZES.items():
        numbers = getattr(flame, name)[:size]
        resized += len(getattr(flame, name)) != size
        start = FIELD_SLICES[name].start
        values[start : start + len(numbers)] = numbers
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
