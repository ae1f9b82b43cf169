"""Lines written by a thread of its own: a JSON line per shown pose, for one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import threading
from pathlib import Path
from typing import IO, Final

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.playout.pose import Pose

_QUEUED: Final = 2500
_BEGIN: Final = object()
_END: Final = object()


class _Text(str):
    """A line that is written as it is."""


class LineWriter:
    """Writes objects as JSON lines, and plain lines, without holding up who hands them over.

    What the file held is kept until :meth:`begin`, in case there is nothing to write this time: the room
    cannot be joined, say.
    """

    def __init__(self, path: str, header: str | None = None) -> None:
        """``header`` is the first line, written as it is.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        self._path, self._header = Path(path), header
        self._new = not os.path.lexists(path)
        try:
            # Unbuffered, so that it is known which lines were not written.
            self._file: IO[bytes] = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror or error}") from error
        self.dropped = 0
        """Lines dropped because the disk did not keep up, or is full."""
        self.problem: str | None = None
        """What the system said where a line could not be written."""
        self._begun, self._torn = False, ""
        self._queue: queue.Queue[object] = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._write, name="avatarkit-lines", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """From now on lines are taken; the file is emptied. More than once is fine."""
        if not self._begun:
            self._begun = True
            self._queue.put_nowait(_BEGIN)
            if self._header is not None:
                self.put_text(self._header)

    def put(self, line: object) -> None:
        """Write ``line`` soon, as JSON (of what it returns, if it can be called); drops it when too many
        wait. Ignored before :meth:`begin`."""
        if not self._begun:
            return
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def put_text(self, line: str) -> None:
        """Write ``line`` soon as it is; drops it when too many wait."""
        self.put(_Text(line))

    def close(self) -> None:
        """Write what waits and close the file; one that was made here and never begun is removed. More than
        once is fine."""
        if self._thread.is_alive():
            self._queue.put(_END)
            self._thread.join()

    def _write(self) -> None:
        began = False
        while (line := self._queue.get()) is not _END:
            if line is _BEGIN:
                began = True
                self._empty()
                continue
            made = line() if callable(line) else line
            self._write_line(made if isinstance(made, _Text) else json.dumps(made, separators=(",", ":")))
        ours = os.fstat(self._file.fileno())
        try:
            self._file.close()
        except OSError as error:  # some file systems say only now that the disk is full
            self._failed(error)
        if self._new and not began:
            with contextlib.suppress(OSError):
                if ours.st_size == 0 and os.path.samestat(ours, self._path.lstat()):  # nobody else's by now
                    self._path.unlink()

    def _empty(self) -> None:
        with contextlib.suppress(OSError):  # a pipe, a terminal: there is nothing to empty
            self._file.truncate(0)

    def _write_line(self, line: str) -> None:
        data = f"{self._torn}{line}\n".encode()
        written = 0
        try:
            while written < len(data):
                taken: int | None = self._file.write(data[written:])
                if taken is None:  # it would block
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                written += taken
            self._torn = ""
        except OSError as error:
            self._failed(error)
            if written:
                self._torn = "\n"  # the next line is to be one of its own

    def _failed(self, error: OSError) -> None:
        self.dropped += 1
        self.problem = error.strerror or str(error)


class MotionLog:
    """A view that writes each pose as ``{"t", "round", "position", "kind", "pose"}``, once its player is
    connected."""

    def __init__(self, path: str) -> None:
        """
        Raises:
            ConfigurationError: the file cannot be written.
        """
        self.lines: Final = LineWriter(path)

    def connection_state(self, state: str) -> None:
        """The first connection empties the file."""
        if state == "connected":
            self.lines.begin()

    def show(self, pose: Pose) -> None:
        """Write ``pose`` soon. It is immutable, so it is formatted on the writing thread."""
        self.lines.put(
            lambda: {
                "t": pose.t,
                "round": pose.round,
                "position": pose.position,
                "kind": pose.kind.value,
                "pose": pose.frame.to_fields(),
            }
        )

    def close(self) -> None:
        """Write what waits and close the file."""
        self.lines.close()
