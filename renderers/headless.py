"""A view without a display: poses and pictures go to a callback or an async iterator."""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeAlias, TypeVar

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.video.picture import DEFAULT_FORMAT, check_format
from renderers._log import ThinnedLog
from renderers._sound_gate import SoundGate
from renderers._worker import Worker
from renderers.face import DEFAULT_SIZE, Face, Image, hearing, hush, make_face

if TYPE_CHECKING:
    from avatarkit_rtc.audio.received import ReceivedAudio
    from avatarkit_rtc.face import Driver, FacePose
    from avatarkit_rtc.playout.pose import Pose
    from avatarkit_rtc.video.picture import Picture, PictureFormat

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One shown pose and its picture."""

    pose: Pose
    """The pose as the player showed it."""
    image: Image | None
    """Its picture, shape (height, width, 3), uint8, blue-green-red; None with the null face."""
    face: FacePose | None = None
    """The face in ARKit's coefficients; None where the sink has no driver."""


ShotCallback: TypeAlias = Callable[[Shot], object]
PictureCallback: TypeAlias = "Callable[[Picture], object]"
SoundCallback: TypeAlias = "Callable[[ReceivedAudio], object]"


class Stream(Generic[T]):
    """One async iteration over a sink's shots or pictures; holds at most ``max_queue`` of them."""

    def __init__(self, sink: HeadlessSink, max_queue: int) -> None:
        self._sink = sink
        self._max_queue = max_queue
        self._queue: deque[T] = deque()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._waiters: list[asyncio.Future[None]] = []
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._queue:
            if self._ended:
                raise StopAsyncIteration
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                self._waiters.remove(waiter)
        return self._queue.popleft()

    def offer(self, shot: T | None) -> None:
        """Queue ``shot`` (None: the end), from any thread."""
        if threading.get_ident() == self._thread:
            self._accept(shot)
            return
        try:
            self._loop.call_soon_threadsafe(self._accept, shot)
        except RuntimeError:  # The loop is closed, and with it whoever iterated.
            self._ended = True

    def _accept(self, shot: T | None) -> None:
        if shot is None:
            self._ended = True
        else:
            if len(self._queue) >= self._max_queue:
                self._queue.popleft()
                self._sink.count_dropped()
            self._queue.append(shot)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


ShotStream: TypeAlias = Stream[Shot]


