from __future__ import annotations

import math
import struct
import warnings

import numpy as np
import pytest

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import FIELD_SIZES, MotionFrame
from avatarkit_rtc.motion.message import Malformed, PacketError, decode_message, encode_message
from tests.support.frames import face


def serialised(*flames: pb.Flame) -> bytes:
    animation = pb.FlameAnimation(keyframes=flames)
    return pb.Message(
        type=5, server_response_animation=pb.ServerResponseAnimation(animation=animation)
    ).SerializeToString()


def refused(data: bytes) -> Malformed:
    with pytest.raises(PacketError) as caught:
        decode_message(data)
    return caught.value.kind


def test_values_come_through_bit_for_bit() -> None:
    decoded = decode_message(
        encode_message(face(1), req_id="turn", connection_id="c", avatar_id="a", end=True)
    )
    assert decoded.frame.values.tobytes() == face(1).values.tobytes()
    assert decoded[1:] == ("turn", 0, 0)
    with pytest.raises(ValueError, match="read-only"):
        decoded.frame.values[0] = 1


def test_short_and_long_fields_are_padded_cut_and_counted() -> None:
    decoded = decode_message(
        serialised(pb.Flame(jaw_pose=[0.5], expression=[1.0] * 150, eye_lid=[0.25, 0.5]))
    )
    assert decoded.frame.jaw_pose.tolist() == [0.5, 0, 0]
    assert decoded.frame.expression.tolist() == [1.0] * 100
    assert decoded.frame.eye_lid.tolist() == [0.25, 0.5]
    assert decoded.resized_fields == 6


def test_same_size_by_other_lengths_is_no_shortcut() -> None:
    sizes = {name: [float(index)] * size for index, (name, size) in enumerate(FIELD_SIZES.items())}
    sizes["translation"], sizes["eye_pose"] = [7.0] * 6, [8.0] * 3
    decoded = decode_message(serialised(pb.Flame(**sizes)))
    assert decoded.frame.translation.tolist() == [7.0] * 3
    assert decoded.frame.eye_pose.tolist() == [8.0] * 3 + [0.0] * 3
    assert decoded.resized_fields == 2


def test_unpacked_floats_decode_too() -> None:
    unpacked = b"".join(
        b"\x25" + struct.pack("<f", each) for each in (0.25, 0.5, 0.75)
    )  # field 4, wire type 5
    animation = b"\x0a" + bytes([len(unpacked)]) + unpacked
    response = b"\x22" + bytes([len(animation)]) + animation
    decoded = decode_message(b"\x08\x05\x32" + bytes([len(response)]) + response)
    assert decoded.frame.jaw_pose.tolist() == [0.25, 0.5, 0.75]


def test_unknown_fields_are_skipped() -> None:
    trace_context = b"\x32\x03abc"  # field 6 of the response, length-delimited
    response = pb.ServerResponseAnimation(
        animation=pb.FlameAnimation(keyframes=[pb.Flame(**face(1).to_fields())])
    ).SerializeToString()
    response += trace_context
    length = bytes([len(response) & 0x7F | 0x80, len(response) >> 7])
    assert decode_message(b"\x08\x05\x32" + length + response).frame == face(1)


def test_only_the_first_keyframe_counts() -> None:
    flames = [pb.Flame(**face(number).to_fields()) for number in range(3)]
    decoded = decode_message(serialised(*flames))
    assert decoded.frame == face(0)
    assert decoded.extra_keyframes == 2


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["translation", "expression"])
def test_refuses_what_is_not_finite_without_a_warning(number: float, field: str) -> None:
    values = [0.0] * FIELD_SIZES[field]
    values[-1] = number
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refused(serialised(pb.Flame(**{field: values}))) is Malformed.NOT_FINITE


def test_largest_floats_are_fine() -> None:
    frame = MotionFrame(np.full(120, np.finfo(np.float32).max))
    assert decode_message(encode_message(frame)).frame == frame


def test_refuses_what_is_no_motion() -> None:
    assert refused(b"\xff\xff") is Malformed.BAD_MESSAGE
    assert refused(b"\x32\x04\x0a\x02\xff\xff") is Malformed.BAD_MESSAGE  # a string that is not UTF-8
    assert refused(b"") is Malformed.NOT_MOTION
    assert refused(pb.Message(type=5).SerializeToString()) is Malformed.NOT_MOTION
    assert refused(serialised()) is Malformed.NOT_MOTION
