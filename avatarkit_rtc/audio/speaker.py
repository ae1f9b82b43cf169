"""Playing the avatar's sound on a sound card.

The event loop writes blocks (:mod:`~avatarkit_rtc.audio.intake`: form, rate, drift) into a ring; PortAudio's
callback copies out of it (:mod:`~avatarkit_rtc.audio.playback`); a thread opens the device again when it has
gone (:mod:`~avatarkit_rtc.audio.keeper`). Each stream has a ring of its own, and positions go on counting.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.devices import DeviceSpec, checked_device
from avatarkit_rtc.audio.echo_reference import RenderTap
from avatarkit_rtc.audio.intake import Intake, Totals
from avatarkit_rtc.audio.keeper import DeviceKeeper, OnEvent
from avatarkit_rtc.audio.output import AudioOutput, NullSpeaker, SpeakerStats, WithVolume
from avatarkit_rtc.audio.playback import Playback
from avatarkit_rtc.audio.release import close_stream
from avatarkit_rtc.audio.streams import OpenedStream, open_stream, start_stream
from avatarkit_rtc.audio.threads import in_thread, start_thread
from avatarkit_rtc.audio.watchdog import Beat
from avatarkit_rtc.errors import AudioDeviceError, ConfigurationError, MissingDependencyError
from avatarkit_rtc.events import AudioDeviceChange

_QUIET: Final = 64
"""Samples up to this (-54 dB of full scale) are silence."""
_PAUSE_S: Final = 0.2
"""Silence that is longer than this, and than all that waits to be heard, is a pause."""


class Speaker(WithVolume):
    """Plays on one sound device, and again on it when it has gone and come back.

    While the device is away, sound is dropped and counted, as by a :class:`NullSpeaker`.
    """

    def __init__(
        self,
        device: DeviceSpec = None,
        *,
        sample_rate: int = 48000,
        channels: int = 1,
        target_ms: float = 60.0,
        max_ms: float = 200.0,
        latency: str | float = 0.08,
        on_event: OnEvent | None = None,
    ) -> None:
        """Make a speaker; :meth:`start` opens its device.

        Args:
            device: index, name, unique part of a name, or an :class:`AudioDevice`; None for the system's
                default.
            sample_rate: samples per second to play at. A device that cannot do it gets its own preferred
                rate.
            channels: 1 or 2; a device without mono gets stereo.
            target_ms: sound held in the ring against a late event loop, in milliseconds (10 … 1000). Of
                blocks longer than 20 ms, half of what they are longer is added.
            max_ms: depth at which the ring is cut back to the target, in milliseconds; with such blocks as
                much more as they need.
            latency: PortAudio's own: ``low``, ``high`` or seconds. It is what another thread may keep the
                interpreter busy for without a gap in the sound: with ``low`` 20 ms are too much, and with
                ``high`` too on a busy machine.
            on_event: gets what happens to the device, and one line about it; called on a thread of the
                speaker's.

        Raises:
            ConfigurationError: a value is out of range or ``device`` none of these.
        """
        if not 10 <= target_ms <= 1000 or max_ms < target_ms + 20:
            raise ConfigurationError(
                f"target_ms must be 10 … 1000 and max_ms at least 20 more, not {target_ms} and {max_ms}"
            )
        if sample_rate < 8000 or channels not in (1, 2):
            raise ConfigurationError(
                f"a speaker plays 1 or 2 channels at 8000 Hz or more, not {channels} at {sample_rate} Hz"
            )
        super().__init__()
        self._wanted = (sample_rate, channels)
        self._target_ms = target_ms
        self._max_ms = max_ms
        self._latency = latency
        self._muted = False
        self._keeper = DeviceKeeper("output", checked_device(device), self, on_event)
        self._intake: Intake | None = None  # None while there is no device
        self._playback: Playback | None = None  # of the last stream, also when it is closed
        self._lock = threading.Lock()  # for the counters of streams that have ended
        self._past = Totals()
        self._end = 0  # position after everything that was written to them
        self._rate = sample_rate
        self._unheard_s = 0.0
        self._loud_at = float("-inf")

    @property
    def muted(self) -> bool:
        """Silent at once, with sound still taken and passing by."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        self._muted = bool(value)
        if self._playback is not None:
            self._playback.muted = self._muted

    @property
    def write_position(self) -> int | None:
        """Position of the next sample to be written, in samples of the device; None while there is none."""
        intake = self._intake
        return None if intake is None else intake.playback.ring.write_position

    @property
    def render_tap(self) -> RenderTap | None:
        """What the device is given, for an echo canceller; another one whenever the device is opened again,
        None while there is none."""
        intake = self._intake
        return None if intake is None else intake.playback.tap

    @property
    def queue_s(self) -> float:
        """Seconds until a sample that is written now is heard: the ring and the device. 0 without one."""
        intake, opened = self._intake, self._keeper.opened
        if intake is None or opened is None:
            return 0.0
        heard = self.audible_at(intake.playback.ring.write_position)
        if heard is not None:
            return max(0.0, heard - time.monotonic())
        return float(intake.playback.ring.depth / self._rate + opened.stream.latency)

    def start(self, *, keep_trying: bool = False) -> None:
        """Open the device; blocks while it opens, so prefer :func:`open_speaker` on an event loop.

        Args:
            keep_trying: look for the device from now on, also where it cannot be opened now. The error is
                raised all the same, and sound is dropped until the device is there.

        Raises:
            AudioDeviceError: the device is missing, busy or cannot play 16-bit sound, or the speaker was
                closed.
            MissingDependencyError: the PortAudio library is not installed.
        """
        self._keeper.start(keep_trying=keep_trying)

    def write(self, block: AudioBlock) -> int | None:
        """Take ``block`` of any rate and channel count, when it is due: blocks of up to 300 ms, one after
        another in real time. What comes faster than it is played is dropped and counted, and so is everything
        before ``start()``, after ``close()`` and while the device is away.

        Returns:
            Position of the block's first sample, for :meth:`audible_at`; None where it was dropped.
        """
        intake, now = self._intake, time.monotonic()
        if len(block.samples) and max(int(block.samples.max()), -int(block.samples.min())) > _QUIET:
            self._loud_at = now
        if intake is None:
            self._unheard_s += block.duration
            return None
        return intake.write(block, now)

    def audible_at(self, position: int) -> float | None:
        """The monotonic moment at which sample ``position`` is heard, or was a moment ago, to about 1 ms and
        up to a constant that belongs to the device; None while nothing is played."""
        intake = self._intake
        return None if intake is None else intake.playback.audible.at(position, time.monotonic())

    def flush(self) -> None:
        """Drop all sound that is not yet with the device; the next sound waits for the target depth again."""
        intake = self._intake
        if intake is not None:
            intake.flush()

    def close(self) -> None:
        """Stop and release the device. Never raises; more than once is fine. Blocks, where the sound system
        hangs for 2 s: see :meth:`aclose`."""
        self._keeper.close()

    async def aclose(self) -> None:
        """:meth:`close` in a worker thread."""
        await in_thread(self.close)

    def stats(self) -> SpeakerStats:
        """A snapshot of the counters."""
        with self._lock:
            intake, totals = self._intake, self._past
            if intake is not None:
                totals += intake.totals()
        opened = self._keeper.opened if intake is not None else None
        playing = intake is not None and intake.playback.playing
        drift = intake.drift if intake is not None and playing else None
        average = drift.average_s if drift is not None else None
        return SpeakerStats(
            device=opened.device.name if opened is not None else None,
            sample_rate=self._rate,
            active=opened is not None and intake is not None and not intake.playback.finished,
            playing=playing,
            depth_ms=intake.playback.ring.depth * 1000.0 / self._rate if intake is not None else 0.0,
            average_depth_ms=average * 1000.0 if average is not None else None,
            target_ms=self._target_ms if intake is None else intake.playback.target * 1000.0 / self._rate,
            correction_ppm=(drift.ratio - 1.0) * 1e6 if drift is not None else 0.0,
            device_latency_ms=opened.stream.latency * 1000.0 if opened is not None else 0.0,
            written_ms=totals.written * 1000.0,
            played_ms=totals.played * 1000.0,
            underruns=totals.underruns,
            overruns=totals.overruns,
            dropped_ms=totals.dropped * 1000.0,
            trimmed_ms=totals.trimmed * 1000.0,
            stretched_ms=totals.stretched * 1000.0,
            concealed_ms=totals.concealed * 1000.0,
            flushed_ms=totals.flushed * 1000.0,
            unheard_ms=self._unheard_s * 1000.0,
            callbacks=totals.callbacks,
            reopened=self._keeper.reopened,
        )

    # For the keeper, on its thread

    def open_device(self, spec: DeviceSpec) -> OpenedStream:
        """See :class:`~avatarkit_rtc.audio.keeper.DeviceUser`."""
        sample_rate, channels = self._wanted
        playback: list[Playback] = []  # made when the rate is known, and that is when the stream is open

        def callback(*block: Any) -> None:
            playback[0].callback(*block)

        def finished() -> None:
            playback[0].on_finished()

        opened = open_stream(
            "output",
            spec,
            sample_rate=sample_rate,
            channels=channels,
            latency=self._latency,
            callback=callback,
            finished=finished,
        )
        try:
            playback.append(self._make_playback(opened))
            intake = Intake(playback[0], self._gain)
            start_stream(opened, "output")
        except BaseException:
            close_stream(opened.stream)
            raise
        self._playback = playback[0]
        self._playback.muted = self._muted
        self._rate = opened.sample_rate
        self._intake = intake
        return opened

    def _make_playback(self, opened: OpenedStream) -> Playback:
        playback = Playback(
            opened.sample_rate,
            opened.channels,
            target_s=self._target_ms / 1000.0,
            max_s=self._max_ms / 1000.0,
            start=self._end,
            ended=self._keeper.wake,
        )
        playback.audible.latency_s = playback.tap.latency_s = opened.stream.latency
        return playback

    def beat(self) -> Beat:
        """See :class:`~avatarkit_rtc.audio.keeper.DeviceUser`."""
        playback = self._playback
        assert playback is not None  # there is one as soon as a device has been opened
        return Beat(playback.last_callback, playback.finished)

    def quiet(self, now: float) -> bool:
        """See :class:`~avatarkit_rtc.audio.keeper.DeviceUser`."""
        intake = self._intake
        waiting = 0.0 if intake is None else intake.playback.ring.depth / self._rate
        return now - self._loud_at > waiting + _PAUSE_S

    def device_lost(self) -> None:
        """See :class:`~avatarkit_rtc.audio.keeper.DeviceUser`."""
        with self._lock:
            intake, self._intake = self._intake, None
            if intake is not None:
                intake.playback.over = True
                self._past += intake.totals() + Totals(dropped=intake.playback.ring.depth / self._rate)
                self._end = intake.playback.ring.write_position + intake.playback.ring.capacity


