"""The microphone that is published: its device may be swapped, go and come back, under the same track."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple

from avatarkit_rtc.audio import microphone as _microphone
from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.devices import AudioDevice, DeviceSpec, checked_device, same_device
from avatarkit_rtc.audio.lookout import Found, Hangs, Lookout, ServerMoved
from avatarkit_rtc.audio.microphone import Microphone
from avatarkit_rtc.audio.null_microphone import NullMicrophone
from avatarkit_rtc.audio.restart import RESTART
from avatarkit_rtc.audio.streams import refresh_devices
from avatarkit_rtc.audio.threads import in_thread
from avatarkit_rtc.errors import AudioDeviceError, AvatarKitError, MissingDependencyError

_log = logging.getLogger("avatarkit_rtc.audio")

_WATCH_S: Final = 0.25
_STALLED_S: Final = 0.5
"""A device that brings nothing for this long, seen at two looks in a row, is gone."""
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 1.0
_REFRESH_EVERY_S: Final = 1.5
_REFRESH_LATER_S: Final = 5.0
_LONG_AWAY_S: Final = 60.0
"""Away for longer than this, the list of devices is made anew less often: it takes some 20 ms of processor
time."""
_DEFAULT_AFTER_S: Final = 2.0
"""Time for a device to come back by itself, before the default one is taken in its place."""
_FIRST_SOUND_S: Final = 3.0
"""Longest wait for the first sound of a device that has come back (sound servers take a second or two)."""
_REST_S: Final = 30.0
"""A better device that could not be taken is not looked for again for so long."""
_RESTART_LOOK_S: Final = 0.02


class RecordingCounters(NamedTuple):
    """What came of a recording."""

    recorded: int = 0
    """Blocks of 10 ms that the device brought."""
    dropped: int = 0
    """Blocks dropped because the reader was late."""
    overflows: int = 0
    """Times the system lost sound before it came here."""


class LiveMicrophone:
    """An async iterator of 10 ms blocks that outlives its device.

    A device that is lost (unplugged, or silent for half a second because its sound server has gone) is
    replaced by silence, and opened again as soon as that works; where it has not come back after 2 s, the
    default device is. While that one records in its place, the device that was asked for is looked for, and
    so is the default device where none was asked for.
    """

    def __init__(
        self,
        device: DeviceSpec = None,
        *,
        on_lost: Callable[[str], None] | None = None,
        on_back: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            device: index, name, unique part of a name, or an :class:`AudioDevice`; None for the default.
            on_lost: called on the event loop with the reason when the device is lost.
            on_back: called on the event loop with the device's name once sound comes again, or comes from
                another device without having been lost.

        Raises:
            ConfigurationError: ``device`` is none of these.
        """
        self._spec = checked_device(device)
        self._on_lost = on_lost
        self._on_back = on_back
        self._microphone: Microphone | NullMicrophone = NullMicrophone()
        self._device: AudioDevice | None = None  # what was opened when the one that was asked for was
        self._in_place = False  # the default device is open in place of the one that was asked for
        self._lookout, self._hangs = Lookout("input"), Hangs()
        self._started = self._closed = False
        self._switching = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._reopener: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Future[None]] = set()
        self._losses = 0
        self._before = RecordingCounters()

    @property
    def device(self) -> str | None:
        """Name of the open device; None while there is none."""
        return self._microphone.device

    @property
    def spec(self) -> DeviceSpec:
        """The device that was asked for."""
        return self._spec

    @property
    def active(self) -> bool:
        """A device is open and brings sound."""
        return self._microphone.active

    @property
    def losses(self) -> int:
        """Times the device was lost."""
        return self._losses

    def counters(self) -> RecordingCounters:
        """Since the start, of all devices together."""
        now, before = self._microphone, self._before
        return RecordingCounters(
            before.recorded + now.recorded, before.dropped + now.dropped, before.overflows + now.overflows
        )

    async def start(self, *, or_silence: bool = False) -> str | None:
        """Open the device. Once only.

        Args:
            or_silence: where it cannot be opened, begin with silence and go on trying.

        Returns:
            Why there is silence; None when the device is open.

        Raises:
            AudioDeviceError: the device is missing or busy, and ``or_silence`` is False.
            MissingDependencyError: the PortAudio library is not installed, and ``or_silence`` is False.
        """
        problem: str | None = None
        try:
            opened = await _microphone.open_microphone(self._spec)
        except (AudioDeviceError, MissingDependencyError) as error:
            if not or_silence:
                raise
            problem = str(error)
            if isinstance(error, AudioDeviceError):  # a library does not come by itself
                self._search(None)
        else:
            self._take(opened, self._spec)
        self._started = True
        self._watcher = asyncio.create_task(self._watch(), name="microphone watchdog")
        return problem

    async def swap(self, device: DeviceSpec) -> None:
        """Record from ``device`` from now on. If that fails, the device before goes on.

        Raises:
            AudioDeviceError: the device is missing or busy, or this was closed.
            ConfigurationError: ``device`` is no device.
            MissingDependencyError: the PortAudio library is not installed.
        """
        device = checked_device(device)
        async with self._switching:
            if self._closed or not self._started:
                raise AudioDeviceError("this microphone is not running; start it first")
            opened = await _microphone.open_microphone(device)
            if self._closed:  # while it opened
                await opened.aclose()
                raise AudioDeviceError("this microphone was closed while it changed its device")
            await _end(self._reopener)
            self._spec, self._device = device, None
            self._lookout.close()
            self._hangs.close()
            before = self._microphone
            self._take(opened, device)
            await before.aclose()

    def discard(self) -> None:
        """Pass over what waits to be read."""
        self._microphone.discard()

    async def aclose(self) -> None:
        """Release the device; the iteration ends. Never raises; more than once is fine."""
        self._closed = True
        await _end(self._watcher)
        await _end(self._reopener)
        self._lookout.close()
        self._hangs.close()
        await self._microphone.aclose()
        if self._closing:
            await asyncio.wait(set(self._closing))

    def __aiter__(self) -> AsyncIterator[AudioBlock]:
        return self

    async def __anext__(self) -> AudioBlock:
        """The next 10 ms: of the device, or of silence while there is none.

        Raises:
            StopAsyncIteration: closed.
        """
        while not self._closed:
            microphone = self._microphone
            try:
                return await anext(microphone)
            except StopAsyncIteration:
                if microphone is self._microphone:
                    break
            except AudioDeviceError as error:
                if microphone is self._microphone:
                    self._lost(str(error))
        raise StopAsyncIteration

    def _take(self, opened: Microphone, spec: DeviceSpec) -> None:
        """Record from ``opened`` from now on, which is what ``spec`` means."""
        self._before = self.counters()
        self._microphone = opened
        wanted = self._wanted()
        self._in_place = spec != wanted and not same_device(opened.opened, wanted)
        if not self._in_place:
            self._device = opened.opened
        opened.give_way()

    def _leave(self) -> Microphone | NullMicrophone:
        """Silence from now on, in place of the device that is returned."""
        self._before = self.counters()
        gone, self._microphone = self._microphone, NullMicrophone()
        return gone

    def _lost(self, reason: str) -> None:
        gone = self._leave()
        self._losses += 1
        self._lookout.rest(time.monotonic(), 0.0)
        self._search(gone)
        self._call(self._on_lost, reason)

    def _search(self, gone: Microphone | NullMicrophone | None) -> None:
        self._reopener = asyncio.create_task(self._reopen(gone), name="microphone back")

    async def _watch(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(_WATCH_S)
            microphone = self._microphone
            looks = looks + 1 if microphone.stalled_s > _STALLED_S else 0
            if looks >= 2:
                looks = 0
                microphone.fail(f"has brought no sound for {_STALLED_S:g} s")
                continue
            try:
                now = time.monotonic()
                if RESTART.due(now):
                    await self._give_way(_all_close)
                elif microphone.opened is not None and (self._in_place or self._spec is None):
                    await self._look_around(now, microphone.opened)
            except Exception:  # whatever sound systems come up with: the next look is another chance
                _log.exception("watching the microphone failed")

    async def _look_around(self, now: float, recording: AudioDevice | None) -> None:
        """See whether there is a better device, and if so make way for it."""
        news = self._lookout.look(now, recording, self._wanted(), self._named())
        if isinstance(news, ServerMoved):
            self._call(self._on_back, news.name)
        elif isinstance(news, Found) and not await in_thread(RESTART.ask, now):
            # Without a restart it can be had if PortAudio knows it already.
            self._lookout.rest(now, _REST_S)
            if recording is not None:
                await self._give_way()

    async def _give_way(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        """Close the device, and open the one that was asked for, or else this one again."""
        async with self._switching:
            before = self._microphone.opened
            if before is not None:
                # Somebody else's stream may have hung for hours.
                self._hangs.overlook(time.monotonic())
                await self._leave().aclose()
            if meanwhile is not None:
                await meanwhile()
            if before is None:
                return  # there is a search, which goes on
            self._lookout.rest(time.monotonic(), _REST_S)  # should it not come to anything
            # Where the device did not let itself be closed, the search asks first whether PortAudio answers.
            hangs = self._hangs.at(time.monotonic())
            for spec in () if hangs else dict.fromkeys([self._wanted(), before, None]):
                opened = await self._try(spec)
                if opened is not None:
                    self._take(opened, spec)
                    if opened.opened is None or opened.opened.full_name != before.full_name:
                        self._call(self._on_back, opened.device or "the default microphone")
                    return
            self._lost("the microphone did not open again after the devices were looked for anew")

    async def _reopen(self, gone: Microphone | NullMicrophone | None) -> None:
        if gone is not None:
            await gone.aclose()
        loop = asyncio.get_running_loop()
        away_since, delay = loop.time(), _FIRST_DELAY_S
        refresh_at, is_fresh = away_since + _REFRESH_EVERY_S, True
        while True:
            if RESTART.due(time.monotonic()):
                await asyncio.sleep(_RESTART_LOOK_S)
                continue
            if self._hangs.at(time.monotonic()):
                # A call into PortAudio would be kept, and everybody else's with it.
                await asyncio.sleep(_FIRST_DELAY_S)
                continue
            if loop.time() >= refresh_at:
                # A device that was not there when PortAudio started is in no list before this. It takes
                # seconds where a sound server does not answer.
                with contextlib.suppress(AvatarKitError):
                    is_fresh = await in_thread(refresh_devices, _REFRESH_EVERY_S / 2)
                long = loop.time() - away_since > _LONG_AWAY_S
                refresh_at = loop.time() + (_REFRESH_LATER_S if long else _REFRESH_EVERY_S)
            for spec in self._candidates(loop.time() - away_since):
                opened = await self._try(spec)
                if opened is not None:
                    self._take(opened, spec)
                    self._call(self._on_back, opened.device or "the default microphone")
                    return
            if not is_fresh:  # a speaker plays, so the list is old
                await self._look_around(time.monotonic(), None)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_S)

    def _wanted(self) -> DeviceSpec:
        """The device that was asked for: itself, once it is known. After devices have come and gone an index
        means another one, and a part of a name may mean several."""
        return self._spec if self._spec is None or self._device is None else self._device

    def _named(self) -> str | None:
        """The name that was given, or part of it: it may still fit a device that has come back under another
        name, which on ALSA has the card's number in it."""
        return self._spec if isinstance(self._spec, str) else None

    def _candidates(self, away_s: float) -> list[DeviceSpec]:
        wanted = self._wanted()
        default_too = self._in_place or away_s >= _DEFAULT_AFTER_S
        return [wanted, None] if wanted is not None and default_too else [wanted]

    async def _try(self, spec: DeviceSpec) -> Microphone | None:
        """The device, once it really brings sound."""
        try:
            opened = await self._open(spec)
        except AvatarKitError as error:
            _log.debug("the microphone %r does not open yet: %s", spec, error)
            return None
        opened.give_way()
        try:
            async with asyncio.timeout(_FIRST_SOUND_S):
                await anext(opened)
        except (TimeoutError, AudioDeviceError, StopAsyncIteration):
            await opened.aclose()
            return None
        except asyncio.CancelledError:
            closing = asyncio.ensure_future(opened.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            raise
        return opened

    async def _open(self, spec: DeviceSpec) -> Microphone:
        try:
            return await _microphone.open_microphone(spec)
        except AudioDeviceError:
            named = self._named()
            if named is None or spec is not self._device:
                raise
            return await _microphone.open_microphone(named)

    def _call(self, callback: Callable[[str], None] | None, argument: str) -> None:
        if callback is not None:
            try:
                callback(argument)
            except Exception:
                _log.exception("a callback of the microphone failed")


async def _all_close() -> None:
    """Wait until every stream of the process is closed and PortAudio has started anew."""
    while RESTART.due(now := time.monotonic()):
        await in_thread(RESTART.attempt, now)
        await asyncio.sleep(_RESTART_LOOK_S)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
