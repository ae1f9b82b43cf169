"""What one packet costs: decoding, the stream's rules, the jitter buffer.

Decoding is compared in one run, packet by packet in turn, with the least that any client must do: a bare
``gzip.decompress`` of the body and ``ParseFromString`` of the same current message.
"""

from __future__ import annotations

import gzip
import statistics
import sys
from collections.abc import Sequence
from time import perf_counter_ns

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.motion.packet import decode_packet, encode_frame, encode_message
from avatarkit_rtc.motion.stream import MotionStream
from avatarkit_rtc.playout.delay import QuantileDelay
from avatarkit_rtc.playout.jitter_buffer import JitterBuffer
from avatarkit_rtc.testing import Utterance, perform
from bench.report import Figure, Report, arguments, machine, publish

HEADER_BYTES = 5
DECODE_GOAL = 2.0


def packets_of(utterance: Utterance) -> tuple[list[bytes], list[bytes]]:
    """The redundant packets of a round from its third frame on, and the current message of each."""
    messages = [encode_message(frame, req_id="stand-in-1") for frame in utterance.frames]
    packets = [
        encode_frame(seq, messages[seq], previous=[messages[seq - 1], messages[seq - 2]])
        for seq in range(2, len(messages))
    ]
    return packets, messages[2:]


def measure_decode(utterance: Utterance, repeats: int) -> tuple[float, float]:
    """Medians in µs: bare gunzip and parse, and :func:`decode_packet`."""
    packets, messages = packets_of(utterance)
    work = [
        (packet, packet[HEADER_BYTES:], message) for packet, message in zip(packets, messages, strict=True)
    ]
    bare: list[int] = []
    ours: list[int] = []
    for repeat in range(repeats):
        for packet, body, message in work:
            for which in (0, 1) if repeat % 2 else (1, 0):
                start = perf_counter_ns()
                if which == 0:
                    gzip.decompress(body)
                    pb.Message().ParseFromString(message)
                    bare.append(perf_counter_ns() - start)
                else:
                    decode_packet(packet)
                    ours.append(perf_counter_ns() - start)
    return _median_us(bare), _median_us(ours)


def measure_stream(utterance: Utterance, repeats: int) -> float:
    """Median in µs of :meth:`MotionStream.receive` for one redundant packet, decoding included."""
    packets, _ = packets_of(utterance)
    took: list[int] = []
    for _ in range(repeats):
        stream = MotionStream()
        for index, packet in enumerate(packets):
            start = perf_counter_ns()
            stream.receive(packet, index * FRAME_INTERVAL_S)
            took.append(perf_counter_ns() - start)
    return _median_us(took)


def measure_buffer(utterance: Utterance, repeats: int) -> float:
    """Median in µs of one push and one pop of the :class:`JitterBuffer`."""
    took: list[int] = []
    for _ in range(repeats):
        buffer = JitterBuffer(QuantileDelay())
        now = 0.0
        for seq, frame in enumerate(utterance.frames):
            arrival = seq * FRAME_INTERVAL_S
            start = perf_counter_ns()
            buffer.push(seq, frame, arrival)
            spent = perf_counter_ns() - start
            now = max(arrival, buffer.next_deadline() or 0.0)
            start = perf_counter_ns()
            buffer.pop(now)
            took.append(spent + perf_counter_ns() - start)
    return _median_us(took)


def _median_us(nanoseconds: Sequence[int]) -> float:
    return statistics.median(nanoseconds) / 1000


def measure(*, repeats: int = 200, seconds: float = 4.0) -> Report:
    """Measure everything ``repeats`` times with a round of ``seconds``."""
    utterance = perform(1, seconds)
    packets, messages = packets_of(utterance)
    bare, ours = measure_decode(utterance, repeats)
    stream = measure_stream(utterance, repeats)
    buffer = measure_buffer(utterance, repeats)
    share = (stream + buffer) / (FRAME_INTERVAL_S * 1e6) * 100
    return Report(
        "decode",
        [
            Figure("bare gunzip + ParseFromString", bare, "µs"),
            Figure("decode_packet", ours, "µs"),
            Figure("ratio", ours / bare, "", DECODE_GOAL),
            Figure("MotionStream.receive, decoding included", stream, "µs"),
            Figure("JitterBuffer push + pop", buffer, "µs"),
            Figure("of one core at 25 frames a second", share, "%"),
        ],
        {"repeats": repeats, "packets": len(packets)},
        [
            f"medians; a packet of {statistics.median(map(len, packets)):.0f} bytes, "
            f"a message of {statistics.median(map(len, messages)):.0f}"
        ],
    )


def main() -> int:
    """The command."""
    options = arguments(__doc__).parse_args()
    where = machine()
    return publish(measure(repeats=20 if options.quick else 200), where, options.json)


if __name__ == "__main__":
    sys.exit(main())
