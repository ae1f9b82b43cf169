"""What avatar workers report by RPC, handed to whoever speaks through them.

An RPC method has one handler in a room, and several workers may be spoken through there.
"""

from __future__ import annotations

import weakref
from typing import Final, Protocol

from livekit import rtc

from avatarkit_rtc.errors import ConfigurationError

PLAYBACK_STARTED: Final = "lk.playback_started"
PLAYBACK_FINISHED: Final = "lk.playback_finished"
"""RPC methods of ours that a worker calls."""


class Speaker(Protocol):
    """Whom a worker reports to."""

    def playback_started(self) -> None:
        """It has begun to play."""

    def playback_finished(self, payload: str) -> None:
        """It has come to an end; what it said, unparsed."""


_speakers: weakref.WeakKeyDictionary[rtc.LocalParticipant, dict[str, Speaker]] = weakref.WeakKeyDictionary()
"""By our participant and the worker's identity."""


def listen(participant: rtc.LocalParticipant, identity: str, speaker: Speaker) -> bool:
    """Tell ``speaker`` what the worker ``identity`` reports; anybody else is answered ``reject``.

    Returns:
        Whether it was not told before.

    Raises:
        ConfigurationError: somebody else is told.
    """
    speakers = _speakers.setdefault(participant, {})
    if identity in speakers:
        if speakers[identity] is speaker:
            return False
        raise ConfigurationError(f"another AvatarSpeech for {identity!r} is open; close it first")
    speakers[identity] = speaker

    def started(call: rtc.RpcInvocationData) -> str:
        told = speakers.get(call.caller_identity)
        if told is None:
            return "reject"
        told.playback_started()
        return "ok"

    def finished(call: rtc.RpcInvocationData) -> str:
        told = speakers.get(call.caller_identity)
        if told is None:
            return "reject"
        told.playback_finished(call.payload)
        return "ok"

    participant.register_rpc_method(PLAYBACK_STARTED, started)
    participant.register_rpc_method(PLAYBACK_FINISHED, finished)
    return True


def stop_listening(participant: rtc.LocalParticipant, identity: str, speaker: Speaker) -> None:
    """Tell ``speaker`` nothing more."""
    speakers = _speakers.get(participant, {})
    if speakers.get(identity) is speaker:
        del speakers[identity]
