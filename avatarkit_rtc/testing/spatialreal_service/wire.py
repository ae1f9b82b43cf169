"""Messages a service sends over its WebSocket, built with this package's own protobuf."""

from __future__ import annotations

from collections.abc import Iterable

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import MotionFrame


def confirm(connection_id: str, capabilities: Iterable[str]) -> bytes:
    """The session is accepted."""
    return pb.Message(
        type=pb.MESSAGE_TYPE_SERVER_CONFIRM_SESSION,
        server_confirm_session=pb.ServerConfirmSession(
            connection_id=connection_id, capabilities=list(capabilities)
        ),
    ).SerializeToString()


def animation(
    connection_id: str, req_id: str, avatar_id: str, frames: Iterable[MotionFrame] = (), *, end: bool = False
) -> bytes:
    """Motion, one keyframe a frame; without ``frames`` only a signal about the turn ``req_id``."""
    keyframes = [pb.Flame(**frame.to_fields()) for frame in frames]
    response = pb.ServerResponseAnimation(
        connection_id=connection_id, req_id=req_id, avatar_id=avatar_id, end=end
    )
    if keyframes:
        response.animation.keyframes.extend(keyframes)
    return pb.Message(
        type=pb.MESSAGE_TYPE_SERVER_RESPONSE_ANIMATION, server_response_animation=response
    ).SerializeToString()


def playback_state(
    connection_id: str, req_id: str, state: pb.ServerPlaybackState.State, played_ms: int, reason: str = ""
) -> bytes:
    """Where the playback of a turn is."""
    return pb.Message(
        type=pb.MESSAGE_TYPE_SERVER_PLAYBACK_STATE,
        server_playback_state=pb.ServerPlaybackState(
            connection_id=connection_id, req_id=req_id, state=state, played_ms=played_ms, reason=reason
        ),
    ).SerializeToString()


def error(connection_id: str, code: int, message: str, req_id: str = "") -> bytes:
    """Something failed; ``code`` is a close code or one of gRPC."""
    return pb.Message(
        type=pb.MESSAGE_TYPE_SERVER_ERROR,
        server_error=pb.ServerError(connection_id=connection_id, req_id=req_id, code=code, message=message),
    ).SerializeToString()
