"""A few hundred bytes that would inflate to hundreds of megabytes cost no more than any packet."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib

from avatarkit_rtc.motion.message import Malformed
from avatarkit_rtc.motion.packet import MAX_BODY_BYTES
from avatarkit_rtc.motion.stream import MotionStream
from tests.support.own_process import own_process


def bomb(inflated: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = bytes(1 << 20)
    body = b"".join(packer.compress(chunk) for _ in range(inflated >> 20)) + packer.flush()
    return struct.pack("<BI", 0x08, len(body)) + body


def malformed_and_peak(data: bytes) -> tuple[int, int]:
    """How many of 20 such packets were refused as inflating too far, and how many bytes that took at most."""
    stream = MotionStream()
    stream.receive(struct.pack("<BI", 0x08, 20) + gzip.compress(b""), 0.0)  # nothing is loaded from here on
    tracemalloc.start()
    try:
        for _ in range(20):
            assert stream.receive(data, 0.0) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return stream.counters.malformed[Malformed.INFLATES_TOO_FAR], peak


def test_is_refused_before_it_inflates() -> None:
    data = bomb(32 << 20)
    assert len(data) < MAX_BODY_BYTES
    with own_process() as process:
        malformed, peak = process.submit(malformed_and_peak, data).result()
    assert malformed == 20
    assert peak < 8 * MAX_BODY_BYTES
