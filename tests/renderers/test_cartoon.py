from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face import frame_pose
from avatarkit_rtc.motion.frame import FRAME_SIZE, MotionFrame
from renderers.canvas import Backend
from renderers.cartoon import CartoonFace
from renderers.face import Image


@pytest.fixture(params=["opencv", "pillow"], scope="module")
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


def draw(backend: Backend = "auto", size: tuple[int, int] = (512, 512), **fields: list[float]) -> Image:
    return CartoonFace(size, backend=backend).draw(frame_pose(MotionFrame.from_fields(fields)))


def iris(image: Image) -> tuple[int, float, float]:
    """Number of green pixels in the upper part of the picture, and their middle (x, y)."""
    blue, green, red = (image[:330, :, channel].astype(int) for channel in range(3))
    y, x = np.nonzero((green - red > 25) & (np.abs(blue - green) < 35))
    return (len(x), float(x.mean()), float(y.mean())) if len(x) else (0, 0.0, 0.0)


def pupils(image: Image) -> float:
    """Height of the middle of the nearly black pixels between brows and nose."""
    y, _ = np.nonzero((image[205:280] < 28).all(axis=2))
    return float(y.mean())


def mouth(image: Image) -> int:
    """Number of pixels that are dark red, teeth or tongue around the mouth."""
    blue, green, red = (image[300:390, 200:312, channel].astype(int) for channel in range(3))
    inside = (red < 130) & (red > green + 20) & (blue < 80)
    teeth = (blue > 215) & (green > 215) & (red > 215)
    return int(np.count_nonzero(inside | teeth))


def test_the_mouth_opens_with_the_jaw(backend: Backend) -> None:
    openings = [mouth(draw(backend, jaw_pose=[jaw])) for jaw in (0.0, 0.035, 0.12, 0.4)]
    assert openings == sorted(openings)
    assert openings[1] > openings[0] + 200, "speech as small as a real stream's must be seen"
    assert openings[3] > openings[1] * 1.5


def test_eyelids_shut_and_can_be_half_shut(backend: Backend) -> None:
    seen = [iris(draw(backend, eye_lid=[lid, lid]))[0] for lid in (0.0, 0.5, 1.0)]
    assert seen[0] > seen[1] > 100
    assert seen[2] == 0


def test_one_eye_can_wink_and_it_is_the_subjects_left(backend: Backend) -> None:
    count, x, _ = iris(draw(backend, eye_lid=[1.0, 0.0]))
    assert count > 100
    assert x < 256, "the eye still open is the right one, on the left of the picture"


def test_the_eyes_look_left_right_up_and_down(backend: Backend) -> None:
    x, y = iris(draw(backend))[1], pupils(draw(backend))
    left, right = [0, 0.3, 0, 0, 0.3, 0], [0, -0.3, 0, 0, -0.3, 0]
    down, up = [0.3, 0, 0, 0.3, 0, 0], [-0.3, 0, 0, -0.3, 0, 0]
    assert iris(draw(backend, eye_pose=left))[1] > x + 3
    assert iris(draw(backend, eye_pose=right))[1] < x - 3
    assert pupils(draw(backend, eye_pose=down)) > y + 3
    assert pupils(draw(backend, eye_pose=up)) < y - 3


def test_the_head_nods_turns_and_tilts(backend: Backend) -> None:
    _, x, y = iris(draw(backend))
    assert iris(draw(backend, rotation=[0.2, 0, 0]))[2] > y + 8
    assert iris(draw(backend, neck_pose=[-0.2, 0, 0]))[2] < y - 8
    assert iris(draw(backend, rotation=[0, 0.3, 0]))[1] > x + 12
    assert iris(draw(backend, neck_pose=[0, -0.3, 0]))[1] < x - 12
    assert iris(draw(backend, rotation=[0, 0, 0.2]))[1] < x - 10, "tilted counterclockwise"


def test_both_backends_draw_the_same_picture() -> None:
    pose = {"rotation": [0.1, 0.2, -0.1], "jaw_pose": [0.15], "eye_lid": [0.2, 0.1]}
    opencv, pillow = draw("opencv", **pose).astype(int), draw("pillow", **pose).astype(int)
    assert np.abs(opencv - pillow).mean() < 2.0


@pytest.mark.parametrize("size", [(16, 16), (64, 48), (333, 201), (200, 600)])
def test_any_size_will_do(backend: Backend, size: tuple[int, int]) -> None:
    image = draw(backend, size)
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8
    assert image.std() > 10


@pytest.mark.parametrize("scale", [1.0, 50.0, 1e6, 3e38])
def test_absurd_numbers_are_drawn_somehow(backend: Backend, scale: float) -> None:
    face = CartoonFace((128, 128), backend=backend)
    random = np.random.default_rng(7)
    for _ in range(5):
        values = (random.uniform(-1, 1, FRAME_SIZE) * scale).astype(np.float32)
        assert face.draw(frame_pose(MotionFrame(values))).std() > 10


def test_not_a_number_is_no_reason_to_stop() -> None:
    face = CartoonFace((64, 64))
    values = np.full(FRAME_SIZE, np.nan, np.float32)
    values[::3] = np.inf
    face.draw(frame_pose(MotionFrame(values)))
    after = face.draw(frame_pose(MotionFrame.neutral()))
    assert np.abs(after.astype(int) - draw(size=(64, 64)).astype(int)).mean() < 1


def test_each_picture_belongs_to_the_caller() -> None:
    face = CartoonFace((64, 64))
    first = face.draw(frame_pose(MotionFrame.neutral()))
    kept = first.copy()
    face.draw(frame_pose(MotionFrame.from_fields({"jaw_pose": [0.4]})))
    assert np.array_equal(first, kept)


def test_without_opencv_pillow_draws() -> None:
    script = """
import sys
sys.modules["cv2"] = None
from avatarkit_rtc.face import frame_pose
from avatarkit_rtc.motion.frame import MotionFrame
from renderers.cartoon import CartoonFace
print(CartoonFace((64, 64)).draw(frame_pose(MotionFrame.neutral())).std() > 10)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_without_both_one_line_says_what_to_install() -> None:
    script = """
import sys
sys.modules["cv2"] = sys.modules["PIL"] = None
from avatarkit_rtc.errors import MissingDependencyError
from renderers import make_face
try:
    make_face("cartoon")
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "libgl1 libglib2.0-0" in done.stdout, done.stderr
    assert "avatarkit-rtc[pillow]" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        CartoonFace(backend="crayon")  # type: ignore[arg-type]
