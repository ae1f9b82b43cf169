"""Every state of the window, on a real screen, beside pictures that somebody looked at.

After a change that is meant to be seen, this file's tests write the pictures anew when the environment has
``AVATARKIT_DRAW_GOLDEN=1``: look at them, too.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.events import ConnectionState
from avatarkit_rtc.face import FrameDriver
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.playout.pose import Pose
from avatarkit_rtc.testing.mock_provider import MockProvider
from renderers import Image, OpenCVWindow
from renderers import _figures as figures_module
from renderers import _screen as screen_module
from renderers._still import LOST_AFTER_S
from renderers.cartoon import CartoonFace
from tests.support.display import Display, start_display
from tests.support.livekit import until
from tests.support.system import require

MakePose = Callable[..., Pose]
WaitFor = Callable[..., None]
Shown = npt.NDArray[np.uint8]

GOLDEN = Path(__file__).parent / "golden"
DRAW = os.environ.get("AVATARKIT_DRAW_GOLDEN") == "1"
SIDE = 200
LETTERS = 20.0
"""OpenCV 4 has wider letters than OpenCV 5 (17); without a panel the difference is 27."""

_numbers = itertools.count(1)


@pytest.fixture
def title() -> str:
    return f"state-{next(_numbers)}"


def face() -> CartoonFace:
    """One pose, one picture."""
    return CartoonFace((SIDE, SIDE), driver=FrameDriver())


def crop(display: Display, title: str) -> Shown:
    x, y, width, height = display.place(title)
    return display.screenshot()[y : y + height, x : x + width]


def small(shown: Shown) -> Shown:
    """A third of it where it is large: the file need not be."""
    import cv2

    if shown.shape[1] < 600:
        return shown
    size = (shown.shape[1] // 3, shown.shape[0] // 3)
    return np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA))


def difference(one: Shown, other: Shown) -> float:
    """Mean over the pixels, in steps of brightness; infinite where the sizes differ."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one.astype(int) - other).mean())


def golden(name: str) -> Shown:
    import cv2

    return np.asarray(cv2.imread(str(GOLDEN / f"window_{name}.png")), np.uint8)


def assert_as_looked_at(
    display: Display, title: str, name: str, wait_for: WaitFor, within: float = 0.6
) -> None:
    """Other versions of OpenCV draw edges a little differently; a sign, a bar or a panel that is missing
    makes more of a difference."""
    if DRAW:
        import cv2

        time.sleep(1.0)
        cv2.imwrite(str(GOLDEN / f"window_{name}.png"), small(crop(display, title)))
    expected = golden(name)
    nearest: list[float] = []

    def alike() -> bool:
        nearest.append(difference(small(crop(display, title)), expected))
        return nearest[-1] < within

    try:
        wait_for(alike, f"the picture {name}")
    except AssertionError as error:
        raise AssertionError(f"{error}; the nearest differs by {min(nearest):.2f}") from None


@pytest.fixture
def window(display: Display, title: str) -> Iterator[OpenCVWindow]:
    with OpenCVWindow(title, face=face()) as opened:
        yield opened


def test_the_golden_pictures_differ_by_more_than_is_allowed() -> None:
    """Or the tests below could not fail."""
    names = ("plain", "figures", "still", "wide", "tall", "full", "full_still")
    for one, other in itertools.combinations(map(golden, names), 2):
        assert difference(one, other) > 1.5


def test_plain(display: Display, title: str, window: OpenCVWindow, wait_for: WaitFor) -> None:
    assert_as_looked_at(display, title, "plain", wait_for)


@pytest.mark.parametrize(("name", "size"), [("wide", (360, 160)), ("tall", (150, 330))])
def test_another_size_keeps_the_proportions(
    display: Display, title: str, window: OpenCVWindow, wait_for: WaitFor, name: str, size: tuple[int, int]
) -> None:
    display.resize(title, *size)
    assert_as_looked_at(display, title, name, wait_for)


def test_f_fills_the_screen_and_leaves_it_even_without_a_window_manager(
    display: Display, title: str, window: OpenCVWindow, wait_for: WaitFor
) -> None:
    display.press(title, "f")
    wait_for(lambda: display.place(title) == (0, 0, *display.size), "the full screen")
    assert window.fullscreen
    assert_as_looked_at(display, title, "full", wait_for)
    display.press(title, "f")
    wait_for(lambda: display.place(title)[2:] == (SIDE, SIDE), "the window")
    assert not window.fullscreen
    assert_as_looked_at(display, title, "plain", wait_for)


