"""``avatarkit-rtc publish``: the stand-in avatar into a room."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from avatarkit_rtc.cli.motion_log import LineWriter
from avatarkit_rtc.cli.options import (
    Clip,
    Duration,
    Key,
    Pcm,
    PcmRate,
    Room,
    Secret,
    Seed,
    Token,
    Url,
    access,
)
from avatarkit_rtc.cli.running import live_line, run, say, unless, wait_first
from avatarkit_rtc.cli.watching import check_different, report_lines
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.testing.clip import load_clip
from avatarkit_rtc.testing.performer import Utterance, perform
from avatarkit_rtc.testing.room import RoomTransport
from avatarkit_rtc.testing.schedule import SentKind, StandInOptions
from avatarkit_rtc.testing.stand_in import StandInAvatar

UTTERANCE_S = (4.0, 6.0, 3.0, 8.0)
"""Lengths of the made-up utterances, in seconds, in turn."""


def utterances(clip: str | None, pcm: str | None, pcm_rate: int, seed: int) -> list[Utterance]:
    """What the stand-in avatar performs.

    Raises:
        ConfigurationError: a file is missing or malformed.
    """
    if clip is not None:
        return [load_clip(clip, pcm, pcm_rate)]
    if pcm is not None:
        raise ConfigurationError("--pcm is the sound of a --clip; give both")
    return [perform(seed + number, seconds) for number, seconds in enumerate(UTTERANCE_S)]


def publish(
    url: Url = None,
    token: Token = None,
    key: Key = None,
    secret: Secret = None,
    room: Room = None,
    clip: Clip = None,
    pcm: Pcm = None,
    pcm_rate: PcmRate = 24000,
    seed: Seed = 1,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Rounds to play; else no end.")
    ] = None,
    pause: Annotated[float, typer.Option("--pause", min=0.0, help="Seconds between rounds.")] = 2.0,
    duration: Duration = None,
    withhold_every: Annotated[
        int | None, typer.Option("--withhold-every", min=1, help="Never send every Nth frame packet.")
    ] = None,
    noise: Annotated[bool, typer.Option("--noise", help="Mix in packets that are none.")] = False,
    redundancy: Annotated[bool, typer.Option(help="Carry the two frames before in each packet.")] = True,
    reliable: Annotated[
        bool, typer.Option("--reliable", help="Send motion as reliable packets instead of lossy ones.")
    ] = False,
    transition: Annotated[bool, typer.Option(help="Announce each round by transition packets.")] = True,
    idle_packets: Annotated[bool, typer.Option(help="Send idle packets between rounds.")] = True,
    send_end: Annotated[bool, typer.Option("--send-end", help="Flag the last frame of each round.")] = False,
    lose_start: Annotated[bool, typer.Option("--lose-start", help="Lose each round's first packet.")] = False,
    one_frame: Annotated[bool, typer.Option("--one-frame", help="Rounds of one frame.")] = False,
    audio_delay: Annotated[
        int, typer.Option("--audio-delay", min=0, help="Send the sound so many ms after its frame.")
    ] = 40,
    restart_at: Annotated[
        int | None, typer.Option("--restart-at", min=1, help="Restart the numbering at this frame.")
    ] = None,
    sent_log: Annotated[
        Path | None, typer.Option("--sent-log", help="Write a JSON line per packet sent here.")
    ] = None,
) -> None:
    """Play a stand-in avatar into a room, as an avatar service does: for tests and trials."""
    options = StandInOptions(
        rounds=rounds,
        pause_s=pause,
        withhold_every=withhold_every,
        noise=noise,
        redundancy=redundancy,
        transition_lead_frames=StandInOptions().transition_lead_frames if transition else 0,
        idle_packets=idle_packets,
        send_end=send_end,
        lose_start=lose_start,
        one_frame_rounds=one_frame,
        restart_at=restart_at,
        audio_delay_ms=audio_delay,
    )
    way = access(url, token, key, secret, room)
    parts = utterances(clip, pcm, pcm_rate, seed)
    inputs = {name: Path(file) for name, file in (("--clip", clip), ("--pcm", pcm)) if file}
    check_different({**inputs, "--sent-log": sent_log})
    lines = None if sent_log is None else LineWriter(str(sent_log))
    with contextlib.ExitStack() as close:
        if lines is not None:
            close.callback(lines.close)

        def sent(number: int | None, seq: int | None, kind: SentKind, t: float) -> None:
            if lines is not None:
                lines.put({"t": t, "round": number, "seq": seq, "kind": kind.value})

        async def main(stop: asyncio.Event) -> None:
            transport = RoomTransport(
                way.url,
                way.avatar_token,
                sample_rate=parts[0].sample_rate,
                reliable=reliable,
                reconnect=True,
            )
            async with contextlib.AsyncExitStack() as leave:
                await unless(stop, leave.enter_async_context(transport))
                if lines is not None:
                    lines.begin()
                say("publishing; Ctrl-C ends it")
                avatar = StandInAvatar(transport, parts, options, on_sent=sent)
                async with live_line(lambda fps: _line(avatar, fps), lambda: sum(avatar.sent.values())):
                    await wait_first([stop.wait(), avatar.run()], duration)
                say(_line(avatar, None))

        run(main)
    if sent_log is not None and lines is not None and not report_lines(sent_log, lines):
        raise typer.Exit(1)


def _line(avatar: StandInAvatar, rate: float | None) -> str:
    sent: Counter[SentKind] = avatar.sent
    counts = " | ".join(f"{kind.value} {count}" for kind, count in sorted(sent.items()))
    return f"{'sent' if rate is None else f'{rate:.0f} packets/s'} | {counts}"
