"""What is hidden in the evidence, and what is kept."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import pytest

from avatarkit_rtc.cli.evidence import Evidence
from avatarkit_rtc.events import AvatarJoined
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.message import decode_message, encode_message
from avatarkit_rtc.motion.packet import decode_packet, encode_frame, encode_idle

AVATAR = "the-avatar-of-mine"
MESSAGE = encode_message(MotionFrame.neutral(), req_id="request-1", avatar_id=AVATAR)


def packets_of(told: dict[str, Any], kind: str) -> list[bytes]:
    return [base64.b64decode(each) for each in told["packets"]["by_flags"][kind]["samples"]]


@pytest.mark.parametrize("compress", [True, False])
def test_an_id_inside_a_packet_is_blanked_and_the_rest_stays(compress: bool) -> None:
    evidence = Evidence(hidden=(AVATAR, None, " "))
    packet = encode_frame(7, MESSAGE, start=True, previous=[MESSAGE, None], compress=compress)
    evidence.packet(packet)
    evidence.packet(encode_idle())
    told = evidence.as_dict()
    (kept,) = packets_of(told, f"{packet[0]:#04x}")
    assert told["packets"]["by_flags"][f"{packet[0]:#04x}"]["longest"] == len(packet)
    read, original = decode_packet(kept), decode_packet(packet)
    assert (read.seq, read.start) == (7, True)
    assert read.message is not None
    assert original.message is not None
    assert read.message.frame == original.message.frame
    assert read.message.req_id == "request-1"
    body = gzip.decompress(kept[5:]) if compress else kept[5:]
    assert AVATAR.encode() not in body
    assert b"x" * len(AVATAR) in body
    assert packets_of(told, "0x01") == [encode_idle()]


def test_other_ways_of_compressing() -> None:
    evidence = Evidence(hidden=[AVATAR])
    zipped = zlib.compress(MESSAGE)
    evidence.packet(b"\x18" + len(zipped).to_bytes(4, "little") + zipped)
    unknown = b"\x28" + (300).to_bytes(4, "little") + b"\xfe" * 300
    evidence.packet(unknown)
    told = evidence.as_dict()
    (known,) = packets_of(told, "0x18")
    assert AVATAR.encode() not in gzip.decompress(known[5:])
    assert packets_of(told, "0x28") == [unknown[:32]]  # what may hide it is cut short


NAMED = b"\x1f\x8b\x08\x08" + bytes(6) + AVATAR.encode() + b"\0" + gzip.compress(b"abc")[10:]
"""gzip, its file name the id."""


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(bytes(1 << 20) + AVATAR.encode()),
        gzip.compress(b"abc") + gzip.compress(AVATAR.encode()),
        gzip.compress(b"abc") + AVATAR.encode(),
        gzip.compress(bytes(100))[:-9] + AVATAR.encode(),
        AVATAR.encode() * 10,
        NAMED,
    ],
    ids=["far in", "second member", "behind it", "cut off", "not compressed", "as its name"],
)
def test_an_id_does_not_hide_where_nobody_looks(body: bytes) -> None:
    evidence = Evidence(hidden=[AVATAR])
    evidence.packet(b"\x18" + len(body).to_bytes(4, "little") + body)
    (kept,) = packets_of(evidence.as_dict(), "0x18")
    assert AVATAR.encode() not in kept
    assert len(kept) <= 32 or gzip.decompress(kept[5:]) == b"abc"


def test_messages_by_themselves_and_their_amount() -> None:
    evidence = Evidence(hidden=[AVATAR])
    for _ in range(1000):
        evidence.message(MESSAGE * 20)
    told = evidence.as_dict()
    kind = told["packets"]["by_flags"]["message"]
    assert (kind["count"], kind["longest"], len(kind["samples"])) == (1000, 20 * len(MESSAGE), 5)
    assert len(json.dumps(told)) < 200_000
    sample = packets_of(told, "message")[0]
    assert decode_message(sample).frame == MotionFrame.neutral()
    assert AVATAR.encode() not in sample


def test_ids_are_in_no_text_wherever_it_comes_from() -> None:
    evidence = Evidence(hidden=[AVATAR, "an-app"])
    evidence.note("player avatar-joined", AvatarJoined(AVATAR))
    evidence.note("said", f"no avatar {AVATAR} in an-app")
    text = json.dumps(evidence.as_dict(avatar=AVATAR, session={"of": [AVATAR, 3, None, True]}))
    assert AVATAR not in text
    assert "an-app" not in text
    assert json.loads(text)["session"] == {"of": ["<hidden>", 3, None, True]}
