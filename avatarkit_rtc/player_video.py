"""A video avatar's picture: from the provider's feed to the view, when its sound is heard."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from avatarkit_rtc.audio.path_delay import POLL_S
from avatarkit_rtc.events import Stalled
from avatarkit_rtc.motion_loop import MotionLoop
from avatarkit_rtc.playout.stall import StallDetector
from avatarkit_rtc.providers.base import VideoFeed
from avatarkit_rtc.video.held_pictures import HeldPictures
from avatarkit_rtc.video.path_delay import INITIAL_S
from avatarkit_rtc.video.picture import Picture, PictureFormat
from avatarkit_rtc.video.picture_times import PictureTimes

_log = logging.getLogger("avatarkit_rtc.video")

KEPT_S: Final = 5.0
"""So long the last picture stays on show when its track is gone and the avatar is not known to have left: a
rejoin takes a second or two."""

_RATE_SMOOTHING: Final = 0.1


@dataclass(frozen=True, slots=True)
class VideoStats:
    """A snapshot of a video avatar's picture."""

    received: int
    """Pictures that were read."""
    shown: int
    """Pictures handed to the view."""
    dropped: int
    """Pictures dropped before they were read, because this machine was too slow: a newer one took their
    place."""
    skipped: int
    """Pictures that were read and not shown, because a newer one was due too."""
    hurried: int
    """Pictures shown before their sound, because too many were waiting for theirs."""
    held: int
    """Pictures that wait now."""
    muted: bool
    """The avatar sends none for now."""
    size: tuple[int, int] | None
    """Width and height of the newest in pixels; None before the first."""
    picture_rate: float | None
    """Pictures a second that come, smoothed; None before the second."""
    wait_ms: float | None
    """How long pictures wait for their sound; less than 0 where they come after it, by so much. None before
    the first."""
    path_delay_ms: float | None
    """From a picture's sending to its handing out, beyond what the network takes on average."""
    av_offset_ms: float | None
    """How much later (+) than its sound is heard the newest picture is shown; None while nothing is heard."""
    stalls: int
    """Times that ``stalled`` was emitted for want of pictures."""


