"""A recording as a row of files: one, or a new one by time or size, without a gap between them."""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from renderers.face import Image
from renderers.recording.formats import SUFFIXES
from renderers.recording.media_file import MediaFile, check_writable
from renderers.recording.sidecar import SUFFIX
from renderers.recording.sound import SAMPLE_RATE

SIZE_CHECK_S: Final = 1.0
"""How often the size of the file is looked at, in its own time."""

STRAGGLERS_S: Final = 5.0
"""So long a file that another has followed waits for what is missing: pictures come after their sound, more
so where a loudspeaker holds the face back."""

EARLY_BLOCKS: Final = 2000
"""Blocks of sound that wait for the first picture, 10 s of two voices in blocks of 10 ms; beyond that the
oldest are dropped, and the file begins with what is left."""

MakeFile: TypeAlias = Callable[[Path, int], MediaFile]
"""``make(path, level)``: begins a file, its encoder at that level."""

OnPart: TypeAlias = Callable[["Part"], None]


@dataclass(slots=True)
class Part:
    """One file of a recording."""

    number: int
    """1, 2, …"""
    file: MediaFile
    start_s: float
    """Time of the recording at which it begins."""
    end_s: float | None = None
    """Time at which the next one begins; None for the last."""
    _size_checked: float = 0.0

    @property
    def in_vain(self) -> bool:
        """It followed another for sound whose pictures have not come."""
        return self.number > 1 and not self.file.pictures


