"""Kiosk: an avatar full screen with microphone and speaker, left alone for months.

    python kiosk.py --url wss://my.livekit.host --token-command "/usr/local/bin/fresh-token lobby"
    python kiosk.py --demo --seconds 20          # an avatar in this process, no server needed

What makes it last: a fresh token for each join (a token of the morning is void at night), joining again
without an end, going on without a sound card, microphone or screen, and one log line per event. While the
network is gone, the last face stays on the screen as a dimmed still. Keys, mouse and cursor are off; typing
quit, SIGTERM (systemd, docker stop) and Ctrl-C end it, with exit code 0.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import shlex
import signal
import subprocess

from avatarkit_rtc import AvatarKitError, AvatarPlayer, LiveKitProvider, LoopbackProvider, ReconnectPolicy
from avatarkit_rtc.testing import StandInAvatar, perform
from renderers import HeadlessSink, OpenCVWindow, display_available

log = logging.getLogger("kiosk")
EVENTS = ("connection-state-changed", "disconnected", "avatar-joined", "avatar-left", "stalled", "error")
EVENTS += ("reconnect-attempt", "reconnect-succeeded", "reconnect-failed", "audio-stalled")
EVENTS += ("audio-unavailable", "audio-device-changed", "microphone-lost", "microphone-back")


def open_view():
    """Full screen; without a display a view that shows nothing, so that at least the voice plays."""
    available, why_not = display_available()
    if available:
        return OpenCVWindow("Kiosk", kiosk=True, size=(720, 720))
    log.warning("no window: %s", why_not)
    return HeadlessSink()


def fresh_token(command) -> str:
    """Called for each join, in a thread. Ask your own token service here."""
    if command is None:
        return os.environ["LIVEKIT_TOKEN"]
    return subprocess.check_output(shlex.split(command), text=True, timeout=15).strip()


def reason(error) -> str:
    """With what is behind it, but without the token command, which may hold secrets."""
    cause = error.__cause__
    if isinstance(cause, subprocess.CalledProcessError):
        return f"{error} (exit code {cause.returncode})"
    return f"{error} ({cause.strerror})" if isinstance(cause, OSError) else str(error)


async def stay_connected(player, view, args) -> None:
    """Until the window is closed. The player's own auto-reconnect copes with losses and stalls; this loop
    with what it leaves alone: a network that is not up yet, a room that was deleted, being removed."""
    pause = 1.0
    while not view.closed:
        try:
            await player.connect(url=args.url, token_provider=lambda: fresh_token(args.token_command))
            pause = 1.0
            with contextlib.suppress(AvatarKitError):  # "audio-unavailable" and the log tell; go on without
                await player.start_publishing()
            await player.wait_closed()
        except AvatarKitError as error:
            log.warning("not connected: %s", reason(error))
        await player.disconnect()  # releases microphone and speaker
        await asyncio.sleep(0 if view.closed else pause)
        pause = min(2 * pause, 60.0)


async def main(args) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run() instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    provider, view = LoopbackProvider() if args.demo else LiveKitProvider(), open_view()
    forever = ReconnectPolicy(attempts=None, max_delay_s=60.0)
    try:
        async with AvatarPlayer(provider, view, auto_reconnect=forever) as player:
            for name in EVENTS:
                player.on(name, lambda *payload, name=name: log.info("%s %s", name, *payload or ("",)))
            player.on("round-ended", lambda event: log.info("round %d: %s", event.round, event.reason))
            tasks = [asyncio.create_task(stop.wait())]
            tasks.append(asyncio.create_task(stay_connected(player, view, args)))
            if args.demo:
                tasks.append(asyncio.create_task(StandInAvatar(provider.avatar, [perform(1, 5.0)]).run()))
            done, rest = await asyncio.wait(tasks, timeout=args.seconds, return_when="FIRST_COMPLETED")
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            for task in done:
                task.result()  # a mistake in here ends the kiosk with a traceback, and systemd restarts it
    finally:
        view.close()
    log.info("ended after %d rounds", sum(player.stats().playout.rounds_ended.values()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default=os.environ.get("LIVEKIT_URL"))
    parser.add_argument("--token-command", help="program that prints a join token; else LIVEKIT_TOKEN")
    parser.add_argument("--demo", action="store_true", help="a stand-in avatar instead of a room")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("livekit").setLevel(logging.ERROR)
    arguments = parser.parse_args()
    if not arguments.demo and not (arguments.token_command or os.environ.get("LIVEKIT_TOKEN")):
        parser.error("give --token-command, or set LIVEKIT_TOKEN, or give --demo")
    if not arguments.demo and "://" not in (arguments.url or ""):  # trying again would not help
        parser.error("give --url wss://…")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(arguments))
