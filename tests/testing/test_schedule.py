from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.message import decode_message
from avatarkit_rtc.motion.packet import Packet, PacketKind, decode_packet, encode_message
from avatarkit_rtc.testing.noise import FOREIGN_TOPIC
from avatarkit_rtc.testing.performer import Utterance, perform
from avatarkit_rtc.testing.schedule import (
    ScheduledPacket,
    SentKind,
    StandInOptions,
    audio_schedule,
    motion_schedule,
)

UTTERANCE = perform(1, 1.0)  # 25 frames
FRAMES = len(UTTERANCE.frames)


def packets(
    options: StandInOptions | None = None, utterances: Sequence[Utterance] = (UTTERANCE,)
) -> list[ScheduledPacket]:
    return list(motion_schedule(utterances, options or StandInOptions(rounds=1)))


def frames(sent: Sequence[ScheduledPacket]) -> list[tuple[int, Packet]]:
    decoded = [(packet.seq, decode_packet(packet.data)) for packet in sent if packet.kind is SentKind.FRAME]
    return [(seq, packet) for seq, packet in decoded if seq is not None]


def sound(
    options: StandInOptions, utterances: Sequence[Utterance] = (UTTERANCE,)
) -> tuple[np.ndarray, list[float]]:
    blocks = list(audio_schedule(utterances, options))
    samples = [np.zeros(480, np.int16) if block.samples is None else block.samples for block in blocks]
    return np.concatenate(samples), [block.offset for block in blocks]


def test_a_session_has_the_order_of_an_avatar_service_on_a_40_ms_grid() -> None:
    sent = packets()
    order = [(kind, len(list(group))) for kind, group in itertools.groupby(packet.kind for packet in sent)]
    assert order == [
        (SentKind.IDLE, 10),
        (SentKind.TRANSITION, 8),
        (SentKind.FRAME, 25),
        (SentKind.TRANSITION_END, 20),
        (SentKind.IDLE, 30),
    ]
    assert [packet.offset for packet in sent] == pytest.approx([0.04 * tick for tick in range(len(sent))])


def test_frames_carry_the_source_exactly_and_start_is_on_the_first_only() -> None:
    decoded = frames(packets())
    assert [seq for seq, _ in decoded] == list(range(FRAMES))
    for (seq, packet), source in zip(decoded, UTTERANCE.frames, strict=True):
        assert packet.seq == seq
        assert packet.message is not None
        assert packet.message.frame == source
        assert packet.start == (seq == 0)
        assert not packet.end


def test_transitions_show_the_first_frame_and_transition_ends_repeat_the_last_byte_by_byte() -> None:
    sent = packets()
    transitions = {packet.data for packet in sent if packet.kind is SentKind.TRANSITION}
    ends = {packet.data for packet in sent if packet.kind is SentKind.TRANSITION_END}
    assert len(transitions) == len(ends) == 1
    first, last = decode_packet(transitions.pop()), decode_packet(ends.pop())
    assert (first.kind, last.kind) == (PacketKind.TRANSITION, PacketKind.TRANSITION_END)
    assert first.message is not None
    assert last.message is not None
    assert first.message.frame == UTTERANCE.frames[0]
    assert last.message == frames(sent)[-1][1].message
    assert last.message.req_id == "stand-in-1"


def test_each_frame_packet_carries_the_two_before_it() -> None:
    for seq, packet in frames(packets()):
        assert len(packet.copies) == 2
        for back, copy in enumerate(packet.copies, start=1):
            if seq < back:
                assert copy is None
            else:
                assert copy is not None
                assert decode_message(copy).frame == UTTERANCE.frames[seq - back]


def test_without_redundancy_there_are_no_copies() -> None:
    assert all(p.copies == () for _, p in frames(packets(StandInOptions(rounds=1, redundancy=False))))


def test_without_transition_lead_the_first_frame_follows_idle() -> None:
    sent = packets(StandInOptions(rounds=1, transition_lead_frames=0))
    kinds = [packet.kind for packet in sent]
    assert SentKind.TRANSITION not in kinds
    assert kinds[9:11] == [SentKind.IDLE, SentKind.FRAME]


def test_without_idle_packets_pauses_are_silent() -> None:
    sent = packets(StandInOptions(rounds=2, idle_packets=False))
    assert SentKind.IDLE not in {packet.kind for packet in sent}
    assert sent[0].offset == pytest.approx(0.4)
    second = next(packet for packet in sent if packet.round == 2)
    assert second.offset == pytest.approx(0.4 + 0.32 + 1.0 + 2.0)


def test_without_transition_end_idle_follows_the_last_frame() -> None:
    kinds = [packet.kind for packet in packets(StandInOptions(rounds=1, transition_end=False))]
    assert kinds[18 + FRAMES - 1 : 18 + FRAMES + 1] == [SentKind.FRAME, SentKind.IDLE]


