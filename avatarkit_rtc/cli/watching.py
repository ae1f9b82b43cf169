"""What commands that play an avatar have in common: where it is shown, what is logged of it, what is said of
it, and the final figures."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.cli.arrival_log import ArrivalLog
from avatarkit_rtc.cli.motion_log import LineWriter, MotionLog
from avatarkit_rtc.cli.options import window_help
from avatarkit_rtc.cli.running import say, summary_line
from avatarkit_rtc.errors import ConfigurationError, DisplayError, MissingDependencyError
from avatarkit_rtc.events import (
    AudioNotice,
    AvatarJoined,
    AvatarLeft,
    Disconnected,
    ReconnectAttempt,
    RoundEnded,
)
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.views import View

if TYPE_CHECKING:
    from renderers import OpenCVWindow

ABSENT_AFTER_S: Final = 5.0
"""An avatar that is not there so long after joining is told of: it may have another name."""
_NAMED: Final = 5
_ROUNDS_KEPT: Final = 1000
"""Rounds whose figures are listed one by one in the final figures: the last ones."""


class NoView:
    """What a headless player shows its poses to, and its sound: nobody. It keeps the sound being received."""

    def show(self, pose: Pose) -> None:
        """Nothing to do."""

    def sound(self, block: AudioBlock) -> None:
        """Nothing to do."""


@dataclass
class Watching:
    """Where the avatar is shown, and the logs of it; everything is closed with ``close``."""

    close: contextlib.ExitStack
    window: OpenCVWindow | None = None
    views: list[View] = field(default_factory=list)
    _logs: list[tuple[Path, MotionLog | ArrivalLog]] = field(default_factory=list)

    def open_window(self, face: str, options: dict[str, Any], *, kiosk: bool) -> None:
        """Show it in a window.

        Raises:
            DisplayError, MissingDependencyError: there can be none here.
        """
        from renderers import OpenCVWindow

        try:
            window = OpenCVWindow("avatarkit-rtc", face=face, **options)
        except (DisplayError, MissingDependencyError) as error:
            raise type(error)(f"{error}; or play --headless") from error
        self.close.callback(window.close)
        say(window_help(kiosk))
        self.window = window
        self.views.append(window)

    def log(self, path: Path | None, kind: type[MotionLog | ArrivalLog]) -> None:
        """Write a log to ``path``, if there is one.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if path is not None:
            log = kind(str(path))
            self.close.callback(log.close)
            self._logs.append((path, log))
            self.views.append(log)

    @property
    def view(self) -> View:
        """All of it as one view."""
        if not self.views:
            self.views.append(NoView())
        if len(self.views) == 1:
            return self.views[0]
        from renderers import Tee

        return Tee(*self.views)

    def report(self) -> bool:
        """Say what could not be written, once everything is closed; whether that was nothing."""
        written = [report_lines(path, log.lines) for path, log in self._logs]
        return all(written)


class FinalFigures:
    """What a player did, taken before its own teardown, and completed after it."""

    def __init__(self, player: AvatarPlayer) -> None:
        self._player = player
        self._ended: list[str] = []
        self._rounds: deque[dict[str, Any]] = deque(maxlen=_ROUNDS_KEPT)
        self._taken: dict[str, Any] = {}
        player.on("disconnected", lambda event: self._ended.append(event.reason.value))
        player.on("round-ended", lambda event: self._rounds.append(dataclasses.asdict(event.stats)))

    @property
    def taken(self) -> bool:
        """Whether there are any."""
        return bool(self._taken)

    def take(self) -> None:
        """The figures of the connection as it is."""
        self._taken = self._player.stats().as_dict()

    def complete(self) -> dict[str, Any]:
        """After the end: those that were taken, with every round. Says what came out of it."""
        final, figures = self._player.stats(), self._taken
        # A round that the end has cut off counts, and has its reason.
        figures["playout"] |= {
            "rounds_ended": dict(final.playout.rounds_ended),
            "rounds": list(self._rounds),
        }
        figures["ended"] = self._ended[0] if self._ended else None
        say(summary_line(final))
        return figures


def report_lines(path: Path, lines: LineWriter) -> bool:
    """Say what could not be written to ``path``, once it is closed; whether that was nothing."""
    if lines.dropped:
        why = lines.problem or "the disk did not keep up"
        count = "1 line" if lines.dropped == 1 else f"{lines.dropped} lines"
        say(f"{count} could not be written to {path}: {why}")
    return not lines.dropped


def check_different(paths: Mapping[str, Path | None]) -> None:
    """Before anything is written: two outputs into one file spoil each other, and an output its input.

    Args:
        paths: the files, by their options.

    Raises:
        ConfigurationError: two are the same.
    """
    options: dict[str, str] = {}
    for option, path in paths.items():
        if path is None or (path.exists() and not path.is_file()):  # /dev/null may be given twice
            continue
        other = options.setdefault(os.path.normcase(os.path.realpath(path)), option)
        if other != option:
            raise ConfigurationError(f"{other} and {option} name the same file; give each one of its own")


def check_writable(path: Path | None, option: str) -> None:
    """Before anything is played.

    Raises:
        ConfigurationError: ``path`` cannot be written.
    """
    if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
        raise ConfigurationError(f"cannot write {path}; give {option} a file in a folder that can be written")


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """As JSON."""
    path.write_text(json.dumps(figures, indent=2, default=str) + "\n", encoding="utf-8")


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

    def unavailable(notice: AudioNotice) -> None:
        if notice.microphone:
            say(f"no microphone: {notice.message}; silence is published meanwhile")
        else:
            say(f"no sound: {notice.message}")

    player.on("connected", lambda: say("connected"))
    player.on("avatar-joined", joined)
    player.on("avatar-left", left)
    player.on("round-ended", ended)
    player.on("stalled", lambda: say("stalled: nothing comes from the avatar"))
    player.on("disconnected", disconnected)
    player.on("reconnect-attempt", attempt)
    player.on("audio-unavailable", unavailable)
    player.on("audio-device-changed", lambda changed: say(changed.message))
    player.on("microphone-lost", lambda notice: say(f"{notice.message}; silence is published meanwhile"))
    player.on("microphone-back", lambda notice: say(notice.message))
    player.on("error", lambda error: say(f"error: {error}"))


def tell_absence(player: AvatarPlayer, avatar: str | None) -> None:
    """Say once, some seconds after joining a room, that its avatar is not there, and who is.

    Args:
        player: before it connects.
        avatar: identity of the avatar that is looked for; None for any.
    """

    def look() -> None:
        room = player.get_native_client()
        if player.stats().avatar is None and player.is_connected and room is not None:
            say(absence_line(avatar, list(room.remote_participants)))

    def joined() -> None:
        player.off("connected", joined)
        asyncio.get_running_loop().call_later(ABSENT_AFTER_S, look)

    player.on("connected", joined)


def absence_line(avatar: str | None, others: list[str]) -> str:
    """Whom is waited for, and the identities of who is there instead."""
    named = others[:_NAMED]
    more = [f"{len(others) - len(named)} more"] if len(others) > len(named) else []
    here = ", ".join(named + more) or "nobody else"
    return f"no avatar{'' if avatar is None else f' {avatar!r}'} yet; in the room: {here}"
