"""Make the pictures of the README: ``python tools/make_pictures.py [FOLDER]``, from the checkout.

* ``face.png``: the default face at rest, 512 x 512.
* ``speaking.png``: moments of its speech whose mouths differ most, side by side.
* ``preview.webp``: the speech, 25 pictures a second, in an endless loop.

The speech is that of the stand-in performer, whose voice moves the mouth. Everything is drawn at 512 x 512,
and made smaller as a window does it. All is made by code, and the same each time. Pillow is needed for the
animation: ``pip install -e '.[pillow]'``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.face import FaceDriver, FacePose
from avatarkit_rtc.motion.arkit_names import ARKIT_INDEX, ARKIT_NAMES
from avatarkit_rtc.motion.frame import FRAME_INTERVAL_S, MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.testing.performer import perform
from renderers._stage import Stage
from renderers.face import Image
from renderers.head import HeadFace

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs"
SEED: Final = 4
SPEECH_S: Final = 4.2
REST_S: Final = 0.6
"""Before and after the speech."""
WARM_UP_S: Final = 6.0
"""Of another speech, in which the driver learns what the face at rest looks like."""

DRAWN: Final = 512
STRIP: Final = (6, 200)
"""Pictures in a row, and the side of each in pixels."""
PREVIEW_SIDE: Final = 288
PREVIEW_QUALITY: Final = 62
PREVIEW_LIMIT_BYTES: Final = 400_000

_BLOCK_S: Final = 0.010
_EYES_OPEN: Final = 0.15
_APART: Final = 4
"""Frames between two moments of the strip."""


def speech() -> list[FacePose]:
    """The face while it rests, speaks and rests again, 25 times a second."""
    driver = FaceDriver(seed=2)
    warm, said = perform(SEED + 1, WARM_UP_S), perform(SEED, SPEECH_S)
    rest = [MotionFrame.neutral()] * round(REST_S / FRAME_INTERVAL_S)
    frames = [*warm.frames, *rest, *said.frames, *rest]
    rate, silence = said.sample_rate, np.zeros(round(REST_S * said.sample_rate), np.int16)
    sound = np.concatenate([warm.pcm, silence, said.pcm, silence])
    step, heard, faces = round(rate * _BLOCK_S), 0, []
    spoken = range(len(warm.frames) + len(rest), len(warm.frames) + len(rest) + len(said.frames))
    for k, frame in enumerate(frames):
        t = k * FRAME_INTERVAL_S
        while heard * _BLOCK_S <= t + FaceDriver.LOOKAHEAD_S:
            samples = sound[heard * step : (heard + 1) * step]
            if len(samples) == step:
                driver.hear(AudioBlock(samples[:, None], rate, heard * _BLOCK_S))
            heard += 1
        speaks = k < len(warm.frames) or k in spoken
        faces.append(driver.pose(Pose(t, PoseKind.RECEIVED if speaks else PoseKind.IDLE, frame)))
    return faces[len(warm.frames) :]


def telling(faces: Sequence[FacePose], count: int) -> list[int]:
    """The moments whose mouths differ most from each other, in order; eyes are open."""
    mouth = [number for number, name in enumerate(ARKIT_NAMES) if name.startswith(("mouth", "jaw"))]
    lids = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]
    shapes = np.array([face.coefficients[mouth] for face in faces])
    usable = np.array([face.coefficients[lids].max() < _EYES_OPEN for face in faces])
    chosen = [int(np.argmax(np.where(usable, np.linalg.norm(shapes, axis=1), -1)))]
    while len(chosen) < count:
        apart = np.min([np.linalg.norm(shapes - shapes[one], axis=1) for one in chosen], axis=0)
        for one in chosen:
            usable[max(0, one - _APART) : one + _APART + 1] = False
        chosen.append(int(np.argmax(np.where(usable, apart, -1))))
    return sorted(chosen)


def strip(pictures: Sequence[Image], side: int) -> Image:
    """Pictures side by side, ``side`` pixels each."""
    return np.ascontiguousarray(np.hstack([shrunk(picture, side) for picture in pictures]))


def shrunk(picture: Image, side: int) -> Image:
    """The picture with sides of ``side`` pixels."""
    return Stage().compose(picture, (side, side))


def save_preview(path: Path, faces: Sequence[FacePose]) -> None:
    """Write the animation.

    Raises:
        SystemExit: it became too large.
    """
    from PIL import Image as Pillow

    face = HeadFace((DRAWN, DRAWN))
    drawn = (shrunk(face.draw(pose), PREVIEW_SIDE) for pose in faces)
    pictures = [Pillow.fromarray(picture[:, :, ::-1].copy()) for picture in drawn]
    pictures[0].save(
        path,
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 * FRAME_INTERVAL_S),
        loop=0,
        quality=PREVIEW_QUALITY,
        method=6,
    )
    if path.stat().st_size > PREVIEW_LIMIT_BYTES:
        sys.exit(f"{path} has {path.stat().st_size} bytes; take a lower quality or a shorter speech")


def main(folder: Path) -> None:
    """Write all pictures into ``folder``."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    faces = speech()
    rest = FacePose(np.zeros(len(ARKIT_NAMES), np.float32))
    (count, side), face = STRIP, HeadFace((DRAWN, DRAWN))
    pictures = {
        "face.png": face.draw(rest),
        "speaking.png": strip([face.draw(faces[k]) for k in telling(faces, count)], side),
    }
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / name), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    save_preview(folder / "preview.webp", faces)
    for path in [*(folder / name for name in pictures), folder / "preview.webp"]:
        sys.stdout.write(f"{path}: {path.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
