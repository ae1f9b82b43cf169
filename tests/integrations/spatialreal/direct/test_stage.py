"""The stage: which keyframe goes out with which sound, and what happens when something is late."""

from __future__ import annotations

from itertools import pairwise

import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.integrations.spatialreal.direct.keyframes import Reply
from avatarkit_rtc.integrations.spatialreal.direct.stage import SpeechOptions
from avatarkit_rtc.integrations.spatialreal.direct.states import (
    STEPS,
    StageInput,
    StageState,
    next_state,
)
from avatarkit_rtc.motion.packet import PacketKind
from tests.support.spatialreal_direct import Theatre, block, keyframes, pose


def assert_in_step(theatre: Theatre, *, but: int = 0) -> None:
    """Each frame goes out 40 ms before its sound, to the microsecond, ``but`` so many."""
    heard = [each for each in theatre.sound() if each.key is not None]
    sound = {(f"request-{each.key}", int(each.samples[0, 0]) - 1): each.t for each in heard}
    frames = [(at, packet) for at, packet in theatre.packets() if packet.seq is not None]
    off = [
        packet.seq
        for at, packet in frames
        if abs(at - (sound.get((packet.message.req_id, packet.seq * 4), at + 0.040) - 0.040)) > 1e-6
    ]
    assert len(off) == but


def test_each_frame_goes_out_once_40_ms_before_its_sound() -> None:
    theatre = Theatre()
    theatre.run(0.5)
    theatre.say(1, 100)
    theatre.run(3.0)
    assert [number for _, number in theatre.frames()] == list(range(25))
    assert [number for _, number in theatre.heard()] == list(range(100))
    assert_in_step(theatre)
    assert theatre.kinds() == [PacketKind.TRANSITION, PacketKind.FRAME]
    packets = [packet for _, packet in theatre.packets() if packet.kind is PacketKind.FRAME]
    assert [packet.start for packet in packets] == [True] + [False] * 24
    assert [packet.end for packet in packets] == [False] * 24 + [True]
    assert [packet.message.frame for packet in packets if packet.message] == [pose(n) for n in range(25)]
    assert theatre.began() == [1]
    assert [tuple(each) for each in theatre.ended()] == [(1, 1.0, False)]
    assert theatre.stage.state is StageState.SILENT


def test_sound_is_one_unbroken_stream_with_silence_around_the_speech() -> None:
    theatre = Theatre()
    theatre.run(0.2)
    theatre.say(1, 30)
    theatre.say(2, 30)
    theatre.run(2.0)
    moments = [each.t for each in theatre.sound()]
    assert [b - a for a, b in pairwise(moments)] == pytest.approx([0.01] * (len(moments) - 1))
    assert [number for _, number in theatre.heard()] == [*range(30), *range(30)]
    assert len(theatre.ended()) == 2
    assert_in_step(theatre)


def test_idle_packets_go_out_while_nothing_is_said() -> None:
    theatre = Theatre()
    theatre.run(1.0)
    assert len([output for _, output in theatre.outputs if hasattr(output, "data")]) == 26
    assert theatre.packets() == []


def test_sound_starts_soon_when_motion_is_there_at_once() -> None:
    theatre = Theatre(SpeechOptions(transition_s=0.12))
    theatre.run(1.0)
    begun = theatre.now
    theatre.say(1, 100)
    theatre.run(1.0)
    assert theatre.heard()[0][0] - begun == pytest.approx(0.12, abs=0.011)


def test_sound_waits_for_motion_and_the_way_from_idle_begins_meanwhile() -> None:
    theatre = Theatre()
    name = theatre.say(1, 100, frames=1)
    theatre.run(1.0)
    assert theatre.heard() == []
    assert theatre.kinds() == [PacketKind.TRANSITION]
    theatre.stage.motion(Reply(name, keyframes(range(1, 25)), True))
    theatre.run(2.0)
    assert [number for _, number in theatre.frames()] == list(range(25))
    assert_in_step(theatre)


