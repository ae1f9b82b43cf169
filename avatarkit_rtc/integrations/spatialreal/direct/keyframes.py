"""The service's answers, taken apart: which request they are for, and keyframes one by one."""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.message import DecodeError

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.message import Malformed, PacketError


class Reply(NamedTuple):
    """Motion of one request, as it came in one message."""

    req_id: str
    """The request's name."""
    keyframes: tuple[bytes, ...]
    """Serialised ``Flame`` messages, one each 40 ms; the first follows the last of the message before."""
    end: bool
    """There is no further motion for this request."""


def read_reply(data: bytes) -> Reply:
    """Parse a serialised ``Message`` with motion.

    Raises:
        PacketError: with ``BAD_MESSAGE`` or ``NOT_MOTION``.
    """
    try:
        message = pb.Message.FromString(data)
    except (DecodeError, ValueError) as exc:  # the second from a protobuf runtime in pure Python
        raise PacketError(Malformed.BAD_MESSAGE) from exc
    response = message.server_response_animation
    if not response.req_id:
        raise PacketError(Malformed.NOT_MOTION)
    # Serialised they take a third of the memory that they take as objects.
    keyframes = tuple(flame.SerializeToString() for flame in response.animation.keyframes)
    return Reply(response.req_id, keyframes, response.end)


def message_of(keyframe: bytes, req_id: str = "") -> bytes:
    """A serialised ``Message`` that carries ``keyframe`` alone, its values untouched."""
    return pb.Message(
        type=pb.MESSAGE_TYPE_SERVER_RESPONSE_ANIMATION,
        server_response_animation=pb.ServerResponseAnimation(
            req_id=req_id, animation=pb.FlameAnimation(keyframes=[pb.Flame.FromString(keyframe)])
        ),
    ).SerializeToString()
