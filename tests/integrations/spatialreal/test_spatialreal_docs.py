"""docs/spatialreal.md and docs/live-check.md say what there is; the package itself needs nothing of it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from avatarkit_rtc import errors
from avatarkit_rtc.cli.session import session as command
from avatarkit_rtc.integrations.spatialreal import SpatialRealProvider, SpatialRealSession
from avatarkit_rtc.integrations.spatialreal.events import EVENTS
from avatarkit_rtc.integrations.spatialreal.states import SessionState
from tests.support.command import ROOT, clean_environment

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "spatialreal.md").read_text(encoding="utf-8")
CHECK = (DOCS / "live-check.md").read_text(encoding="utf-8")


def told(names: object) -> list[str]:
    """Those that the docs leave out."""
    return [name for name in names if f"`{name}`" not in TEXT and f"`{name}(" not in TEXT]  # type: ignore[attr-defined]


def test_every_option_event_state_and_error_is_told() -> None:
    assert told(inspect.signature(SpatialRealSession).parameters) == []
    assert told(EVENTS) == []
    assert told(state.value for state in SessionState) == []
    kinds = [kind for name, kind in vars(errors).items() if name.startswith("SpatialReal")]
    assert told(kind.__name__ for kind in kinds) == []
    assert told(kind.code for kind in kinds if kind is not errors.SpatialRealError) == []


def test_what_is_called_exists() -> None:
    calls = [name for name in re.findall(r"(?:session|provider)\.(\w+)\(", TEXT + CHECK) if name != "md"]
    assert {"on", "say", "viewer"} <= set(calls)
    for name in calls:
        assert hasattr(SpatialRealSession, name) or hasattr(SpatialRealProvider, name), name


def test_the_commands_options_exist() -> None:
    options = {
        option
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        for meta in getattr(parameter.annotation, "__metadata__", ())
        for declared in (meta.default, *(meta.param_decls or ()))
        for option in declared.split("/")
    }
    used = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", TEXT + CHECK))
    assert {"--say", "--check", "--stats", "--record", "--direct"} <= used
    assert used <= options, used - options


def run(program: str, *gone: str) -> str:
    hide = f"import sys\nsys.modules.update(dict.fromkeys({gone!r}))\n"
    done = subprocess.run(
        [sys.executable, "-c", hide + program],
        env=clean_environment(LIVEKIT_URL="ws://nowhere", SPATIALREAL_API_KEY="k", SPATIALREAL_APP_ID="a"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("gone", ["spatialreal", "livekit.api"])
def test_without_its_extra(gone: str) -> None:
    said = run(
        """
import asyncio
from avatarkit_rtc.errors import MissingDependencyError
from avatarkit_rtc.integrations.spatialreal import SpatialRealSession

async def main():
    session = SpatialRealSession(avatar_id="a", livekit_api_key="k", livekit_api_secret="s")
    try:
        await session.start()
    except MissingDependencyError as error:
        print(error, session.state)
    await session.aclose()

asyncio.run(main())
""",
        gone,
        "cv2",
        "sounddevice",
    )
    assert "pip install 'avatarkit-rtc[" in said
