from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face import FaceDriver, FacePose
from avatarkit_rtc.face.rate_limit import (
    BREATH_SPEED,
    COEFFICIENT_SPEEDS,
    GAZE_SPEED,
    LONGEST_STEP_S,
    ROTATION_SPEED,
    TRANSLATION_SPEED,
)
from avatarkit_rtc.motion.arkit import set_gaze
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, FRAME_SIZE, MotionFrame
from avatarkit_rtc.playout.idle import breathing
from avatarkit_rtc.playout.interpolation import blend
from avatarkit_rtc.playout.pose import Pose, PoseKind

OFFSETS = {
    "translation": [-0.005, 0.005, -0.019],
    "rotation": [0.09, 0.02, 0.02],
    "neck_pose": [0.02, -0.04, 0.04],
    "jaw_pose": [0.02, -0.01, 0.015],
    "eye_pose": [-0.04] * 6,
    "eye_lid": [-0.02, -0.02],
    "expression": [1.0, -1.5] * 25,
}
"""What a real stream's face looks like at rest."""


def at(t: float, kind: PoseKind = PoseKind.RECEIVED, **more: list[float]) -> Pose:
    """A pose of a stream with offsets, with ``more`` added to them."""
    frame = MotionFrame.from_fields(OFFSETS)
    frame = MotionFrame(frame.values + MotionFrame.from_fields(more).values)
    return Pose(t, kind, frame, 1, t / FRAME_INTERVAL_S)


def play(driver: FaceDriver, poses: list[Pose]) -> list[FacePose]:
    return [driver.pose(pose) for pose in poses]


def series(faces: list[FacePose], name: str) -> npt.NDArray[np.float32]:
    return np.array([face.coefficients[ARKIT_INDEX[name]] for face in faces])


def tone(t: float, seconds: float, *, hertz: float = 700.0, gain: float = 0.5) -> list[AudioBlock]:
    """Blocks of 10 ms from ``t`` on, with the first formants of an a."""
    rate, blocks = 24000, []
    for k in range(round(seconds * 100)):
        n = np.arange(240) + 240 * k
        wave = sum(
            np.sin(2 * np.pi * f * n / rate) / (1 + abs(f - hertz) / 100) for f in range(100, 3000, 100)
        )
        blocks.append(AudioBlock((wave * gain * 8000).astype(np.int16)[:, None], rate, t + k * 0.01))
    return blocks


# -- what a stream says --------------------------------------------------------------------------------------


def test_constant_offsets_leave_the_face_at_rest() -> None:
    face = play(FaceDriver(), [at(0.04 * k) for k in range(200)])[-1]
    assert np.abs(face.rotation).max() < 0.05  # a slight sway, no more
    assert np.abs(face.translation).max() < 1e-4
    for name in ("jawOpen", "jawLeft", "jawRight", "eyeWideLeft", "mouthFunnel"):
        assert face.coefficients[ARKIT_INDEX[name]] < 0.01, name


def test_movement_around_the_offsets_is_shown() -> None:
    driver = FaceDriver()
    play(driver, [at(0.04 * k) for k in range(100)])
    moved = play(
        driver,
        [
            at(4.0 + 0.04 * k, rotation=[0, 0.3], eye_pose=[0, 0.2, 0, 0, 0.2], eye_lid=[1, 1])
            for k in range(6)
        ],
    )[-1]
    assert moved.rotation[1] == pytest.approx(0.3, abs=0.05)
    assert moved.gaze[:, 1] == pytest.approx(0.2, abs=0.1)
    assert moved.coefficients[ARKIT_INDEX["eyeBlinkLeft"]] > 0.9


def test_without_sound_the_mouth_goes_by_the_jaw_with_a_gain() -> None:
    driver = FaceDriver()
    poses = [at(0.04 * k, jaw_pose=[0.02 * (1 - math.cos(k))]) for k in range(100)]
    opening = series(play(driver, poses), "jawOpen")
    assert opening[20:].max() > 0.2
    assert opening[20:].min() < 0.02


def test_eyelook_coefficients_and_gaze_say_the_same() -> None:
    driver = FaceDriver(seed=3)
    for face in play(driver, [Pose(0.04 * k, PoseKind.IDLE, MotionFrame.neutral()) for k in range(300)]):
        said = np.zeros(52, np.float32)
        set_gaze(said, face.gaze)
        looks = [i for name, i in ARKIT_INDEX.items() if name.startswith("eyeLook")]
        assert np.array_equal(face.coefficients[looks], said[looks])