def test_i_shows_live_figures_and_hides_them(
    display: Display,
    title: str,
    window: OpenCVWindow,
    wait_for: WaitFor,
    pose: MakePose,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["connected   speech", "25 fps   drawing 5.0 ms", "delay 82 ms (target 80)", "lip sync +3 ms"]
    monkeypatch.setattr(figures_module, "figure_lines", lambda *_, **__: lines)
    display.press(title, "i")
    wait_for(lambda: window.figures, "the key")
    assert_as_looked_at(display, title, "figures", wait_for, LETTERS)
    window.show(pose(1.0))
    wait_for(lambda: window.drawn == 2, "the next picture")
    assert_as_looked_at(display, title, "figures", wait_for, LETTERS)
    display.press(title, "i")
    assert_as_looked_at(display, title, "plain", wait_for)


async def test_figures_are_the_players_and_asked_for_four_times_a_second(
    display: Display, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    made: list[Any] = []
    lines = figures_module.figure_lines

    def note(stats: Any, **rest: Any) -> list[str]:
        made.append(stats)
        return lines(stats, **rest)

    monkeypatch.setattr(figures_module, "figure_lines", note)
    with OpenCVWindow(title, face=face()) as window:
        player = AvatarPlayer(MockProvider(), window)
        stats = player.stats
        monkeypatch.setattr(player, "stats", lambda: asked.append(time.monotonic()) or stats())
        async with player:
            await player.connect(url="mock://", token="token")
            await until(lambda: window.shown > 30, "poses")
            assert len(asked) <= 4, "at changes of the connection alone, while nobody looks"
            asked.clear()
            window.figures = True
            await until(lambda: len(asked) >= 4, "figures")
            assert asked[-1] - asked[0] >= 0.7
            await until(lambda: bool(made) and made[-1] is not None, "a panel")
            assert made[-1].connection.state == "connected"


def test_a_still_while_the_connection_is_gone_and_life_when_it_is_back(
    display: Display, title: str, window: OpenCVWindow, wait_for: WaitFor, pose: MakePose
) -> None:
    window.show(pose(0.0, jaw_pose=[0.4]))
    window.connection_state("connected")
    since = time.monotonic()
    window.connection_state("reconnecting")
    wait_for(lambda: window.stills == 1)
    assert time.monotonic() - since >= LOST_AFTER_S, "a short break is not seen"
    # Brought to rest by the window itself: the mouth is shut, whatever the last pose was.
    assert_as_looked_at(display, title, "still", wait_for)
    before = window.left_out
    window.show(pose(5.0, jaw_pose=[0.4]))
    assert window.left_out == before + 1
    window.connection_state("disconnected")
    assert_as_looked_at(display, title, "still", wait_for)
    window.connection_state("connected")
    assert_as_looked_at(display, title, "plain", wait_for)
    window.show(pose(6.0, jaw_pose=[0.4]))
    wait_for(lambda: np.ptp(crop(display, title)) > 0)
    assert window.left_out == before + 1


async def test_a_player_that_loses_its_room_leaves_a_still(display: Display, title: str) -> None:
    provider = MockProvider()
    with OpenCVWindow(title, face=face(), render_rate_hz=None) as window:
        async with AvatarPlayer(provider, window) as player:
            await player.connect(url="mock://", token="token")
            provider.set_state(ConnectionState.RECONNECTING)
            await until(lambda: window.stills == 1, "the still")
            drawn = window.drawn
            await until(lambda: window.left_out > 30, "poses that are not drawn")
            assert window.drawn <= drawn + 30
            provider.set_state(ConnectionState.CONNECTED)
            before = window.left_out
            await until(lambda: window.drawn > drawn + 50, "life")
            assert window.left_out <= before + 2


def test_nothing_of_the_kind_if_so_wished(
    display: Display, title: str, wait_for: WaitFor, pose: MakePose
) -> None:
    with OpenCVWindow(title, face=face(), when_lost="live") as window:
        window.connection_state("reconnecting")
        time.sleep(2.5)
        window.show(pose(1.0))
        wait_for(lambda: window.drawn == 2)
        assert (window.stills, window.left_out) == (0, 0)
        assert_as_looked_at(display, title, "plain", wait_for)


def cursor_seen(display: Display) -> bool:
    without, with_it = display.screenshot(), display.screenshot(mouse=True)
    return bool((without != with_it).any())


def test_a_kiosk_has_neither_keys_nor_mouse_nor_cursor(
    display: Display, title: str, wait_for: WaitFor
) -> None:
    keys: list[int] = []
    width, height = display.size
    display.xdotool("mousemove", str(width // 2), str(height // 2))
    with OpenCVWindow(title, face=face(), kiosk=True, on_key=keys.append) as window:
        wait_for(lambda: display.place(title) == (0, 0, *display.size), "the full screen")
        assert_as_looked_at(display, title, "full", wait_for)
        for key, code in (("q", ord("q")), ("Escape", 27), ("f", ord("f")), ("i", ord("i"))):
            display.type(title, [key], lambda code=code: [each & 0xFF for each in keys[-1:]] == [code])
            assert keys[-1] & 0xFF == code, "the program's own use of the keys"
        for button in ("4", "5", "1", "3"):
            display.xdotool("click", button, "click", button)
        time.sleep(0.3)
        assert (window.closed, window.figures, window.fullscreen) == (False, False, True)
        assert_as_looked_at(display, title, "full", wait_for)
        assert not cursor_seen(display)
        display.press(title, "q")
        display.type(title, "quit", lambda: window.closed)
        assert window.end_reason == "key"


def test_a_still_in_a_kiosk(display: Display, title: str, wait_for: WaitFor) -> None:
    with OpenCVWindow(title, face=face(), kiosk=True) as window:
        window.connection_state("failed")
        wait_for(lambda: window.stills == 1)
        assert_as_looked_at(display, title, "full_still", wait_for)


def test_the_screen_of_a_kiosk_is_kept_from_going_dark(
    display: Display, title: str, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen_module, "_AWAKE_EVERY_S", 0.3)
    try:
        with OpenCVWindow(title, face=face(), fullscreen=True):
            wait_for(lambda: display.place(title) == (0, 0, *display.size), "the full screen")
            display.save_screen(1)
            wait_for(lambda: difference(small(display.screenshot()), golden("full")) > 20, "the screen saver")
            display.save_screen(0)
        with OpenCVWindow(title, face=face(), kiosk=True):
            wait_for(lambda: difference(small(display.screenshot()), golden("full")) < 0.6, "the full screen")
            display.save_screen(1)
            time.sleep(2.5)
            wait_for(lambda: difference(small(display.screenshot()), golden("full")) < 0.6, "the face")
    finally:
        display.save_screen(0)


def test_other_windows_have_a_cursor(display: Display, title: str, window: OpenCVWindow) -> None:
    display.xdotool("mousemove", "50", "50")
    time.sleep(0.2)
    assert cursor_seen(display)


@pytest.mark.parametrize("kiosk", [True, False])
def test_with_a_window_manager_there_is_no_title_bar_on_a_full_screen(kiosk: bool) -> None:
    """In a process of its own: OpenCV stays with its first display."""
    require("openbox")
    script = f"""
        import time
        from renderers import OpenCVWindow
        from renderers.cartoon import CartoonFace
        with OpenCVWindow("managed", face=CartoonFace((64, 64)), {"kiosk" if kiosk else "fullscreen"}=True):
            print("open", flush=True)
            input()
    """
    with start_display() as own:
        manager = subprocess.Popen(["openbox"], env=own.environment, stderr=subprocess.DEVNULL)
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            env=own.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "open\n"
            deadline = time.monotonic() + 10
            while own.place("managed") != (0, 0, *own.size):
                assert time.monotonic() < deadline, own.place("managed")
                time.sleep(0.1)
            child.communicate("\n", timeout=20)
            assert child.returncode == 0
        finally:
            for process in (child, manager):
                process.kill()
                process.communicate()


def test_drawing_that_is_too_slow_for_60_pictures_a_second_gets_30(
    display: Display, title: str, wait_for: WaitFor, pose: MakePose
) -> None:
    class Slow(CartoonFace):
        def render(self, pose: Pose) -> Image:
            time.sleep(0.013)
            return super().render(pose)

    with OpenCVWindow(title, face=Slow((32, 32))) as window:
        assert window.rate_hz == 60
        for k in range(600):
            window.show(pose(k / 60))
            time.sleep(1 / 60)
            if window.slowdowns:
                break
        assert (window.rate_hz, window.slowdowns) == (30, 1)
        before = window.left_out
        for j in range(60):
            window.show(pose((k + j) / 60))
        assert window.left_out - before == pytest.approx(30, abs=2)
        assert window.stats()["slowdowns"] == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"when_lost": "black"}, "when_lost"),
        ({"render_rate_hz": 0}, "render_rate_hz"),
        ({"bars": (0, 0)}, "bars"),
        ({"bars": (0, 0, 256)}, "bars"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        OpenCVWindow(**options)
