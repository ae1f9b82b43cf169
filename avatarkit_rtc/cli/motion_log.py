"""Lines written by a thread of its own: a JSON line per shown pose, for one."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from typing import IO, Final

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.playout.pose import Pose

_QUEUED: Final = 2500


class _Text(str):
    """A line that is written as it is."""


class LineWriter:
    """Writes objects as JSON lines, and plain lines, without holding up who hands them over."""

    def __init__(self, path: str) -> None:
        """
        Raises:
            ConfigurationError: the file cannot be written.
        """
        try:
            self._file: IO[str] = open(path, "w", encoding="utf-8")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror or error}") from error
        self.dropped = 0
        """Lines dropped because the disk did not keep up, or is full."""
        self._queue: queue.Queue[object] = queue.Queue(_QUEUED)
        self._thread = threading.Thread(target=self._write, name="avatarkit-lines", daemon=True)
        self._thread.start()

    def put(self, line: object) -> None:
        """Write ``line`` soon, as JSON (of what it returns, if it can be called); drops it when too many
        wait."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def put_text(self, line: str) -> None:
        """Write ``line`` soon as it is; drops it when too many wait."""
        self.put(_Text(line))

    def close(self) -> None:
        """Write what waits and close the file. More than once is fine."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _write(self) -> None:
        file = self._file
        while (line := self._queue.get()) is not None:
            try:
                made = line() if callable(line) else line
                text = made if isinstance(made, _Text) else json.dumps(made, separators=(",", ":"))
                file.write(text + "\n")
                if self._queue.empty():  # somebody may be watching the file grow
                    file.flush()
            except OSError:
                self.dropped += 1
        with contextlib.suppress(OSError):
            file.close()


class MotionLog:
    """A view that writes each pose as ``{"t", "round", "position", "kind", "pose"}``."""

    def __init__(self, path: str) -> None:
        self._lines = LineWriter(path)

    @property
    def dropped(self) -> int:
        """Poses that could not be written."""
        return self._lines.dropped

    def show(self, pose: Pose) -> None:
        """Write ``pose`` soon. It is immutable, so it is formatted on the writing thread."""
        self._lines.put(
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
        self._lines.close()