class Parts:
    """Writes pictures and sound, with times since the beginning of the recording, into one file after the
    other. The first begins with the first picture: until then nothing on disk is touched. Not thread-safe."""

    def __init__(
        self,
        path: Path,
        make: MakeFile,
        *,
        rotate_s: float | None = None,
        rotate_bytes: int | None = None,
        sidecar: bool = False,
        level: int = 0,
        on_part: OnPart = lambda part: None,
    ) -> None:
        """
        Args:
            path: the file; with rotation, the pattern of the files' names: ``talk.mp4`` becomes
                ``talk-0001.mp4``, ``talk-0002.mp4``, …, after what is there already.
            rotate_s: a new file after so many seconds.
            rotate_bytes: a new file once one is so large.
            sidecar: each file has a sidecar: with rotation one is there, empty, when its file begins.
            level: of the encoder, to begin with.
            on_part: called when a file begins.

        Raises:
            OSError: the first file could not be written.
        """
        self._path = path
        self._make = make
        self._rotate_s, self._rotate_bytes = rotate_s, rotate_bytes
        self._on_part = on_part
        self._rotates = rotate_s is not None or rotate_bytes is not None
        self._sidecar = sidecar
        self._offset = _highest(path) if self._rotates else 0
        self._early: deque[tuple[int, npt.NDArray[np.int16], int, float]] = deque()
        self._ending: Part | None = None
        self._pictures_before = 0
        self._silence_before_s = 0.0
        self._level = level
        self._picture_t = 0.0
        self.current: Part | None = None
        """The newest file; None before the first picture."""
        self.dropped_early = 0
        """Blocks of sound that waited for the first picture in vain."""
        check_writable(self.path)

    @property
    def path(self) -> Path:
        """The newest file; before the first picture the one that is to be."""
        return self._name(1) if self.current is None else self.current.file.path

    @property
    def pictures(self) -> int:
        """Pictures written to all files."""
        return self._pictures_before + sum(part.file.pictures for part in self._open())

    @property
    def silence_s(self) -> float:
        """Seconds of silence put into the avatar's track where no sound was, in all files."""
        return self._silence_before_s + sum(part.file.tracks[0].silence_s for part in self._open())

    def picture(self, image: Image | Any, t: float) -> bool:
        """Add a picture that is shown from ``t`` on; returns whether it was written."""
        current = self.current
        if current is None:
            start = max(0.0, min(block[3] for block in self._early)) if self.dropped_early else 0.0
            if t < start:
                return False
            current = self._first(start)
        if self._rotates:
            self._picture_t = t
            current = self._rotate(t, current)
        ending = self._ending
        part = ending if ending is not None and ending.end_s is not None and t < ending.end_s else current
        return part.file.picture(image, t - part.start_s)

    def sound(self, track: int, samples: npt.NDArray[np.int16], rate: int, t: float) -> None:
        """Add sound, shape (n, channels), whose first sample belongs at ``t``."""
        current = self.current
        if current is None:
            if len(self._early) == EARLY_BLOCKS:
                self._early.popleft()
                self.dropped_early += 1
            self._early.append((track, samples, rate, t))
            return
        if self._rotates:
            current = self._rotate(t, current)
        ending = self._ending
        if ending is not None and ending.end_s is not None:
            room = round((ending.end_s - ending.start_s) * SAMPLE_RATE) - ending.file.tracks[track].position
            count = min(len(samples), max(0, round(room * rate / SAMPLE_RATE)))
            if count and t < ending.end_s:
                ending.file.sound(track, samples[:count], rate, t - ending.start_s)
                samples, t = samples[count:], t + count / rate
            if len(samples):
                # Exactly behind: the two files together have all samples and none twice.
                begun = current.file.tracks[track].position > 0
                at = t - current.start_s
                current.file.sound(track, samples, rate, at if begun or not count else 0.0)
            self._end_old(t)
            return
        current.file.sound(track, samples, rate, t - current.start_s)

    def change_level(self, level: int) -> bool:
        """Let the encoder work at ``level``; returns whether it can."""
        changed = self.current is None or self.current.file.change_level(level)
        if changed:
            self._level = level
        return changed

    def close(self) -> None:
        """End all files. One that followed another for sound whose pictures did not come is removed.

        Raises:
            OSError: one could not be ended.
        """
        last, current = self._ending, self.current
        self._early.clear()
        if current is None:
            return
        try:
            self._end_old(float("inf"))
        finally:
            current.file.close()
            if current.in_vain:
                self._remove(current.file.path)
            if last is not None and not current.file.pictures:
                self._pictures_before -= last.file.pictures
                self._silence_before_s -= last.file.tracks[0].silence_s
                self.current = last

    def abandon(self) -> None:
        """Give up after an error; what was written plays. Never raises."""
        for part in self._open():
            part.file.abandon()

    def _open(self) -> list[Part]:
        return [part for part in (self._ending, self.current) if part is not None]

    def _first(self, start: float) -> Part:
        early, self._early = self._early, deque()
        self.current = self._begin(1, start)
        self._on_part(self.current)
        for track, samples, rate, t in early:
            self.sound(track, samples, rate, t)
        return self.current

    def _begin(self, number: int, start: float) -> Part:
        if self._rotates:
            self._offset = max(self._offset, _highest(self._path) - number + 1)
        path = self._name(number)
        while self._rotates and not self._take(path):
            self._offset += 1
            path = self._name(number)
        return Part(number, self._make(path, self._level), start)

    def _take(self, path: Path) -> bool:
        """Take the names, if they are free: another recorder may count along with us, and one of another kind
        of file shares our sidecars."""
        beside = path.with_suffix(SUFFIX)
        try:
            if self._sidecar:
                beside.open("xb").close()
            try:
                path.open("xb").close()
            except FileExistsError:
                if self._sidecar:
                    beside.unlink()
                raise
        except FileExistsError:
            return False
        return True

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if self._sidecar:
            with contextlib.suppress(OSError):  # open still, where that matters
                path.with_suffix(SUFFIX).unlink(missing_ok=True)

    def _name(self, number: int) -> Path:
        path = self._path
        if not self._rotates:
            return path
        return path.with_name(f"{path.stem}-{self._offset + number:04d}{path.suffix}")

    def _rotate(self, t: float, current: Part) -> Part:
        """The newest file, which may be a new one from now on."""
        self._end_old(t)
        # However much sound came before it, the first picture is in the first file.
        if current.number == 1 and not current.file.pictures:
            return current
        if self._ending is not None or not self._is_full(current, t):
            return current
        # What is already there may not be cut off: the next file begins behind it.
        cut = max(t, current.start_s + max(track.end_s for track in current.file.tracks))
        new = self._begin(current.number + 1, cut)
        current.end_s = cut
        self._ending, self.current = current, new
        self._on_part(new)
        return new

    def _is_full(self, part: Part, t: float) -> bool:
        length = t - part.start_s
        if self._rotate_s is not None and length >= self._rotate_s:
            return True
        if self._rotate_bytes is None or length - part._size_checked < SIZE_CHECK_S:
            return False
        part._size_checked = length
        return part.file.bytes_written >= self._rotate_bytes

    def _end_old(self, t: float) -> None:
        old = self._ending
        if old is None or old.end_s is None:
            return
        length = old.end_s - old.start_s
        complete = all(track.end_s >= length - 1 / SAMPLE_RATE for track in old.file.tracks)
        # Pictures come later than their sound, or the other way round.
        if not (complete and self._picture_t >= old.end_s) and t < old.end_s + STRAGGLERS_S:
            return
        self._ending = None
        self._pictures_before += old.file.pictures
        self._silence_before_s += old.file.tracks[0].silence_s
        old.file.close()


def _highest(path: Path) -> int:
    """The highest number among the files that are there already: recordings of any kind, as each may have a
    sidecar of its own, and sidecars."""
    kinds = "|".join(re.escape(suffix) for suffix in (*SUFFIXES, SUFFIX))
    name = re.compile(rf"{re.escape(path.stem)}-(\d{{4,}})(?:{kinds})", re.IGNORECASE)
    found = [name.fullmatch(each.name) for each in path.parent.iterdir()] if path.parent.is_dir() else []
    return max((int(match[1]) for match in found if match is not None), default=0)
