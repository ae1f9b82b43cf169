"""``avatarkit-rtc session``: a session of SpatialReal's, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from avatarkit_rtc.audio.microphone import open_microphone
from avatarkit_rtc.audio.sources import open_source
from avatarkit_rtc.cli.evidence import Evidence
from avatarkit_rtc.cli.motion_log import MotionLog
from avatarkit_rtc.cli.options import (
    Duration,
    Face,
    Fullscreen,
    Key,
    PictureSize,
    RenderRate,
    Room,
    Secret,
    parse_size,
    window_options,
)
from avatarkit_rtc.cli.record import MAX_DELAY_MS, report
from avatarkit_rtc.cli.running import Stopped, live_line, player_line, run, say, wait_first
from avatarkit_rtc.cli.watching import (
    FinalFigures,
    NoView,
    Watching,
    check_different,
    check_writable,
    narrate,
    write_figures,
)
from avatarkit_rtc.errors import (
    AvatarKitError,
    AvatarTimeoutError,
    ConfigurationError,
    SpatialRealError,
)
from avatarkit_rtc.integrations.spatialreal.credentials import API_KEY_VARIABLE
from avatarkit_rtc.player import AvatarPlayer

if TYPE_CHECKING:
    from avatarkit_rtc.cli.vendor_session import Way
    from avatarkit_rtc.integrations.spatialreal import PlaybackFinished
    from renderers import Recorder

AVATAR_TIMEOUT_S: Final = 30.0
"""So long the avatar may take to come into the room."""
_TAIL_S: Final = 5.0
"""So long after the last word its end may take to be shown."""
_AFTER_S: Final = 1.0
_HOLD_AFTER_S: Final = 1.5
_HOLD_S: Final = 1.0
CHECK_S: Final = 4.0
"""Sound has to be so long for ``--check``: it is held, and cut off, in its middle."""


def session(
    speak: Annotated[
        list[Path] | None, typer.Option("--say", help="Sound file to say; several, one after the other.")
    ] = None,
    mic: Annotated[bool, typer.Option("--mic", help="Say what the microphone hears, until Ctrl-C.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Say it once more, held for a second, and again, cut off in the middle."
        ),
    ] = False,
    app_id: Annotated[
        str | None, typer.Option("--app-id", envvar="SPATIALREAL_APP_ID", help="Of SpatialReal's app.")
    ] = None,
    avatar_id: Annotated[
        str | None, typer.Option("--avatar-id", envvar="SPATIALREAL_AVATAR_ID", help="Whom to have.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--livekit-url", "--url", envvar="LIVEKIT_URL", help="A LiveKit server that the service reaches."
        ),
    ] = None,
    key: Key = None,
    secret: Secret = None,
    room: Room = None,
    identity: Annotated[str | None, typer.Option("--identity", help="Own name in the room.")] = None,
    direct: Annotated[
        bool, typer.Option("--direct", help="Without LiveKit: motion comes back over the WebSocket.")
    ] = False,
    window: Annotated[
        bool | None, typer.Option("--window/--headless", help="A window, unless it is recorded.")
    ] = None,
    record: Annotated[Path | None, typer.Option("--record", help="Record it into this video file.")] = None,
    duration: Duration = None,
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats", help="Write what happened and the final figures here, as JSON; no key in it."
        ),
    ] = None,
    motion_log: Annotated[
        Path | None, typer.Option("--motion-log", help="Write a JSON line per shown pose here.")
    ] = None,
    face: Face = "head",
    size: PictureSize = "512x512",
    rate: RenderRate = 60.0,
    fullscreen: Fullscreen = False,
    mute: Annotated[bool, typer.Option("--mute", help="Do not play the voice.")] = False,
    sample_rate: Annotated[
        int, typer.Option("--sample-rate", help="Samples per second that the service is sent.")
    ] = 24000,
    environment: Annotated[
        str | None,
        typer.Option("--environment", envvar="SPATIALREAL_ENVIRONMENT", help="Of the service: us-west."),
    ] = None,
    console_url: Annotated[
        str | None,
        typer.Option("--console-url", envvar="SPATIALREAL_CONSOLE_ENDPOINT", help="Of its HTTP API."),
    ] = None,
    ingress_url: Annotated[
        str | None,
        typer.Option("--ingress-url", envvar="SPATIALREAL_INGRESS_ENDPOINT", help="Of its WebSocket."),
    ] = None,
) -> None:
    """Start a session of SpatialReal's, let its avatar speak, play or record it, and end the session.

    The key comes in SPATIALREAL_API_KEY. Without --direct, the avatar comes into a room on a LiveKit server
    that the service can reach (LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET).
    """
    files = speak or []
    _check_arguments(files, mic=mic, check=check)
    _check_outputs(record, stats, motion_log)
    evidence = Evidence(hidden=(app_id, avatar_id, key, secret, os.environ.get(API_KEY_VARIABLE)))
    service = {"app_id": app_id, "avatar_id": avatar_id, "sample_rate": sample_rate}
    service |= {"environment": environment, "console_url": console_url, "ingress_url": ingress_url}
    rooms = {"livekit_url": url, "livekit_api_key": key, "livekit_api_secret": secret, "room_name": room}
    figures: dict[str, Any] = {}
    recorder: Recorder | None = None

    async def main(stop: asyncio.Event) -> None:
        from avatarkit_rtc.cli.vendor_session import DirectWay, RoomWay

        way: Way | None = None
        try:
            await _check_sounds(files, check=check)
            way = (
                DirectWay(evidence, **service) if direct else RoomWay(evidence, identity, **service, **rooms)
            )
            plan = _Plan(way, files, evidence, check=check)
            await _play(stop, way, plan, watching, figures, evidence, duration, **options)
        finally:
            figures["session"] = None if way is None else way.figures()
            figures["window"] = None if watching.window is None else watching.window.stats()
            if recorder is not None:
                await recorder.aclose()

    with contextlib.ExitStack() as close:
        watching = Watching(close)
        # What the player would warn of is said.
        options: dict[str, Any] = {"log_level": "error", "play_audio": False}
        try:
            if window if window is not None else record is None:
                watching.open_window(face, window_options(fullscreen, False, size, rate), kiosk=False)
                options["play_audio"] = not mute
            else:
                options["max_buffer_delay_ms"] = MAX_DELAY_MS
                watching.views.append(NoView())
            if record is not None:
                recorder = _record(watching, record, face, size)
            watching.log(motion_log, MotionLog)
            run(main)
        except AvatarKitError as error:
            evidence.note("failed", error)
            raise
        finally:
            if stats is not None:
                write_figures(stats, evidence.as_dict(**figures))
                say(f"wrote {stats}")
    _report(watching, recorder)


def _check_arguments(files: list[Path], *, mic: bool, check: bool) -> None:
    if bool(files) == mic:
        raise ConfigurationError("what shall it say? Give --say FILE, or --mic")
    if check and mic:
        raise ConfigurationError("--check goes with --say FILE")
    for file in files:
        if not file.is_file():
            raise ConfigurationError(f"there is no file {file}")


def _check_outputs(record: Path | None, stats: Path | None, motion_log: Path | None) -> None:
    check_writable(stats, "--stats")
    sidecar = record.with_suffix(".jsonl") if record is not None and record.name else None
    check_different(
        {"--record": record, "the sidecar of --record": sidecar, "--stats": stats, "--motion-log": motion_log}
    )


def _report(watching: Watching, recorder: Recorder | None) -> None:
    written = watching.report()
    if recorder is not None:
        report(recorder)
    if not written:
        raise typer.Exit(1)


async def _check_sounds(files: list[Path], *, check: bool) -> None:
    """Before a session is paid for."""
    for number, file in enumerate(files):
        reader = await asyncio.to_thread(open_source, file)
        try:
            wanted_s = CHECK_S if check and not number else 0.01
            found_s = 0.0
            async for block in reader:
                found_s += len(block.samples) / block.sample_rate
                if found_s >= wanted_s - 0.005:
                    break
            else:
                least = f"; --check needs {CHECK_S:g} s or more, to hold it and cut it off" if found_s else ""
                raise ConfigurationError(f"{file} has {found_s:.1f} s of sound{least}")
        finally:
            await reader.aclose()


def _record(watching: Watching, path: Path, face: str, size: str) -> Recorder:
    from renderers import Recorder

    recorder = Recorder(path, face=face, size=parse_size(size))
    watching.close.callback(recorder.close)
    watching.views.append(recorder)
    return recorder


class _Plan:
    """What is said, in which order, and what is done to it."""

    def __init__(self, way: Way, files: list[Path], evidence: Evidence, *, check: bool) -> None:
        self._way, self._files, self._evidence, self._check = way, files, evidence, check

    async def run(self) -> None:
        """To its end; a microphone has none."""
        if not self._files:
            async with contextlib.aclosing(await open_microphone()) as microphone:
                say("speak; Ctrl-C ends it")
                await (await self._way.say(microphone)).wait()
            return
        for file in self._files:
            await self._say(file)
        if self._check:
            await self._say(self._files[0], hold=True)
            await self._say(self._files[0], cut=True)

    async def _say(self, file: Path, *, hold: bool = False, cut: bool = False) -> None:
        self._evidence.note("say", "held" if hold else "cut off" if cut else "to its end")
        saying = asyncio.ensure_future(self._way_says(file))
        try:
            if hold or cut:
                speaking = asyncio.ensure_future(self._way.wait_speaking())
                await asyncio.wait([saying, speaking], return_when=asyncio.FIRST_COMPLETED)
                speaking.cancel()
                await asyncio.wait([saying], timeout=_HOLD_AFTER_S)
            if (hold or cut) and saying.done():
                self._not_done("held" if hold else "cut off", "it was over before")
                cut = False
            elif hold:
                await self._hold()
            elif cut:
                await self._way.interrupt()
            finished = await saying
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
        self._evidence.note("over", finished)
        if cut and not finished.interrupted:
            self._not_done("cut off", "it was said to its end")
        elif finished.interrupted and not cut:
            raise SpatialRealError("what was to be said was cut off; the lines above say why, or by whom")

    async def _hold(self) -> None:
        try:
            if await self._way.pause():
                await asyncio.sleep(_HOLD_S)
                await self._way.resume()
            else:
                self._not_done("held", "the service did not report that it holds it")
                await self._way.resume()
        except AvatarKitError as error:  # a service that cannot
            self._not_done("held", error)

    def _not_done(self, what: str, why: object) -> None:
        self._evidence.note(f"not {what}", why)
        say(f"not {what}: {why}")

    async def _way_says(self, file: Path) -> PlaybackFinished:
        return await (await self._way.say(file)).wait()


async def _play(
    stop: asyncio.Event,
    way: Way,
    plan: _Plan,
    watching: Watching,
    figures: dict[str, Any],
    evidence: Evidence,
    duration: float | None,
    **options: Any,
) -> None:
    async with AvatarPlayer(way.provider, watching.view, **options) as player:
        narrate(player)
        for name in ("connected", "disconnected", "avatar-joined", "avatar-left", "stalled", "error"):
            player.on(name, lambda payload=None, name=name: evidence.note(f"player {name}", payload))
        for name in ("round-started", "audio-unavailable"):
            player.on(name, lambda payload=None, name=name: evidence.note(f"player {name}", payload))
        final = FinalFigures(player)

        async def speak() -> None:
            async with way.begin(player):
                try:
                    await wait_first([_avatar(player, way), way.wait_failed()])
                    async with live_line(
                        lambda fps: player_line(player, fps), lambda: player.stats().poses_shown
                    ):
                        await wait_first([plan.run(), way.wait_failed(), player.wait_closed()], duration)
                        await _shown(player)
                finally:
                    evidence.room(player.get_native_client())
                    final.take()

        try:
            with contextlib.suppress(Stopped):
                await wait_first([speak(), _stopped(stop)])
        finally:
            await player.disconnect()
            if final.taken:
                figures.update(final.complete())


async def _avatar(player: AvatarPlayer, way: Way) -> None:
    try:
        await player.wait_for_avatar(AVATAR_TIMEOUT_S)
    except AvatarTimeoutError as error:
        doubt = way.doubt()
        raise AvatarTimeoutError(str(error) if doubt is None else f"{error} {doubt}") from error


async def _stopped(stop: asyncio.Event) -> None:
    await stop.wait()
    raise Stopped


async def _shown(player: AvatarPlayer) -> None:
    """Wait until the last of it has been shown."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TAIL_S):
            while player.is_connected and player.stats().playout.state != "idle":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    await asyncio.sleep(_AFTER_S)
