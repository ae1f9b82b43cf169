"""``avatarkit-rtc record``: join a room without display and sound card, and record its avatar."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.cli.options import (
    Codec,
    Duration,
    Face,
    Key,
    PictureRate,
    PictureSize,
    Room,
    Secret,
    Token,
    Url,
    access,
    parse_size,
)
from avatarkit_rtc.cli.running import Stopped, live_line, run, say, unless, wait_first
from avatarkit_rtc.cli.watching import narrate, tell_absence
from avatarkit_rtc.errors import AvatarKitError, RecordingError
from avatarkit_rtc.events import RecorderFile, RecorderLoad
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider

if TYPE_CHECKING:
    from renderers import Recorder

MAX_DELAY_MS: Final = 400.0
"""Cap of the buffer's delay: nobody waits for a recording, so nothing is left out for the sake of speed."""

QUIET: Final = 32768 * 10 ** (-40 / 20)
"""A block of 10 ms whose root mean square is below this, -40 dB of full scale, is no voice: speech is usually
at -30 to -15, the noise of a line or of a microphone below -45."""


class Silence:
    """A view that waits until the avatar has spoken and then been silent for some time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: float | None = None
        self._now = 0.0
        self.over = asyncio.Event()
        """Set once it has been silent for so long."""

    def show(self, pose: Pose) -> None:
        """A pose of a round is speech."""
        self._passed(pose.t, speech=pose.round is not None)

    def sound(self, block: AudioBlock) -> None:
        """Loud sound is speech."""
        power = np.square(block.samples, dtype=np.float32).mean() if len(block.samples) else 0.0
        self._passed(block.t, speech=bool(power > QUIET**2))

    def _passed(self, now: float, *, speech: bool) -> None:
        self._now = max(self._now, now)
        if speech:
            self._last = self._now
        elif self._last is not None and self._now - self._last >= self._seconds:
            self.over.set()


def record(
    url: Url = None,
    token: Token = None,
    key: Key = None,
    secret: Secret = None,
    room: Room = None,
    out: Annotated[
        Path, typer.Option("--out", help="The video file: .mp4, .mkv or .webm; overwritten once joined.")
    ] = Path("recording.mp4"),
    identity: Annotated[str | None, typer.Option("--identity", help="Own name, with --key.")] = None,
    avatar: Annotated[str | None, typer.Option("--avatar", help="Identity of the avatar to record.")] = None,
    duration: Duration = None,
    until_silent: Annotated[
        float | None,
        typer.Option(
            "--until-silent",
            min=0.1,
            help="Stop once the avatar has spoken and then been silent so long; as it may never speak, "
            "give --duration, too, where nobody is there to end it.",
        ),
    ] = None,
    face: Face = "head",
    size: PictureSize = "512x512",
    fps: PictureRate = 25.0,
    codec: Codec = None,
    level: Annotated[
        int, typer.Option("--level", min=0, max=2, help="How little the encoder works, from the beginning.")
    ] = 0,
    sidecar: Annotated[
        bool, typer.Option(help="Write poses, rounds, events and figures beside the file, as JSON lines.")
    ] = True,
    rotate_seconds: Annotated[
        float | None, typer.Option("--rotate-seconds", min=2.0, help="Begin a new file after so long.")
    ] = None,
    rotate_megabytes: Annotated[
        float | None, typer.Option("--rotate-megabytes", min=0.1, help="Begin a new file at this size.")
    ] = None,
    max_delay: Annotated[
        float, typer.Option("--max-delay", help="Cap of the buffer's delay, in ms.")
    ] = MAX_DELAY_MS,
    reconnect: Annotated[bool, typer.Option(help="Come back after stalls and losses.")] = True,
) -> None:
    """Record the avatar of a room into a video file, without a display or a sound card."""
    from renderers import Recorder, Tee

    way = access(url, token, key, secret, room)
    recorder = Recorder(
        out,
        face=face,
        size=parse_size(size),
        fps=fps,
        codec=codec,
        level=level,
        sidecar=sidecar,
        rotate_s=rotate_seconds,
        rotate_bytes=None if rotate_megabytes is None else round(rotate_megabytes * 1e6),
    )
    options: dict[str, Any] = {
        "play_audio": False,
        "max_buffer_delay_ms": max_delay,
        "auto_reconnect": reconnect,
        "log_level": "error",  # what it would warn of is said
        # An avatar of motion has 25 frames a second; for more, poses are made between them, as for a window.
        "render_rate_hz": fps if fps > 1 / FRAME_INTERVAL_S else None,
    }

    joined = False

    async def main(stop: asyncio.Event) -> None:
        def connected() -> None:
            nonlocal joined
            joined = True

        silence = None if until_silent is None else Silence(until_silent)
        view = recorder if silence is None else Tee(recorder, silence)
        player = AvatarPlayer(LiveKitProvider(avatar_identity=avatar), view, **options)
        player.on("connected", connected)
        tell_absence(player, avatar)
        try:
            await _record(stop, player, recorder, way.viewer(identity), duration, silence)
        finally:
            # On Ctrl-C, too: what was shown on the way to idle belongs to the file.
            await recorder.aclose()

    try:
        run(main)
    finally:
        recorder.close()
    if not joined:
        say("stopped before the room was joined")
        return
    report(recorder)


def report(recorder: Recorder) -> None:
    """Say what became of the recording.

    Raises:
        RecordingError: it broke off.
        AvatarKitError: there is nothing in it.
    """
    if recorder.error is not None:
        raise recorder.error
    stats = recorder.stats()
    if not stats.pictures:
        raise AvatarKitError(f"nothing was shown, so there is no {recorder.path}; let it run for longer")
    files = f"{stats.file}" if stats.files == 1 else f"{stats.files} files, the last one {stats.file}"
    say(
        f"wrote {files}: {clock(stats.duration_s)}, {stats.pictures} pictures; dropped "
        f"{stats.dropped_poses} poses, {stats.dropped_blocks} blocks of sound"
    )


async def _record(
    stop: asyncio.Event,
    player: AvatarPlayer,
    recorder: Recorder,
    config: ConnectionConfig,
    duration: float | None,
    silence: Silence | None,
) -> None:
    failed = asyncio.Event()

    def error(problem: Exception) -> None:
        if isinstance(problem, RecordingError) and recorder.error is not None:
            failed.set()

    narrate(player)
    player.on("error", error)
    player.on("recorder-file", _said_file)
    player.on("recorder-load", _said_load)
    async with player:
        with contextlib.suppress(Stopped):
            await unless(stop, player.connect(config))
            waits = [stop.wait(), player.wait_closed(), failed.wait()]
            if silence is not None:
                waits.append(silence.over.wait())
            async with live_line(_progress(player, recorder), lambda: recorder.pictures):
                await wait_first(waits, duration)


def _progress(player: AvatarPlayer, recorder: Recorder) -> Callable[[float], str]:
    def line(fps: float) -> str:
        stats, played = recorder.stats(), player.stats()
        try:
            megabytes = stats.file.stat().st_size / 1e6
        except OSError:
            megabytes = 0.0
        return (
            f"{stats.file.name} | {clock(stats.duration_s)} | {megabytes:.1f} MB | {fps:.0f} fps | "
            f"{stats.pictures} pictures | dropped {recorder.dropped} | {played.connection.state.value} | "
            f"avatar {played.avatar or '-'} | {played.playout.state}"
        )

    return line


def clock(seconds: float) -> str:
    """``0.8 s``; from a minute on ``0:01:07``."""
    if round(seconds, 1) < 60:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _said_file(event: RecorderFile) -> None:
    say(f"goes on in {event.path}")


def _said_load(event: RecorderLoad) -> None:
    why = "the recording cannot keep up" if event.less else "there is room again"
    say(f"{why}: encoder level {event.level}, {event.picture_rate:g} pictures a second")