def test_sound_does_not_wait_for_ever_and_late_motion_joins_in_its_place() -> None:
    theatre = Theatre(SpeechOptions(start_timeout_s=1.0))
    name = theatre.say(1, 200, frames=0)
    theatre.run(1.5)
    assert theatre.heard()[0][0] == pytest.approx(101.04, abs=0.011)
    theatre.stage.motion(Reply(name, keyframes(range(50)), True))
    theatre.run(3.0)
    shown = [number for _, number in theatre.frames()]
    assert shown == list(range(shown[0], 50))
    counters = theatre.stage.counters
    assert counters.late_starts == 1
    assert counters.late == shown[0] > 5
    assert [number for _, number in theatre.heard()] == list(range(200))
    late = [at for at, number in theatre.frames()][3:]  # those that were already due came at once
    assert [b - a for a, b in pairwise(late)] == pytest.approx([0.04] * (len(late) - 1))


def test_motion_that_is_late_in_the_middle_leaves_the_sound_alone() -> None:
    theatre = Theatre()
    name = theatre.say(1, 200, frames=15)
    theatre.run(1.5)  # half a second without motion by then
    theatre.stage.motion(Reply(name, keyframes(range(15, 50)), True))
    theatre.run(2.0)
    moments = [t for t, _ in theatre.heard()]
    assert len(moments) == 200
    assert moments[-1] - moments[0] == pytest.approx(1.99)
    assert theatre.stage.counters.late > 3
    assert theatre.stage.counters.shown + theatre.stage.counters.late == 50
    assert theatre.kinds() == [PacketKind.TRANSITION, PacketKind.FRAME]  # one round


def test_a_slow_source_holds_both_and_the_numbers_go_on() -> None:
    theatre = Theatre()
    name = theatre.say(1, 100, frames=25, ended=False)
    theatre.run(2.5)
    assert theatre.stage.state is StageState.GATHERING
    assert len(theatre.heard()) == 100
    for number in range(100, 160):
        theatre.stage.sound(1, block(number))
    theatre.stage.sound_ended(1)
    theatre.stage.motion(Reply(name, keyframes(range(25, 40)), True))
    theatre.run(2.0)
    assert [number for _, number in theatre.heard()] == list(range(160))
    assert [number for _, number in theatre.frames()] == list(range(40))
    assert_in_step(theatre)
    assert theatre.kinds() == [
        PacketKind.TRANSITION,
        PacketKind.FRAME,
        PacketKind.TRANSITION_END,
        PacketKind.TRANSITION,
        PacketKind.FRAME,
    ]
    assert theatre.stage.counters.starved == 1
    assert [tuple(each) for each in theatre.ended()] == [(1, 1.6, False)]


def test_paused_and_resumed_nothing_is_lost_and_the_face_goes_to_idle_meanwhile() -> None:
    theatre = Theatre()
    theatre.say(1, 100)
    theatre.run(0.6)
    theatre.stage.pause()
    theatre.note()
    before = len(theatre.heard())
    theatre.run(10.0)
    assert len(theatre.heard()) == before > 10
    assert theatre.kinds()[-1] is PacketKind.TRANSITION_END
    theatre.stage.resume()
    theatre.run(2.0)
    assert [number for _, number in theatre.heard()] == list(range(100))
    assert [number for _, number in theatre.frames()] == list(range(25))
    assert_in_step(theatre, but=1)  # the one whose sound was held
    starts = [packet.seq for _, packet in theatre.packets() if packet.start]
    assert len(starts) == 2


def test_what_is_said_while_paused_waits() -> None:
    theatre = Theatre()
    theatre.stage.pause()
    theatre.say(1, 50)
    theatre.run(5.0)
    assert theatre.heard() == []
    theatre.stage.resume()
    theatre.run(2.0)
    assert len(theatre.heard()) == 50


def test_an_interruption_is_silent_at_the_next_block_and_drops_what_comes_late() -> None:
    theatre = Theatre()
    name = theatre.say(1, 100, frames=10)
    theatre.say(2, 100)
    theatre.run(0.5)
    theatre.stage.cut()
    theatre.note()
    at = theatre.now
    theatre.stage.motion(Reply(name, keyframes(range(10, 20)), True))
    theatre.run(2.0)
    assert [t for t, _ in theatre.heard() if t > at] == []
    assert [at for at, _ in theatre.frames()][-1] <= at
    order = [type(output).__name__ for when, output in theatre.outputs if when == at][-4:]
    assert order == ["Flush", "Packet", "Ended", "Ended"]
    assert theatre.kinds()[-1] is PacketKind.TRANSITION_END  # so that the player listens again
    assert [(each.key, each.interrupted) for each in theatre.ended()] == [(1, True), (2, True)]
    assert theatre.ended()[1].position_s == 0.0
    counters = theatre.stage.counters
    assert counters.outdated >= 10
    assert counters.received == counters.shown + counters.outdated
    theatre.say(3, 20)
    theatre.run(1.0)
    assert len([t for t, _ in theatre.heard() if t > at]) == 20


