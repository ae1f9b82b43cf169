"""The 3D head draws what its pose says, in any size, on any ground."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face.face_pose import FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from renderers import Face, make_face
from renderers.head import LOOKS, HeadFace, HeadLook

SIZE = (192, 192)


def pose(
    rotation: tuple[float, float, float] = (0, 0, 0),
    gaze: tuple[float, float] = (0, 0),
    breath: float = 0.0,
    **coefficients: float,
) -> FacePose:
    values = np.zeros(52, np.float32)
    for name, value in coefficients.items():
        for side in ("", "Left", "Right"):
            if name + side in ARKIT_INDEX:
                values[ARKIT_INDEX[name + side]] = value
    eyes = np.array([[*gaze, 0], [*gaze, 0]], np.float32)
    return FacePose(values, np.array(rotation, np.float32), eyes, breath=breath)


@pytest.fixture(scope="module")
def head() -> HeadFace:
    return HeadFace(SIZE)


def changed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two pictures differ clearly."""
    return np.asarray(np.abs(a.astype(int) - b.astype(int)).max(2) > 12)


def rows(mask: np.ndarray) -> tuple[float, float]:
    """Mean row and column of a mask, as parts of the picture."""
    where = np.argwhere(mask)
    return tuple(where.mean(0) / mask.shape)  # type: ignore[return-value]


def test_it_is_a_face_and_the_default_one() -> None:
    face = make_face(size=(64, 48))
    assert isinstance(face, HeadFace)
    assert isinstance(face, Face)
    assert face.size == (64, 48)
    image = face.render(Pose(0.0, PoseKind.IDLE, MotionFrame.neutral()))
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8


def test_a_look_is_chosen_by_name() -> None:
    face = make_face("head:omar", (32, 32))
    assert isinstance(face, HeadFace)
    assert face.look == LOOKS["omar"]
    with pytest.raises(ConfigurationError, match="anna, ben"):
        make_face("head:mona-lisa")


def test_the_same_pose_gives_the_same_picture_which_the_caller_owns(head: HeadFace) -> None:
    spoken = pose(jawOpen=0.4, rotation=(0.1, 0.2, 0.0))
    first = head.draw(spoken)
    kept = first.copy()
    first[:] = 0
    head.draw(pose())
    assert np.array_equal(head.draw(spoken), kept)
    assert np.array_equal(HeadFace(SIZE).draw(spoken), kept)


@pytest.mark.parametrize(
    ("name", "top", "bottom"),
    [
        ("jawOpen", 0.50, 0.80),
        ("mouthSmile", 0.40, 0.72),
        ("mouthPucker", 0.48, 0.75),
        ("eyeBlink", 0.32, 0.50),
        ("browInnerUp", 0.25, 0.45),
        ("mouthFunnel", 0.48, 0.75),
        ("cheekPuff", 0.40, 0.75),
    ],
)
def test_a_coefficient_moves_its_part_of_the_face(
    head: HeadFace, name: str, top: float, bottom: float
) -> None:
    moved = changed(head.draw(pose()), head.draw(pose(**{name: 1.0})))
    assert moved.mean() > 0.0008
    row, column = rows(moved)
    assert top < row < bottom
    assert 0.45 < column < 0.55


def test_left_is_the_subjects_left(head: HeadFace) -> None:
    values = np.zeros(52, np.float32)
    values[ARKIT_INDEX["eyeBlinkLeft"]] = 1
    blink = head.draw_coefficients(values)
    assert rows(changed(head.draw(pose()), blink))[1] > 0.52


