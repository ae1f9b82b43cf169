"""Poses and sound on one time: a frame has the time of the sample that belongs to it."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.motion.events import RoundCause, RoundClosed, RoundEndReason, RoundOpened
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S
from avatarkit_rtc.playout.playout import Playout
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.playout.presentation import SLEW, PresentationClock, SoundPlace
from tests.support.frames import Stage, arrived, face, ramp, utterance

BLOCK_S = 0.01
PATH_S = 0.05
AUDIO_DELAY_S = 0.04
EPOCH = 1000.0


def spoken(now: float, number: int, position: float) -> Pose:
    return Pose(now, PoseKind.RECEIVED, face(0), number, position)


def idle(now: float) -> Pose:
    return Pose(now, PoseKind.IDLE, face(0))


class Session:
    """An avatar that sends rounds and their sound, and what is made of the times here."""

    def __init__(self, *, path_s: float = PATH_S, seed: int = 0, jitter_s: float = 0.0) -> None:
        self.clock = PresentationClock(audio_delay_s=AUDIO_DELAY_S)
        self.clock.begin(EPOCH)
        self.clock.path_delay(path_s)
        self.path_s = path_s
        self._jitter = [random.Random(seed).uniform(0.0, jitter_s) for _ in range(10_000)]
        self.poses: list[tuple[int, int, float]] = []
        self.sounds: list[tuple[float, SoundPlace]] = []  # time since the first round's start, and the place

    def play(self, seconds: float, *rounds: tuple[float, int], shown_after_s: float = 0.06) -> None:
        """Sound for ``seconds``; ``rounds`` are (start, frames), in seconds from 0.5 s after the epoch."""
        origin = EPOCH + 0.5
        script: list[tuple[float, int, object]] = []
        for number, (start, frames) in enumerate(rounds, 1):
            for seq in range(frames):
                sent = origin + start + seq * FRAME_INTERVAL_S
                late = self._jitter[97 * number + seq] if seq % 3 else 0.0  # the fastest come in between
                script.append((sent + late, 0, arrived(number, seq, face(seq))))
                script.append((sent + shown_after_s, 1, (number, seq)))
            end = origin + start + frames * FRAME_INTERVAL_S
            script.append((end, 0, RoundClosed(number, RoundEndReason.TRANSITION_END)))
        for k in range(round(seconds / BLOCK_S)):
            handed_out = origin + k * BLOCK_S + self.clock.voice_delay_s
            script.append((handed_out, 2, k))
        for now, what, item in sorted(script, key=lambda each: each[:2]):
            if what == 0:
                self.clock.handle([item], now)  # type: ignore[list-item]
            elif what == 1:
                number, seq = item  # type: ignore[misc]
                self.poses.append((number, seq, self.clock.pose(spoken(now, number, seq), 0.04)))
            else:
                assert isinstance(item, int)
                if item % 30 == 0:
                    self.clock.path_delay(self.path_s)
                self.sounds.append((item * BLOCK_S, self.clock.sound(now, BLOCK_S)))

    def heard_at(self, number: int, media_time: float) -> float:
        """Presentation time of the sample that has this media time."""
        for _, place in self.sounds:
            if (
                place.round == number
                and place.media_time is not None
                and place.media_time + BLOCK_S > media_time
            ):
                return place.presentation_time + media_time - place.media_time
        raise AssertionError("no such sample")


def test_a_frame_has_the_time_of_its_sample() -> None:
    session = Session()
    session.play(6.0, (0.3, 50), (3.0, 50))
    for start, number in ((0.3, 1), (3.0, 2)):
        places = {k: place for k, place in session.sounds if place.round == number}
        # The sound of each frame is found in its round, at the frame's media time.
        assert len(places) == pytest.approx(200, abs=1)
        for k, place in places.items():
            assert place.media_time == pytest.approx(k - start, abs=1e-6)
        for pose_round, seq, at in session.poses:
            if pose_round == number:
                assert at == pytest.approx(session.heard_at(number, seq * FRAME_INTERVAL_S), abs=1e-6)


def test_between_rounds_sound_has_no_media_time() -> None:
    session = Session()
    session.play(6.0, (0.3, 50), (3.0, 50))
    for k, place in session.sounds:
        if k < 0.29 or 2.31 < k < 2.99 or k > 5.01:
            assert place[1:] == (None, None)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.0, 0.04))
def test_with_jitter_it_is_near_and_steady(seed: int, jitter_s: float) -> None:
    session = Session(seed=seed, jitter_s=jitter_s)
    session.play(6.0, (0.3, 100))
    times = [at for _, _, at in session.poses]
    steps = [after - before for before, after in itertools.pairwise(times)]
    for step in steps[15:]:
        assert step == pytest.approx(FRAME_INTERVAL_S, abs=FRAME_INTERVAL_S * SLEW + 1e-9)
    for _, seq, at in session.poses[25:]:
        assert at == pytest.approx(session.heard_at(1, seq * FRAME_INTERVAL_S), abs=jitter_s / 2 + 0.002)
    media = [place.media_time for _, place in session.sounds if place.round == 1]
    for before, after in itertools.pairwise(media[60:]):
        assert before is not None
        assert after is not None
        assert after - before == pytest.approx(BLOCK_S, abs=BLOCK_S * SLEW + 1e-9)


def test_a_longer_path_is_followed_slowly_and_wholly() -> None:
    clock = PresentationClock()
    clock.begin(EPOCH)
    clock.path_delay(0.05)
    times, now = [], EPOCH + 1.0
    for seq in range(200):
        clock.handle([arrived(1, seq, face(seq))], now)
        if seq == 100:
            for _ in range(3):
                clock.path_delay(0.15)
        times.append(clock.pose(spoken(now, 1, seq), 0.0))
        now += FRAME_INTERVAL_S
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert max(steps) <= FRAME_INTERVAL_S * (1 + SLEW) + 1e-9
    assert times[99] == pytest.approx(1.0 + clock.voice_delay_s - 0.1 + 99 * FRAME_INTERVAL_S)
    assert times[199] == pytest.approx(1.0 + clock.voice_delay_s + 199 * FRAME_INTERVAL_S, abs=1e-3)


def test_a_copy_that_comes_later_says_nothing_of_the_network() -> None:
    clock = PresentationClock()
    clock.begin(EPOCH)
    clock.handle([arrived(1, 0, face(0))], EPOCH + 1)
    first = clock.pose(spoken(EPOCH + 1, 1, 0), 0.0)
    for seq in range(1, 20):
        now = EPOCH + 1 + (seq + 2) * FRAME_INTERVAL_S
        clock.handle([arrived(1, seq, face(seq), recovered=True)], now)
    assert clock.pose(spoken(now, 1, 19), 0.0) == pytest.approx(first + 19 * FRAME_INTERVAL_S)


def test_idle_poses_lead_into_speech_and_out_of_it() -> None:
    playout = Playout()
    clock = PresentationClock()
    stage = Stage(playout)
    clock.begin(stage.now)
    seen: list[tuple[Pose, float]] = []

    def look() -> None:
        for pose in stage.poses[len(seen) :]:
            seen.append((pose, clock.pose(pose, playout.target_delay_s)))

    for packet in utterance([ramp(0.01 * k) for k in range(50)]):
        events = stage.stream.receive(packet, stage.now)
        clock.handle(events, stage.now)
        stage.handle(*events)
        stage.run(FRAME_INTERVAL_S)
        look()
    times = [at for _, at in seen]
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert min(steps) >= 0.0
    assert max(steps) < 0.09
    spoken_at = [at for pose, at in seen if pose.media_time is not None and pose.kind is PoseKind.RECEIVED]
    assert len(spoken_at) == 50
    assert spoken_at[-1] - spoken_at[0] == pytest.approx(49 * FRAME_INTERVAL_S, abs=0.001)


def test_held_poses_have_the_time_of_what_they_hold() -> None:
    clock = PresentationClock()
    clock.begin(EPOCH)
    clock.handle([arrived(1, 0, face(0))], EPOCH + 1)
    first = clock.pose(spoken(EPOCH + 1, 1, 0), 0.0)
    assert clock.pose(spoken(EPOCH + 1.04, 1, 0), 0.0) == pytest.approx(first)


def test_before_it_begins_and_for_rounds_it_never_heard_of() -> None:
    clock = PresentationClock()
    clock.handle([RoundClosed(3, RoundEndReason.IDLE), RoundOpened(4, RoundCause.START)], 10.0)
    assert clock.pose(spoken(10.0, 4, 7.0), clock.voice_delay_s) == 0.0  # it begins with what comes first
    clock.begin(5.0)  # too late: there is one beginning
    assert clock.sound(12.0, BLOCK_S) == SoundPlace(2.0, None, None)
    clock.sound_interrupted()
    assert clock.sound(15.0, BLOCK_S) == SoundPlace(5.0, None, None)


def test_interrupted_before_there_was_anything() -> None:
    clock = PresentationClock()
    clock.sound_interrupted()
    assert clock.sound(15.0, BLOCK_S) == SoundPlace(0.0, None, None)


def test_a_numbering_that_jumped_goes_on_from_there() -> None:
    clock = PresentationClock()
    clock.begin(EPOCH)
    before = after = 0.0
    for k in range(20):
        now = EPOCH + 1 + k * FRAME_INTERVAL_S
        clock.handle([arrived(1, k, face(k))], now)
        before = clock.pose(spoken(now, 1, k), 0.0)
    for k, seq in enumerate(range(5000, 5020), 20):
        now = EPOCH + 1 + k * FRAME_INTERVAL_S
        clock.handle([arrived(1, seq, face(seq))._replace(rebased=seq == 5000)], now)
        after = clock.pose(spoken(now, 1, seq), 0.0)
        assert after == pytest.approx(before + (k - 19) * FRAME_INTERVAL_S)
    # So far ahead without a word is another numbering too.
    clock.handle([arrived(1, 9000, face(0))], now + FRAME_INTERVAL_S)
    assert clock.pose(spoken(now + 0.04, 1, 9000), 0.0) == pytest.approx(after + FRAME_INTERVAL_S)


def test_a_round_whose_first_number_is_high_begins_with_it() -> None:
    clock = PresentationClock(audio_delay_s=0.0)
    clock.begin(EPOCH)
    clock.path_delay(1.0)
    for k in range(10):
        clock.handle([arrived(1, 1000 + k, face(k))], EPOCH + 2 + k * FRAME_INTERVAL_S)
    begins = EPOCH + 2 + clock.voice_delay_s
    assert clock.sound(begins - 0.01, BLOCK_S).media_time is None
    clock.sound_interrupted()
    assert clock.sound(begins + 0.01, BLOCK_S).media_time == pytest.approx(40.01)


def test_a_clock_that_was_set_does_no_harm() -> None:
    clock = PresentationClock()
    clock.begin(EPOCH)
    clock.handle([arrived(1, 0, face(0))], EPOCH + 1)
    first = clock.pose(spoken(EPOCH + 1, 1, 0), 0.0)
    second = clock.pose(spoken(EPOCH - 500, 1, 1), 0.0)
    third = clock.pose(idle(EPOCH - 500 + 0.04), 0.0)
    assert first <= second <= third <= first + 0.1
    assert clock.pose(idle(math.nan), 0.0) == third
    fresh = PresentationClock()
    fresh.handle([arrived(1, 0, face(0))], 5000.0)
    fresh.pose(idle(-5.0), 0.0)
    assert fresh.pose(idle(-900.0), 0.0) <= fresh.pose(idle(-899.9), 0.0) < 1.0


def test_old_rounds_are_forgotten() -> None:
    clock = PresentationClock()
    clock.begin(EPOCH)
    for number in range(1, 100):
        clock.handle([arrived(number, 0, face(0))], EPOCH + number)
    assert clock.sound(EPOCH + 99.5, BLOCK_S).round == 99
    # The first round's time is known no more: its pose goes by the clock.
    assert clock.pose(spoken(EPOCH + 99.5, 1, 0), clock.voice_delay_s) == pytest.approx(99.5)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["frame", "pose", "idle", "sound", "path", "close", "track"]),
            st.floats(0.0, 0.2),
            st.integers(1, 3),
            st.integers(0, 60),
        ),
        max_size=80,
    )
)
def test_times_never_go_back_whatever_comes(course: list[tuple[str, float, int, int]]) -> None:
    clock = PresentationClock()
    clock.begin(EPOCH)
    now, last_pose, sound_end = EPOCH, 0.0, 0.0
    for what, passed, number, seq in course:
        now += passed
        if what == "frame":
            clock.handle([arrived(number, seq, face(seq))], now)
        elif what == "close":
            clock.handle([RoundClosed(number, RoundEndReason.IDLE)], now)
        elif what == "path":
            clock.path_delay(passed)
        elif what == "track":
            clock.sound_interrupted()
        elif what == "sound":
            place = clock.sound(now, BLOCK_S, passed if seq == 7 else 0.0)
            assert place.presentation_time >= sound_end - 1e-9
            assert (place.round is None) == (place.media_time is None)
            assert place.media_time is None or place.media_time >= 0.0
            sound_end = place.presentation_time + BLOCK_S
        else:
            at = clock.pose(idle(now) if what == "idle" else spoken(now, number, seq), 0.04)
            assert last_pose <= at < 1000.0
            last_pose = at


def test_what_a_picture_needs_to_find_its_sound() -> None:
    clock = PresentationClock(audio_delay_s=AUDIO_DELAY_S)
    clock.begin(EPOCH)
    clock.path_delay(0.07)
    assert clock.sound_path_delay_s == 0.07
    for k in range(100):
        place = clock.sound(EPOCH + 1.0 + k * BLOCK_S, BLOCK_S)
    now = EPOCH + 1.0 + 99 * BLOCK_S
    assert now - clock.offset_s(now) == pytest.approx(place.presentation_time)
