"""``bench.decode`` measures what it says it does."""

from __future__ import annotations

from avatarkit_rtc.motion.packet import decode_packet
from avatarkit_rtc.testing import perform
from bench.decode import DECODE_GOAL, measure, packets_of


def test_decodes_the_redundant_packets_of_a_round() -> None:
    utterance = perform(1, 0.4)
    packets, messages = packets_of(utterance)
    assert len(packets) == len(messages) == len(utterance.frames) - 2
    for seq, data in enumerate(packets, start=2):
        packet = decode_packet(data)
        assert packet.seq == seq
        assert packet.message is not None
        assert packet.message.frame == utterance.frames[seq]
        assert all(packet.copies)


def test_reports_the_ratio_against_its_goal() -> None:
    report = measure(repeats=3, seconds=0.4)
    assert all(figure.value > 0 for figure in report.figures)
    ratio = report.figure("ratio")
    assert ratio.goal == DECODE_GOAL
    bare, ours = (report.figure(name).value for name in ("bare gunzip + ParseFromString", "decode_packet"))
    assert ratio.value == ours / bare
