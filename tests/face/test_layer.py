"""Expression, gestures and gaze on top of whatever face a driver makes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face import EXPRESSIONS, MOTIONS, FaceDriver, FaceLayer, FrameDriver, LayeredDriver
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers import HeadlessSink, make_face
from renderers.face import put_on


def run(driver: LayeredDriver, seconds: float, start: float = 0.0, rate: float = 60.0) -> list[FacePose]:
    times = start + np.arange(round(seconds * rate)) / rate
    frame = MotionFrame.from_fields({"jaw_pose": [0.05]})
    return [driver.pose(Pose(float(t), PoseKind.RECEIVED, frame, 1, 0.0)) for t in times]


def coefficient(face: FacePose, name: str) -> float:
    return float(face.coefficients[ARKIT_INDEX[name]])


def test_without_anything_set_the_face_is_the_drivers() -> None:
    plain = FrameDriver().pose(Pose(0.0, PoseKind.RECEIVED, MotionFrame.from_fields({"jaw_pose": [0.05]})))
    (layered,) = run(LayeredDriver(FrameDriver()), 1 / 60)
    assert layered.coefficients == pytest.approx(plain.coefficients)
    assert layered.rotation == pytest.approx(plain.rotation)
    assert layered.gaze == pytest.approx(plain.gaze)


@pytest.mark.parametrize("name", [each for each in EXPRESSIONS if each != "neutral"])
def test_an_expression_comes_smoothly_stays_and_goes(name: str) -> None:
    driver = LayeredDriver(FrameDriver())
    speaking = coefficient(run(driver, 0.1)[-1], "jawOpen")
    driver.layer.set_expression(name)
    assert driver.layer.expression == name
    faces = run(driver, 2.0, 0.1)
    steps = np.abs(np.diff([face.coefficients for face in faces], axis=0)).max()
    assert steps < 0.08
    on = faces[-1].coefficients
    wanted = 1 - (1 - EXPRESSIONS[name]) * np.where(np.arange(52) == ARKIT_INDEX["jawOpen"], 1 - speaking, 1)
    looks = [index for each, index in ARKIT_INDEX.items() if not each.startswith("eyeLook")]
    assert on[looks] == pytest.approx(wanted[looks], abs=0.01)
    assert on.min() >= 0
    assert on.max() <= 1
    driver.layer.reset()
    assert run(driver, 2.5, 2.1)[-1].coefficients[looks] == pytest.approx(
        run(LayeredDriver(FrameDriver()), 0.1)[-1].coefficients[looks], abs=0.01
    )


@pytest.mark.parametrize(
    ("motion", "variant"), [(m, v) for m, count in MOTIONS.items() for v in range(count)]
)
def test_a_gesture_is_made_once_without_a_leap(motion: str, variant: int) -> None:
    driver = LayeredDriver(FrameDriver())
    run(driver, 0.1)
    driver.layer.play(motion, variant)
    turns = np.array([face.rotation for face in run(driver, 3.0, 0.1)])
    axis = {"nod": 0, "shake": 1, "tilt": 2}[motion]
    assert 0.05 < np.abs(turns[:, axis]).max() < 0.25
    assert np.abs(np.diff(turns, axis=0)).max() * 60 < 2.5  # radians per second, as a driver's own limit
    assert np.abs(turns[-60:]).max() < 1e-6
    assert np.abs(np.delete(turns, axis, axis=1)).max() < 1e-6


def test_a_gesture_takes_the_place_of_another() -> None:
    driver = LayeredDriver(FrameDriver())
    driver.layer.play("nod")
    run(driver, 0.2)
    driver.layer.play("tilt")
    assert np.abs(run(driver, 0.5, 0.2)[-1].rotation[0]) < 1e-6


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (5.0, -5.0)])
def test_eyes_go_first_and_the_head_follows(x: float, y: float) -> None:
    driver = LayeredDriver(FrameDriver())
    run(driver, 0.1)
    driver.layer.look_at(x, y)
    faces = run(driver, 3.0, 0.1)
    x, y = max(-1.0, min(1.0, x)), max(-1.0, min(1.0, y))
    last = faces[-1]
    # +y turns to the subject's left, which is the viewer's right; +x is down.
    for turn in (last.rotation, last.gaze[0], last.gaze[1]):
        assert math.copysign(1, turn[1]) == math.copysign(1, x) or x == 0
        assert math.copysign(1, turn[0]) == math.copysign(1, -y) or y == 0
    total = last.rotation[:2] + last.gaze[0][:2]
    assert total == pytest.approx([-0.30 * y, 0.45 * x], abs=0.01)
    early = faces[6]
    assert np.abs(early.gaze[0]).max() > np.abs(early.rotation).max()
    if x > 0:
        assert coefficient(last, "eyeLookOutLeft") > 0.2
        assert coefficient(last, "eyeLookInRight") > 0.2
    driver.layer.look_at(0.0, 0.0)
    assert np.abs(run(driver, 3.0, 3.1)[-1].gaze).max() < 0.01


def test_time_that_stands_or_goes_back_is_no_leap() -> None:
    driver = LayeredDriver(FrameDriver())
    driver.layer.set_expression("happy")
    before = run(driver, 0.2, 50.0)[-1]
    after = run(driver, 1 / 60, 1.0)[-1]
    assert np.abs(after.coefficients - before.coefficients).max() < 0.05


def test_expressions_of_the_users_own() -> None:
    layer = FaceLayer({"wink": {"eyeBlinkLeft": 1.0}, "puff": {"cheekPuff": 0.5}})
    assert {"neutral", "happy", "wink", "puff"} <= set(layer.expressions)
    driver = LayeredDriver(FrameDriver(), layer)
    layer.set_expression("wink")
    assert coefficient(run(driver, 2.0)[-1], "eyeBlinkLeft") == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("bad", [{"a": {"nose": 0.5}}, {"a": {"jawOpen": 1.5}}, {"a": {"jawOpen": -0.1}}])
def test_expressions_that_are_none(bad: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ConfigurationError, match="'a'"):
        FaceLayer(bad)


@pytest.mark.parametrize(
    "call",
    [
        lambda layer: layer.set_expression("blue"),
        lambda layer: layer.play("jump"),
        lambda layer: layer.play("nod", 9),
        lambda layer: layer.play("nod", -1),
        lambda layer: layer.look_at(math.nan, 0),
        lambda layer: layer.look_at(0, math.inf),
    ],
)
def test_what_there_is_not_is_refused(call: Any) -> None:
    with pytest.raises(ConfigurationError):
        call(FaceLayer())


def test_the_rest_is_the_drivers() -> None:
    driver = LayeredDriver()
    assert isinstance(driver.driver, FaceDriver)
    driver.hear(AudioBlock(np.zeros((240, 1), np.int16), 24000, 0.0))
    driver.hush()
    LayeredDriver(FrameDriver()).hush()
    assert driver.blinks == 0
    assert LayeredDriver(FrameDriver()).blinks == 0


@pytest.mark.parametrize("name", ["head", "cartoon"])
def test_it_can_be_put_on_the_faces(name: str) -> None:
    face, layer = make_face(name, (64, 64)), FaceLayer()
    assert put_on(face, layer)
    assert not put_on(None, layer)
    assert face is not None
    layer.set_expression("surprised")
    neutral = make_face(name, (64, 64))
    assert neutral is not None
    poses = [Pose(n / 25, PoseKind.IDLE, MotionFrame.neutral()) for n in range(25)]
    for pose in poses:
        changed, plain = face.render(pose), neutral.render(pose)
    assert np.abs(changed.astype(int) - plain.astype(int)).max() > 20
    HeadlessSink(face=face).close()
