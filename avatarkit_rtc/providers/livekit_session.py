"""One stay in a LiveKit room: its events, the avatar in it, the avatar's voice, and what is published."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from livekit import rtc

from avatarkit_rtc.errors import ConnectError
from avatarkit_rtc.events import ConnectionState, DisconnectReason
from avatarkit_rtc.providers.avatar_finder import (
    ON_BEHALF_ATTRIBUTE,
    PSEUDO_VIDEO_TRACK,
    WORKER_PREFIX,
    AvatarFinder,
    choose_voice,
)
from avatarkit_rtc.providers.base import FullListener, ProviderListener
from avatarkit_rtc.providers.disconnect_reasons import disconnect_reason
from avatarkit_rtc.providers.livekit_audio import TrackFeed
from avatarkit_rtc.providers.livekit_subscription import CHECK_S, SoundWatch, Subscriptions
from avatarkit_rtc.providers.livekit_uplink import RoomTrack
from avatarkit_rtc.providers.livekit_video import PictureTrack, TrackPictures

_log = logging.getLogger("avatarkit_rtc")

_CLOSE_TIMEOUT_S: Final = 5.0
_LOG_EVERY_S: Final = 10.0
_LATE_EVENT_S: Final = 0.5


class RoomSession:
    """Attached to a room from :meth:`attach` to :meth:`aclose`; used once.

    Everything it reports goes through ``report``; nothing raises into the room's callbacks.
    """

    def __init__(
        self,
        room: rtc.Room,
        *,
        owned: bool,
        avatar_identity: str | None,
        topic: str,
        listener: Callable[[], ProviderListener | None],
        on_state: Callable[[RoomSession, ConnectionState, DisconnectReason | None], None],
    ) -> None:
        """
        Args:
            room: the room, connected or not.
            owned: close the room at the end, and keep the avatar's pseudo-video out of it.
            avatar_identity: see :class:`AvatarFinder`.
            topic: topic of motion packets.
            listener: whom to tell, asked each time.
            on_state: told of the connection's states; after ``DISCONNECTED`` the room is not coming back.
        """
        self.room = room
        self._owned = owned
        self._topic = topic
        self._finder = AvatarFinder(avatar_identity)
        self._listener = listener
        self._on_state = on_state
        self._reconnecting = False
        self._open = False
        self._closing: asyncio.Task[None] | None = None
        self._handlers: dict[Any, Callable[..., None]] = {}
        self._voice_sid: str | None = None
        self._voice_track: rtc.RemoteAudioTrack | None = None
        self._feed: TrackFeed | None = None
        self._picture = PictureTrack(
            on_feed=self._on_picture, on_muted=self._on_picture_muted, on_ended=self._on_picture_ended
        )
        self._subscriptions = Subscriptions(self._guarded(self._on_tracks))
        self._sound_watch = SoundWatch()
        self._sound_timer: asyncio.TimerHandle | None = None
        self._silent_track: rtc.RemoteAudioTrack | None = None
        self._complained: set[str] = set()
        self._tracks: set[RoomTrack] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._next_log = 0.0
        self.foreign_packets = 0
        """Data packets of other senders or on other topics."""
        self.errors = 0
        """Exceptions of ours or the listener's that were kept from the room."""

    @property
    def avatar(self) -> str | None:
        """Identity of the avatar, while there is one."""
        return self._finder.bound

    @property
    def attached(self) -> bool:
        """True from :meth:`attach` until detached or closed."""
        return bool(self._handlers)

    # ---- life -------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Listen to the room's events. Before connecting, so that none is missed."""
        handlers: dict[Any, Callable[..., None]] = {
            "participant_connected": self._on_participants,
            "participant_disconnected": self._on_participants,
            "participant_attributes_changed": self._on_participants,
            "moved": self._on_participants,
            "track_published": self._on_tracks,
            "track_unpublished": self._on_tracks,
            "track_subscribed": self._on_tracks,
            "track_unsubscribed": self._on_tracks,
            "track_muted": self._on_tracks,
            "track_unmuted": self._on_tracks,
            "track_subscription_failed": self._on_subscription_failed,
            "data_received": self._on_data,
            "reconnecting": self._on_reconnecting,
            "reconnected": self._on_reconnected,
            "disconnected": self._on_disconnected,
            "connection_state_changed": self._on_room_state,
            "token_refreshed": self._on_token_refreshed,
        }
        for event, handler in handlers.items():
            guarded = self._guarded(handler)
            self._handlers[event] = guarded
            self.room.on(event, guarded)

    def start(self) -> None:
        """The room is connected: report that, and whoever is in it already."""
        self._open = True
        self._reconnecting = self.room.connection_state == rtc.ConnectionState.CONN_RECONNECTING
        self._on_state(
            self, ConnectionState.RECONNECTING if self._reconnecting else ConnectionState.CONNECTED, None
        )
        self._guarded(self._on_participants)()

    def detach(self) -> None:
        """Stop listening and reporting, at once. The rest is :meth:`aclose`'s."""
        for event, handler in self._handlers.items():
            self.room.off(event, handler)
        self._handlers.clear()
        self._open = False

    def aclose(self) -> asyncio.Task[None]:
        """Take everything down; the task never fails, and is the same for every call."""
        if self._closing is None:
            self._guarded(self._drop_tracks)()
            self.detach()
            self._closing = asyncio.create_task(self._close(), name="leave room")
        return self._closing

    async def _close(self) -> None:
        """The one way down."""
        for track in tuple(self._tracks):
            # A borrowed room lives on, so our tracks have to be taken out of it.
            if not self._owned:
                await track.aclose()
            track.mark_closed()
        self._tracks.clear()
        if self._background:
            await asyncio.wait(tuple(self._background), timeout=_CLOSE_TIMEOUT_S)
        # Also where the room is down by itself: then this returns at once.
        if self._owned:
            try:
                await asyncio.wait_for(self.room.disconnect(), _CLOSE_TIMEOUT_S)
            except Exception as error:
                _log.warning("leaving the room took too long or failed: %r", error)

    # ---- what is published ------------------------------------------------------------------------------

    def add_track(self, track: RoomTrack) -> None:
        """Close ``track`` with the session at the latest."""
        self._tracks.add(track)

    def forget_track(self, track: RoomTrack) -> None:
        """``track`` is closed."""
        self._tracks.discard(track)

    # ---- the room's events ------------------------------------------------------------------------------

    def _guarded(self, handler: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            try:
                handler(*arguments)
            except Exception:
                self._count_error(handler)

        return call

    def _count_error(self, where: Callable[..., None]) -> None:
        self.errors += 1
        now = time.monotonic()
        if now >= self._next_log:
            self._next_log = now + _LOG_EVERY_S
            _log.exception("in %s (%d errors in this room so far)", where.__name__, self.errors)

    def _report(self, tell: Callable[[ProviderListener], None]) -> None:
        listener = self._listener()
        if listener is not None and self._open:
            self._guarded(tell)(listener)

    def _report_video(self, tell: Callable[[FullListener], None]) -> None:
        self._report(lambda listener: tell(cast("FullListener", listener)))

    def _on_data(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant
        if sender is None:
            self.foreign_packets += 1
            return
        is_avatar = sender.identity == self._finder.bound
        if is_avatar and packet.topic == self._topic:
            listener = self._listener()
            if listener is not None and self._open:
                listener.on_motion_packet(packet.data)
            return
        self.foreign_packets += 1
        if is_avatar or sender.identity == self._speaks_for() or sender.identity.startswith(WORKER_PREFIX):
            listener = self._listener()
            on_message = getattr(listener, "on_message", None)
            if on_message is not None and self._open:
                on_message(packet.data, sender.identity)

    def _speaks_for(self) -> str | None:
        """Identity of the agent whose avatar it is, if it says so."""
        avatar = self.room.remote_participants.get(self._finder.bound or "")
        return avatar.attributes.get(ON_BEHALF_ATTRIBUTE) if avatar is not None else None

    def _on_reconnecting(self) -> None:
        self._reconnecting = True
        self._subscriptions.stop()
        self._on_state(self, ConnectionState.RECONNECTING, None)

    def _on_reconnected(self) -> None:
        self._reconnecting = False
        self._on_state(self, ConnectionState.CONNECTED, None)
        self._on_participants()

    def _on_disconnected(self, code: int | None = None) -> None:
        self._drop_tracks()
        reason = disconnect_reason(code, reconnecting=self._reconnecting)
        self._on_state(self, ConnectionState.DISCONNECTED, reason)

    def _on_room_state(self, state: int = -1) -> None:
        # livekit 1.1 does not emit `disconnected` when the caller disconnects a room it lent us.
        if state == rtc.ConnectionState.CONN_DISCONNECTED and not self._owned:
            asyncio.get_running_loop().call_later(_LATE_EVENT_S, self._guarded(self._notice_disconnect))

    def _notice_disconnect(self) -> None:
        if self._open and not self.room.isconnected():
            self._on_disconnected(rtc.DisconnectReason.CLIENT_INITIATED)

    def _on_token_refreshed(self) -> None:
        self._report(lambda listener: listener.on_token_refreshed())

    def _on_subscription_failed(
        self, participant: rtc.RemoteParticipant, sid: str = "", error: object = None
    ) -> None:
        if participant.identity != self._finder.bound or sid not in (self._voice_sid, self._picture.sid):
            return
        if sid not in self._complained:
            self._complained.add(sid)
            what = "sound" if sid == self._voice_sid else "picture"
            problem = ConnectError(
                f"the avatar's {what} cannot be received: {error}; check that the token may subscribe"
            )
            self._report(lambda listener: listener.on_provider_error(problem))

    def _on_participants(self, *_: object) -> None:
        """Somebody came, went or changed: look who the avatar is."""
        if not self._open:
            return
        present: Mapping[str, Mapping[str, str]] = {
            identity: participant.attributes for identity, participant in self._others().items()
        }
        # While it rebuilds the connection the SDK drops everybody; who really left shows afterwards.
        if self._reconnecting and self._finder.bound not in present:
            self._on_tracks()
            return
        change = self._finder.update(present)
        left, joined = change.left, change.joined
        if left is not None:
            self._drop_tracks()
            self._report(lambda listener: listener.on_avatar_left(left))
        if joined is not None:
            self._report(lambda listener: listener.on_avatar_joined(joined))
        self._on_tracks()

    def _on_tracks(self, *_: object) -> None:
        """Tracks came, went or were subscribed: see that voice and picture are received and handed on."""
        if not self._open:
            return
        avatar = self._others().get(self._finder.bound or "")
        publications = dict(avatar.track_publications) if avatar is not None else {}
        audio = {sid: p for sid, p in publications.items() if p.kind == rtc.TrackKind.KIND_AUDIO}
        sid = choose_voice(((sid, publication.name) for sid, publication in audio.items()), self._voice_sid)
        if sid != self._voice_sid:
            old = audio.get(self._voice_sid or "")
            self._drop_voice()
            self._voice_sid = sid
            if old is not None and self._owned:
                old.set_subscribed(False)
        wanted = [self._listen_to(audio[sid])] if sid is not None else []
        listener = self._listener()
        if getattr(listener, "wants_video", False):
            wanted.append(self._picture.follow(publications, owned=self._owned))
        if not self._reconnecting:
            # Asked for while the SDK rebuilds the connection, a subscription never comes; that is why it is
            # asked for again on `reconnected`, and until it is there.
            self._subscriptions.want(publication for publication in wanted if publication is not None)
        if self._owned:
            for publication in publications.values():
                if publication.name == PSEUDO_VIDEO_TRACK and publication.subscribed:
                    publication.set_subscribed(False)

    def _listen_to(self, publication: rtc.RemoteTrackPublication) -> rtc.RemoteTrackPublication | None:
        """Hand the voice on; returns what is to be subscribed to for that."""
        track = publication.track
        if track is not self._voice_track:
            self._end_feed()
        if not isinstance(track, rtc.RemoteAudioTrack) or track is self._silent_track:
            return publication
        if self._feed is None:
            self._sound_watch.begin()
            self._watch_sound()
            feed = self._feed = TrackFeed(track)
            self._voice_track = track
            self._report(lambda listener: listener.on_audio(feed))
        return None

    def _check_sound(self) -> None:
        """A voice that hands out nothing is fetched anew."""
        self._sound_timer = None
        feed = self._feed
        if feed is None:
            return
        reading = None if self._reconnecting else feed.received
        if self._sound_watch.check(reading):
            seconds, track = self._sound_watch.still_s, self._voice_track
            self._end_feed()
            avatar = self._others().get(self._finder.bound or "")
            publication = avatar.track_publications.get(self._voice_sid or "") if avatar is not None else None
            # The track of a borrowed room may have other readers: only our own stream is made anew.
            if self._owned and publication is not None:
                self._silent_track = track
                self._subscriptions.renew(publication)
            self._report_stall(seconds)
            self._on_tracks()
        else:
            self._watch_sound()

    def _watch_sound(self) -> None:
        if self._sound_timer is None:
            loop = asyncio.get_running_loop()
            self._sound_timer = loop.call_later(CHECK_S, self._guarded(self._check_sound))

    def _report_stall(self, seconds: float) -> None:
        _log.warning("no sound came from the avatar's track for %.0f s; it is fetched anew", seconds)
        on_stalled = getattr(self._listener(), "on_audio_stalled", None)
        if on_stalled is not None:
            self._report(lambda _: on_stalled(seconds))

    def _end_feed(self) -> None:
        feed, self._feed, self._voice_track = self._feed, None, None
        if self._sound_timer is not None:
            self._sound_timer.cancel()
            self._sound_timer = None
        if feed is not None:
            feed.end()
            self._keep(feed.aclose())
            self._report(lambda listener: listener.on_audio_ended())

    def _on_picture(self, feed: TrackPictures, muted: bool) -> None:
        self._report_video(lambda listener: listener.on_video(feed, muted=muted))

    def _on_picture_muted(self, muted: bool) -> None:
        self._report_video(lambda listener: listener.on_video_muted(muted))

    def _on_picture_ended(self, feed: TrackPictures) -> None:
        self._keep(feed.aclose())
        self._report_video(lambda listener: listener.on_video_ended())

    def _drop_tracks(self) -> None:
        self._drop_voice()
        self._picture.drop()

    def _drop_voice(self) -> None:
        self._end_feed()
        self._voice_sid = self._silent_track = None
        self._subscriptions.stop()

    def _keep(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _others(self) -> Mapping[str, rtc.RemoteParticipant]:
        return dict(self.room.remote_participants)
