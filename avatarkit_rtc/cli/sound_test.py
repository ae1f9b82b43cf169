"""``avatarkit-rtc devices --test``: is anything heard, does the microphone hear anything?"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

import numpy as np
from rich.live import Live
from rich.text import Text

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.level import FLOOR_DBFS, Level, LevelMeter
from avatarkit_rtc.audio.microphone import Microphone, open_microphone
from avatarkit_rtc.audio.output import AudioOutput, NullSpeaker, SpeakerStats
from avatarkit_rtc.audio.speaker import open_speaker
from avatarkit_rtc.cli.running import console, say, wait_first
from avatarkit_rtc.errors import AudioDeviceError, MissingDependencyError

_RATE: Final = 48000
_TONE_HZ: Final = 440.0
_TONE_LEVEL: Final = 0.2
_ON_S: Final = 0.6
_PERIOD_S: Final = 1.0
_FADE_S: Final = 0.01
_LEAD_S: Final = 0.1
_OPENING_S: Final = 5.0
"""A device may take so long until it takes its first sound: a sound server that has to wake up."""
_PLAIN_EVERY_S: Final = 1.0
_BAR: Final = 40
_LOWEST_DBFS: Final = -60.0
_QUIET_DBFS: Final = -70.0
"""Below this nothing but the noise of the device was there."""


async def try_sound(
    stop: asyncio.Event, output: int | str | None, microphone: int | str | None, seconds: float
) -> bool:
    """Play a tone on ``output`` and show the level of ``microphone`` until ``stop`` or for ``seconds``, which
    count from when the output takes sound.

    Returns:
        Whether both devices could be opened.
    """
    speaker, problem = await open_speaker(output, keep_trying=False)
    say(f"no tone: {problem}" if problem is not None else f"a tone each second on {speaker.stats().device}")
    source: Microphone | None = None
    meter = _Meter()
    try:
        try:
            source = await open_microphone(microphone)
        except (AudioDeviceError, MissingDependencyError) as error:
            say(f"no microphone: {error}")
        if source is None and isinstance(speaker, NullSpeaker):
            return False
        works = [_for(seconds, speaker), stop.wait()]
        if not isinstance(speaker, NullSpeaker):
            works.append(_play(speaker))
        if source is not None:
            say(f"listening to {source.device}; Ctrl-C ends")
            works.append(meter.run(source))
        await wait_first(works)
        if problem is None:
            say(played_line(speaker.stats()))
        if source is not None:
            say(heard_line(meter.loudest))
    finally:
        await speaker.aclose()
        if source is not None:
            await source.aclose()
    return source is not None and problem is None


async def _for(seconds: float, speaker: AudioOutput) -> None:
    await _taking_sound(speaker)
    await asyncio.sleep(seconds)


async def _taking_sound(speaker: AudioOutput) -> None:
    """Until it asks for sound; one that does not has to show that for some seconds."""
    if isinstance(speaker, NullSpeaker):
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_OPENING_S):
            while not speaker.stats().callbacks:  # noqa: ASYNC110 - it is asked by a thread of the library's
                await asyncio.sleep(0.01)


async def _play(speaker: AudioOutput) -> None:
    await _taking_sound(speaker)
    start = time.monotonic()
    written = 0
    while True:
        while written / _RATE < time.monotonic() - start + _LEAD_S:
            speaker.write(AudioBlock(tone(written), _RATE, time.monotonic()))
            written += 480
        await asyncio.sleep(0.01)


def tone(position: int) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """10 ms of the tone, shape (480, 1), from sample ``position`` on: 0.6 s of each second, no clicks."""
    t = (position + np.arange(480)) / _RATE
    within = t % _PERIOD_S
    envelope = np.clip(np.minimum(within, _ON_S - within) / _FADE_S, 0.0, 1.0)
    samples = _TONE_LEVEL * 32767 * envelope * np.sin(2 * np.pi * _TONE_HZ * t)
    return np.rint(samples).astype(np.int16).reshape(-1, 1)


def played_line(stats: SpeakerStats) -> str:
    """What has become of the tone."""
    if stats.played_ms == 0.0:
        return f"the tone was not played: {stats.device or 'the device'} takes no sound; is it connected?"
    seconds = stats.played_ms / 1000
    return f"the tone was played for {seconds:.1f} s; not heard? look at the volume and the cable"


def heard_line(loudest_dbfs: float) -> str:
    """What the microphone has heard."""
    if loudest_dbfs < _QUIET_DBFS:
        return "the microphone heard nothing at all: is it muted, or the wrong one?"
    return f"the microphone heard something: {loudest_dbfs:.0f} dB at the loudest (speech: about -30 to -6)"


class _Meter:
    """Shows the level of a microphone."""

    def __init__(self) -> None:
        self.loudest = FLOOR_DBFS

    async def run(self, source: Microphone) -> None:
        """Until the source ends."""
        meter = LevelMeter()
        highest = FLOOR_DBFS
        due = time.monotonic() + _PLAIN_EVERY_S
        with contextlib.ExitStack() as close:
            live = (
                close.enter_context(Live(console=console, auto_refresh=False))
                if console.is_terminal
                else None
            )
            async for block in source:
                now = time.monotonic()
                level = meter.add(block.samples, block.sample_rate, now)
                if level is None:
                    continue
                highest = max(highest, level.peak_dbfs)
                self.loudest = max(self.loudest, highest)
                if live is not None:
                    live.update(Text(level_line(level, highest)), refresh=True)
                elif now >= due:
                    due = now + _PLAIN_EVERY_S
                    say(level_line(level, highest))
                    highest = FLOOR_DBFS


def level_line(level: Level, highest_dbfs: float) -> str:
    """A bar from -60 to 0 dB, and the figures."""
    share = 1.0 - max(level.rms_dbfs, _LOWEST_DBFS) / _LOWEST_DBFS
    bar = "#" * round(share * _BAR)
    remark = ""
    if highest_dbfs >= -0.1:
        remark = "  too loud: turn the input down"
    elif highest_dbfs < _QUIET_DBFS:
        remark = "  nothing but silence: is the microphone muted?"
    return f"[{bar:<{_BAR}}] {level.rms_dbfs:6.1f} dB, peak {highest_dbfs:6.1f} dB{remark}"
