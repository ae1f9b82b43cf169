from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.playout.pose import Pose
from renderers import HeadlessSink, Tee

MakePose = Callable[..., Pose]


class Plain:
    def __init__(self) -> None:
        self.poses: list[Pose] = []

    def show(self, pose: Pose) -> None:
        self.poses.append(pose)


class Full(Plain):
    closed = False

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, Any]] = []

    def sound(self, block: AudioBlock) -> None:
        self.told.append(("sound", block))

    def round_started(self, event: Any) -> None:
        self.told.append(("round_started", event))

    def round_ended(self, event: Any) -> None:
        self.told.append(("round_ended", event))

    def motion_arrived(self, arrival: Any) -> None:
        self.told.append(("motion_arrived", arrival))

    def connection_state(self, state: str) -> None:
        self.told.append(("connection_state", state))

    def close(self) -> None:
        self.closed = True


class Broken(Full):
    def show(self, pose: Pose) -> None:
        raise RuntimeError("out of paint")

    def connection_state(self, state: str) -> None:
        raise RuntimeError("out of paint")

    def close(self) -> None:
        raise RuntimeError("out of paint")


def test_every_view_is_shown_every_pose(pose: MakePose) -> None:
    views = Plain(), Full(), Plain()
    tee = Tee(*views)
    shown = pose(1.0)
    tee.show(shown)
    assert [view.poses for view in views] == [[shown]] * 3
    assert tee.views == views


def test_optional_methods_reach_those_that_have_them() -> None:
    plain, full = Plain(), Full()
    tee: Any = Tee(plain, full)
    block = AudioBlock(np.zeros((1, 1), np.int16), 48000, 0.0)
    tee.sound(block)
    tee.round_started("started")
    tee.round_ended("ended")
    tee.motion_arrived("arrival")
    tee.connection_state("connected")
    assert full.told == [
        ("sound", block),
        ("round_started", "started"),
        ("round_ended", "ended"),
        ("motion_arrived", "arrival"),
        ("connection_state", "connected"),
    ]


def test_what_no_view_can_do_the_tee_cannot_do() -> None:
    tee = Tee(Plain(), HeadlessSink())
    assert not hasattr(tee, "sound")
    assert not hasattr(tee, "connection_state")
    assert hasattr(Tee(Plain(), HeadlessSink(on_sound=print)), "sound")


def test_a_view_that_fails_does_not_stop_the_others(pose: MakePose, caplog: pytest.LogCaptureFixture) -> None:
    full = Full()
    tee: Any = Tee(Broken(), full)
    for k in range(30):
        tee.show(pose(k))
    tee.connection_state("connected")
    assert len(full.poses) == 30
    assert full.told == [("connection_state", "connected")]
    assert tee.errors == 31
    assert len(caplog.records) == 1
    assert "out of paint" in caplog.text


def test_it_is_closed_as_soon_as_one_view_is() -> None:
    full = Full()
    tee = Tee(Plain(), full)
    assert not tee.closed
    full.closed = True
    assert tee.closed


def test_closing_closes_all_that_can_be_closed() -> None:
    first, last = Full(), Full()
    Tee(first, Plain(), Broken(), last).close()
    assert first.closed
    assert last.closed


def test_something_that_is_no_view_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="show"):
        Tee(Plain(), object())  # type: ignore[arg-type]