class HeadlessSink:
    """Hands each shown pose, with its picture if a face is given, to a callback and to async iterators.

    ``async for shot in sink`` gives the shots from then on; each iteration has a queue of its own, ends with
    :meth:`close` and misses the oldest shots (``dropped``) when it is too slow. Used as a context manager the
    sink closes itself.

    A bot that puts poses and sound together goes by ``shot.pose.presentation_time`` and the
    ``presentation_time`` of the blocks, which are in lip sync whenever they come: with nothing played, a pose
    comes some 0.1 s before its sound.

    The pictures of a video avatar go to ``on_picture``, and to ``async for picture in sink.pictures()``, in
    step with their sound.
    """

    def __init__(
        self,
        callback: ShotCallback | None = None,
        *,
        face: str | Face | None = "null",
        size: tuple[int, int] = DEFAULT_SIZE,
        max_queue: int = 8,
        on_sound: SoundCallback | None = None,
        driver: Driver | None = None,
        on_picture: PictureCallback | None = None,
        picture_format: PictureFormat | None = None,
    ) -> None:
        """Make a sink; it is ready at once.

        Args:
            callback: Called with each :class:`Shot`. With the null face it is called within :meth:`show`, on
                the player's event loop, and must return within a millisecond or so. With another face it is
                called on the thread that draws, one shot after the other; and where the face moves its mouth
                by the sound and that has not come yet, up to 0.25 s after its pose was shown.
            face: A name (see :func:`renderers.make_face`) or a face. ``"null"`` draws nothing, costs nothing.
            size: Width and height of the pictures in pixels.
            max_queue: Poses that may wait to be drawn, and shots that may wait in each iteration.
            on_sound: Called with each block of the avatar's sound
                (:class:`~avatarkit_rtc.audio.received.ReceivedAudio`), on the event loop. The sink has a
                method ``sound`` only if this is given, or the face moves its mouth by the sound.
            driver: For a renderer of your own: what makes :attr:`Shot.face` of each pose and of the sound, a
                :class:`~avatarkit_rtc.face.FaceDriver` for instance. With the null face only; shots then wait
                for their sound as pictures do.
            on_picture: Called with each :class:`~avatarkit_rtc.Picture` of a video avatar, on the event loop;
                must return within a millisecond or so. Where it takes longer, iterate over :meth:`pictures`.
            picture_format: How pictures are to come: ``"i420"`` (as with None), ``"bgra"``, ``"rgba"`` or
                ``"rgb24"``. A video avatar's picture is fetched from the room only if this or ``on_picture``
                is given.

        Raises:
            ConfigurationError: an argument is out of range, or there are both a face and a driver.
            MissingDependencyError: the face needs a package that is missing.
        """
        if max_queue < 1:
            raise ConfigurationError(f"max_queue must be 1 or more, not {max_queue!r}")
        self._callback = callback
        self._on_sound = on_sound
        self._max_queue = max_queue
        self._face = make_face(face, size)
        if driver is not None and self._face is not None:
            raise ConfigurationError("driver= goes with face='null'; a face that draws has its own")
        self._driver = driver
        self._log = ThinnedLog(logging.getLogger("avatarkit_rtc"))
        self._streams: weakref.WeakSet[ShotStream] = weakref.WeakSet()
        self._streams_lock = threading.Lock()
        self._stream_drops = 0
        self._closed = False
        self._worker: Worker[Pose] | None = None
        if self._face is not None:
            self._worker = Worker("avatarkit-headless", self._draw, max_queue=max_queue, log=self._log)
        self._hear = driver.hear if driver is not None else hearing(self._face)
        self._gate = SoundGate() if self._hear is not None else None
        if on_sound is not None or self._hear is not None:
            self.sound = self._sound
        self._on_picture = on_picture
        self._picture_streams: weakref.WeakSet[Stream[Picture]] = weakref.WeakSet()
        self.picture_format: PictureFormat = check_format(picture_format or DEFAULT_FORMAT)
        """How a video avatar's pictures come."""
        self._takes_pictures = on_picture is not None or picture_format is not None
        if self._takes_pictures:
            self.show_picture = self._show_picture
        self.pictures_shown = 0
        """Pictures of a video avatar shown."""
        self.shown = 0
        """Poses shown."""
        self.drawn = 0
        """Pictures drawn."""
        self.callback_errors = 0
        """Calls of a callback that raised."""

    @property
    def face(self) -> Face | None:
        """The face that draws; None for the null face."""
        return self._face

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    @property
    def dropped(self) -> int:
        """Poses and shots that gave way to newer ones because drawing or a reader was too slow."""
        return self._stream_drops + (0 if self._worker is None else self._worker.dropped)

    @property
    def errors(self) -> int:
        """Poses that the face failed to draw."""
        return 0 if self._worker is None else self._worker.errors

    def count_dropped(self) -> None:
        """Count one shot that an iteration had no room for."""
        self._stream_drops += 1

    def show(self, pose: Pose) -> None:
        """Show ``pose``; never blocks. Ignored once closed."""
        if self._closed:
            return
        self.shown += 1
        for due in self._gate.pose(pose) if self._gate is not None else (pose,):
            self._put(due)

    def _put(self, pose: Pose) -> None:
        if self._worker is None:
            self._deliver(Shot(pose, None, None if self._driver is None else self._driver.pose(pose)))
        elif self._callback is not None or self._streams:
            self._worker.put(pose)

    def _draw(self, pose: Pose) -> None:
        assert self._face is not None
        image = self._face.render(pose)
        self.drawn += 1
        if not self._closed:
            self._deliver(Shot(pose, image))

    def _deliver(self, shot: Shot) -> None:
        if self._callback is not None:
            try:
                self._callback(shot)
            except Exception as error:
                self._count_error("callback", error)
        if self._streams:
            for stream in self._listeners():
                stream.offer(shot)

    def _sound(self, block: ReceivedAudio) -> None:
        """The avatar's sound, as it arrives."""
        if self._closed:
            return
        if self._hear is not None and self._gate is not None:
            self._hear(block)
            for due in self._gate.sound(block):
                self._put(due)
        if self._on_sound is None:
            return
        try:
            self._on_sound(block)
        except Exception as error:
            self._count_error("on_sound", error)

    def flushed(self) -> None:
        """The user has interrupted the avatar."""
        hush(self._driver if self._driver is not None else self._face)

    def pictures(self) -> Stream[Picture]:
        """The pictures of a video avatar from now on, for ``async for``; on an event loop. Misses the oldest
        (``dropped``) when it is too slow, and ends with :meth:`close`.

        Raises:
            ConfigurationError: the sink was made without ``picture_format`` and ``on_picture``.
        """
        if not self._takes_pictures:
            raise ConfigurationError("make the HeadlessSink with picture_format='i420' or another format")
        stream: Stream[Picture] = Stream(self, self._max_queue)
        self._picture_streams.add(stream)
        if self._closed:
            stream.offer(None)
        return stream

    def _show_picture(self, picture: Picture) -> None:
        """Show a video avatar's picture; never blocks. Ignored once closed."""
        if self._closed:
            return
        self.pictures_shown += 1
        if self._on_picture is not None:
            try:
                self._on_picture(picture)
            except Exception as error:
                self._count_error("on_picture", error)
        for stream in list(self._picture_streams):
            stream.offer(picture)

    def _count_error(self, name: str, error: Exception) -> None:
        self.callback_errors += 1
        self._log.warning(name, f"HeadlessSink: {name} raised {type(error).__name__}: {error}", error)

    def _listeners(self) -> list[ShotStream]:
        with self._streams_lock:
            return list(self._streams)

    def __aiter__(self) -> ShotStream:
        stream = ShotStream(self, self._max_queue)
        with self._streams_lock:
            self._streams.add(stream)
        if self._closed:
            stream.offer(None)
        return stream

    def close(self) -> None:
        """End all iterations (each still gives what it has queued) and the drawing thread; never raises."""
        self._closed = True
        if self._worker is not None:
            self._worker.close()
        for stream in self._listeners():
            stream.offer(None)
        for pictures in list(self._picture_streams):
            pictures.offer(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
