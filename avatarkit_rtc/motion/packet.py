"""Motion packets: ``[flags u8][length u32 LE][body]``, decoded and encoded.

Nothing here remembers anything: order, loss and rounds are the business of
:mod:`avatarkit_rtc.motion.stream`.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from enum import Enum, IntFlag
from typing import Final, NamedTuple

from avatarkit_rtc.motion.message import (
    Malformed,
    MotionMessage,
    PacketError,
    decode_message,
    encode_message,
)

__all__ = [
    "MAX_BODY_BYTES",
    "Flag",
    "Malformed",
    "Packet",
    "PacketError",
    "PacketKind",
    "decode_packet",
    "encode_frame",
    "encode_idle",
    "encode_message",
    "encode_transition",
    "encode_transition_end",
]

MAX_BODY_BYTES: Final = 64 * 1024
"""Largest body, before and after decompression. A redundant packet is under 2 KiB decompressed."""

SEQUENCE_MODULUS: Final = 1 << 32
"""Sequence numbers are unsigned 32-bit and wrap."""

_HEADER: Final = struct.Struct("<BI")
_U32: Final = struct.Struct("<I")
_GZIP_WBITS: Final = 31
_MAX_COPIES: Final = 2


class Flag(IntFlag):
    """Bits of a packet's first byte."""

    IDLE = 0x01
    START = 0x02
    END = 0x04
    COMPRESSED = 0x08
    TRANSITION = 0x10
    TRANSITION_END = 0x20
    REDUNDANT = 0x40


_KNOWN: Final = 0x7F
# Plain integers: arithmetic on an IntFlag costs more than parsing the message.
_IDLE, _START, _END, _COMPRESSED = 0x01, 0x02, 0x04, 0x08
_TRANSITION, _TRANSITION_END, _REDUNDANT = 0x10, 0x20, 0x40


class PacketKind(Enum):
    """What a packet is about."""

    IDLE = "idle"
    FRAME = "frame"
    TRANSITION = "transition"
    TRANSITION_END = "transition-end"


class Packet(NamedTuple):
    """One decoded packet."""

    kind: PacketKind
    message: MotionMessage | None = None
    """The frame (of a transition: its pose); None in an idle packet."""
    seq: int | None = None
    """Sequence number 0 … 2^32-1; only frames have one."""
    start: bool = False
    """A new round starts with this frame."""
    end: bool = False
    """This is the last frame of its round."""
    copies: tuple[bytes | None, ...] = ()
    """Serialised messages of the frames ``seq - 1``, ``seq - 2``; None where absent. Left undecoded, as they
    are mostly not needed: :func:`avatarkit_rtc.motion.message.decode_message` reads them."""


_IDLE_PACKET: Final = Packet(PacketKind.IDLE)


def decode_packet(data: bytes) -> Packet:
    """Decode one packet.

    Never reads, and never inflates, more than :data:`MAX_BODY_BYTES`.

    Raises:
        PacketError: the packet is malformed; ``kind`` says how.
    """
    size = len(data)
    if size < _HEADER.size:
        raise PacketError(Malformed.TOO_SHORT)
    if size > MAX_BODY_BYTES + _HEADER.size:
        raise PacketError(Malformed.TOO_LONG)
    flags, length = _HEADER.unpack_from(data)
    if length != size - _HEADER.size:
        raise PacketError(Malformed.TRUNCATED if length > size - _HEADER.size else Malformed.TRAILING_BYTES)
    kind = _kind(flags, length)
    if kind is PacketKind.IDLE:
        return _IDLE_PACKET
    body = data[_HEADER.size :]
    if flags & _COMPRESSED:
        body = _inflate(body)
    if kind is not PacketKind.FRAME:
        return Packet(kind, decode_message(body))
    if len(body) < _U32.size:
        raise PacketError(Malformed.BAD_BODY)
    (seq,) = _U32.unpack_from(body)
    if flags & _REDUNDANT:
        current, copies = _split_redundant(body)
    else:
        current, copies = body[_U32.size :], ()
    return Packet(kind, decode_message(current), seq, flags & _START != 0, flags & _END != 0, copies)


def _kind(flags: int, length: int) -> PacketKind:
    if flags & ~_KNOWN:
        raise PacketError(Malformed.UNKNOWN_FLAG)
    if flags & _IDLE:
        if flags != _IDLE or length:
            raise PacketError(Malformed.FLAG_CONFLICT)
        return PacketKind.IDLE
    transition = flags & (_TRANSITION | _TRANSITION_END)
    if not transition:
        return PacketKind.FRAME
    if transition == _TRANSITION | _TRANSITION_END or flags & _REDUNDANT:
        raise PacketError(Malformed.FLAG_CONFLICT)
    return PacketKind.TRANSITION if transition == _TRANSITION else PacketKind.TRANSITION_END


def _inflate(body: bytes) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WBITS)
    try:
        inflated = inflater.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as exc:
        raise PacketError(Malformed.BAD_COMPRESSION) from exc
    if len(inflated) > MAX_BODY_BYTES:
        raise PacketError(Malformed.INFLATES_TOO_FAR)
    if not inflater.eof:
        raise PacketError(Malformed.BAD_COMPRESSION)
    return inflated


def _split_redundant(body: bytes) -> tuple[bytes, tuple[bytes | None, ...]]:
    parts: list[bytes | None] = []
    at = _U32.size
    while at < len(body) and len(parts) <= _MAX_COPIES:
        if at + _U32.size > len(body):
            raise PacketError(Malformed.BAD_BODY)
        (length,) = _U32.unpack_from(body, at)
        at += _U32.size
        if length > len(body) - at:
            raise PacketError(Malformed.BAD_BODY)
        parts.append(body[at : at + length] if length else None)
        at += length
    if at != len(body) or not parts or parts[0] is None:
        raise PacketError(Malformed.BAD_BODY)
    return parts[0], tuple(parts[1:])


def encode_idle() -> bytes:
    """An idle packet: five bytes."""
    return _HEADER.pack(_IDLE, 0)


def encode_frame(
    seq: int,
    message: bytes,
    *,
    start: bool = False,
    end: bool = False,
    compress: bool = True,
    previous: Sequence[bytes | None] | None = None,
) -> bytes:
    """A frame packet.

    Args:
        seq: sequence number; taken modulo 2^32.
        message: serialised message, as :func:`encode_message` makes it.
        start: a new round starts with this frame.
        end: this is the last frame of its round.
        compress: gzip the body, as the data-packet carrier does.
        previous: serialised messages of the frames ``seq - 1`` and ``seq - 2`` to carry again (None where
            there is none); None for a packet without redundancy.
    """
    flags = (_START if start else 0) | (_END if end else 0)
    body = _U32.pack(seq % SEQUENCE_MODULUS)
    if previous is None:
        body += message
    else:
        flags |= _REDUNDANT
        for part in (message, *previous):
            part = part or b""  # noqa: PLW2901
            body += _U32.pack(len(part)) + part
    return _pack(flags, body, compress)


def encode_transition(message: bytes, *, compress: bool = True) -> bytes:
    """A transition packet, idle to speech; ``message`` holds the target pose."""
    return _pack(_TRANSITION, message, compress)


def encode_transition_end(message: bytes, *, compress: bool = True) -> bytes:
    """A transition-end packet, speech to idle; ``message`` is that of the round's last frame."""
    return _pack(_TRANSITION_END, message, compress)


def _pack(flags: int, body: bytes, compress: bool) -> bytes:
    if compress:
        flags |= _COMPRESSED
        body = gzip.compress(body, mtime=0)
    return _HEADER.pack(flags, len(body)) + body
