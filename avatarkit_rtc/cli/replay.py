"""``avatarkit-rtc replay``: the poses of a recording's sidecar through any face again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatarkit_rtc.cli.options import Codec, Face, PictureRate, PictureSize, parse_size
from avatarkit_rtc.cli.running import Stopped, live_line, run, say
from avatarkit_rtc.errors import ConfigurationError

if TYPE_CHECKING:
    from renderers import OpenCVWindow
    from renderers.recording.replay import Replay, Replayed


def replay(
    file: Annotated[Path, typer.Argument(help="The sidecar (.jsonl) of a recording, or the recording.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Into this video file, as fast as it goes; else into a window."),
    ] = None,
    face: Face = "head",
    size: PictureSize = "512x512",
    fps: PictureRate = 25.0,
    codec: Codec = None,
    speed: Annotated[
        float, typer.Option("--speed", min=0.05, max=100.0, help="In a window: so many times real time.")
    ] = 1.0,
    sound: Annotated[
        bool, typer.Option(help="With the sound of the recording beside the sidecar, in a video file.")
    ] = True,
    sound_from: Annotated[
        Path | None, typer.Option("--sound-from", help="Take the sound from this file instead.")
    ] = None,
) -> None:
    """Play the poses of a recording again, with another face, another size, or both."""
    from renderers.recording.replay import Replay
    from renderers.recording.sidecar import SUFFIX

    sidecar = file if file.suffix == SUFFIX else file.with_suffix(SUFFIX)
    if sidecar is not file and not sidecar.is_file():
        what = f"{file} has no sidecar {sidecar.name}" if file.is_file() else f"there is no file {file}"
        raise ConfigurationError(
            f"{what}; a recording is a video file and the {SUFFIX} `record` wrote beside it"
        )
    source = Replay(sidecar, sound=sound_from, with_sound=sound and out is not None)
    if out is None:
        _to_window(source, face, parse_size(size), speed)
        return
    began = time.monotonic()
    done = run(lambda stop: _to_file(stop, source, out, face, parse_size(size), fps, codec))
    if done is None:
        say(f"stopped; {out} was not written")
        return
    took = max(time.monotonic() - began, 1e-6)
    say(
        f"wrote {out}: {done.pictures} pictures, {done.duration_s:.1f} s in {took:.1f} s "
        f"({done.duration_s / took:.1f} times real time)"
    )


async def _to_file(
    stop: asyncio.Event,
    source: Replay,
    out: Path,
    face: str,
    size: tuple[int, int],
    fps: float,
    codec: str | None,
) -> Replayed:
    from renderers import make_face

    drawn = make_face(face, size)
    if drawn is None:
        raise ConfigurationError("a video file needs a face that draws: --face head, for instance")
    pictures, newest = 0, 0.0

    def progress(t: float) -> None:
        nonlocal pictures, newest
        pictures, newest = pictures + 1, t
        check()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    work = asyncio.to_thread(source.to_file, out, drawn, fps=fps, codec=codec, progress=progress, check=check)
    async with live_line(lambda rate: f"{out.name} | {newest:.1f} s | {rate:.0f} poses/s", lambda: pictures):
        return await work


def _to_window(source: Replay, face: str, size: tuple[int, int], speed: float) -> None:
    from renderers import OpenCVWindow, display_available

    available, reason = display_available()
    if not available:
        raise ConfigurationError(f"no window ({reason}); give --out a video file instead")
    with OpenCVWindow("avatarkit-rtc replay", face=face, size=size) as window:
        run(lambda stop: _show(stop, source, window, speed))


async def _show(stop: asyncio.Event, source: Replay, window: OpenCVWindow, speed: float) -> None:
    loop = asyncio.get_running_loop()
    begin: float | None = None
    for pose in source.poses():
        if begin is None:
            begin = loop.time() - pose.t / speed
        wait = begin + pose.t / speed - loop.time()
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
        if stop.is_set() or window.closed:
            return
        window.show(pose)
        await asyncio.sleep(0)
