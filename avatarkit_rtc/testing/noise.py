"""Packets that no avatar should send: random, truncated, oversized, corrupt, inflating without end, foreign.

Every one of them (but the foreign, which are fine packets in the wrong place) is certain to be malformed, so
that a player that meets them may change nothing but its counters.
"""

from __future__ import annotations

import functools
import gzip
import random
import struct
from enum import StrEnum
from typing import Final, NamedTuple

from avatarkit_rtc.motion.packet import MAX_BODY_BYTES, Flag

FOREIGN_TOPIC: Final = "lk.chat"
"""Topic of the foreign packets."""

_HEADER: Final = struct.Struct("<BI")
_FITS_A_DATA_PACKET: Final = 50_000


class NoiseKind(StrEnum):
    """What is wrong with a packet."""

    RANDOM = "random"
    """Random bytes."""
    TRUNCATED = "truncated"
    """A good packet without its end."""
    OVERSIZED = "oversized"
    """A length far beyond what follows, or a body of 50 000 bytes or of more than 64 KiB."""
    CORRUPT = "corrupt"
    """Compressed, with a bit turned over."""
    BOMB = "bomb"
    """A kilobyte that inflates to a mebibyte."""
    FOREIGN = "foreign"
    """A good packet on another topic."""


class NoisePacket(NamedTuple):
    """One piece of noise."""

    kind: NoiseKind
    data: bytes


def make_noise(rng: random.Random, good: bytes) -> NoisePacket:
    """One piece of noise of a random kind; ``good`` is a compressed frame packet to spoil."""
    kind = rng.choice(tuple(NoiseKind))
    noise = bytearray(good)
    match kind:
        case NoiseKind.RANDOM:
            noise = bytearray(rng.randbytes(rng.randrange(1, 200)))
            # A length with its top bit set is more than any packet has, so no draw is ever a good packet.
            if len(noise) >= _HEADER.size:
                noise[4] |= 0x80
        case NoiseKind.TRUNCATED:
            del noise[rng.randrange(1, len(noise)) :]
        case NoiseKind.OVERSIZED:
            size = rng.choice((None, _FITS_A_DATA_PACKET, MAX_BODY_BYTES + 1))
            if size is None:
                noise[: _HEADER.size] = _HEADER.pack(Flag.COMPRESSED, rng.randrange(1 << 20, 1 << 32))
            else:
                # Zeros are no protobuf message.
                noise = bytearray(_HEADER.pack(0, size) + bytes(size))
        case NoiseKind.CORRUPT:
            # The last eight bytes are gzip's checksum and length: nothing inflates past a wrong one.
            noise[-1 - rng.randrange(8)] ^= 1 << rng.randrange(8)
        case NoiseKind.BOMB:
            noise = bytearray(_bomb())
        case NoiseKind.FOREIGN:
            pass
    return NoisePacket(kind, bytes(noise))


@functools.cache
def _bomb() -> bytes:
    body = gzip.compress(bytes(1 << 20), mtime=0)
    return _HEADER.pack(Flag.COMPRESSED, len(body)) + body
