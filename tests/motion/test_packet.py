from __future__ import annotations

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.motion.message import Malformed, PacketError
from avatarkit_rtc.motion.packet import (
    MAX_BODY_BYTES,
    Flag,
    PacketKind,
    decode_packet,
    encode_frame,
    encode_idle,
    encode_transition,
    encode_transition_end,
)
from tests.support.frames import face, message


def packed(flags: int, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<BI", flags, len(body) if length is None else length) + body


def kind_of_refusal(data: bytes) -> Malformed:
    with pytest.raises(PacketError) as caught:
        decode_packet(data)
    return caught.value.kind


def redundant(*parts: bytes, seq: int = 5) -> bytes:
    return struct.pack("<I", seq) + b"".join(struct.pack("<I", len(part)) + part for part in parts)


def test_idle_is_five_bytes() -> None:
    assert encode_idle() == b"\x01\0\0\0\0"
    assert decode_packet(encode_idle()).kind is PacketKind.IDLE


@given(
    seq=st.integers(0, 2**32 - 1),
    start=st.booleans(),
    end=st.booleans(),
    compress=st.booleans(),
    copies=st.none() | st.lists(st.booleans(), max_size=2),
)
def test_frames_come_back_as_they_were(
    seq: int, start: bool, end: bool, compress: bool, copies: list[bool] | None
) -> None:
    previous = (
        None if copies is None else [message(face(i)) if there else None for i, there in enumerate(copies)]
    )
    data = encode_frame(seq, message(face(9)), start=start, end=end, compress=compress, previous=previous)
    packet = decode_packet(data)
    assert packet.kind is PacketKind.FRAME
    assert packet.message is not None
    assert packet.message.frame == face(9)
    assert (packet.seq, packet.start, packet.end) == (seq, start, end)
    assert packet.copies == tuple(previous or ())
    assert bool(data[0] & Flag.REDUNDANT) == (copies is not None)
    assert bool(data[0] & Flag.COMPRESSED) == compress


@pytest.mark.parametrize("compress", [True, False])
def test_transitions_come_back_as_they_were(compress: bool) -> None:
    for encode, kind in (
        (encode_transition, PacketKind.TRANSITION),
        (encode_transition_end, PacketKind.TRANSITION_END),
    ):
        packet = decode_packet(encode(message(face(2)), compress=compress))
        assert packet.kind is kind
        assert packet.message is not None
        assert packet.message.frame == face(2)
        assert packet.seq is None


def test_sequence_numbers_wrap_when_encoded() -> None:
    assert decode_packet(encode_frame(2**32 + 3, message(face(0)))).seq == 3


def test_each_refusal_has_its_kind() -> None:
    body = struct.pack("<I", 1) + message(face(0))
    cases = {
        b"": Malformed.TOO_SHORT,
        b"\x01\0\0\0": Malformed.TOO_SHORT,
        packed(0, bytes(MAX_BODY_BYTES + 1)): Malformed.TOO_LONG,
        packed(0, body, len(body) + 1): Malformed.TRUNCATED,
        packed(0, body, len(body) - 1): Malformed.TRAILING_BYTES,
        packed(0x80, body): Malformed.UNKNOWN_FLAG,
        packed(0x01, b"x"): Malformed.FLAG_CONFLICT,
        packed(0x03): Malformed.FLAG_CONFLICT,
        packed(0x30, message(face(0))): Malformed.FLAG_CONFLICT,
        packed(0x50, message(face(0))): Malformed.FLAG_CONFLICT,
        packed(0x08, b"not gzip"): Malformed.BAD_COMPRESSION,
        packed(0x08, gzip.compress(body)[:-3]): Malformed.BAD_COMPRESSION,
        packed(0x08, gzip.compress(body)[:-8] + bytes(8)): Malformed.BAD_COMPRESSION,
        packed(0x08, gzip.compress(bytes(MAX_BODY_BYTES + 1))): Malformed.INFLATES_TOO_FAR,
        packed(0x08, gzip.compress(bytes(MAX_BODY_BYTES))): Malformed.BAD_MESSAGE,
        packed(0, b"abc"): Malformed.BAD_BODY,
        packed(0x40, struct.pack("<I", 5)): Malformed.BAD_BODY,
        packed(0x40, struct.pack("<I", 5) + b"ab"): Malformed.BAD_BODY,
        packed(0x40, struct.pack("<II", 5, 9) + b"short"): Malformed.BAD_BODY,
        packed(0x40, redundant(b"")): Malformed.BAD_BODY,
        packed(0x40, redundant(message(face(0)), b"a", b"b", b"c")): Malformed.BAD_BODY,
        packed(0, struct.pack("<I", 1) + b"\xff"): Malformed.BAD_MESSAGE,
        packed(0x10): Malformed.NOT_MOTION,
    }
    assert {data[:16]: kind_of_refusal(data) for data in cases} == {d[:16]: k for d, k in cases.items()}
    for data, kind in cases.items():
        assert kind_of_refusal(data) is kind


def test_absent_copies_are_none() -> None:
    packet = decode_packet(packed(0x40, redundant(message(face(0)), b"", message(face(1)))))
    assert packet.copies == (None, message(face(1)))