def test_an_interruption_ends_a_pause() -> None:
    theatre = Theatre()
    theatre.say(1, 100)
    theatre.run(0.5)
    theatre.stage.pause()
    theatre.stage.cut()
    theatre.say(2, 20)
    theatre.run(1.0)
    assert [each.key for each in theatre.ended()] == [1, 2]


def test_one_utterance_is_cut_and_the_next_one_is_said() -> None:
    theatre = Theatre()
    theatre.say(1, 100)
    theatre.say(2, 40)
    theatre.run(0.5)
    theatre.stage.cut(1)
    theatre.run(2.0)
    assert [(each.key, each.interrupted) for each in theatre.ended()] == [(1, True), (2, False)]
    assert theatre.flushes() == 1


def test_one_that_waits_is_cut_and_nobody_hears_of_it() -> None:
    theatre = Theatre()
    theatre.say(1, 50)
    theatre.say(2, 40)
    theatre.run(0.3)
    theatre.stage.cut(2)
    theatre.run(2.0)
    assert [(each.key, each.interrupted) for each in theatre.ended()] == [(2, True), (1, False)]
    assert theatre.flushes() == 0
    assert len(theatre.heard()) == 50


def test_an_answer_may_come_before_its_name_is_known() -> None:
    theatre = Theatre()
    theatre.stage.say(1)
    for number in range(40):
        theatre.stage.sound(1, block(number))
    theatre.stage.motion(Reply("stray", keyframes(range(3)), False))
    theatre.stage.motion(Reply("mine", keyframes(range(6)), False))
    theatre.stage.identify(1, "mine")
    theatre.stage.identify(1, "mine")
    theatre.stage.sound_ended(1)
    theatre.stage.motion(Reply("mine", keyframes(range(6, 10)), True))
    theatre.run(1.0)
    assert [number for _, number in theatre.frames()] == list(range(10))
    assert theatre.stage.counters.unasked == 3


def test_motion_that_nobody_asked_for_is_dropped_and_counted() -> None:
    theatre = Theatre()
    theatre.stage.motion(Reply("foreign", keyframes(range(5)), True))
    assert theatre.stage.counters.unasked == 5
    theatre.stage.identify(7, "cut-off-before-it-was-known")
    theatre.stage.motion(Reply("cut-off-before-it-was-known", keyframes(range(4)), True))
    assert theatre.stage.counters.outdated == 4
    assert theatre.stage.held_frames == 0


def test_more_motion_than_there_is_sound_for_is_dropped_and_what_belongs_is_shown() -> None:
    theatre = Theatre()
    name = theatre.say(1, 40, frames=0, ended=False)
    theatre.stage.motion(Reply(name, keyframes(range(15000)), False))  # ten minutes
    assert theatre.stage.held_frames == 10 + 25
    assert theatre.stage.counters.surplus == 15000 - 35
    theatre.stage.sound_ended(1)
    theatre.run(3.0)
    assert [number for _, number in theatre.frames()][:10] == list(range(10))
    assert theatre.stage.held_frames == 0
    assert len(theatre.ended()) == 1


def test_a_monstrous_keyframe_is_left_out_and_the_rest_keeps_its_place() -> None:
    theatre = Theatre()
    name = theatre.say(1, 40, frames=0)
    good = keyframes(range(10))
    theatre.stage.motion(Reply(name, (*good[:4], b"x" * 5000, *good[5:]), True))
    theatre.run(1.0)
    assert [number for _, number in theatre.frames()] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert_in_step(theatre)


