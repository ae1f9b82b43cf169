"""The parts of a player, wired together, and what each of them tells the others."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Any

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.connection import Connection
from avatarkit_rtc.emitter import EventHub
from avatarkit_rtc.events import EVENTS, ConnectionState, Stalled
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion_loop import MotionLoop
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player_listener import PlayerListener
from avatarkit_rtc.player_sound import PlayerSound
from avatarkit_rtc.player_stats import PlayerStats
from avatarkit_rtc.player_video import PlayerVideo
from avatarkit_rtc.providers.base import Provider
from avatarkit_rtc.video.picture import DEFAULT_FORMAT, check_format
from avatarkit_rtc.views import View


class PlayerParts:
    """Motion, sound, video and connection of one player. A
    :class:`~avatarkit_rtc.connection.ConnectionHooks`, kept off the player's public face. All calls on the
    event loop, but for :meth:`emit_soon`."""

    def __init__(self, provider: Provider, view: View | None, options: AvatarPlayerOptions) -> None:
        self.hub = EventHub(EVENTS)
        self.motion = MotionLoop(options, view, self.emit)
        self.sound = PlayerSound(
            provider,
            options,
            hear=self._hear if callable(getattr(view, "sound", None)) else None,
            is_muted=self._is_muted,
            emit=self.emit,
            listened=self.hub.listened,
            face=self.motion.playout.strategy.sync,
            presentation=self.motion.presentation,
            mouth_and_voice=self.motion.mouth_and_voice,
            hear_user=self._hear_user if callable(getattr(view, "user_sound", None)) else None,
        )
        self.video = PlayerVideo(
            self.motion,
            picture_format=check_format(getattr(view, "picture_format", DEFAULT_FORMAT)),
            stall_timeout_s=options.stall_timeout_s,
            heard_delay=self.sound.voice.heard_delay_s,
            came=self._picture_came,
            emit=self.emit,
        )
        self.connection = Connection(
            provider,
            options.reconnect_policy(),
            self,
            self.emit,
            motion_timeout_s=min(options.stall_timeout_s, 60.0),
        )
        self.view_closed = asyncio.Event()
        """The user has closed the view."""
        self._avatar: str | None = None
        self._avatar_there = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        listener = PlayerListener(
            self.connection,
            self.motion,
            self.sound,
            self.video,
            self.emit,
            avatar_changed=self._avatar_changed,
            flush=self.flush,
            wants_video=callable(getattr(view, "show_picture", None)),
        )
        provider.set_listener(listener)

    # -- for the player --------------------------------------------------------------------------------------

    async def wait_for_avatar(self) -> str:
        """Wait until the avatar is in the room; returns its identity."""
        while self._avatar is None:  # it may have left again before we got our turn
            await self._avatar_there.wait()
        return self._avatar

    def flush(self) -> None:
        """Drop what is queued of motion and sound, and mute the rest of this round."""
        self.sound.voice.flush(on_its_way=True)
        self.motion.tell_view("flushed")
        self.motion.cut(RoundEndReason.FLUSHED)

    def emit(self, event: str, *payload: Any) -> None:
        """Tell the handlers of ``event``, and whichever part it concerns."""
        if event == "connection-state-changed":
            self.motion.tell_view("connection_state", payload[0].value)
            if payload[0] in (ConnectionState.DISCONNECTED, ConnectionState.FAILED):
                self.sound.voice.readers.end()
        elif event == "view-closed":
            self.view_closed.set()
        self.hub.emit(event, *payload)
        if event == "stalled" and isinstance(payload[0], Stalled):
            self.connection.stalled()

    def emit_soon(self, event: str, *payload: Any) -> None:
        """:meth:`emit`, from any thread. Nothing happens before joining first began and once the event loop
        is closed."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.emit, event, *payload)

    def stats(self) -> PlayerStats:
        """One snapshot of everything."""
        motion = self.motion
        counters = motion.stream.counters
        return PlayerStats(
            connection=self.connection.stats(),
            motion=dataclasses.replace(counters, malformed=dict(counters.malformed)),
            playout=motion.playout.stats(),
            audio=self.sound.stats(),
            video=self.video.stats(),
            avatar=self._avatar,
            poses_shown=motion.poses_shown,
            view_errors=motion.view_errors,
            worst_lateness_ms=motion.worst_lateness_s * 1000,
            av_offset_ms=motion.av_offset_ms,
            audio_delay_estimate_ms=motion.audio_delay_estimate_ms,
        )

    # -- hooks of the connection -----------------------------------------------------------------------------

    def connection_opening(self) -> None:
        """See :class:`~avatarkit_rtc.connection.ConnectionHooks`, as for all of these."""
        self._loop = asyncio.get_running_loop()
        self.motion.start()

    def connection_lost(self, reason: RoundEndReason, *, left: bool) -> None:
        """Nothing comes from now on."""
        self.motion.cut(reason)
        self.motion.disconnected()
        self.video.disconnected()
        self.sound.voice.flush()
        # A session that is resumed still has its avatar, or else the provider reports that it left.
        if left:
            self._avatar_changed(None)

    async def connection_made(self, *, again: bool, expect_motion: bool) -> None:
        """Packets may come."""
        self.motion.connected(expect_motion=expect_motion)
        self.video.connected()
        if again:
            await self.sound.republish()

    async def connection_closed(self) -> None:
        """Release everything."""
        self.motion.stop_when_idle()
        await self.video.stop()
        await self.sound.aclose()

    # -- what parts tell each other --------------------------------------------------------------------------

    def _hear(self, block: ReceivedAudio) -> None:
        self.motion.tell_view("sound", block)

    def _hear_user(self, block: AudioBlock) -> None:
        self.motion.tell_view("user_sound", block)

    def _is_muted(self) -> bool:
        return self.motion.stream.muted

    def _picture_came(self, now: float) -> None:
        self.connection.note_activity(now)
        if self.motion.stream.open_round is None:
            self.motion.stall.activity(now)  # a video avatar sends no motion: its pictures are awaited

    def _avatar_changed(self, identity: str | None) -> None:
        self._avatar = identity
        if identity is None:
            self._avatar_there.clear()
        else:
            self._avatar_there.set()
