from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.received import ReceivedAudio
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.face import FaceDriver
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.views import View
from renderers import HeadlessSink, Image, Shot
from tests.support.calls import calls_s

MakePose = Callable[..., Pose]
WaitFor = Callable[..., None]


class SlowFace:
    """Draws only while its gate is open."""

    size = (4, 4)

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.threads: set[int] = set()

    def render(self, pose: Pose) -> Image:
        self.threads.add(threading.get_ident())
        assert self.gate.wait(10)
        if pose.frame.jaw_pose[0] > 1:
            raise RuntimeError("a face that fails")
        return np.full((4, 4, 3), round(float(pose.frame.jaw_pose[0]) * 100), np.uint8)


def silence() -> AudioBlock:
    return AudioBlock(np.zeros((480, 1), np.int16), 48000, 0.0)


def test_with_the_null_face_the_callback_is_called_within_show(pose: MakePose) -> None:
    shots: list[tuple[int, Shot]] = []
    sink = HeadlessSink(lambda shot: shots.append((threading.get_ident(), shot)))
    assert isinstance(sink, View)
    first = pose(1.0)
    sink.show(first)
    assert shots[0][0] == threading.get_ident()
    assert shots[0][1].pose is first
    assert shots[0][1].image is None
    assert (sink.shown, sink.drawn, sink.dropped) == (1, 0, 0)


def test_the_null_face_starts_no_thread(pose: MakePose) -> None:
    before = threading.active_count()
    sink = HeadlessSink()
    for k in range(100):
        sink.show(pose(k))
    assert threading.active_count() <= before
    assert sink.shown == 100


def test_a_callback_that_raises_is_counted_and_logged_once(
    pose: MakePose, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(shot: Shot) -> None:
        raise ValueError("not my day")

    sink = HeadlessSink(fail)
    for k in range(50):
        sink.show(pose(k))
    assert sink.callback_errors == 50
    assert len(caplog.records) == 1
    assert "not my day" in caplog.text


def test_with_a_face_pictures_come_in_order_from_a_thread_of_its_own(
    pose: MakePose, wait_for: WaitFor
) -> None:
    shots: list[tuple[int, Shot]] = []
    with HeadlessSink(
        lambda shot: shots.append((threading.get_ident(), shot)), face="cartoon", size=(64, 48)
    ) as s:
        for k in range(5):
            s.show(pose(k))
        wait_for(lambda: len(shots) == 5)
    assert [shot.pose.t for _, shot in shots] == [0, 1, 2, 3, 4]
    assert all(shot.image is not None and shot.image.shape == (48, 64, 3) for _, shot in shots)
    assert {thread for thread, _ in shots}.isdisjoint({threading.get_ident()})
    assert s.drawn == 5


def test_a_slow_face_never_blocks_show_and_loses_the_oldest(pose: MakePose, wait_for: WaitFor) -> None:
    face = SlowFace()
    shots: list[Shot] = []
    sink = HeadlessSink(shots.append, face=face, max_queue=3)
    sink.show(pose(0))
    wait_for(lambda: face.threads)
    assert calls_s(partial(sink.show, pose(k)) for k in range(1, 21)) < 1
    face.gate.set()
    wait_for(lambda: len(shots) == 4)
    assert [shot.pose.t for shot in shots] == [0, 18, 19, 20]
    assert (sink.shown, sink.dropped) == (21, 17)
    sink.close()


def test_a_face_that_fails_is_counted_and_drawing_goes_on(pose: MakePose, wait_for: WaitFor) -> None:
    face = SlowFace()
    face.gate.set()
    shots: list[Shot] = []
    with HeadlessSink(shots.append, face=face) as sink:
        sink.show(pose(0, jaw_pose=[2.0]))
        sink.show(pose(1, jaw_pose=[0.1]))
        wait_for(lambda: shots)
        assert sink.errors == 1
        assert shots[0].image is not None
        assert shots[0].image[0, 0, 0] == 10


@pytest.mark.parametrize("face", ["null", "cartoon"])
async def test_shots_can_be_iterated_over(pose: MakePose, face: str) -> None:
    sink = HeadlessSink(face=face, size=(32, 32))
    seen: list[Shot] = []

    async def read() -> None:
        async for shot in sink:
            seen.append(shot)
            if len(seen) == 5:
                sink.close()

    reader = asyncio.create_task(read())
    for k in range(5):
        await asyncio.sleep(0.02)
        sink.show(pose(k))
    await asyncio.wait_for(reader, 10)
    assert [shot.pose.t for shot in seen] == [0, 1, 2, 3, 4]
    assert all((shot.image is None) == (face == "null") for shot in seen)


async def test_each_iteration_gets_every_shot(pose: MakePose) -> None:
    sink = HeadlessSink()

    async def read() -> list[float]:
        return [shot.pose.t async for shot in sink]

    readers = [asyncio.create_task(read()) for _ in range(3)]
    await asyncio.sleep(0)
    for k in range(4):
        sink.show(pose(k))
    sink.close()
    assert await asyncio.gather(*readers) == [[0, 1, 2, 3]] * 3


async def test_a_slow_reader_loses_the_oldest_shots(pose: MakePose) -> None:
    sink = HeadlessSink(max_queue=3)
    shots = aiter(sink)
    for k in range(10):
        sink.show(pose(k))
    sink.close()
    assert [shot.pose.t async for shot in shots] == [7, 8, 9]
    assert sink.dropped == 7


async def test_an_iteration_that_was_left_is_forgotten(pose: MakePose) -> None:
    sink = HeadlessSink(max_queue=2)

    async def read_one() -> None:
        async for _ in sink:
            break

    reader = asyncio.create_task(read_one())
    await asyncio.sleep(0)
    sink.show(pose(0))
    await reader
    for k in range(50):
        sink.show(pose(k))
    assert sink.dropped == 0


async def test_iterating_over_a_closed_sink_ends_at_once() -> None:
    sink = HeadlessSink()
    sink.close()
    assert [shot async for shot in sink] == []


async def test_a_cancelled_reader_leaves_the_sink_in_order(pose: MakePose) -> None:
    sink = HeadlessSink()
    shots = aiter(sink)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(shots), 0.02)
    sink.show(pose(3))
    assert (await anext(shots)).pose.t == 3