def test_a_mouth_that_comes_to_rest_after_the_sound_is_shown_to_its_end() -> None:
    theatre = Theatre()
    name = theatre.say(1, 40, frames=0)
    theatre.stage.motion(Reply(name, keyframes(range(18)), True))
    theatre.run(2.0)
    assert [number for _, number in theatre.frames()] == list(range(18))
    assert theatre.ended()[0].position_s == pytest.approx(0.4)


def test_a_service_that_never_ends_its_motion_keeps_nobody_waiting() -> None:
    theatre = Theatre()
    theatre.say(1, 40, frames=10)
    theatre.say(2, 40)
    theatre.run(4.0)
    assert [each.key for each in theatre.ended()] == [1, 2]
    assert theatre.kinds().count(PacketKind.TRANSITION_END) == 1


def test_motion_shorter_than_the_sound_ends_its_round_early() -> None:
    theatre = Theatre()
    name = theatre.say(1, 100, frames=10)
    theatre.run(0.8)
    theatre.stage.motion(Reply(name, (), True))
    theatre.run(2.0)
    assert theatre.kinds() == [PacketKind.TRANSITION, PacketKind.FRAME, PacketKind.TRANSITION_END]
    assert len(theatre.heard()) == 100


def test_nothing_to_say_is_over_at_once() -> None:
    theatre = Theatre()
    theatre.say(1, 0)
    theatre.run(0.1)
    assert [tuple(each) for each in theatre.ended()] == [(1, 0.0, False)]
    assert theatre.packets() == []


def test_a_short_hiccup_is_caught_up_and_a_long_one_moves_what_is_left() -> None:
    theatre = Theatre()
    theatre.say(1, 200)
    theatre.run(0.6)
    theatre.hang(0.11)
    theatre.run(0.3)
    assert theatre.stage.counters.held_up_s == 0.0
    theatre.hang(2.0)
    theatre.run(4.0)
    assert theatre.stage.counters.held_up_s == pytest.approx(2.0, abs=0.02)
    assert [number for _, number in theatre.heard()] == list(range(200))
    assert [number for _, number in theatre.frames()] == list(range(50))
    assert theatre.kinds().count(PacketKind.TRANSITION_END) == 1


def test_hiccups_cost_no_more_than_they_last_and_the_face_does_not_go_to_idle() -> None:
    theatre = Theatre()
    theatre.say(1, 400)
    theatre.run(0.6)
    for _ in range(10):
        theatre.hang(0.15)
        theatre.run(0.25)
    theatre.run(3.0)
    moments = [t for t, _ in theatre.heard()]
    assert [number for _, number in theatre.heard()] == list(range(400))
    held_up_s = theatre.stage.counters.held_up_s
    assert held_up_s == pytest.approx(1.5, abs=0.2)
    assert moments[-1] - moments[0] == pytest.approx(3.99 + held_up_s, abs=0.001)
    assert [number for _, number in theatre.frames()] == list(range(100))
    assert_in_step(theatre, but=10)  # those whose sound was held
    # One way from idle, at the beginning; each hiccup closes a round and the next frame opens another one.
    assert theatre.kinds()[0] is PacketKind.TRANSITION
    assert PacketKind.TRANSITION not in theatre.kinds()[1:]
    assert len([packet for _, packet in theatre.packets() if packet.start]) == 11


def test_time_that_stood_still_between_two_connections_is_no_hiccup() -> None:
    theatre = Theatre()
    theatre.run(0.5)
    theatre.now += 30.0
    theatre.stage.restart()
    theatre.say(1, 20)
    theatre.run(1.0)
    assert theatre.stage.counters.held_up_s == 0.0
    assert len(theatre.heard()) == 20


@pytest.mark.parametrize("happened", StageInput)
@pytest.mark.parametrize("state", StageState)
def test_the_table_has_every_row_that_can_happen(state: StageState, happened: StageInput) -> None:
    if (state, happened) in STEPS:
        assert next_state(state, happened) is STEPS[state, happened]
    else:
        assert happened in (StageInput.READY, StageInput.STARVED, StageInput.OVER)
        with pytest.raises(KeyError):
            next_state(state, happened)


@pytest.mark.parametrize("wrong", [{"ahead_s": -1}, {"start_timeout_s": float("nan")}, {"transition_s": 9}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        SpeechOptions(**wrong)
