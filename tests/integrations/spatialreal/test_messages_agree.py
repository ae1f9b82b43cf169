"""The vendor's messages and ours, both loaded in one process, mean the same."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("spatialreal", reason="needs the vendor's package, of the extra spatialreal")

from spatialreal.proto.generated import message_pb2 as theirs

from avatarkit_rtc.motion import motion_pb2 as ours
from avatarkit_rtc.motion.frame import FIELD_SIZES
from avatarkit_rtc.motion.message import decode_message, encode_message
from tests.support.frames import face

ANIMATION = "ServerResponseAnimation.animation"
"""Opaque bytes to the vendor's package, a message to us; on the wire both are the same."""
FLAME_NUMBERS = {
    "translation": 1,
    "rotation": 2,
    "neck_pose": 3,
    "jaw_pose": 4,
    "eye_pose": 5,
    "eye_lid": 6,
    "expression": 7,
}
"""From the vendor's driveningress.proto; its package does not look into motion."""


def described(module: Any) -> FileDescriptorProto:
    """The schema of a generated module."""
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def messages(of: FileDescriptorProto | DescriptorProto, within: str = "") -> dict[str, DescriptorProto]:
    """All messages by name, nested ones as ``Outer.Inner``."""
    found = {}
    for each in of.message_type if isinstance(of, FileDescriptorProto) else of.nested_type:
        found[within + each.name] = each
        found |= messages(each, f"{within}{each.name}.")
    return found


def enums(file: FileDescriptorProto) -> dict[str, EnumDescriptorProto]:
    """All enums by name."""
    found = {each.name: each for each in file.enum_type}
    for name, message in messages(file).items():
        found |= {f"{name}.{each.name}": each for each in message.enum_type}
    return found


THEIRS, OURS = messages(described(theirs)), messages(described(ours))
THEIR_ENUMS, OUR_ENUMS = enums(described(theirs)), enums(described(ours))


def bare(type_name: str, file: FileDescriptorProto) -> str:
    """A type's name without its package."""
    return type_name.removeprefix(f".{file.package}.")


def layout(field: FieldDescriptorProto, module: Any) -> tuple[Any, ...]:
    """What of a field counts on the wire, and its name."""
    kind = bare(field.type_name, described(module))
    return field.name, field.type, kind, field.label, field.HasField("oneof_index")


def test_every_field_of_theirs_is_one_of_ours() -> None:
    assert set(THEIRS) <= set(OURS)
    for name, message in THEIRS.items():
        for field in message.field:
            if f"{name}.{field.name}" == ANIMATION:
                continue
            mine = {each.number: each for each in OURS[name].field}
            assert layout(mine[field.number], ours) == layout(field, theirs), name


def test_we_add_nothing_but_what_their_bytes_hold() -> None:
    assert set(OURS) - set(THEIRS) == {"FlameAnimation", "Flame"}
    for name, message in THEIRS.items():
        assert {each.number for each in OURS[name].field} == {each.number for each in message.field}, name
    (field,) = (each for each in OURS["ServerResponseAnimation"].field if each.name == "animation")
    (their,) = (each for each in THEIRS["ServerResponseAnimation"].field if each.name == "animation")
    assert field.number == their.number
    assert (field.type, their.type) == (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_BYTES)


def test_every_value_of_their_enums_is_one_of_ours() -> None:
    assert set(THEIR_ENUMS) == set(OUR_ENUMS)
    for name, enum in THEIR_ENUMS.items():
        mine = {value.number: value.name for value in OUR_ENUMS[name].value}
        # Ours say the enum's name where theirs are short: MESSAGE_TYPE_… for MESSAGE_….
        said = {value.number: value.name.replace("MESSAGE_", "MESSAGE_TYPE_") for value in enum.value}
        assert mine == said, name


def test_the_packages_have_names_of_their_own() -> None:
    assert ours.DESCRIPTOR.package != theirs.DESCRIPTOR.package


# ---- any message, both ways -------------------------------------------------------------------------------

NUMBERS = {
    FieldDescriptorProto.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptorProto.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptorProto.TYPE_INT64: st.integers(-(2**63), 2**63 - 1).map(str),  # as JSON has them
    FieldDescriptorProto.TYPE_ENUM: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptorProto.TYPE_BOOL: st.booleans(),
    FieldDescriptorProto.TYPE_STRING: st.text(max_size=12),
    FieldDescriptorProto.TYPE_BYTES: st.binary(max_size=12).map(lambda data: base64.b64encode(data).decode()),
}


