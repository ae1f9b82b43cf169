"""A video avatar's pictures in the views."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.video.picture import Picture
from renderers import HeadlessSink, OpenCVWindow, Recorder, Tee
from renderers.recorder import QUEUED_PICTURES
from tests.support.display import Display
from tests.support.pictures import grey
from tests.support.system import require
from tests.support.video import Flash, block, bright, onsets, plays, probe, sound_of

MakePose = Callable[..., Pose]
WaitFor = Callable[..., None]

_numbers = itertools.count(1)


def test_a_window_shows_the_newest_picture_with_its_proportions(
    display: Display, pose: MakePose, wait_for: WaitFor
) -> None:
    title = f"video-{next(_numbers)}"
    with OpenCVWindow(title, face="cartoon", size=(256, 256)) as window:
        window.show_picture(grey(0.0, 235, size=(256, 128)))

        def shown() -> bool:
            screen = display.screenshot()[:256, :256]
            return bool(screen[70:186].min() > 240 and screen[:60].max() < 10 and screen[196:].max() < 10)

        wait_for(shown, "a white picture between black bars")
        window.show(pose(1.0))
        wait_for(lambda: not shown(), "the face again")
        assert window.errors == 0
    window.show_picture(grey(2.0))  # ignored once closed


async def test_a_headless_sink_hands_pictures_to_a_callback_and_to_iterations() -> None:
    seen: list[Picture] = []
    pictures = [grey(float(k)) for k in range(12)]
    with HeadlessSink(on_picture=seen.append, max_queue=8) as sink:
        stream = sink.pictures()
        for picture in pictures:
            sink.show_picture(picture)
        assert seen == pictures
        assert [await anext(stream) for _ in range(8)] == pictures[4:]
        assert (sink.pictures_shown, sink.dropped, sink.picture_format) == (12, 4, "i420")
        waiting = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
    assert await waiting is None
    sink.show_picture(pictures[0])
    assert len(seen) == 12
    assert [picture async for picture in sink.pictures()] == []


async def test_a_headless_sink_takes_pictures_only_if_asked_to() -> None:
    sink = HeadlessSink()
    assert not hasattr(sink, "show_picture")
    with pytest.raises(ConfigurationError, match="picture_format"):
        sink.pictures()
    assert HeadlessSink(picture_format="rgb24").picture_format == "rgb24"
    with pytest.raises(ConfigurationError, match="yuyv"):
        HeadlessSink(picture_format="yuyv")  # type: ignore[arg-type]

    def broken(_: Picture) -> None:
        raise RuntimeError("no")

    broken_sink = HeadlessSink(on_picture=broken)
    broken_sink.show_picture(grey(0.0))
    assert broken_sink.callback_errors == 1


def test_a_tee_gives_each_view_its_format() -> None:
    class Plain:
        def __init__(self) -> None:
            self.pictures: list[Picture] = []

        def show(self, pose: Pose) -> None:
            pass

    class Video(Plain):
        def show_picture(self, picture: Picture) -> None:
            self.pictures.append(picture)

    class Colour(Video):
        picture_format = "bgra"

    class Broken(Video):
        def show_picture(self, picture: Picture) -> None:
            raise RuntimeError("out of paint")

    assert not hasattr(Tee(Plain(), Plain()), "show_picture")
    assert Tee(Colour(), Plain(), Colour()).picture_format == "bgra"
    plain, video, colour = Plain(), Video(), Colour()
    tee = Tee(Broken(), plain, video, colour)
    assert tee.picture_format == "i420"
    picture = grey(0.0, 235)
    tee.show_picture(picture)
    assert (plain.pictures, video.pictures, tee.errors) == ([], [picture], 1)
    assert colour.pictures[0].format == "bgra"
    assert colour.pictures[0].data.shape == (48, 64, 4)


@pytest.mark.parametrize(
    ("size", "form", "rotation"),
    [
        ((64, 48), "i420", 0),
        ((160, 90), "i420", 0),
        ((33, 65), "i420", 0),
        ((64, 48), "rgba", 0),
        ((90, 160), "bgra", 90),
    ],
)
def test_a_recording_has_pictures_and_sound_at_their_times(
    tmp_path: Path, size: tuple[int, int], form: Any, rotation: int, all_pictures: None, wait_for: WaitFor
) -> None:
    require("ffmpeg", "ffprobe")
    path = tmp_path / "video.mp4"
    with Recorder(path, face=Flash(), fps=25) as recorder:
        for k in range(50):
            t = k / 25
            picture = replace(grey(100.0 + t, 235 if k in (25, 26, 27) else 16, size), rotation=rotation)
            recorder.show_picture(replace(picture.converted(form), presentation_time=5.0 + t))
            for n in range(4):
                at = t + n / 100
                recorder.sound(replace(block(5.0 + at, 1.0 <= at < 1.12)))
            wait_for(lambda k=k: recorder.stats().thinned + recorder.pictures > k - 3)
    assert recorder.error is None
    assert (recorder.pictures, recorder.dropped) == (50, 0)
    assert plays(path) == ""
    streams = probe(path)
    assert (streams["video"]["width"], streams["video"]["height"]) == (64, 48)
    flashes = bright(path) if size == (64, 48) else []
    if flashes:
        assert flashes[0] - onsets(sound_of(path))[0] == pytest.approx(0.0, abs=0.021)


def test_a_picture_of_another_shape_is_letterboxed(tmp_path: Path) -> None:
    from renderers.recording.pictures import PictureFrames

    av = pytest.importorskip("av")
    frames = PictureFrames(av, (64, 49))
    for picture, box in (
        (grey(0.0, 235, (200, 50)), (slice(16, 32), slice(0, 64))),
        (grey(0.0, 235, (20, 80)), (slice(0, 48), slice(26, 38))),
        (grey(0.0, 235, (64, 48)), (slice(0, 48), slice(0, 64))),
        (replace(grey(0.0, 235, (50, 200)), rotation=90), (slice(16, 32), slice(0, 64))),
    ):
        frame = frames.frame(picture)
        assert (frame.width, frame.height, frame.format.name) == (64, 48, "yuv420p")
        luma = frame.to_ndarray()[:48].astype(int)
        inside = np.zeros((48, 64), bool)
        inside[box] = True
        assert luma[inside].min() > 225
        assert luma[~inside].max(initial=0) < 30


async def test_a_recorder_that_is_too_slow_drops_pictures_and_holds_few(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "slow.mp4", face=Flash())
    slow = recorder._session.picture

    def slower(picture: Picture, waited_s: float) -> None:
        import time

        time.sleep(0.02)
        slow(picture, waited_s)

    recorder._session.picture = slower  # type: ignore[method-assign]
    for k in range(300):
        recorder.show_picture(grey(k / 25))
    assert recorder.dropped >= 300 - QUEUED_PICTURES - 20
    await recorder.aclose()
    assert recorder.error is None


def test_faces_and_pictures_follow_each_other_in_one_recording(tmp_path: Path, pose: MakePose) -> None:
    with Recorder(tmp_path / "both.mp4", face=Flash()) as recorder:
        for k in range(10):
            recorder.show(replace(pose(k / 25), presentation_time=k / 25))
        for k in range(10, 20):
            recorder.show_picture(replace(grey(k / 25), presentation_time=k / 25))
        for k in range(20, 60):
            recorder.show(replace(pose(k / 25), presentation_time=k / 25))
    assert recorder.error is None
    assert recorder.pictures == 60