def test_a_short_pause_cuts_the_transition_end_short() -> None:
    sent = packets(StandInOptions(rounds=2, pause_s=0.2))
    assert sum(packet.kind is SentKind.TRANSITION_END for packet in sent) == 10
    assert all(b.offset - a.offset == pytest.approx(0.04) for a, b in itertools.pairwise(sent))


def test_several_pauses_are_taken_in_turn() -> None:
    sent = packets(StandInOptions(rounds=3, pause_s=(0.4, 0.0), transition_lead_frames=0))
    starts = [next(packet.offset for packet in sent if packet.round == number) for number in (1, 2, 3)]
    lengths = [b - a for a, b in itertools.pairwise(starts)]
    assert lengths == pytest.approx([FRAMES * 0.04 + 0.4, FRAMES * 0.04])


def test_end_is_on_the_last_frame_when_asked_for() -> None:
    sent = packets(StandInOptions(rounds=1, send_end=True))
    assert [packet.end for _, packet in frames(sent)] == [False] * (FRAMES - 1) + [True]
    end = next(packet for packet in sent if packet.kind is SentKind.TRANSITION_END)
    assert decode_packet(end.data).message == frames(sent)[-1][1].message


def test_start_can_be_lost() -> None:
    decoded = frames(packets(StandInOptions(rounds=1, lose_start=True)))
    assert [seq for seq, _ in decoded] == list(range(1, FRAMES))
    assert not any(packet.start for _, packet in decoded)


def test_every_nth_packet_can_be_withheld_and_the_time_of_the_others_stays() -> None:
    sent = packets(StandInOptions(rounds=1, withhold_every=7))
    assert [seq for seq, _ in frames(sent)] == [n for n in range(FRAMES) if n % 7 != 6]
    for packet in sent:
        if packet.seq is not None:
            assert packet.offset == pytest.approx(0.72 + 0.04 * packet.seq)


def test_packets_can_be_withheld_by_number_and_by_function() -> None:
    sent = packets(StandInOptions(rounds=1, withhold={3, 24}))
    assert {seq for seq, _ in frames(sent)} == set(range(FRAMES)) - {3, 24}
    picky = StandInOptions(rounds=2, withhold=lambda number, seq: number == 2 and seq > 1)
    sent = packets(picky)
    assert [packet.seq for packet in sent if packet.round == 2 and packet.seq is not None] == [0, 1]
    assert sum(packet.round == 1 and packet.seq is not None for packet in sent) == FRAMES


def test_rounds_of_one_frame() -> None:
    options = StandInOptions(rounds=3, one_frame_rounds=True)
    sent = packets(options)
    assert [(packet.round, packet.seq) for packet in sent if packet.seq is not None] == [
        (1, 0),
        (2, 0),
        (3, 0),
    ]
    assert all(packet.start for _, packet in frames(sent))
    samples, _ = sound(options)
    assert np.count_nonzero(samples) <= 3 * 960


def test_a_restart_within_a_round_begins_again_at_0_with_start_and_no_older_copies() -> None:
    decoded = frames(packets(StandInOptions(rounds=1, restart_at=10)))
    assert [seq for seq, _ in decoded] == [*range(10), *range(15)]
    assert [index for index, (_, packet) in enumerate(decoded) if packet.start] == [0, 10]
    assert decoded[10][1].copies == (None, None)
    assert decoded[11][1].copies[1] is None
    assert [packet.message.frame for _, packet in decoded if packet.message] == list(UTTERANCE.frames)


def test_the_sequence_wraps() -> None:
    decoded = frames(packets(StandInOptions(rounds=1, first_seq=2**32 - 2)))
    assert [seq for seq, _ in decoded][:4] == [2**32 - 2, 2**32 - 1, 0, 1]
    assert decoded[2][1].seq == 0
    assert all(copy is not None for copy in decoded[2][1].copies)


def test_utterances_take_turns() -> None:
    other = perform(2, 0.2)
    sent = packets(StandInOptions(rounds=3), [UTTERANCE, other])
    counts = [sum(p.round == number and p.seq is not None for p in sent) for number in (1, 2, 3)]
    assert counts == [FRAMES, 5, FRAMES]


def test_without_a_number_of_rounds_it_goes_on_for_ever() -> None:
    endless = motion_schedule([UTTERANCE], StandInOptions())
    assert sum(1 for _ in itertools.islice(endless, 1000)) == 1000


