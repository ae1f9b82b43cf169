"""The working side of a recording: takes poses and sound in the order they came, draws, encodes and writes.

Everything here runs on the recorder's thread; the counters may be read from others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from avatarkit_rtc.errors import ConfigurationError
from renderers.face import Face
from renderers.recording.formats import Format
from renderers.recording.load import Load, LoadControl
from renderers.recording.lookahead import Lookahead
from renderers.recording.media_file import MediaFile
from renderers.recording.pace import Pace
from renderers.recording.parts import Part, Parts
from renderers.recording.pictures import PictureFrames, WaitingPictures, checked
from renderers.recording.sidecar import SUFFIX, SidecarWriter, check_own
from renderers.recording.timeline import Timeline

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.playout.pose import Pose
    from avatarkit_rtc.video.picture import Picture

AVATAR_TRACK: Final = 0
USER_TRACK: Final = 1
TRACKS: Final = ("avatar", "user")
"""Titles of the sound tracks."""

EARLY_LINES: Final = 1000
"""Lines of the sidecar that wait for the first picture at most; further ones are lost, and counted."""

_BUSY_WINDOW_S: Final = 1.0
_ONE_PER_FRAME: Final = (24.5, 25.5)
"""At these picture rates each frame of a round has one picture."""


_WriteLine: TypeAlias = Callable[[SidecarWriter, float], None]
"""Writes a line into the sidecar of a file that begins at that time."""


@dataclass(slots=True)
class Work:
    """What the work has cost, in seconds of processor time on the recorder's thread, and its counters."""

    draw_s: float = 0.0
    encode_s: float = 0.0
    """Pictures, the conversion of their colours included."""
    sound_s: float = 0.0
    sidecar_s: float = 0.0
    thinned: int = 0
    """Pictures left out because they came faster than the picture rate, or were the same moment again."""
    face_errors: int = 0
    """Poses that the face failed to draw."""
    sidecar_lost: int = 0
    """Lines that could not be written."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be recorded, and how."""

    path: Path
    format: Format
    fps: float
    own_voice: bool
    sidecar: bool
    rotate_s: float | None
    rotate_bytes: int | None
    level: int = 0
    """Of the encoder, to begin with."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the sidecar's first line says."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom to tell what. Called on the recorder's thread."""

    part: Callable[[Part], None]
    """A further file begins."""
    load: Callable[[Load, bool], None]
    """The load has changed; whether it is less than before."""
    face_error: Callable[[Exception], None]
    sidecar_error: Callable[[Exception], None]


