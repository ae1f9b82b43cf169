"""What the examples show with ``--demo``: an avatar in their own process."""

from __future__ import annotations

import ast
import contextlib
import json
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.command import ROOT, Done, assert_no_loose_ends, clean_environment, start_example
from tests.support.display import start_display

DEMOS = {
    "kiosk": ["kiosk.py", "--demo", "--seconds", "7"],
    "bots": ["headless_bot.py", "--demo", "--bots", "3", "--seconds", "9"],
    "tone": ["custom_audio.py", "--demo"],
    "push": ["custom_audio.py", "--demo", "--sound", "push"],
    "listen": ["listen.py", "--demo", "--seconds", "9", "--wav", "voice.wav"],
    "arkit": ["arkit_coefficients.py", "--demo", "--seconds", "8"],
    "stall": ["stall_recovery.py", "--demo", "--seconds", "14"],
}


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Done], Path]]:
    """All of them at once: they mostly wait."""
    folder = tmp_path_factory.mktemp("examples")
    with contextlib.ExitStack() as close:
        children = {
            name: close.enter_context(start_example(*arguments, cwd=folder))
            for name, arguments in DEMOS.items()
        }
        yield {name: child.finish(60) for name, child in children.items()}, folder


@pytest.mark.parametrize("name", DEMOS)
def test_it_ends_by_itself_and_well(demos: tuple[dict[str, Done], Path], name: str) -> None:
    assert_no_loose_ends(demos[0][name])


def test_kiosk(demos: tuple[dict[str, Done], Path]) -> None:
    log = demos[0]["kiosk"].err
    for text in ("avatar-joined", "round 1: transition-end", "ended after 1 rounds"):
        assert text in log


def test_bots(demos: tuple[dict[str, Done], Path]) -> None:
    done, folder = demos[0]["bots"], demos[1]
    figures = [json.loads(line) for line in done.out.splitlines()]
    assert sorted(line["bot"] for line in figures) == ["demo-0", "demo-1", "demo-2"]
    for line in figures:
        assert line["rounds"] >= 1
        assert line["frames"] >= 75  # of 100; a machine that stalls leaves some out
        assert line["sound_s"] > 4
        assert (folder / "recordings" / f"{line['bot']}.jsonl").stat().st_size > 5000


@pytest.mark.parametrize("name", ["tone", "push"])
def test_custom_audio(demos: tuple[dict[str, Done], Path], name: str) -> None:
    lines = demos[0][name].out.splitlines()
    assert lines == [f"publishing {name}", "sent 2.00 s", "the avatar heard 2.00 s"]


def test_listen(demos: tuple[dict[str, Done], Path]) -> None:
    lines = demos[0]["listen"].out.splitlines()
    assert len(lines) >= 4
    # The avatar speaks and opens its mouth, unless a second has only a few ms of its speech.
    levels, jaws = [float(line.split()[3]) for line in lines], [float(line.split()[6]) for line in lines]
    assert sum(-60 < level < 0 for level in levels) >= len(lines) - 1
    assert sum(jaw > 0.0 for jaw in jaws) >= len(lines) - 1
    with wave.open(str(demos[1] / "voice.wav")) as file:
        assert 5.0 < file.getnframes() / file.getframerate() < 10.0


def test_arkit_coefficients(demos: tuple[dict[str, Done], Path]) -> None:
    lines = [json.loads(line) for line in demos[0]["arkit"].out.splitlines()]
    assert len(lines) > 80
    assert all(later["t"] >= line["t"] for line, later in pairwise(lines))
    jaws = [line["coefficients"].get("jawOpen", 0.0) for line in lines]
    assert max(jaws) > 0.3  # the avatar speaks
    assert min(jaws) < 0.03
    assert len({name for line in lines for name in line["coefficients"]}) > 10


def test_stall_recovery(demos: tuple[dict[str, Done], Path]) -> None:
    log = demos[0]["stall"].out
    order = ["round 1 begins", "round 1 ends: stalled", "stalled: 3.0 s silent, round 1"]
    order += ["connection: reconnecting", "connection: connected", "round 2 begins"]
    order += ["round 2 ends: transition-end", "rounds ended: {'stalled': 1, 'transition-end': 1}"]
    at = 0
    for text in order:
        assert text in log[at:], f"{text!r} is missing or comes too early:\n{log}"
        at += log[at:].index(text)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 118
    said = ast.get_docstring(ast.parse(text)) or ""
    assert f"python {path.name}" in said


def test_kiosk_fills_a_screen_without_keys_and_ends_when_quit_is_typed() -> None:
    with (
        start_display() as display,
        start_example(
            "kiosk.py", "--demo", "--seconds", "60", env=clean_environment(DISPLAY=display.name)
        ) as kiosk,
    ):
        kiosk.wait_for("avatar-joined")
        kiosk.wait_for("round 1")
        assert display.place("Kiosk") == (0, 0, *display.size)
        display.press("Kiosk", "Escape")
        display.type("Kiosk", "quit", lambda: kiosk.process.poll() is not None)
        done = kiosk.finish(20)
    assert_no_loose_ends(done)
    assert "ended after" in done.err