def test_noise_is_added_and_nothing_else_changes() -> None:
    clean, noisy = packets(), packets(StandInOptions(rounds=1, noise=True, seed=3))
    assert [packet for packet in noisy if packet.kind is not SentKind.NOISE] == clean
    noise = [packet for packet in noisy if packet.kind is SentKind.NOISE]
    assert len(noise) > 20
    assert {packet.topic for packet in noise} == {None, FOREIGN_TOPIC}
    assert noisy == packets(StandInOptions(rounds=1, noise=True, seed=3))
    assert noisy != packets(StandInOptions(rounds=1, noise=True, seed=4))


def test_sound_is_one_stream_40_ms_behind_its_frames() -> None:
    samples, offsets = sound(StandInOptions(rounds=2))
    assert offsets == pytest.approx([0.02 * n for n in range(len(offsets))])
    expected = np.zeros(round((0.4 + 2 * (0.32 + 1.0 + 2.0)) * 24000), np.int16)
    for number in range(2):
        start = round((0.4 + 0.32 + number * 3.32 + 0.04) * 24000)
        expected[start : start + 24000] = UTTERANCE.pcm
    assert np.array_equal(samples, expected)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8000, 11025, 22050, 24000, 44100]),
    st.integers(0, 500),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 4),
)
def test_no_rate_delay_or_pause_makes_sound_drift_against_motion(
    rate: int, delay_ms: int, pause: float, start: float, rounds: int
) -> None:
    pcm = np.zeros(round(0.2 * rate), np.int16)
    pcm[0] = 1000
    utterance = Utterance(UTTERANCE.frames[:5], pcm, rate)
    options = StandInOptions(rounds=rounds, audio_delay_ms=delay_ms, pause_s=pause, start_idle_s=start)
    first_frames = [packet.offset for packet in motion_schedule([utterance], options) if packet.seq == 0]
    stream = np.concatenate(
        [b.samples for b in audio_schedule([utterance], options) if b.samples is not None]
    )
    clicks = np.flatnonzero(stream) / rate
    assert len(clicks) == rounds
    assert clicks == pytest.approx([at + delay_ms / 1000 for at in first_frames], abs=1.01 / rate)


def test_all_of_the_last_sound_is_sent_even_without_a_pause() -> None:
    samples, _ = sound(StandInOptions(rounds=1, pause_s=0, start_idle_s=0, transition_lead_frames=0))
    assert np.array_equal(samples[960 : 960 + 24000], UTTERANCE.pcm)


def test_sound_longer_than_its_motion_goes_on_into_the_pause_until_the_next_sound() -> None:
    long = Utterance(UTTERANCE.frames[:5], np.ones(24000, np.int16), 24000)
    samples, _ = sound(
        StandInOptions(rounds=2, pause_s=0.4, start_idle_s=0, transition_lead_frames=0), [long]
    )
    assert not samples[:960].any()
    second = round((0.6 + 0.04) * 24000)
    assert samples[960 : second + 24000].all()
    assert not samples[second + 24000 :].any()


def test_spans_of_sound_can_be_withheld_in_each_round() -> None:
    options = StandInOptions(rounds=2, withhold_audio=[(0.2, 0.4)])
    withheld = [block.offset for block in audio_schedule([UTTERANCE], options) if block.samples is None]
    starts = [0.76, 0.76 + 3.32]
    assert withheld == pytest.approx([start + 0.2 + 0.02 * n for start in starts for n in range(10)])


def test_there_may_be_no_sound_at_all() -> None:
    assert list(audio_schedule([UTTERANCE], StandInOptions(rounds=1, audio=False))) == []


def test_what_cannot_be_played_is_told() -> None:
    with pytest.raises(ConfigurationError, match="at least one utterance"):
        motion_schedule([], StandInOptions())
    with pytest.raises(ConfigurationError, match="at least one frame"):
        audio_schedule([Utterance((), UTTERANCE.pcm, 24000)], StandInOptions())
    with pytest.raises(ConfigurationError, match="16000, 24000"):
        motion_schedule([UTTERANCE, perform(1, 0.1, 16000)], StandInOptions())


@pytest.mark.parametrize(
    "options",
    [
        {"rounds": 0},
        {"pause_s": -1},
        {"pause_s": float("nan")},
        {"pause_s": ()},
        {"pause_s": (1.0, -1.0)},
        {"start_idle_s": float("inf")},
        {"transition_lead_frames": -1},
        {"withhold_every": 0},
        {"audio_delay_ms": -1},
        {"restart_at": 0},
        {"first_seq": 2**32},
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        StandInOptions(**options)  # type: ignore[arg-type]


def test_the_message_is_what_the_encoder_makes_of_the_frame() -> None:
    packet = decode_packet(packets(StandInOptions(rounds=1))[18].data)
    assert packet.message is not None
    assert decode_message(encode_message(UTTERANCE.frames[0], req_id="stand-in-1")) == packet.message