def test_a_loop_that_is_gone_does_no_harm(pose: MakePose, wait_for: WaitFor) -> None:
    sink = HeadlessSink(face="cartoon", size=(16, 16))

    async def start() -> object:
        return aiter(sink)

    shots = asyncio.run(start())
    sink.show(pose(0))
    wait_for(lambda: sink.drawn == 1)
    sink.close()
    assert shots is not None


def test_closing_ends_the_thread_and_what_comes_later_is_ignored(pose: MakePose, wait_for: WaitFor) -> None:
    before = threading.active_count()
    sink = HeadlessSink(lambda shot: None, face="cartoon", size=(16, 16))
    sink.show(pose(0))
    wait_for(lambda: sink.drawn == 1)
    sink.close()
    sink.close()
    assert sink.closed
    assert threading.active_count() <= before
    sink.show(pose(1))
    assert sink.shown == 1


def test_the_callback_may_close_the_sink(pose: MakePose, wait_for: WaitFor) -> None:
    sink = HeadlessSink(lambda shot: sink.close(), face="cartoon", size=(16, 16))
    sink.show(pose(0))
    wait_for(lambda: sink.closed)


def test_nothing_is_drawn_where_nobody_looks(pose: MakePose) -> None:
    with HeadlessSink(face="cartoon", size=(16, 16)) as sink:
        for k in range(20):
            sink.show(pose(k))
    assert (sink.shown, sink.drawn, sink.dropped) == (20, 0, 0)


def test_sound_goes_to_its_callback_and_only_then_the_sink_asks_for_it() -> None:
    assert not hasattr(HeadlessSink(), "sound")
    blocks: list[AudioBlock] = []
    sink = HeadlessSink(on_sound=blocks.append)
    block = silence()
    sink.sound(block)
    assert blocks == [block]
    sink.close()
    sink.sound(block)
    assert len(blocks) == 1


def test_a_sound_callback_that_raises_is_counted() -> None:
    sink = HeadlessSink(on_sound=lambda block: 1 / 0)
    sink.sound(silence())
    assert sink.callback_errors == 1


def test_a_queue_needs_room() -> None:
    with pytest.raises(ConfigurationError, match="max_queue"):
        HeadlessSink(max_queue=0)


def test_a_driver_gives_coefficients_once_the_sound_is_there(pose: MakePose) -> None:
    shots: list[Shot] = []
    sink = HeadlessSink(shots.append, driver=FaceDriver())
    loud = np.random.default_rng(1).integers(-9000, 9000, (480, 1)).astype(np.int16)

    def hear(presented: float) -> None:
        sink.sound(ReceivedAudio(loud, 48000, 50.0 + presented, presentation_time=presented))

    hear(0.0)
    first = replace(pose(50.0), presentation_time=0.05)
    sink.show(first)
    assert not shots
    for k in range(1, 12):
        hear(0.01 * k)
    assert [shot.pose for shot in shots] == [first]
    assert shots[0].image is None
    assert shots[0].face is not None
    assert shots[0].face.coefficients.shape == (52,)
    sink.close()
    with pytest.raises(ConfigurationError, match="driver"):
        HeadlessSink(face="cartoon", driver=FaceDriver())
