"""``avatarkit-rtc play``: join a room and play its avatar."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from avatarkit_rtc.audio.block import AudioBlock
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
    window_help,
    window_options,
)
from avatarkit_rtc.cli.running import (
    Stopped,
    live_line,
    player_line,
    run,
    say,
    summary_line,
    unless,
    wait_first,
)
from avatarkit_rtc.errors import ConfigurationError, DisplayError, MissingDependencyError
from avatarkit_rtc.events import AvatarJoined, AvatarLeft, Disconnected, ReconnectAttempt, RoundEnded
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.providers.base import ConnectionConfig
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.views import View

if TYPE_CHECKING:
    from renderers import OpenCVWindow

_ROUNDS_KEPT: Final = 1000
"""Rounds whose figures are listed one by one in the final figures: the last ones."""


class NoView:
    """What a headless player shows its poses to, and its sound: nobody. It keeps the sound being received."""

    def show(self, pose: Pose) -> None:
        """Nothing to do."""

    def sound(self, block: AudioBlock) -> None:
        """Nothing to do."""


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
        "log_level": "error",  # what it would warn of is said, see narrate()
    }
    if stats is not None and (stats.is_dir() or not os.access(stats.parent, os.W_OK)):
        raise ConfigurationError(f"cannot write {stats}; give --stats a file in a folder that can be written")
    logs: list[tuple[Path, MotionLog | ArrivalLog]] = []
    window: OpenCVWindow | None = None
    with contextlib.ExitStack() as close:
        views: list[View] = []
        if headless:
            views.append(NoView())
        else:
            window = open_window(face, window_options(fullscreen, kiosk, size, rate))
            close.callback(window.close)
            say(window_help(kiosk))
            views.append(window)
        kinds = ((motion_log, MotionLog), (arrival_log, ArrivalLog))
        for path, kind in kinds:
            if path is not None:
                log = kind(str(path))
                close.callback(log.close)
                logs.append((path, log))
                views.append(log)
        view = stacked(views)
        final = run(
            lambda stop: play_until(
                stop, way.viewer(identity), view, avatar, options, duration, microphone=microphone
            )
        )
    for path, log in logs:
        if log.dropped:
            say(f"{log.dropped} lines could not be written to {path}")
    if stats is not None and final is not None:
        final["window"] = None if window is None else window.stats()
        stats.write_text(json.dumps(final, indent=2, default=str) + "\n", encoding="utf-8")


def open_window(face: str, options: dict[str, Any]) -> OpenCVWindow:
    """The window, with these options of it.

    Raises:
        DisplayError, MissingDependencyError: there can be none here.
    """
    from renderers import OpenCVWindow

    try:
        return OpenCVWindow("avatarkit-rtc", face=face, **options)
    except (DisplayError, MissingDependencyError) as error:
        raise type(error)(f"{error}; or play --headless") from error


def stacked(views: list[View]) -> View:
    """One view out of several."""
    if len(views) == 1:
        return views[0]
    from renderers import Tee

    return Tee(*views)


async def play_until(
    stop: asyncio.Event,
    config: ConnectionConfig,
    view: View,
    avatar: str | None,
    options: dict[str, Any],
    duration: float | None,
    *,
    microphone: bool = False,
) -> dict[str, Any]:
    """Play until ``stop``, the end of the room, the closing of the view or ``duration``; the final
    figures."""
    ended: list[str] = []
    rounds: deque[dict[str, Any]] = deque(maxlen=_ROUNDS_KEPT)
    async with AvatarPlayer(LiveKitProvider(avatar_identity=avatar), view, **options) as player:
        narrate(player)
        player.on("disconnected", lambda event: ended.append(event.reason.value))
        player.on("round-ended", lambda event: rounds.append(dataclasses.asdict(event.stats)))
        with contextlib.suppress(Stopped):
            await unless(stop, player.connect(config))
            if microphone:
                await player.start_publishing()
            async with live_line(lambda fps: player_line(player, fps), lambda: player.stats().poses_shown):
                await wait_first([stop.wait(), player.wait_closed()], duration)
        # The figures of the connection as it was, not of its own teardown.
        figures = player.stats().as_dict()
    final = player.stats()
    # A round that the end has cut off counts, and has its reason.
    figures["playout"] |= {"rounds_ended": dict(final.playout.rounds_ended), "rounds": list(rounds)}
    figures["ended"] = ended[0] if ended else None
    say(summary_line(final))
    return figures


def narrate(player: AvatarPlayer) -> None:
    """Say what happens, a line each."""

    def joined(event: AvatarJoined) -> None:
        say(f"avatar {event.identity} is here")

    def left(event: AvatarLeft) -> None:
        say(f"avatar {event.identity} has left")

    def ended(event: RoundEnded) -> None:
        counters = event.stats.counters
        say(
            f"round {event.round}: {event.reason.value}, {counters.shown} frames "
            f"({counters.recovered} recovered, {counters.interpolated} interpolated), "
            f"{counters.freezes} freezes"
        )

    def disconnected(event: Disconnected) -> None:
        say(f"disconnected: {event.reason.value}")

    def attempt(event: ReconnectAttempt) -> None:
        say(f"reconnect attempt {event.attempt} in {event.delay_s:.1f} s ({event.cause})")

    player.on("connected", lambda: say("connected"))
    player.on("avatar-joined", joined)
    player.on("avatar-left", left)
    player.on("round-ended", ended)
    player.on("stalled", lambda: say("stalled: nothing comes from the avatar"))
    player.on("disconnected", disconnected)
    player.on("reconnect-attempt", attempt)
    player.on("audio-unavailable", lambda notice: say(f"no sound: {notice.message}"))
    player.on("error", lambda error: say(f"error: {error}"))
