"""What a provider reports, handed to the parts of a player."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from avatarkit_rtc.connection import Connection
from avatarkit_rtc.conversation import Conversation
from avatarkit_rtc.events import (
    AudioStalled,
    AvatarJoined,
    AvatarLeft,
    ConnectionState,
    DisconnectReason,
    Stalled,
    Transcript,
)
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion_loop import MotionLoop
from avatarkit_rtc.player_sound import PlayerSound
from avatarkit_rtc.player_video import PlayerVideo
from avatarkit_rtc.providers.base import AudioFeed, VideoFeed

REJOIN_AFTER: Final = 3
"""So many times in a row the voice was fetched anew and stayed without any sound: that is a stall of the
whole stream, which only joining anew can mend."""


class PlayerListener:
    """A :class:`~avatarkit_rtc.providers.base.ProviderListener`, kept off the player's public face."""

    def __init__(
        self,
        connection: Connection,
        motion: MotionLoop,
        sound: PlayerSound,
        video: PlayerVideo,
        emit: Callable[..., None],
        *,
        avatar_changed: Callable[[str | None], None],
        flush: Callable[[], None],
        wants_video: bool,
    ) -> None:
        self._connection = connection
        self._motion = motion
        self._sound = sound
        self._video = video
        self._emit = emit
        self._avatar_changed = avatar_changed
        self._flush = flush
        self._conversation = Conversation()
        self.wants_video = wants_video
        """Whether the view shows pictures."""

    def on_connection_state(self, state: ConnectionState, reason: DisconnectReason | None) -> None:
        """See :class:`~avatarkit_rtc.providers.base.ProviderListener`, as for all of these."""
        self._connection.provider_state(state, reason)

    def on_motion_packet(self, data: bytes) -> None:
        """A motion packet came."""
        self.on_timed_motion_packet(data, None)

    def on_timed_motion_packet(self, data: bytes, t: float | None) -> None:
        """One that was due at ``t``."""
        if self._connection.state in (ConnectionState.DISCONNECTED, ConnectionState.FAILED):
            return  # a straggler must not begin a round
        if self._motion.receive(data, t):
            self._connection.note_activity(asyncio.get_running_loop().time())

    def on_avatar_joined(self, identity: str) -> None:
        """The avatar is there."""
        self._avatar_changed(identity)
        self._conversation.reset()
        self._emit("avatar-joined", AvatarJoined(identity))

    def on_avatar_left(self, identity: str) -> None:
        """The avatar has left."""
        self._avatar_changed(None)
        self._motion.cut(RoundEndReason.AVATAR_LEFT)
        self._video.show_poses()
        self._emit("avatar-left", AvatarLeft(identity))

    def on_audio(self, feed: AudioFeed) -> None:
        """The avatar's sound is there."""
        self._sound.voice.attach(feed)

    def on_audio_ended(self) -> None:
        """The avatar's sound is gone."""
        self._sound.voice.detach()

    def on_audio_stalled(self, seconds: float) -> None:
        """The avatar's sound track handed out nothing."""
        voice = self._sound.voice
        voice.stalled()
        self._emit("audio-stalled", AudioStalled(seconds))
        speaking = self._motion.stream.open_round
        if voice.fruitless_stalls % REJOIN_AFTER == 0 and speaking is not None:
            self._emit("stalled", Stalled(seconds, speaking, "audio"))

    def on_video(self, feed: VideoFeed, *, muted: bool) -> None:
        """The avatar's picture is there."""
        self._video.attach(feed, muted=muted)

    def on_video_muted(self, muted: bool) -> None:
        """It pauses, or goes on."""
        self._video.muted(muted)

    def on_video_ended(self) -> None:
        """The avatar's picture is gone."""
        self._video.ended()

    def on_message(self, data: bytes, sender: str) -> None:
        """Data of the avatar or its agent."""
        for event in self._conversation.receive(data, sender):
            self._emit("transcript" if isinstance(event, Transcript) else "client-event", event)

    def on_interrupted(self) -> None:
        """What was given and is not shown yet is not to be."""
        self._flush()

    def on_token_refreshed(self) -> None:
        """The session's token was extended."""
        self._emit("token-refreshed")

    def on_provider_error(self, error: Exception) -> None:
        """Something failed that nobody waits for."""
        self._emit("error", error)
