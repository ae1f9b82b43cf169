"""Fixtures for the tests of views."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from tests.support.display import Display, start_display


@pytest.fixture(scope="session")
def _display() -> Iterator[Display]:
    with start_display() as display:
        yield display


@pytest.fixture
def display(_display: Display, monkeypatch: pytest.MonkeyPatch) -> Display:
    """A display for this process. Only one in a session: OpenCV stays with its first one."""
    for name in ("WAYLAND_DISPLAY", "XAUTHORITY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", _display.name)
    return _display


def make_pose(t: float = 0.0, **fields: list[float]) -> Pose:
    """An idle pose with these FLAME fields."""
    return Pose(t, PoseKind.IDLE, MotionFrame.from_fields(fields))


@pytest.fixture
def pose() -> Callable[..., Pose]:
    """``pose(t, jaw_pose=[...])``: an idle pose with these FLAME fields."""
    return make_pose


@pytest.fixture
def all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder leaves no picture out, however busy the machine is."""
    monkeypatch.setattr("renderers.recording.load.BEHIND_S", float("inf"))


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """``wait_for(condition, what)``: until ``condition()`` is true, 10 s at most."""

    def wait(condition: Callable[[], object], what: str = "it", timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen in {timeout_s:g} s"
            time.sleep(0.01)

    return wait
