"""Ctrl-C while an example runs: it ends as it would by itself, and says nothing about it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Child, Done, assert_no_loose_ends, ctrl_c_heard, start_example
from tests.support.livekit import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")

EXAMPLES = {
    "arkit": ["arkit_coefficients.py", "--demo"],
    "bot": ["headless_bot.py", "--demo"],
    "listen": ["listen.py", "--demo", "--wav", "voice.wav"],
    "sound": ["custom_audio.py", "--demo", "--sound", "push"],
    "spatialreal": ["spatialreal_direct.py", "--demo"],
    "stall": ["stall_recovery.py", "--demo"],
}
SAYS = {
    "sound": "publishing push",
    "spatialreal": "utterance 1 begins",
    "arkit": '"jawOpen"',
    "stall": "round 1 begins",
}
WRITES = {"bot": ("recordings/demo-0.jsonl", 5_000), "listen": ("voice.wav", 200_000)}  # bytes: 2 s of sound


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Done], Path]]:
    """All of them at once; each once it is in the middle of its work."""
    folder = tmp_path_factory.mktemp("examples")
    with ctrl_c_heard(), contextlib.ExitStack() as close:
        children: dict[str, Child] = {
            name: close.enter_context(start_example(*arguments, cwd=folder))
            for name, arguments in EXAMPLES.items()
        }
        for name in [*SAYS, *WRITES]:
            if name in SAYS:
                children[name].wait_for(SAYS[name])
            else:
                path, least = WRITES[name]
                asyncio.run(until(lambda p=folder / path, n=least: size(p) > n, path, 60))
            children[name].signal(signal.SIGINT)
        yield {name: child.finish(30) for name, child in children.items()}, folder


@pytest.mark.parametrize("name", EXAMPLES)
def test_ctrl_c_ends_it_well(broken_off: tuple[dict[str, Done], Path], name: str) -> None:
    assert_no_loose_ends(broken_off[0][name])
    assert "KeyboardInterrupt" not in broken_off[0][name].err


def test_the_listener_prints_its_table_and_ends_its_file(
    broken_off: tuple[dict[str, Done], Path],
) -> None:
    assert " dBFS  jaw " in broken_off[0]["listen"].out
    with wave.open(str(broken_off[1] / "voice.wav")) as file:
        assert file.getnframes() / file.getframerate() > 1.5


def test_the_bot_prints_its_figures(broken_off: tuple[dict[str, Done], Path]) -> None:
    (line,) = broken_off[0]["bot"].out.splitlines()
    assert json.loads(line)["frames"] > 20
