"""A view that writes what it is shown, and what is heard, into a video file."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError, RecordingError
from avatarkit_rtc.events import EVENTS, RecorderFile, RecorderLoad
from avatarkit_rtc.pyav import load_av
from renderers._log import ThinnedLog
from renderers._worker import Worker
from renderers.face import DEFAULT_FACE, DEFAULT_SIZE, Face, hearing, make_face
from renderers.recording.formats import format_of
from renderers.recording.load import Load
from renderers.recording.parts import Part
from renderers.recording.session import Hooks, Plan, Session
from renderers.recording.stats import RecorderStats

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.events import RoundEnded, RoundStarted
    from avatarkit_rtc.player import AvatarPlayer
    from avatarkit_rtc.playout.pose import Pose
    from avatarkit_rtc.video.picture import Picture

QUEUED_POSES: Final = 100
"""Poses that may wait, 4 s of them: long before, the encoder is told to work less."""

QUEUED_PICTURES: Final = 20
"""Pictures of a video avatar that may wait: 0.7 s at 30 a second, 28 MB at 1280 x 720."""

QUEUED_BLOCKS: Final = 1600
"""Blocks of sound of 10 ms that may wait: 8 s with both voices. Missing sound is heard more than a missing
picture is seen."""

STATS_S: Final = 10.0
"""How often the player's figures go into the sidecar."""

_CLOSE_S: Final = 20.0
_UNRECORDED: Final = frozenset({"microphone-level", "round-started", "round-ended"})
"""Events that the sidecar leaves out, or has in lines of their own."""


class _Item(NamedTuple):
    handle: Callable[..., None]
    arguments: tuple[Any, ...]