class PlayerVideo:
    """Owns the reading of the picture and the timer that shows it. All calls on the event loop."""

    def __init__(
        self,
        motion: MotionLoop,
        *,
        picture_format: PictureFormat,
        stall_timeout_s: float,
        heard_delay: Callable[[], float | None],
        came: Callable[[float], None],
        emit: Callable[..., None],
    ) -> None:
        """
        Args:
            motion: whose view shows the pictures, in place of poses.
            picture_format: what the view takes.
            stall_timeout_s: silence that makes a stall.
            heard_delay: how long sound takes now from its sending to being heard, in seconds; None where none
                is.
            came: told of each picture's moment, in monotonic seconds.
            emit: the player's events.
        """
        self._motion = motion
        self._format = picture_format
        self._heard_delay = heard_delay
        self._came = came
        self._emit = emit
        self._stall = StallDetector(stall_timeout_s, watch_idle=True)
        self._held = HeldPictures()
        self._times = PictureTimes()
        self._feed: VideoFeed | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._back_to_poses: asyncio.TimerHandle | None = None
        self._muted = self._linked = False
        self._path_delay = INITIAL_S
        self._received = self._shown = self._dropped_before = self._stalls = 0
        self._size: tuple[int, int] | None = None
        self._last_t: float | None = None
        self._interval: float | None = None
        self._av_offset: float | None = None

    # -- what the provider reports ---------------------------------------------------------------------------

    def attach(self, feed: VideoFeed, *, muted: bool) -> None:
        """Show ``feed`` from now on, in place of the one before."""
        self._detach()
        self._feed, self._muted = feed, muted
        self._times = PictureTimes()
        self._path_delay, self._last_t, self._interval = INITIAL_S, None, None
        self._reading = asyncio.create_task(self._read(feed), name="avatar's picture")
        self._watch()

    def muted(self, muted: bool) -> None:
        """The avatar sends no pictures for now, or does so again."""
        self._muted = muted
        self._watch()

    def ended(self) -> None:
        """The track is gone. The last picture stays for a while, should it come back."""
        self._detach()
        if self._motion.pictures_on and self._back_to_poses is None:
            loop = asyncio.get_running_loop()
            self._back_to_poses = loop.call_later(KEPT_S, self.show_poses)

    def show_poses(self) -> None:
        """The video avatar has left: the face is back."""
        self._motion.pictures_on = False
        self._dont_go_back()

    # -- the connection --------------------------------------------------------------------------------------

    def connected(self) -> None:
        """Pictures may come (again)."""
        self._linked = True
        self._watch()

    def disconnected(self) -> None:
        """None come for now: that is no stall."""
        self._linked = False
        self._watch()

    async def stop(self) -> None:
        """Disconnected for good: release everything."""
        self._detach()
        self.show_poses()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ending:
            await asyncio.wait(set(self._ending))

    def stats(self) -> VideoStats | None:
        """A snapshot; None where there never was a picture."""
        feed = self._feed
        if feed is None and not self._received and not self._dropped_before:
            return None
        wait = self._times.wait_s
        return VideoStats(
            received=self._received,
            shown=self._shown,
            dropped=self._dropped_before + (feed.dropped if feed is not None else 0),
            skipped=self._held.skipped,
            hurried=self._held.hurried,
            held=len(self._held),
            muted=self._muted,
            size=self._size,
            picture_rate=1 / self._interval if self._interval else None,
            wait_ms=None if wait is None else 1000 * wait,
            path_delay_ms=None if wait is None else 1000 * self._path_delay,
            av_offset_ms=self._av_offset,
            stalls=self._stalls,
        )

    # -- inside ----------------------------------------------------------------------------------------------

    async def _read(self, feed: VideoFeed) -> None:
        asking = asyncio.create_task(self._follow_path_delay(feed))
        try:
            async for picture in feed.pictures(self._format):
                self._take(picture)
        except Exception as error:
            _log.exception("reading the avatar's picture failed")
            self._emit("error", error)
        finally:
            asking.cancel()

    async def _follow_path_delay(self, feed: VideoFeed) -> None:
        while True:
            # A room that is going down answers with an error of the library's own; the last figure stays.
            with contextlib.suppress(Exception):
                self._path_delay = await feed.path_delay_s()
            await asyncio.sleep(POLL_S)

    def _take(self, picture: Picture) -> None:
        now = asyncio.get_running_loop().time()
        self._received += 1
        self._size = (picture.width, picture.height)
        if self._last_t is not None:
            step = picture.t - self._last_t
            if self._interval is None:
                self._interval = max(step, 0.001)
            self._interval += _RATE_SMOOTHING * (step - self._interval)
        self._last_t = picture.t
        self._stall.activity(now)
        self._came(now)
        heard = self._heard_delay()
        due = self._times.due(picture.t, self._path_delay, heard)
        clock = self._motion.presentation
        time = self._times.presentation_time(
            picture.t, self._path_delay, clock.sound_path_delay_s, clock.offset_s(now)
        )
        self._held.push(dataclasses.replace(picture, t=due, presentation_time=time))
        self._av_offset = None
        if heard is not None:
            self._av_offset = 1000 * (max(now, due) - picture.t + self._path_delay - heard)
        self._dont_go_back()
        self._tick()

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        picture = self._held.due(now)
        if picture is not None:
            self._shown += 1
            self._motion.show_picture(picture)
        if self._stall.check(now):
            self._stalled(now)
        self._schedule()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        moments = [at for at in (self._held.next_deadline(), self._stall.deadline()) if at is not None]
        if moments and self._timer is None:
            self._timer = loop.call_at(max(min(moments), loop.time()), self._tick)

    def _stalled(self, now: float) -> None:
        self._stalls += 1
        silence = self._stall.silence_s(now)
        _log.warning("no picture has come for %.1f s", silence)
        self._emit("stalled", Stalled(silence, None, "video"))

    def _watch(self) -> None:
        """Pictures are missed while the track is subscribed and unmuted, and the connection is up."""
        if self._feed is not None and self._linked and not self._muted:
            self._stall.connected(asyncio.get_running_loop().time())
        else:
            self._stall.disconnected()
        if self._feed is not None or self._timer is not None:
            self._tick()

    def _detach(self) -> None:
        feed, reading = self._feed, self._reading
        self._feed = self._reading = None
        self._stall.disconnected()
        if feed is not None and reading is not None:
            self._dropped_before += feed.dropped
            ending = asyncio.create_task(self._end(reading, feed), name="end of the avatar's picture")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        self._held.clear()

    @staticmethod
    async def _end(reading: asyncio.Task[None], feed: VideoFeed) -> None:
        reading.cancel()
        await asyncio.wait([reading])
        await feed.aclose()

    def _dont_go_back(self) -> None:
        if self._back_to_poses is not None:
            self._back_to_poses.cancel()
            self._back_to_poses = None
