"""The ring: nothing comes out that was not put in, in another order, or twice, and every sample is accounted
for."""

from __future__ import annotations

import sys
import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.audio.ring import SampleRing

operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40)),
        st.tuples(st.just("read"), st.integers(0, 40)),
        st.tuples(st.just("keep"), st.integers(0, 20)),
        st.tuples(st.just("skip"), st.integers(0, 20)),
        st.tuples(st.just("clear"), st.just(0)),
    ),
    max_size=60,
)


@given(capacity=st.integers(1, 17), channels=st.integers(1, 3), steps=operations)
def test_behaves_like_a_bounded_queue(capacity: int, channels: int, steps: list[tuple[str, int]]) -> None:
    ring = SampleRing(capacity, channels)
    queue: deque[int] = deque()
    written = dropped = overruns = underruns = 0
    for step, count in steps:
        if step == "write":
            numbers = range(written, written + count)
            written += count
            queue.extend(numbers)
            lost = max(0, len(queue) - capacity)
            for _ in range(lost):
                queue.popleft()
            block = np.repeat(np.array(numbers, np.int16)[:, np.newaxis], channels, axis=1)
            assert ring.write(block) == lost
            dropped += lost
            overruns += lost > 0
        elif step == "read":
            out = np.full((count, channels), -1, np.int16)
            got = ring.read_into(out)
            expected = [queue.popleft() for _ in range(min(count, len(queue)))]
            assert got == len(expected)
            assert (out[:got] == np.array(expected, np.int16).reshape(-1, 1)).all()
            assert not out[got:].any()
            underruns += got < count
        else:
            keep = 0 if step == "clear" else count
            passed = max(0, len(queue) - keep)
            for _ in range(passed):
                queue.popleft()
            assert (ring.skip_to_newest(keep) if step == "skip" else ring.keep_newest(keep)) == passed
        assert ring.depth == len(queue) <= capacity
        assert ring.write_position == written
        assert ring.read_position == written - len(queue)
    assert (ring.dropped, ring.overruns, ring.underruns) == (dropped, overruns, underruns)


def test_clear_empties_it() -> None:
    ring = SampleRing(10)
    ring.write(np.ones((4, 1), np.int16))
    assert ring.clear() == 4
    assert ring.depth == 0
    assert ring.clear() == 0


@pytest.mark.parametrize(("capacity", "channels"), [(0, 1), (5, 0)])
def test_refuses_to_hold_nothing(capacity: int, channels: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SampleRing(capacity, channels)


def test_two_threads_never_see_a_torn_or_repeated_sample() -> None:
    """The writer drops often; what the reader gets must still count upwards without a step inside one
    read."""
    ring = SampleRing(300, 2)
    total = 200_000
    done = threading.Event()

    def write() -> None:
        at = 0
        while at < total:
            count = 1 + at % 97
            numbers = (np.arange(at, at + count) % 30000).astype(np.int16)
            ring.write(np.stack([numbers, -numbers], axis=1))
            at += count
        done.set()

    problems: list[str] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        out = np.empty((64, 2), np.int16)
        last = -1
        while not (done.is_set() and ring.depth == 0):
            got = ring.read_into(out)
            if not got:
                continue
            end = ring.read_position  # of the sample after the last one read, unless more was dropped since
            numbers = out[:got, 0].astype(int)
            if (np.diff(numbers) % 30000 != 1).any():
                problems.append(f"a gap inside one read before {end}")
            if (out[:got, 1] != -out[:got, 0]).any():
                problems.append(f"channels apart before {end}")
            if end <= last:
                problems.append(f"read {end} after {last}")
            last = end
    finally:
        writer.join()
        sys.setswitchinterval(interval)
    assert not problems
    assert ring.write_position >= total
