"""``avatarkit-rtc play``: join a room and play its avatar."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from avatarkit_rtc.cli.arrival_log import ArrivalLog
from avatarkit_rtc.cli.motion_log import MotionLog
from avatarkit_rtc.cli.options import (
    Duration,
    Face,
    Fullscreen,
    Key,
    Kiosk,
    PictureSize,
    RenderRate,
    Room,
    Secret,
    Token,
    Url,
    access,
    window_options,
)
from avatarkit_rtc.cli.running import Stopped, live_line, player_line, run, unless, wait_first
from avatarkit_rtc.cli.watching import (
    FinalFigures,
    NoView,
    Watching,
    check_different,
    check_writable,
    narrate,
    tell_absence,
    write_figures,
)
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.views import View

_PROCESSING: Final = ("echo_cancellation", "noise_suppression", "auto_gain_control", "high_pass_filter")


class Published(NamedTuple):
    """A microphone to publish."""

    device: str | None
    """By name; None for the default."""


def play(
    url: Url = None,
    token: Token = None,
    key: Key = None,
    secret: Secret = None,
    room: Room = None,
    identity: Annotated[str | None, typer.Option("--identity", help="Own name, with --key.")] = None,
    avatar: Annotated[str | None, typer.Option("--avatar", help="Identity of the avatar to play.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No window, no sound card.")] = False,
    duration: Duration = None,
    stats: Annotated[
        Path | None, typer.Option("--stats", help="Write the final figures here, as JSON.")
    ] = None,
    motion_log: Annotated[
        Path | None, typer.Option("--motion-log", help="Write a JSON line per shown pose here.")
    ] = None,
    arrival_log: Annotated[
        Path | None, typer.Option("--arrival-log", help="Write a CSV line per frame that arrives here.")
    ] = None,
    face: Face = "head",
    size: PictureSize = "512x512",
    rate: RenderRate = 60.0,
    fullscreen: Fullscreen = False,
    kiosk: Kiosk = False,
    mute: Annotated[bool, typer.Option("--mute", help="Do not play the voice.")] = False,
    audio_device: Annotated[str | None, typer.Option("--audio-device", help="Output device by name.")] = None,
    microphone: Annotated[bool, typer.Option("--microphone", help="Publish the microphone.")] = False,
    microphone_device: Annotated[
        str | None, typer.Option("--microphone-device", help="Publish this microphone, by name.")
    ] = None,
    processing: Annotated[
        bool,
        typer.Option(help="Cancel echo and noise of the microphone, or send it as it is."),
    ] = True,
    half_duplex: Annotated[
        bool, typer.Option("--half-duplex", help="Silence the microphone while the avatar is heard.")
    ] = False,
    max_delay: Annotated[float, typer.Option("--max-delay", help="Cap of the buffer's delay, in ms.")] = 80.0,
    jitter_buffer: Annotated[bool, typer.Option(help="Or draw frames on arrival.")] = True,
    reconnect: Annotated[
        bool, typer.Option("--reconnect", help="Come back after stalls and losses.")
    ] = False,
) -> None:
    """Join a room and play its avatar in a window, or headless."""
    way = access(url, token, key, secret, room)
    options: dict[str, Any] = {
        "play_audio": not (headless or mute),
        "audio_device": audio_device,
        "max_buffer_delay_ms": max_delay,
        "enable_jitter_buffer": jitter_buffer,
        "auto_reconnect": reconnect,
        "half_duplex": half_duplex,
        **dict.fromkeys(_PROCESSING, processing),
        "log_level": "error",  # what it would warn of is said, see narrate()
    }
    published = Published(microphone_device) if microphone or microphone_device is not None else None
    if published is None and (half_duplex or not processing):
        raise ConfigurationError("--half-duplex and --no-processing need --microphone")
    check_writable(stats, "--stats")
    check_different({"--stats": stats, "--motion-log": motion_log, "--arrival-log": arrival_log})
    with contextlib.ExitStack() as close:
        watching = Watching(close)
        if not headless:
            watching.open_window(face, window_options(fullscreen, kiosk, size, rate), kiosk=kiosk)
        else:
            watching.views.append(NoView())
        watching.log(motion_log, MotionLog)
        watching.log(arrival_log, ArrivalLog)
        view = watching.view
        final = run(
            lambda stop: play_until(
                stop, way.viewer(identity), view, avatar, options, duration, microphone=published
            )
        )
    if stats is not None and final is not None:
        final["window"] = None if watching.window is None else watching.window.stats()
        write_figures(stats, final)
    if not watching.report():
        raise typer.Exit(1)


async def play_until(
    stop: asyncio.Event,
    config: ConnectionConfig,
    view: View,
    avatar: str | None,
    options: dict[str, Any],
    duration: float | None,
    *,
    microphone: Published | None = None,
) -> dict[str, Any]:
    """Play until ``stop``, the end of the room, the closing of the view or ``duration``; the final
    figures."""
    async with AvatarPlayer(LiveKitProvider(avatar_identity=avatar), view, **options) as player:
        narrate(player)
        tell_absence(player, avatar)
        figures = FinalFigures(player)
        with contextlib.suppress(Stopped):
            await unless(stop, player.connect(config))
            if microphone is not None:
                await player.start_publishing(microphone.device, or_silence=True)
            async with live_line(lambda fps: player_line(player, fps), lambda: player.stats().poses_shown):
                await wait_first([stop.wait(), player.wait_closed()], duration)
        figures.take()
    return figures.complete()