async def open_speaker(
    device: DeviceSpec = None,
    *,
    sample_rate: int = 48000,
    channels: int = 1,
    target_ms: float = 60.0,
    on_event: OnEvent | None = None,
    keep_trying: bool = True,
) -> tuple[AudioOutput, str | None]:
    """A started speaker; where it cannot be heard now, with one line that says why.

    A device that is missing or busy is looked for from now on, and ``on_event`` says when it is heard
    (``back``, or ``moved`` to the default device). Without the sound library there is a
    :class:`NullSpeaker`, for good; without ``keep_trying`` in every such case.

    The device opens in a worker thread. When the call is cancelled meanwhile, it is closed again.
    ``on_event`` is called on the event loop.

    Raises:
        ConfigurationError: a value is out of range or ``device`` of another type.
    """
    speaker = Speaker(
        device,
        sample_rate=sample_rate,
        channels=channels,
        target_ms=target_ms,
        on_event=_on_loop(on_event),
    )
    try:
        await in_thread(speaker.start, keep_trying=keep_trying)
    except MissingDependencyError as error:
        return NullSpeaker(), str(error)
    except AudioDeviceError as error:
        return speaker if keep_trying else NullSpeaker(), str(error)
    except asyncio.CancelledError:
        # The thread is still opening; close waits for it, so it has to wait in a thread as well.
        start_thread(speaker.close)
        raise
    return speaker, None


def _on_loop(on_event: OnEvent | None) -> OnEvent | None:
    if on_event is None:
        return None
    call_soon: Callable[..., object] = asyncio.get_running_loop().call_soon_threadsafe
    handler = on_event

    def tell(change: AudioDeviceChange, message: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            call_soon(handler, change, message)

    return tell