class Recorder:
    """Writes a video file from poses and sound, on a thread of its own: MP4 (H.264 and AAC), Matroska or WebM
    (VP8, VP9 and Opus).

    Pictures and sound carry their presentation times, whenever they are shown, so lip sync holds for hours.
    The file is written in fragments of half a second: when the process is killed or the disk is full, what
    was written before plays. Nothing here blocks playing. An encoder that cannot keep up works less hard (a
    faster preset, then fewer pictures a second), and to work more again once there is room; only when that
    does not help poses are dropped, and counted.

    As the view of a player, or in a :class:`~renderers.Tee` with others, it reports by the player's events:
    ``error`` with a :class:`~avatarkit_rtc.errors.RecordingError` when the recording has ended before its
    time, ``recorder-file`` for each further file, ``recorder-load`` when the load changes. Playing goes on in
    any case.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        face: str | Face = DEFAULT_FACE,
        size: tuple[int, int] = DEFAULT_SIZE,
        fps: float = 25,
        codec: str | None = None,
        own_voice: bool = False,
        sidecar: bool = False,
        rotate_s: float | None = None,
        rotate_bytes: int | None = None,
        level: int = 0,
        wait: bool = False,
    ) -> None:
        """Make a recording in the file ``path``, which is overwritten by the first picture.

        As the view of a player it begins when that is connected: a connection that fails leaves what is there
        under that name as it was.

        Args:
            path: The file, named ``….mp4``, ``….mkv`` or ``….webm``.
            face: A name (see :func:`renderers.make_face`, not ``"null"``) or a face.
            size: Width and height of the pictures in pixels; the file has even numbers (one less if need be).
                Those of a video avatar are scaled, with their proportions kept.
            fps: Pictures a second (1 to 120); poses that come faster are thinned. At 25 each frame of speech
                has one picture.
            codec: ``"h264"`` (MP4, Matroska), ``"vp8"`` or ``"vp9"`` (Matroska, WebM); None for H.264 in MP4
                and VP8 in the others.
            own_voice: Record what the player publishes (microphone and own sound) into a second sound track.
            sidecar: Write poses, rounds, events and figures as JSON lines into ``….jsonl`` beside the file.
                What is there under that name is overwritten only if it is the sidecar of a file of this name.
            rotate_s: Begin a new file after so many seconds, 2 or more: ``talk.mp4`` stands for
                ``talk-0001.mp4``, ``talk-0002.mp4``, … after those that are there.
            rotate_bytes: Begin a new file once one is so large, 100 000 or more.
            level: How little the encoder works from the beginning, where many record at once: 0, 1 or 2, the
                presets ``veryfast``, ``superfast`` and ``ultrafast`` of H.264.
            wait: Record nothing before :meth:`begin`, connected or not.

        Raises:
            MissingDependencyError: PyAV is missing, or what the face needs.
            ConfigurationError: the file cannot be written, the sidecar would overwrite another file, or an
                argument cannot be right.
        """
        self.path: Final = Path(path)
        form = format_of(self.path, codec)
        if not 1 <= fps <= 120:
            raise ConfigurationError(f"fps must be 1 to 120, not {fps!r}")
        if rotate_s is not None and not rotate_s >= 2:
            raise ConfigurationError(f"rotate_s must be 2 or more, not {rotate_s!r}")
        if rotate_bytes is not None and not rotate_bytes >= 100_000:
            raise ConfigurationError(f"rotate_bytes must be 100000 or more, not {rotate_bytes!r}")
        if not 0 <= level < len(form.video.levels):
            raise ConfigurationError(f"level must be 0 to {len(form.video.levels) - 1}, not {level!r}")
        chosen = make_face(face, size)
        if chosen is None:
            raise ConfigurationError("a recording needs a face that draws: face='head', for instance")
        self._hear = hearing(chosen)
        self._log = ThinnedLog(logging.getLogger("avatarkit_rtc"))
        self._lock = threading.Lock()
        self._closed = False
        self._waiting, self._to_be_asked, self._asked = wait, wait, False
        self._player: AvatarPlayer | None = None
        self._next_stats = 0.0
        # Queued and refused by the event loop, done and lost by the thread: each figure has one writer.
        # Small are blocks of sound and lines of the sidecar.
        self._poses = self._refused_poses = self._small = self._refused_blocks = 0
        self._poses_done = self._lost_poses = self._small_done = self._lost_blocks = 0
        self._behind_s = 0.0
        self._late = False
        self._fps = fps
        self.error: RecordingError | None = None
        """What ended the recording before :meth:`close`; None while all is well."""
        # As many seconds of them, where poses are made between the avatar's frames.
        self._most_poses = round(QUEUED_POSES * max(1.0, fps / 25))
        self._worker: Worker[_Item] = Worker(
            "avatarkit-recorder", self._work, max_queue=2 * (self._most_poses + QUEUED_BLOCKS), log=self._log
        )
        if own_voice:
            self.user_sound = self._user_sound
        about = {
            "face": face if isinstance(face, str) else type(face).__name__,
            "size": list(chosen.size),
            "fps": fps,
        }
        plan = Plan(self.path, form, fps, own_voice, sidecar, rotate_s, rotate_bytes, level, about)
        hooks = Hooks(self._begun, self._load_changed, self._face_failed, self._sidecar_failed)
        try:
            av = load_av()
        except ImportError as error:
            raise MissingDependencyError(
                f"recording needs PyAV ({error}): pip install 'avatarkit-rtc[record]'"
            ) from error
        try:
            self._session = Session(av, plan, chosen, hooks)
        except OSError as error:
            raise ConfigurationError(f"the recording cannot be written: {error}") from error

    # -- figures ---------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    @property
    def file(self) -> Path:
        """The file that is being written, was last, or is to be: :attr:`path`, or with rotation a numbered
        one."""
        return self._session.parts.path

    @property
    def pictures(self) -> int:
        """Pictures written."""
        return self._session.parts.pictures

    @property
    def dropped(self) -> int:
        """Poses and sound blocks left out because the encoder could not keep up, or had failed; and blocks
        that waited for the first picture in vain."""
        return self._refused_poses + self._lost_poses + self._dropped_blocks

    @property
    def _dropped_blocks(self) -> int:
        return self._refused_blocks + self._lost_blocks + self._session.parts.dropped_early

    @property
    def inserted_silence_s(self) -> float:
        """Seconds of silence in the file where no sound had come."""
        return self._session.parts.silence_s

    def stats(self) -> RecorderStats:
        """A snapshot."""
        session, work = self._session, self._session.work
        return RecorderStats(
            file=self.file,
            files=current.number if (current := session.parts.current) else 0,
            duration_s=session.duration_s,
            pictures=self.pictures,
            thinned=work.thinned,
            dropped_poses=self._refused_poses + self._lost_poses,
            dropped_blocks=self._dropped_blocks,
            inserted_silence_s=self.inserted_silence_s,
            face_errors=work.face_errors,
            behind_s=self._behind_s,
            level=session.load.level,
            picture_rate=self._fps / session.load.divider,
            draw_s=work.draw_s,
            encode_s=work.encode_s,
            sound_s=work.sound_s,
            sidecar_s=work.sidecar_s,
        )

    # -- what a player calls; on its event loop --------------------------------------------------------------

    def attached(self, player: AvatarPlayer) -> None:
        """The player whose events and figures go into the sidecar, and which reports ours; what it shows is
        recorded once it is connected, or :meth:`begin` was called."""
        if self._player is None and not self._asked:
            self._waiting = True
        self._player = player
        player.on("connected", self._connected)
        for name in EVENTS:
            if name not in _UNRECORDED:
                player.on(name, lambda payload=None, name=name: self._event(name, payload))

    def _connected(self) -> None:
        if not self._to_be_asked:
            self._waiting = False

    def begin(self) -> None:
        """Record from now on, whatever was waited for."""
        self._waiting, self._to_be_asked, self._asked = False, False, True

    def show(self, pose: Pose) -> None:
        """Record ``pose``; never blocks. Ignored once closed."""
        self._put_pose(pose, self._session.pose, self._most_poses)

    def show_picture(self, picture: Picture) -> None:
        """Record a video avatar's picture in place of the face; never blocks. Ignored once closed."""
        self._put_pose(picture, self._session.picture, QUEUED_PICTURES)

    def _put_pose(self, pose: Pose | Picture, write: Callable[[Any, float], None], most: int) -> None:
        if self._closed or self._waiting:
            return
        if self.error is not None or self._poses - self._poses_done >= most:
            self._refused_poses += 1
            return
        self._poses += 1
        self._worker.put(_Item(self._write_pose, (pose, write, time.monotonic())))
        if self._player is not None and pose.t >= self._next_stats:
            self._next_stats = pose.t + STATS_S
            self._note("stats", {"stats": self._player.stats().as_dict()})

    def sound(self, block: AudioBlock) -> None:
        """Record the avatar's sound; never blocks. Ignored once closed."""
        if self._closed or self._waiting:
            return
        if self._hear is not None:
            self._hear(block)
        self._put_block(block, self._session.sound)

    def _user_sound(self, block: AudioBlock) -> None:
        """Record the user's own sound; never blocks. Ignored once closed."""
        if not (self._closed or self._waiting):
            self._put_block(block, self._session.user_sound)

    def round_started(self, event: RoundStarted) -> None:
        """A round is on show."""
        self._note("round-started", {"round": event.round})

    def round_ended(self, event: RoundEnded) -> None:
        """A round is over."""
        figures = dataclasses.asdict(event.stats)
        self._note("round-ended", {"round": event.round, "reason": event.reason, "stats": figures})

    def _event(self, name: str, payload: Any) -> None:
        self._note("event", {"event": name, "payload": payload})

    def _note(self, type_: str, line: Mapping[str, Any]) -> None:
        if not self._closed and self.error is None and self._small - self._small_done < QUEUED_BLOCKS:
            self._small += 1
            self._worker.put(_Item(self._write_note, (type_, line)))

    def _put_block(self, block: AudioBlock, write: Callable[[AudioBlock], None]) -> None:
        if self.error is not None or self._small - self._small_done >= QUEUED_BLOCKS:
            self._refused_blocks += 1
            return
        self._small += 1
        self._worker.put(_Item(self._write_block, (block, write)))

    # -- on the recorder's thread ----------------------------------------------------------------------------

    def _work(self, item: _Item) -> None:
        item.handle(*item.arguments)

    def _write_pose(self, pose: Pose | Picture, write: Callable[[Any, float], None], queued: float) -> None:
        self._poses_done += 1
        if self.error is not None or self._late:
            self._lost_poses += 1
            return
        self._behind_s = time.monotonic() - queued
        try:
            write(pose, self._behind_s)
        except Exception as error:
            self._failed(error)

    def _write_block(self, block: AudioBlock, write: Callable[[AudioBlock], None]) -> None:
        self._small_done += 1
        if self.error is not None:
            self._lost_blocks += 1
            return
        try:
            write(block)
        except Exception as error:
            self._failed(error)

    def _write_note(self, type_: str, line: Mapping[str, Any]) -> None:
        self._small_done += 1
        if self.error is None:
            self._session.note(type_, line)

    def _failed(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        problem = RecordingError(
            f"the recording {self.file} has ended: {reason}; what was written until then plays"
        )
        problem.__cause__ = error
        self.error = problem
        self._session.abandon()
        self._log.warning("failed", str(problem))
        self._report("error", problem)

    def _begun(self, part: Part) -> None:
        self._report("recorder-file", RecorderFile(str(part.file.path), part.number))

    def _load_changed(self, load: Load, less: bool) -> None:
        rate = self._fps / load.divider
        if less:
            why = f"recording {self.file.name} cannot keep up"
            self._log.warning("load", f"{why}: encoder level {load.level}, {rate:g} pictures a second")
        self._report("recorder-load", RecorderLoad(load.level, rate, less))

    def _face_failed(self, error: Exception) -> None:
        self._log.warning("face", f"the face failed to draw: {type(error).__name__}: {error}", error)

    def _sidecar_failed(self, error: Exception) -> None:
        problem = RecordingError(f"the sidecar of {self.file} has ended: {error}; the recording goes on")
        problem.__cause__ = error
        self._log.warning("sidecar", str(problem))
        self._report("error", problem)

    def _report(self, event: str, payload: Any) -> None:
        if self._player is not None:
            self._player.report(event, payload)

    # -- end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is queued and end the file; more than once is fine, never raises.

        May take a second or more: on an event loop use :meth:`aclose`. What is not written within 20 s is
        dropped.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._worker.close(drain=True, timeout_s=_CLOSE_S):
                self._late = True  # what still waits is dropped, so that the file gets its end
                self._worker.close(drain=True, timeout_s=_CLOSE_S)
            if self.error is not None or self._worker.running:
                return
            try:
                self._session.close()
            except Exception as error:
                self._failed(error)

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
