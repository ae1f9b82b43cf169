"""Whatever comes, in whatever order: nothing raises, and what is delivered is true."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion.message import PacketError
from avatarkit_rtc.motion.packet import PacketKind, decode_packet
from avatarkit_rtc.motion.stream import MotionStream
from tests.support.assertions import (
    assert_each_frame_once,
    assert_rounds_in_order,
    assert_values,
    closed_in,
    frames_in,
    opened_in,
)
from tests.support.frames import (
    IDLE,
    Listener,
    face,
    faces,
    frame_packet,
    speech,
    transition,
    transition_end,
    utterance,
)

LONG = settings(deadline=None, max_examples=200)

headers = st.builds(
    lambda flags, body: bytes([flags]) + len(body).to_bytes(4, "little") + body,
    st.integers(0, 255),
    st.binary(max_size=80),
)
moments = st.floats(allow_nan=True, allow_infinity=True)


@LONG
@given(st.binary(max_size=200) | headers)
def test_arbitrary_bytes_decode_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        assert decode_packet(data).kind in PacketKind


@LONG
@given(st.lists(st.tuples(st.binary(max_size=60) | headers, moments), max_size=30))
def test_arbitrary_bytes_never_raise_and_are_counted(packets: list[tuple[bytes, float]]) -> None:
    stream = MotionStream()
    understood = 0
    for data, now in packets:
        before = sum(stream.counters.malformed.values())
        stream.receive(data, now)
        understood += sum(stream.counters.malformed.values()) == before
    assert stream.counters.packets == len(packets)
    assert sum(stream.counters.malformed.values()) + understood == len(packets)


SESSION = [[IDLE] * 3, utterance(faces(25, 0)), utterance(faces(12, 1), lead=2), utterance(faces(1, 2))]
SENT = [packet for part in SESSION for packet in part]
SOURCE = {1: faces(25, 0), 2: faces(12, 1), 3: faces(1, 2)}


@LONG
@given(
    delays=st.lists(st.floats(0, 0.12), min_size=len(SENT), max_size=len(SENT)),
    lost=st.sets(st.integers(0, len(SENT) - 1), max_size=25),
    doubled=st.sets(st.integers(0, len(SENT) - 1), max_size=25),
)
def test_any_order_loss_and_duplication_of_a_session(
    delays: list[float], lost: set[int], doubled: set[int]
) -> None:
    arrivals = [
        (0.04 * index + delay, index)
        for index, delay in enumerate(delays)
        if index not in lost
        for _ in range(1 + (index in doubled))
    ]
    stream = MotionStream()
    events = [event for at, index in sorted(arrivals) for event in stream.receive(SENT[index], at)]
    assert_rounds_in_order(events)
    assert_each_frame_once(events)
    # A lost part may join or part rounds; what every frame holds shows whose it is.
    known = {each for frames in SOURCE.values() for each in frames}
    assert all(each.frame in known for each in frames_in(events))
    if len(opened_in(events)) == len(SOURCE) and not lost:
        assert_values(events, SOURCE)
        # A transition-end before the last two frames takes the place of the last but one.
        missing = sum(map(len, SOURCE.values())) - len(frames_in(events))
        assert missing <= stream.counters.stragglers
    for number in {each.round for each in frames_in(events)}:
        turns = {
            turn
            for turn, frames in SOURCE.items()
            for each in frames_in(events, number)
            if each.frame in frames
        }
        assert len(turns) == 1, "frames of two utterances in one round"
        turn = turns.pop()
        for each in frames_in(events, number):
            if not each.recovered:
                assert each.frame == SOURCE[turn][each.seq]
    later = max(at for at, _ in arrivals)
    events += [event for step in range(20) for event in stream.receive(IDLE, later + 0.04 * step)]
    assert len(closed_in(events)) == len(opened_in(events)), "a round stays open"


@LONG
@given(st.lists(st.tuples(st.integers(0, len(SENT)), headers | st.binary(max_size=40)), max_size=40))
def test_rubbish_in_between_changes_only_the_counters(rubbish: list[tuple[int, bytes]]) -> None:
    clean, dirty = Listener(), Listener()
    clean.hear(SENT)
    sent = 0
    for index, packet in enumerate([*SENT, b""]):
        for at, data in rubbish:
            with contextlib.suppress(PacketError):
                if at == index and decode_packet(data):
                    continue  # a good packet by chance
            if at == index:
                assert dirty.stream.receive(data, dirty.now) == []
                sent += 1
        if packet:
            dirty.hear(packet)
    assert dirty.events == clean.events
    assert sum(dirty.stream.counters.malformed.values()) == sent


anything = st.one_of(
    st.just(IDLE),
    st.builds(lambda turn: transition(face(0, turn)), st.integers(0, 2)),
    st.builds(lambda number: transition_end(face(number)), st.integers(0, 5)),
    st.builds(
        lambda base, step, turn, start, end: frame_packet(
            (base + step) % 2**32, face(step, turn), face(step - 1, turn), start=start, end=end
        ),
        st.sampled_from([0, 30, 1000, 10**6, 2**32 - 3]),
        st.integers(0, 8),
        st.integers(0, 2),
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from([RoundEndReason.FLUSHED, RoundEndReason.STALLED]),
)


@settings(deadline=None, max_examples=400)
@given(
    st.lists(
        st.tuples(anything, st.sampled_from([0.0, 0.04, 0.04, 0.2, 0.5, 2.0, 5.0, -0.1, -30.0])), max_size=60
    )
)
def test_any_well_formed_packets_make_rounds_in_order(
    inputs: list[tuple[bytes | RoundEndReason, float]],
) -> None:
    listener = Listener()
    for each, pause in inputs:
        if isinstance(each, RoundEndReason):
            listener.close(each)
        else:
            listener.hear(each, every=pause)
    assert_rounds_in_order(listener.events)
    assert_each_frame_once(listener.events)
    # Whatever came before: a turn as services send it plays whole.
    listener.hear(IDLE)  # a clock that was set is noticed by the first packet after it
    listener.wait(4.0)
    listener.hear(utterance(faces(10, 7)))
    last = opened_in(listener.events)[-1].round
    assert [each.frame for each in frames_in(listener.events, last)] == faces(10, 7)
    assert listener.stream.open_round is None


def test_a_day_of_speech_takes_no_memory() -> None:
    listener = Listener()
    packet = speech(faces(3), redundancy=False)
    for _ in range(3000):
        listener.hear([*packet, transition_end(face(2)), IDLE], every=0.5)
        listener.events.clear()
    tracker = listener.stream._round.tracker if listener.stream._round else None
    assert tracker is not None
    assert len(tracker._seen) <= 3
