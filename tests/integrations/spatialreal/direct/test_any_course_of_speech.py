"""Whatever is said, answered, paused, interrupted and held up in whatever order: what always holds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.integrations.spatialreal.direct.keyframes import Reply
from avatarkit_rtc.integrations.spatialreal.direct.stage import LATE_FRAMES, SpeechOptions
from avatarkit_rtc.integrations.spatialreal.direct.states import StageState
from avatarkit_rtc.integrations.spatialreal.direct.utterance import SLACK_FRAMES
from tests.support.spatialreal_direct import Theatre, block, keyframe

KEYFRAMES = [keyframe(number) for number in range(400)]


class Course:
    """Drives a stage, and knows what it was given."""

    def __init__(self) -> None:
        self.theatre = Theatre(SpeechOptions(start_timeout_s=0.5))
        self.blocks: dict[int, int] = {}
        self.ended: dict[int, bool] = {}
        self.answered: dict[int, int] = {}
        self.named: set[int] = set()

    def say(self, blocks: int) -> None:
        key = len(self.blocks) + 1
        self.blocks[key], self.answered[key], self.ended[key] = 0, 0, False
        self.theatre.stage.say(key)
        self.sound(key, blocks)

    def sound(self, key: int, blocks: int) -> None:
        if not self.ended.get(key, True):
            for number in range(self.blocks[key], self.blocks[key] + blocks):
                self.theatre.stage.sound(key, block(number % 30000))
            self.blocks[key] += blocks

    def end(self, key: int) -> None:
        if key in self.ended:
            self.ended[key] = True
            self.theatre.stage.sound_ended(key)

    def name(self, key: int) -> None:
        if key in self.blocks:
            self.named.add(key)
            self.theatre.stage.identify(key, f"request-{key}")

    def answer(self, key: int, count: int, end: bool) -> None:
        first = self.answered.get(key, 0)
        self.answered[key] = first + count
        numbers = [number % len(KEYFRAMES) for number in range(first, first + count)]
        self.theatre.stage.motion(Reply(f"request-{key}", tuple(KEYFRAMES[n] for n in numbers), end))

    def check(self) -> None:
        theatre, stage = self.theatre, self.theatre.stage
        theatre.note()
        c = stage.counters
        assert c.received == c.shown + c.late + c.surplus + c.outdated + c.unasked + stage.held_frames
        most = sum(-(-blocks // 4) + SLACK_FRAMES for blocks in self.blocks.values())
        assert stage.held_frames <= 2 * most  # those whose name is not known yet are held beside


moves = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 120)),
    st.tuples(st.just("sound"), st.integers(1, 4), st.integers(1, 60)),
    st.tuples(st.just("end"), st.integers(1, 4)),
    st.tuples(st.just("name"), st.integers(1, 4)),
    st.tuples(st.just("answer"), st.integers(1, 5), st.integers(0, 40), st.booleans()),
    st.tuples(st.just("run"), st.floats(0.0, 1.5)),
    st.tuples(st.just("hang"), st.floats(0.0, 3.0)),
    st.tuples(st.sampled_from(["cut", "pause", "resume"])),
    st.tuples(st.just("cut"), st.integers(1, 4)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(moves, max_size=25))
def test_any_course(course_of_things: list[tuple[object, ...]]) -> None:
    course = Course()
    theatre = course.theatre
    for what, *arguments in course_of_things:
        owner = course if hasattr(course, str(what)) else theatre
        getattr(owner if hasattr(owner, str(what)) else theatre.stage, str(what))(*arguments)
        course.check()
    # In the end everything is said.
    theatre.stage.resume()
    for key in course.blocks:
        course.end(key)
    theatre.run(2.0 + sum(0.01 * blocks + 2.5 for blocks in course.blocks.values()))
    course.check()
    assert theatre.stage.state is StageState.SILENT
    assert theatre.stage.held_frames == 0
    assert theatre.stage.held_s == 0
    assert sorted(each.key for each in theatre.ended()) == sorted(course.blocks)
    for ended in theatre.ended():
        sound = [each for each in theatre.sound() if each.key == ended.key]
        numbers = [int(each.samples[0, 0]) - 1 for each in sound]
        assert numbers == list(range(len(numbers)))  # in order, none twice
        assert ended.position_s * 100 == len(numbers) or abs(ended.position_s * 100 - len(numbers)) < 1e-6
        if not ended.interrupted:
            assert len(numbers) == course.blocks[ended.key]
    for key in course.blocks:
        frames = [
            (at, packet)
            for at, packet in theatre.packets()
            if packet.seq is not None and packet.message.req_id == f"request-{key}"
        ]
        numbers = [packet.seq for _, packet in frames]
        assert numbers == sorted(set(numbers))  # in order, none twice
        sound = {int(s.samples[0, 0]) - 1: s.t for s in theatre.sound() if s.key == key}
        for at, packet in frames:
            t = sound.get(packet.seq * 4)
            # Never after its sound by more than a late one may be; before it only where the sound was held.
            assert t is None or at <= t - 0.04 + LATE_FRAMES * 0.04 + 0.25 + 1e-6
