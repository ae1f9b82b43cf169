"""``avatarkit-rtc demo``: a stand-in avatar through the whole pipeline, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from avatarkit_rtc.cli.options import (
    Access,
    Clip,
    Duration,
    Face,
    Fullscreen,
    Key,
    Kiosk,
    Pcm,
    PcmRate,
    PictureSize,
    RenderRate,
    Secret,
    Seed,
    window_help,
    window_options,
)
from avatarkit_rtc.cli.publish import utterances
from avatarkit_rtc.cli.realtime import (
    NO_MODEL,
    TRANSCRIPTION_MODEL,
    Ask,
    Instructions,
    Microphone,
    Model,
    Talk,
    Transcription,
    Voice,
)
from avatarkit_rtc.cli.requirements import opencv_problem, what_to_install
from avatarkit_rtc.cli.running import Stopped, live_line, player_line, run, say, unless, wait_first
from avatarkit_rtc.cli.watching import narrate
from avatarkit_rtc.errors import AvatarKitError, ConfigurationError, DisplayError, MissingDependencyError
from avatarkit_rtc.face import FaceLayer
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.providers.base import ConnectionConfig, Provider
from avatarkit_rtc.providers.connect_errors import checked_url
from avatarkit_rtc.providers.livekit import LiveKitProvider
from avatarkit_rtc.providers.loopback import LoopbackProvider
from avatarkit_rtc.testing.performer import Utterance
from avatarkit_rtc.testing.schedule import StandInOptions
from avatarkit_rtc.testing.stand_in import StandInAvatar
from avatarkit_rtc.views import View

if TYPE_CHECKING:
    from renderers import Face as DrawnFace
    from renderers import OpenCVWindow, Recorder

LOCAL_SERVER = "local"
"""What ``--livekit`` means without a URL."""

FILE_SECONDS = 12.0
"""Length of the video where there is no window to close."""

_NOT_REALTIME: Final = ("key", "secret", "clip", "pcm", "pcm_rate", "seed")
_ONLY_REALTIME: Final = ("model", "voice", "instructions", "microphone", "ask", "transcription_model")


def demo(
    context: typer.Context,
    livekit: Annotated[
        str | None,
        typer.Option(
            "--livekit",
            metavar="[URL]",
            help="Through a LiveKit server: the one at URL, or one started here.",
        ),
    ] = None,
    realtime: Annotated[
        str | None,
        typer.Option(
            "--realtime",
            metavar="URL",
            help="Talk with a realtime model: wss:// address of an OpenAI-style server; its key comes from "
            "REALTIME_API_KEY.",
        ),
    ] = None,
    model: Model = None,
    voice: Voice = None,
    instructions: Instructions = None,
    microphone: Microphone = True,
    ask: Ask = None,
    transcription_model: Transcription = TRANSCRIPTION_MODEL,
    key: Key = None,
    secret: Secret = None,
    duration: Duration = None,
    window: Annotated[bool, typer.Option(help="A window; or a video file, as without a display.")] = True,
    out: Annotated[Path, typer.Option("--out", help="The video file, where there is no window.")] = Path(
        "avatarkit-demo.mp4"
    ),
    face: Face = "head",
    size: PictureSize = "512x512",
    rate: RenderRate = 60.0,
    fullscreen: Fullscreen = False,
    kiosk: Kiosk = False,
    mute: Annotated[bool, typer.Option("--mute", help="Do not play the voice.")] = False,
    clip: Clip = None,
    pcm: Pcm = None,
    pcm_rate: PcmRate = 24000,
    seed: Seed = 1,
) -> None:
    """Watch a talking avatar come through the whole pipeline. Without a display it goes into a video file."""
    _check_options(context, realtime is not None)
    if realtime is not None:
        if livekit is not None:
            raise ConfigurationError("--realtime and --livekit are two demos; give one of them")
        transcription = None if transcription_model == NO_MODEL else transcription_model
        talk = Talk(realtime, model, voice, instructions, microphone, ask, transcription)
        _realtime(talk, window, out, face, window_options(fullscreen, kiosk, size, rate), duration, mute)
        return
    if livekit not in (None, LOCAL_SERVER) and not (key and secret):
        raise ConfigurationError("--livekit URL needs --key and --secret as well")
    if livekit not in (None, LOCAL_SERVER):
        checked_url(livekit)
    parts = utterances(clip, pcm, pcm_rate, seed)
    view, recorder = open_view(window, out, face, window_options(fullscreen, kiosk, size, rate))
    if recorder is not None and duration is None:
        duration = FILE_SECONDS
    try:
        heard = recorder is None and not mute
        ran = run(lambda stop: _demo(stop, livekit, key, secret, parts, view, duration, play=heard))
    finally:
        view.close()
    finish(recorder, ran)


def _realtime(
    talk: Talk,
    window: bool,
    out: Path,
    face: str,
    options: dict[str, Any],
    duration: float | None,
    mute: bool,
) -> None:
    from renderers.face import make_face, put_on

    layer, drawn = FaceLayer(), make_face(face, options["size"])
    moving = put_on(drawn, layer)
    # The avatar is on show before there is a session; what is recorded begins with that.
    view, recorder = open_view(window, out, drawn if drawn is not None else face, options, wait=True)
    if recorder is not None and duration is None:
        say("Ctrl-C ends the conversation")
    begin = recorder.begin if recorder is not None else None
    moved = layer if moving else None
    try:
        ran = run(lambda stop: talk.run(stop, view, moved, duration, play=not mute, begun=begin))
    except AvatarKitError:
        view.close()
        if recorder is not None and recorder.pictures:
            try:
                report(recorder)
            except AvatarKitError as problem:
                say(str(problem))  # what has ended the conversation is raised
        raise
    finally:
        view.close()
    finish(recorder, ran)


def _check_options(context: typer.Context, realtime: bool) -> None:
    """
    Raises:
        ConfigurationError: an option on the command line would be ignored.
    """
    for name in _NOT_REALTIME if realtime else _ONLY_REALTIME:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-")
            hint = "; the model's key comes from REALTIME_API_KEY" if name in ("key", "secret") else ""
            said = f"does not go with --realtime{hint}" if realtime else "needs --realtime URL"
            raise ConfigurationError(f"{option} {said}")


def finish(recorder: Recorder | None, ran: bool | None) -> None:
    """Say what became of the file, if one was written.

    Raises:
        AvatarKitError: nothing useful.
    """
    if recorder is None:
        return
    if ran is None and not recorder.pictures:
        say("stopped before there was anything to show")
    else:
        report(recorder)


def open_view(
    window: bool, out: Path, face: str | DrawnFace, options: dict[str, Any], *, wait: bool = False
) -> tuple[OpenCVWindow | Recorder, Recorder | None]:
    """A window; or, where there can be none, what writes a video file, in both places of the pair: from the
    connection on, or with ``wait`` once it is told to."""
    from renderers import OpenCVWindow, Recorder, display_available

    if window:
        available, reason = display_available()
        if available:
            try:
                opened = OpenCVWindow("avatarkit-rtc demo", face=face, **options)
            except (DisplayError, MissingDependencyError) as error:
                reason = str(error)
            else:
                say(window_help(options["kiosk"]))
                return opened, None
        if opencv_problem() is not None:
            reason = "OpenCV does not load"  # more about it in a line of its own
        recorder = Recorder(out, face=face, size=options["size"], wait=wait)
        say(f"no window ({reason}); writing a video file instead: {out}")
    else:
        recorder = Recorder(out, face=face, size=options["size"], wait=wait)
        say(f"writing a video file: {out}")
    install = what_to_install()
    if install is not None:
        say(install)
    return recorder, recorder


def report(recorder: Recorder) -> None:
    """Say what became of the file.

    Raises:
        AvatarKitError: nothing useful.
    """
    if recorder.error is not None:
        raise AvatarKitError(f"the recording {recorder.path} broke off: {recorder.error}")
    if not recorder.pictures:
        raise AvatarKitError(f"nothing was shown, so there is no {recorder.path}; let it run for longer")
    say(f"wrote {recorder.path}: {recorder.pictures} pictures, {recorder.path.stat().st_size / 1000:.0f} kB")


async def _demo(
    stop: asyncio.Event,
    livekit: str | None,
    key: str | None,
    secret: str | None,
    parts: list[Utterance],
    view: View,
    duration: float | None,
    *,
    play: bool,
) -> bool:
    way = _through_server(stop, livekit, key, secret, parts) if livekit is not None else _in_process(parts)
    async with (
        way as (provider, config, avatar),
        AvatarPlayer(provider, view, play_audio=play, log_level="error") as player,
    ):
        narrate(player)
        await unless(stop, player.connect(config))
        async with live_line(lambda fps: player_line(player, fps), lambda: player.stats().poses_shown):
            await wait_first([stop.wait(), player.wait_closed(), avatar.run()], duration)
    return True


@contextlib.asynccontextmanager
async def _in_process(
    parts: list[Utterance],
) -> AsyncIterator[tuple[Provider, ConnectionConfig, StandInAvatar]]:
    provider = LoopbackProvider()
    yield provider, ConnectionConfig(), StandInAvatar(provider.avatar, parts, StandInOptions(pause_s=2.0))


@contextlib.asynccontextmanager
async def _through_server(
    stop: asyncio.Event, url: str, key: str | None, secret: str | None, parts: list[Utterance]
) -> AsyncIterator[tuple[Provider, ConnectionConfig, StandInAvatar]]:
    from avatarkit_rtc.testing.room import RoomTransport

    room = f"avatarkit-demo-{secrets.token_hex(3)}"
    async with contextlib.AsyncExitStack() as close:
        if url == LOCAL_SERVER:
            from avatarkit_rtc.testing.server import LocalServer
            from avatarkit_rtc.testing.server_build import ensure_server

            def progress(line: str) -> None:
                if stop.is_set():
                    raise Stopped  # ends the build
                say(line)

            binary = await unless(stop, asyncio.to_thread(ensure_server, progress))
            server = await unless(stop, close.enter_async_context(LocalServer(binary)))
            way = Access(server.url, room, key=server.api_key, secret=server.api_secret)
            say(f"a LiveKit server of our own is running at {server.url}")
        else:
            way = Access(url, room, key=key, secret=secret)
        transport = RoomTransport(way.url, way.avatar_token, sample_rate=parts[0].sample_rate, reconnect=True)
        await unless(stop, close.enter_async_context(transport))
        yield LiveKitProvider(), way.viewer(), StandInAvatar(transport, parts, StandInOptions(pause_s=2.0))