def test_a_transition_back_to_idle_carries_the_offsets_away_without_being_seen() -> None:
    """Frames half way hold half of the offsets: neither a nod nor an opening of the mouth."""
    driver = FaceDriver()
    play(driver, [at(0.04 * k) for k in range(100)])
    speech, idle = at(0.0).frame, MotionFrame.neutral()
    way = [Pose(4.0 + 0.04 * k, PoseKind.TRANSITION, blend(speech, idle, k / 40), 1) for k in range(41)] + [
        Pose(5.64 + 0.04 * k, PoseKind.IDLE, idle) for k in range(20)
    ]
    faces = play(driver, way)
    turns = np.array([face.rotation for face in faces])
    assert np.abs(turns).max() < 0.06
    assert series(faces, "jawOpen").max() < 0.03


def test_an_idle_clip_of_the_streams_own_carries_its_offsets_too() -> None:
    driver = FaceDriver()
    play(driver, [at(0.04 * k) for k in range(100)])
    faces = play(driver, [at(4.0 + 0.04 * k, PoseKind.IDLE) for k in range(50)])
    assert np.abs([face.rotation for face in faces]).max() < 0.06


# -- sound ---------------------------------------------------------------------------------------------------


def test_the_mouth_opens_with_the_sound_and_in_time() -> None:
    driver = FaceDriver()
    for block in [*tone(0.0, 1.0, gain=0.0), *tone(1.0, 0.5), *tone(1.5, 0.5, gain=0.0)]:
        driver.hear(block)
    faces = play(driver, [at(0.02 * k) for k in range(100)])
    opening = series(faces, "jawOpen")
    assert opening[:46].max() < 0.05
    assert opening[52:72].min() > 0.3
    assert opening[82:].max() < 0.05


def test_presentation_times_bring_sound_and_pose_together() -> None:
    from avatarkit_rtc.audio.received import ReceivedAudio

    driver = FaceDriver()
    for block in [*tone(0.0, 1.0, gain=0.0), *tone(1.0, 0.5), *tone(1.5, 0.5, gain=0.0)]:
        # Received 60 s into the clock of the machine, all at once.
        driver.hear(ReceivedAudio(block.samples, block.sample_rate, 60.0, presentation_time=block.t))
    poses = [
        Pose(60.3 + 0.02 * k, PoseKind.RECEIVED, at(0).frame, 1, float(k), presentation_time=0.02 * k)
        for k in range(100)
    ]
    opening = series(play(driver, poses), "jawOpen")
    assert opening[:46].max() < 0.05
    assert opening[52:72].min() > 0.3


def test_the_brows_go_up_with_a_stressed_syllable_and_come_down() -> None:
    driver = FaceDriver()
    for block in [*tone(0.0, 1.0, gain=0.0), *tone(1.0, 4.0)]:
        driver.hear(block)
    brows = series(play(driver, [at(0.04 * k) for k in range(120)]), "browInnerUp")
    assert brows[:24].max() == 0.0
    assert brows[28:40].max() > 0.15
    assert brows[-1] < 0.02


def test_while_frames_are_missing_the_mouth_goes_on_with_the_sound() -> None:
    from avatarkit_rtc.audio.received import ReceivedAudio

    driver = FaceDriver()
    for block in [*tone(0.0, 1.0), *tone(1.0, 2.0, gain=0.0)]:
        driver.hear(ReceivedAudio(block.samples, block.sample_rate, 60.0, presentation_time=block.t))
    frame = at(0).frame
    play(
        driver,
        [Pose(60 + 0.04 * k, PoseKind.RECEIVED, frame, 1, presentation_time=0.04 * k) for k in range(13)],
    )
    held = [Pose(60.52 + 0.04 * k, PoseKind.HELD, frame, 1, presentation_time=0.48) for k in range(30)]
    opening = series(play(driver, held), "jawOpen")
    assert opening[:8].min() > 0.3
    assert opening[18:].max() < 0.05


def test_where_no_sound_is_known_the_jaw_takes_over_again() -> None:
    driver = FaceDriver()
    for block in tone(0.0, 2.0):
        driver.hear(block)
    speaking = [at(0.04 * k, jaw_pose=[0.1 * (k % 2)]) for k in range(125)]
    opening = series(play(driver, speaking), "jawOpen")
    assert opening[100:].max() > 0.4
    assert opening[100:].min() < 0.1


