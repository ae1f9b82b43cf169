"""A bounded ring of samples between one writing and one reading thread.

Written for audio callbacks: neither side takes a lock and neither waits. The writer owns the write position
and a floor below which nothing may be read any more; the reader owns the read position. To drop the oldest
samples the writer raises the floor instead of moving the reader's position. The array is twice the capacity,
so the space the writer fills is never the space a read in progress copies from; should a reader be held up
in the middle of a copy long enough to be lapped all the same, it notices and delivers silence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


class SampleRing:
    """At most ``capacity`` samples per channel, int16, for one writer thread and one reader thread.

    Positions count samples per channel since the ring was made, dropped ones included, so a sample keeps its
    number from the write to the read.
    """

    def __init__(self, capacity: int, channels: int = 1, *, start: int = 0) -> None:
        """``capacity`` in samples per channel, at least 1; ``start`` is the first sample's number."""
        if capacity < 1 or channels < 1:
            raise ValueError(
                f"a ring needs capacity and channels of at least 1, not {capacity} and {channels}"
            )
        self.capacity = capacity
        self.channels = channels
        self._size = 2 * capacity
        self._data: Samples = np.zeros((self._size, channels), np.int16)
        self._written = start
        self._reserved = start
        self._floor = start
        self._read = start
        self._dropped = 0
        self._overruns = 0
        self._underruns = 0

    @property
    def depth(self) -> int:
        """Samples per channel that wait to be read."""
        return max(0, self._written - max(self._read, self._floor))

    @property
    def write_position(self) -> int:
        """Number of the next sample to be written."""
        return self._written

    @property
    def read_position(self) -> int:
        """Number of the next sample to be read."""
        return max(self._read, self._floor)

    @property
    def dropped(self) -> int:
        """Samples per channel dropped because the ring was full. A read that overlaps the write may make this
        count too much by what it read, never too little."""
        return self._dropped

    @property
    def overruns(self) -> int:
        """Writes that dropped samples."""
        return self._overruns

    @property
    def underruns(self) -> int:
        """Reads that got fewer samples than they asked for."""
        return self._underruns

    # Writer's side

    def write(self, samples: Samples) -> int:
        """Append ``samples``, shape (n, channels), and return how many of the oldest were dropped for
        them."""
        count = len(samples)
        written = self._written
        end = written + count
        start = max(self._read, self._floor)
        excess = end - start - self.capacity
        if excess > 0:
            self._floor = start + excess
            self._dropped += excess
            self._overruns += 1
        if count > self.capacity:
            samples = samples[count - self.capacity :]
            count = self.capacity
        self._reserved = end
        at = (end - count) % self._size
        head = min(count, self._size - at)
        self._data[at : at + head] = samples[:head]
        if head < count:
            self._data[: count - head] = samples[head:]
        # Last, so that the reader sees the samples no earlier than they are there.
        self._written = end
        return max(0, excess)

    def keep_newest(self, count: int) -> int:
        """Drop all but the newest ``count`` samples; returns how many were dropped. For the writer."""
        start = max(self._read, self._floor)
        excess = self._written - count - start
        if excess <= 0:
            return 0
        self._floor = start + excess
        return excess

    def clear(self) -> int:
        """Drop everything; returns how many were dropped. For the writer."""
        return self.keep_newest(0)

    # Reader's side

    def read_into(self, out: Samples) -> int:
        """Fill ``out``, shape (n, channels), with the oldest samples and the rest with silence.

        Returns:
            Samples per channel that were there.
        """
        wanted = len(out)
        start = max(self._read, self._floor)
        count = min(wanted, max(0, self._written - start))
        at = start % self._size
        head = min(count, self._size - at)
        out[:head] = self._data[at : at + head]
        if head < count:
            out[head:count] = self._data[: count - head]
        if self._reserved - start > self._size:
            count = 0  # lapped during the copy: what was copied is a mixture
        else:
            self._read = start + count
        if count < wanted:
            out[count:] = 0
            self._underruns += 1
        return count

    def skip_to_newest(self, count: int) -> int:
        """Go past all but the newest ``count`` samples; returns how many were passed. For the reader."""
        start = max(self._read, self._floor)
        excess = self._written - count - start
        if excess <= 0:
            return 0
        self._read = start + excess
        return excess