def value_of(field: FieldDescriptorProto) -> st.SearchStrategy[Any]:
    """Any value of a field, as JSON has it."""
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        kind = bare(field.type_name, described(theirs))
        if THEIRS[kind].options.map_entry:
            return st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3)
        return content_of(kind)
    value = NUMBERS[field.type]
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return st.lists(value, max_size=3)
    return value


def content_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any content of a message of theirs but motion, as JSON has it; one member of a oneof at most."""
    fields = [each for each in THEIRS[name].field if f"{name}.{each.name}" != ANIMATION]
    plain = {each.name: value_of(each) for each in fields if not each.HasField("oneof_index")}
    members = [
        value_of(each).map(lambda value, key=each.name: {key: value})
        for each in fields
        if each.HasField("oneof_index")
    ]
    content = st.fixed_dictionaries({}, optional=plain)
    if not members:
        return content
    return st.tuples(content, st.one_of(*members)).map(lambda parts: parts[0] | parts[1])


def as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=True)


@settings(max_examples=300, deadline=None)
@given(content_of("Message"))
def test_any_message_means_the_same_to_both(content: Mapping[str, Any]) -> None:
    their = ParseDict(content, theirs.Message())
    mine = ParseDict(content, ours.Message())
    here = ours.Message.FromString(their.SerializeToString())
    there = theirs.Message.FromString(mine.SerializeToString())
    assert as_json(here) == as_json(mine) == as_json(their) == as_json(there)
    assert here.WhichOneof("data") == there.WhichOneof("data")


floats = st.floats(width=32, allow_nan=False)
flames = st.fixed_dictionaries({name: st.lists(floats, max_size=size) for name, size in FIELD_SIZES.items()})


def written(flame: Mapping[str, list[float]]) -> bytes:
    """A keyframe by the book: packed little-endian floats, tagged with the numbers of the vendor's schema."""
    data = b""
    for name, number in FLAME_NUMBERS.items():
        packed = struct.pack(f"<{len(flame[name])}f", *flame[name])
        if packed:
            data += bytes([number << 3 | 2]) + varint(len(packed)) + packed
    return data


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(flames, max_size=4), st.text(max_size=8), st.text(max_size=8), st.text(max_size=8), st.booleans()
)
def test_any_motion_means_the_same_to_both(
    keyframes: list[dict[str, list[float]]], connection: str, req_id: str, avatar: str, end: bool
) -> None:
    animation = b"".join(b"\x0a" + varint(len(each)) + each for each in map(written, keyframes))
    names = {"connection_id": connection, "req_id": req_id, "avatar_id": avatar, "end": end}
    their = theirs.Message(
        type=theirs.MESSAGE_SERVER_RESPONSE_ANIMATION,
        server_response_animation=theirs.ServerResponseAnimation(animation=animation, **names),
    )
    here = ours.Message.FromString(their.SerializeToString())
    response = here.server_response_animation
    assert here.type == ours.MESSAGE_TYPE_SERVER_RESPONSE_ANIMATION
    assert {name: getattr(response, name) for name in names} == names
    assert [
        {name: list(getattr(flame, name)) for name in FIELD_SIZES} for flame in response.animation.keyframes
    ] == keyframes

    mine = ours.Message(
        type=ours.MESSAGE_TYPE_SERVER_RESPONSE_ANIMATION,
        server_response_animation=ours.ServerResponseAnimation(
            animation=ours.FlameAnimation(keyframes=[ours.Flame(**each) for each in keyframes]), **names
        ),
    )
    there = theirs.Message.FromString(mine.SerializeToString()).server_response_animation
    assert there.animation == animation
    assert {name: getattr(there, name) for name in names} == names


def test_frames_pass_through_their_package_bit_for_bit() -> None:
    sent = encode_message(face(3), req_id="turn", connection_id="c", avatar_id="a", end=True)
    passed = theirs.Message.FromString(sent)
    assert passed.server_response_animation.end
    decoded = decode_message(passed.SerializeToString())
    assert decoded.frame.values.tobytes() == face(3).values.tobytes()
    assert decoded.req_id == "turn"


def test_what_one_side_does_not_know_is_skipped() -> None:
    trace = b"\x32\x04\x0a\x02id"  # field 6 of the response, as later services send it
    config = b"\x3a\x02\x08\x01"  # field 7 of the message
    their = theirs.Message(
        type=99, server_response_animation=theirs.ServerResponseAnimation.FromString(b"\x12\x01r" + trace)
    )
    here = ours.Message.FromString(their.SerializeToString() + config)
    assert (here.type, here.server_response_animation.req_id) == (99, "r")
    there = theirs.Message.FromString(here.SerializeToString())
    assert there.server_response_animation.req_id == "r"