def test_blocks_that_nobody_asks_for_do_not_pile_up() -> None:
    driver = FaceDriver()
    block = tone(0.0, 0.01)[0]
    for _ in range(1200):
        driver.hear(block)
    assert driver.blocks_dropped == 200
    driver.hear(AudioBlock(np.zeros((40, 1), np.int16), 4000, 0.0))
    driver.pose(at(0.0))
    assert driver.blocks_dropped == 202  # one gave way to this one, which is of no use


# -- life ----------------------------------------------------------------------------------------------------


def blinks_a_minute(driver: FaceDriver, poses: list[Pose]) -> float:
    shut = series(play(driver, poses), "eyeBlinkLeft") > 0.5
    return float(np.sum(shut[1:] & ~shut[:-1])) / (poses[-1].t - poses[0].t) * 60


@pytest.mark.parametrize("seed", range(5))
def test_a_still_stream_blinks_10_to_25_times_a_minute(seed: int) -> None:
    poses = [at(0.04 * k) for k in range(25 * 180)]
    driver = FaceDriver(seed=seed)
    assert 10 <= blinks_a_minute(driver, poses) <= 25
    assert driver.blinks > 30


def test_a_stream_that_blinks_itself_gets_no_further_blinks() -> None:
    poses = [at(0.04 * k, eye_lid=[1.0, 1.0] if k % 100 < 4 else [0.0, 0.0]) for k in range(25 * 120)]
    driver = FaceDriver()
    assert blinks_a_minute(driver, poses) == pytest.approx(15, abs=1.5)
    assert driver.blinks <= 1


def test_idle_as_it_is_by_default_blinks_as_people_do() -> None:
    poses = [Pose(0.04 * k, PoseKind.IDLE, breathing(0.04 * k)) for k in range(25 * 180)]
    assert 10 <= blinks_a_minute(FaceDriver(), poses) <= 25


def test_a_still_stream_looks_about_sways_and_breathes() -> None:
    faces = play(FaceDriver(), [at(0.04 * k) for k in range(25 * 60)])
    gaze = np.array([face.gaze[0] for face in faces])
    assert 0.02 < np.abs(gaze).max() < 0.15
    assert np.median(np.abs(gaze[:, 1])) < 0.03
    assert np.ptp([face.rotation[1] for face in faces]) > 0.01
    breath = np.array([face.breath for face in faces])
    assert breath.min() < 0.1
    assert breath.max() > 0.9


def test_eyes_and_head_that_move_get_no_movement_added() -> None:
    def lively(k: int) -> Pose:
        turn = [0.0, 0.15 * math.sin(k / 12), 0.0]
        return at(0.04 * k, rotation=turn, eye_pose=turn + turn)

    faces = play(FaceDriver(), [lively(k) for k in range(500)])[250:]
    for k, face in enumerate(faces, start=250):
        assert face.gaze[0] == pytest.approx([0, 0.15 * math.sin(k / 12), 0], abs=0.02)
        assert face.rotation == pytest.approx([0, 0.15 * math.sin(k / 12), 0], abs=0.02)


def test_the_same_seed_gives_the_same_face() -> None:
    poses = [at(0.04 * k) for k in range(500)]
    one, two, other = (play(FaceDriver(seed=seed), poses)[-200:] for seed in (1, 1, 2))
    assert all(np.array_equal(a.coefficients, b.coefficients) for a, b in zip(one, two, strict=True))
    assert any(not np.array_equal(a.coefficients, b.coefficients) for a, b in zip(one, other, strict=True))