def test_turns_go_where_flame_has_them(head: HeadFace) -> None:
    def middle(**turn: tuple[float, float, float]) -> tuple[float, float]:
        return rows(head.draw(pose(**turn), alpha=True)[: SIZE[1] * 2 // 5, :, 3] > 128)

    still = middle()
    assert middle(rotation=(0.3, 0, 0))[0] > still[0] + 0.005  # nods down
    nose = {turn: head.draw(pose(rotation=(0, turn, 0))) for turn in (-0.4, 0.4)}
    assert changed(nose[-0.4], nose[0.4]).mean() > 0.1
    # Turned to the subject's left, more of the right cheek (the picture's left) is seen: the eyes go right.
    for turn in (-0.4, 0.4):
        shut = changed(nose[turn], head.draw(pose(rotation=(0, turn, 0), eyeBlink=1.0)))
        assert np.sign(rows(shut)[1] - 0.5) == np.sign(turn)
    assert middle(rotation=(0, 0, 0.2))[1] < still[1] - 0.02  # counterclockwise in the picture


def test_eyes_go_where_the_gaze_says(head: HeadFace) -> None:
    ahead = head.draw(pose()).astype(int)
    right, left = (head.draw(pose(gaze=(0, turn))).astype(int) for turn in (0.4, -0.4))
    moved = np.abs(right - left).sum(2) > 60
    assert 0.35 < rows(moved)[0] < 0.48
    # The dark of the iris is where it was looked to.
    row, column = np.nonzero(np.abs(right - ahead).sum(2) > 60)
    dark = (right - ahead).sum(2)[row, column]
    half = column > SIZE[0] / 2
    assert column[half & (dark < 0)].mean() > column[half & (dark > 0)].mean()


def test_lids_follow_the_eyes_down(head: HeadFace) -> None:
    down, up = (head.draw(pose(gaze=(turn, 0))) for turn in (0.4, -0.4))
    assert rows(changed(down, up))[0] < 0.44


def test_transparent_pictures_have_the_same_head_and_no_background(head: HeadFace) -> None:
    spoken = pose(jawOpen=0.3, rotation=(0, 0.3, 0), breath=0.5)
    image, cut = head.draw(spoken), head.draw(spoken, alpha=True)
    assert cut.shape == (*SIZE[::-1], 4)
    cover = cut[:, :, 3]
    assert (cover[0] == 0).all()
    assert (cover[-1] == 255).mean() > 0.8
    assert np.array_equal(cut[cover == 255][:, :3], image[cover == 255])
    edge = (cover > 0) & (cover < 255)
    assert edge.sum() > 200  # smooth edges
    # Laid over a background of one's own it is what the face itself draws on that.
    for ground in ("#000000", "#ffffff", "#20c040"):
        own = HeadFace(SIZE, background=ground).draw(spoken).astype(float)
        color = np.array([int(ground[at : at + 2], 16) for at in (5, 3, 1)])
        share = cover[:, :, None] / 255
        laid = cut[:, :, :3] * share + color * (1 - share)
        assert np.abs(laid - own).max() < 6


def test_a_background_of_ones_own() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    image = HeadFace((64, 48), background=picture).draw(pose())
    assert np.array_equal(image[0], picture[0])
    with pytest.raises(ConfigurationError, match="background"):
        HeadFace((64, 64), background=picture)
    with pytest.raises(ConfigurationError, match="background"):
        HeadFace((64, 64), background="green")


@pytest.mark.parametrize("size", [(16, 16), (256, 256), (160, 90), (90, 160), (333, 217)])
def test_any_size_shows_a_whole_head(size: tuple[int, int]) -> None:
    cover = HeadFace(size).draw(pose(), alpha=True)[:, :, 3]
    assert cover.shape == size[::-1]
    assert not cover[0].any()
    assert cover[-1].any()
    assert cover[size[1] // 2, size[0] // 2] == 255
    assert abs(rows(cover > 0)[1] - 0.5) < 0.04


def test_breath_lifts_the_shoulders_a_little(head: HeadFace) -> None:
    out, breathed = (head.draw(pose(breath=breath), alpha=True)[:, :, 3] for breath in (0.0, 1.0))
    assert 0.0005 < (out != breathed).mean() < 0.05
    assert breathed.sum() > out.sum()


def test_the_tongue_comes_out_over_the_lower_lip(head: HeadFace) -> None:
    inside, out = (head.draw(pose(jawOpen=0.35, tongueOut=value)) for value in (0.0, 1.0))
    moved = changed(inside, out)
    row, column = rows(moved)
    assert 0.6 < row < 0.72
    assert 0.47 < column < 0.53
    assert moved.mean() > 0.005
    # Redder than the chin, down to below the lip, whose lower rim is at 0.67.
    tip = (slice(round(0.67 * SIZE[1]), round(0.69 * SIZE[1])), slice(SIZE[0] // 2 - 3, SIZE[0] // 2 + 3))

    def redness(image: np.ndarray) -> float:
        blue, green, red = image[tip].reshape(-1, 3).astype(float).mean(0)
        return float(red / (blue + green))

    assert redness(out) > 1.2 * redness(inside)


def test_numbers_that_no_head_can_follow_are_bent_back(head: HeadFace) -> None:
    wild = FacePose(
        np.full(52, 1e9, np.float32),
        np.array([np.nan, 1e6, -1e6], np.float32),
        np.full((2, 3), np.inf, np.float32),
        np.full(3, -1e9, np.float32),
        breath=float("nan"),
    )
    image = head.draw(wild)
    assert changed(image, head.draw(pose())).mean() > 0.05
    values = np.zeros(52, np.float32)
    values[3] = np.nan
    assert np.array_equal(head.draw_coefficients(values), head.draw(pose()))
    with pytest.raises(ValueError, match="52 coefficients"):
        head.draw_coefficients(np.zeros(51))


def test_the_mouth_opening_follows_the_jaw(head: HeadFace) -> None:
    opened = [head.mouth_opening(pose(jawOpen=value)) for value in (0.0, 0.1, 0.3, 0.6, 1.0)]
    assert opened == sorted(opened)
    assert opened[0] == 0
    assert opened[1] > 0.005
    assert opened[-1] > 0.10
    assert head.mouth_opening(pose(jawOpen=0.4, mouthClose=0.4)) == 0
    turned = pose(jawOpen=0.3, rotation=(0.2, 0.5, -0.2))
    assert head.mouth_opening(turned) == opened[2]


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_is_another_person(look: str) -> None:
    anna = HeadFace((96, 96)).draw(pose())
    image = HeadFace((96, 96), look).draw(pose())
    assert image.std() > 20
    if look != "anna":
        assert changed(anna, image).mean() > 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"skin": "pink"},
        {"hair": "mohawk"},
        {"clothes": "none"},
        {"sex": 2.0},
        {"age": float("nan")},
        {"beard": "1"},
    ],
)
def test_an_impossible_look_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        HeadLook(**wrong)  # type: ignore[arg-type]


def test_faces_draw_side_by_side_on_threads_of_their_own(head: HeadFace) -> None:
    expected = head.draw(pose(jawOpen=0.5))
    results: list[np.ndarray] = []

    def work() -> None:
        face = HeadFace(SIZE)
        results.append([face.draw(pose(jawOpen=0.5)) for _ in range(5)][-1])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(np.array_equal(result, expected) for result in results)
