"""Answers of the service, taken apart and put together again without a change of a value."""

from __future__ import annotations

import pytest

from avatarkit_rtc.integrations.spatialreal.direct.keyframes import message_of, read_reply
from avatarkit_rtc.integrations.spatialreal.direct.utterance import Utterance
from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.message import Malformed, PacketError, decode_message
from tests.support.spatialreal_direct import block, keyframes, pose, reply_bytes


def test_each_keyframe_becomes_a_message_with_the_same_values() -> None:
    poses = [pose(number) for number in range(40)]
    reply = read_reply(reply_bytes("turn-7", poses, end=True))
    assert (reply.req_id, reply.end, len(reply.keyframes)) == ("turn-7", True, 40)
    messages = [decode_message(message_of(each, reply.req_id)) for each in reply.keyframes]
    assert [message.frame for message in messages] == poses
    assert {(message.req_id, message.extra_keyframes) for message in messages} == {("turn-7", 0)}


def test_what_the_vendors_package_builds_is_read() -> None:
    vendor = pytest.importorskip("spatialreal.proto.generated.message_pb2")
    animation = pb.FlameAnimation(keyframes=[pb.Flame(**pose(n).to_fields()) for n in range(3)])
    message = vendor.Message(type=vendor.MESSAGE_SERVER_RESPONSE_ANIMATION)
    message.server_response_animation.req_id = "turn"
    message.server_response_animation.animation = animation.SerializeToString()
    reply = read_reply(message.SerializeToString())
    assert [decode_message(message_of(each)).frame for each in reply.keyframes] == [pose(n) for n in range(3)]


def test_an_end_without_keyframes_is_an_answer_and_the_rest_is_none() -> None:
    assert read_reply(reply_bytes("turn", [], end=True)) == ("turn", (), True)
    for data, kind in ((b"\xff\xff", Malformed.BAD_MESSAGE), (b"", Malformed.NOT_MOTION)):
        with pytest.raises(PacketError) as caught:
            read_reply(data)
        assert caught.value.kind is kind


def test_motion_for_names_that_may_be_its_own_is_bounded_too() -> None:
    utterance = Utterance(1)
    for number in range(8):
        utterance.blocks.append(block(number))
    dropped = sum(utterance.keep_unclaimed(f"stray-{n}", keyframes(range(2)), False) for n in range(100))
    assert utterance.frames_unclaimed + dropped == 200
    assert utterance.frames_unclaimed <= utterance.asked_frames == 2 + 25
    assert len(utterance.unclaimed) <= 25
    assert utterance.drop_motion() == 200 - dropped