class Smile:
    """An expression map: the first coefficient is a smile to the left, below zero a frown."""

    def coefficients(
        self, expression: npt.NDArray[np.float32], jaw_pose: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        said = np.zeros(52, np.float32)
        said[ARKIT_INDEX["mouthSmileLeft"]] = max(0.0, 0.3 * expression[0])
        said[ARKIT_INDEX["mouthFrownLeft"]] = max(0.0, -0.3 * expression[0])
        said[ARKIT_INDEX["jawOpen"]] = jaw_pose[0]
        return said


def test_an_expression_map_moves_the_mouth_in_place_of_the_sound() -> None:
    driver = FaceDriver(expression=Smile())
    for block in tone(0.0, 8.0):
        driver.hear(block)
    first = play(driver, [Pose(-0.4 + 0.04 * k, PoseKind.TRANSITION, at(0).frame, 1) for k in range(10)])
    first += play(driver, [at(0.04 * k) for k in range(50)])
    # Its offset is not seen, nor is the sound.
    assert series(first, "mouthSmileLeft").max() < 0.02
    assert series(first, "jawOpen").max() < 0.02
    for t, strength, name in ((2.0, 2.0, "mouthSmileLeft"), (2.4, -2.0, "mouthFrownLeft")):
        faces = play(driver, [at(t + 0.04 * k, expression=[strength]) for k in range(10)])
        assert series(faces, name)[-1] == pytest.approx(0.6, abs=0.03)
    back = [
        Pose(2.8 + 0.04 * k, PoseKind.TRANSITION, blend(at(0).frame, MotionFrame.neutral(), k / 40))
        for k in range(41)
    ]
    assert series(play(driver, back), "mouthSmileLeft")[10:].max() < 0.05


def test_the_resting_expression_is_learnt_while_the_voice_is_silent() -> None:
    driver = FaceDriver(expression=Smile())
    for block in [*tone(0.0, 1.0), *tone(1.0, 9.0, gain=0.0)]:
        driver.hear(block)
    # The round begins in the middle of a smile, which the voice holds, and then rests.
    faces = play(driver, [at(0.04 * k, expression=[2.0 if k < 25 else 0.0]) for k in range(245)])
    assert series(faces, "mouthFrownLeft")[30:40].min() > 0.4
    assert series(faces, "mouthFrownLeft")[-1] < 0.05
    smiling = play(driver, [at(9.8 + 0.04 * k, expression=[2.0]) for k in range(10)])
    assert series(smiling, "mouthSmileLeft")[-1] > 0.5


# -- nothing leaps -------------------------------------------------------------------------------------------

SPEEDS = np.concatenate(
    [COEFFICIENT_SPEEDS, [ROTATION_SPEED] * 3, [GAZE_SPEED] * 6, [TRANSLATION_SPEED] * 3, [BREATH_SPEED]]
)


def numbers(face: FacePose) -> npt.NDArray[np.float64]:
    return np.concatenate(
        [face.coefficients, face.rotation, face.gaze.ravel(), face.translation, [face.breath]]
    ).astype(np.float64)


@st.composite
def sessions(draw: st.DrawFn) -> list[Pose | AudioBlock]:
    """Any poses in any order of kinds, with sound in between, at any steps of time, back ones as well."""
    t, session = 0.0, []
    seeds = draw(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=30))
    for seed in seeds:
        random = np.random.default_rng(seed)
        t += float(random.choice([0.0, 0.004, 0.0167, 0.04, 0.04, 0.1, 0.7, 30.0, -0.1]))
        scale = float(random.choice([0.0, 0.1, 1.0, 100.0]))
        values = (random.normal(size=FRAME_SIZE) * scale).astype(np.float32)
        if random.random() < 0.05:
            values[random.integers(FRAME_SIZE)] = random.choice([np.nan, np.inf])
        kind = list(PoseKind)[random.integers(len(PoseKind))]
        session.append(Pose(t, kind, MotionFrame(values), 1))
        for k in range(random.integers(0, 12)):
            samples = (random.normal(size=(240, 1)) * 10 ** random.uniform(0, 4)).clip(-32767, 32767)
            session.append(AudioBlock(samples.astype(np.int16), 24000, t + 0.01 * k))
    return session


@settings(max_examples=150, deadline=None)
@given(sessions())
def test_nothing_leaps_whatever_comes(session: list[Pose | AudioBlock]) -> None:
    driver, last, before = FaceDriver(), None, 0.0
    for item in session:
        if isinstance(item, AudioBlock):
            driver.hear(item)
            continue
        face = numbers(driver.pose(item))
        assert np.isfinite(face).all()
        assert np.all((face[:52] >= 0) & (face[:52] <= 1))
        if item.t < before - 0.5:  # far back: a face of its own begins
            last = None
        now = item.t if last is None else max(item.t, before)
        if last is not None:
            step = min(now - before, LONGEST_STEP_S)
            assert np.all(np.abs(face - last) <= SPEEDS * step * 1.001 + 1e-5)
        last, before = face, now


def test_a_time_that_goes_far_back_begins_anew() -> None:
    driver, fresh = FaceDriver(), FaceDriver()
    play(driver, [at(100 + 0.04 * k) for k in range(50)])
    again = [at(0.04 * k, rotation=[0, 0.1 * math.sin(k)]) for k in range(50)]
    for one, other in zip(play(driver, again), play(fresh, again), strict=True):
        assert np.array_equal(numbers(one), numbers(other))