class Session:
    """One recording. Nothing on disk is touched before the first picture. Not thread-safe."""

    def __init__(self, av: Any, plan: Plan, face: Face, hooks: Hooks) -> None:
        """
        Raises:
            ConfigurationError: the sidecar would overwrite another file.
            OSError: a file cannot be written.
        """
        self._av = av
        self._plan = plan
        self._face = face
        self._size = face.size
        self._hooks = hooks
        self._timeline = Timeline()
        self._lookahead = Lookahead()
        self._rotates = plan.rotate_s is not None or plan.rotate_bytes is not None
        if plan.sidecar and not self._rotates:
            check_own(plan.path.with_suffix(SUFFIX), plan.path.name)
        self._early: list[_WriteLine] | None = [] if plan.sidecar else None
        self._sidecar: SidecarWriter | None = None
        self._sidecar_part: Part | None = None
        self._next_sidecar: Part | None = None
        self._last_t = -math.inf
        self._pace = Pace()
        self._last_frame: tuple[int | None, int] | None = None
        self._newest_t = self._end_t = self._first_start = 0.0
        self._busy_since = time.monotonic()
        self._busy_s = self._busy = 0.0
        self.work = Work()
        """Counters."""
        self._parts = Parts(
            plan.path,
            self._make_file,
            rotate_s=plan.rotate_s,
            rotate_bytes=plan.rotate_bytes,
            sidecar=plan.sidecar,
            level=plan.level,
            on_part=self._begun,
        )
        self._frames = PictureFrames(av, self._size)
        self._pictures = WaitingPictures()
        self._control = LoadControl(len(plan.format.video.levels), first=plan.level)
        self._in_force = self._control.load

    @property
    def parts(self) -> Parts:
        """The files."""
        return self._parts

    @property
    def load(self) -> Load:
        """How hard the encoder works now."""
        return self._in_force

    @property
    def duration_s(self) -> float:
        """End of the newest pose or sound, from the beginning of the first file on."""
        return self._end_t - self._first_start

    # -- what came -------------------------------------------------------------------------------------------

    def pose(self, pose: Pose, waited_s: float) -> None:
        """Take ``pose``, which waited so long for its turn; draw and write those that have waited enough.

        Raises:
            OSError: one could not be written.
        """
        began = time.monotonic()
        self._write_pictures(all_of_them=True)  # a video avatar has left
        t = self._timeline.pose(pose)
        self._came(t, 1 / self._plan.fps)
        self._lookahead.pose(pose, t)
        self._write_released()
        self._worked(began, waited_s)

    def _worked(self, began: float, waited_s: float) -> None:
        now = time.monotonic()
        self._busy_s += now - began
        if now - self._busy_since >= _BUSY_WINDOW_S:
            self._busy = min(1.0, self._busy_s / (now - self._busy_since))
            self._busy_since, self._busy_s = now, 0.0
        load = self._control.update(now, waited_s, self._busy)
        if load is not None:
            self._change(load)

    def picture(self, picture: Picture, waited_s: float) -> None:
        """Write a video avatar's picture, which waited so long for its turn.

        Raises:
            OSError: it could not be written.
        """
        began = time.monotonic()
        self._write_released(all_of_it=True)  # what the face did before
        t = self._timeline.pose(picture)
        self._came(t, 1 / self._plan.fps)
        self._pictures.put(picture, t)
        self._write_pictures()
        self._worked(began, waited_s)

    def _write_pictures(self, *, all_of_them: bool = False) -> None:
        for picture, t in self._pictures.released(all_of_them=all_of_them):
            self._last_frame = None
            if t > self._last_t and self._pace.wants(t, self._in_force.divider / self._plan.fps):
                self._encode(t, partial(self._frames.frame, picture))
            else:
                self.work.thinned += 1
        self._begin_sidecar(self._last_t)

    def sound(self, block: AudioBlock) -> None:
        """Write a block of the avatar's sound.

        Raises:
            OSError: it could not be written.
        """
        t = self._timeline.sound(block)
        self._came(t, block.duration)
        self._lookahead.sound(t)
        self._sound(AVATAR_TRACK, block, t)
        self._write_released()
        self._pictures.sound(t + block.duration)
        self._write_pictures()

    def user_sound(self, block: AudioBlock) -> None:
        """Write a block of the user's sound.

        Raises:
            OSError: it could not be written.
        """
        self._sound(USER_TRACK, block, self._timeline.moment(block.t))

    def note(self, type_: str, line: Mapping[str, Any]) -> None:
        """Write a line into the sidecar, with the time of the newest pose or sound, in its place among the
        poses."""
        if self._plan.sidecar and not self._lookahead.other((type_, line), self._newest_t):
            self.work.sidecar_lost += 1

    def close(self) -> None:
        """End the files. Without a picture there are none.

        Raises:
            OSError: one could not be ended.
        """
        try:
            self._write_released(all_of_it=True)
            self._write_pictures(all_of_them=True)
            current = self._parts.current
            if current is not None and not current.in_vain:
                self._begin_sidecar()
            if self._sidecar_part is not None:
                ended = {"pictures": self._sidecar_part.file.pictures, "thinned": self.work.thinned}
                self._note(self._newest_t, "end", ended)
            self._parts.close()
        finally:
            self._close_sidecar()

    def abandon(self) -> None:
        """Give up after an error; what was written plays. Never raises."""
        self._parts.abandon()
        self._close_sidecar()

    def _came(self, t: float, duration_s: float) -> None:
        self._newest_t = max(self._newest_t, t)
        self._end_t = max(self._end_t, t + duration_s)

    # -- inside ----------------------------------------------------------------------------------------------

    def _make_file(self, path: Path, level: int) -> MediaFile:
        plan = self._plan
        tracks = TRACKS if plan.own_voice else TRACKS[:1]
        return MediaFile(self._av, path, plan.format, self._size, plan.fps, tracks=tracks, level=level)

    def _write_released(self, *, all_of_it: bool = False) -> None:
        passed_over = self._lookahead.passed_over
        for each in self._lookahead.released(all_of_it=all_of_it):
            if each.pose is None:
                self._note(each.t, *each.other)
            else:
                self._write(each.pose, each.t)
        self.work.thinned += self._lookahead.passed_over - passed_over

    def _write(self, pose: Pose, t: float) -> None:
        if pose.presentation_time is not None:
            pose = replace(pose, presentation_time=self._timeline.epoch + t)
        self._begin_sidecar(t)
        self._to_sidecar(lambda sidecar, start: sidecar.pose(pose, t - start))
        if self._wanted(pose, t):
            self._draw(pose, t)
        else:
            self.work.thinned += 1

    def _wanted(self, pose: Pose, t: float) -> bool:
        """Whether a picture is to be drawn: at the picture rate, and of each frame of a round one, whatever
        the rate at which they are shown."""
        divider, fps = self._in_force.divider, self._plan.fps
        if pose.position is None or divider > 1 or not _ONE_PER_FRAME[0] <= fps <= _ONE_PER_FRAME[1]:
            self._last_frame = None
            return self._pace.wants(t, divider / fps)
        before, self._last_frame = self._last_frame, (pose.round, math.floor(pose.position + 1e-6))
        if self._last_frame == before or t <= self._last_t:
            return False
        self._pace.took(t, 1 / fps)
        return True

    def _draw(self, pose: Pose, t: float) -> None:
        self._encode(t, lambda: checked(self._face.render(pose), self._size))

    def _encode(self, t: float, draw: Callable[[], Any]) -> None:
        before = time.thread_time()
        try:
            image = draw()
        except Exception as error:
            self.work.face_errors += 1
            self._hooks.face_error(error)
            return
        drawn = time.thread_time()
        written = self._parts.picture(image, t)
        self.work.draw_s += drawn - before
        self.work.encode_s += time.thread_time() - drawn
        if written:
            self._last_t = t
        else:
            self.work.thinned += 1

    def _sound(self, track: int, block: AudioBlock, t: float) -> None:
        before = time.thread_time()
        self._parts.sound(track, block.samples, block.sample_rate, t)
        self.work.sound_s += time.thread_time() - before

    def _change(self, load: Load) -> None:
        before = self._in_force
        if load.level != before.level and not self._parts.change_level(load.level):
            load = Load(before.level, load.divider)
        if load != before:
            self._in_force = load
            less = (load.divider, load.level) > (before.divider, before.level)
            self.note("load", {"level": load.level, "picture_rate": self._plan.fps / load.divider})
            self._hooks.load(load, less)

    def _begun(self, part: Part) -> None:
        if part.number == 1:
            self._first_start = part.start_s
        else:
            self._hooks.part(part)
        if not self._plan.sidecar:
            return
        self._begin_sidecar()  # of a part that had no pose and no picture
        self._next_sidecar = part  # what is left of the part before comes first
        if part.number == 1:
            self._begin_sidecar()
            early, self._early = self._early or [], None
            for line in early:
                self._to_sidecar(line)

    def _begin_sidecar(self, t: float = math.inf) -> None:
        """Go on in the sidecar of the newest part, unless that begins after ``t``."""
        part = self._next_sidecar
        if part is None or t < part.start_s:
            return
        self._close_sidecar()
        self._next_sidecar, self._sidecar_part = None, part
        path = part.file.path
        beside = path.with_suffix(SUFFIX)
        header = {"file": path.name, "part": part.number, "start": round(part.start_s, 6), **self._plan.about}
        try:
            if not self._rotates:
                check_own(beside, path.name)  # another recorder may have begun since
            self._sidecar = SidecarWriter(beside, header)
        except (OSError, ConfigurationError) as error:
            self._sidecar_failed(error)

    def _note(self, t: float, type_: str, line: Mapping[str, Any]) -> None:
        self._to_sidecar(lambda sidecar, start: sidecar.write(type_, t - start, **line))

    def _to_sidecar(self, write: _WriteLine) -> None:
        if self._early is not None:
            if len(self._early) < EARLY_LINES:
                self._early.append(write)
            else:
                self.work.sidecar_lost += 1
            return
        sidecar, part = self._sidecar, self._sidecar_part
        if sidecar is None or part is None:
            return
        before = time.thread_time()
        try:
            write(sidecar, part.start_s)
        except (OSError, ValueError) as error:
            self._sidecar_failed(error)
        self.work.sidecar_s += time.thread_time() - before

    def _sidecar_failed(self, error: Exception) -> None:
        self.work.sidecar_lost += 1
        self._close_sidecar()
        self._hooks.sidecar_error(error)

    def _close_sidecar(self) -> None:
        sidecar, self._sidecar = self._sidecar, None
        if sidecar is not None:
            try:
                sidecar.close()
            except OSError:
                self.work.sidecar_lost += 1
