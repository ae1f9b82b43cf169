"""The integration is optional: it imports without its extra, and says what to install once that is needed."""

from __future__ import annotations

import subprocess
import sys

from tests.support.command import ROOT, clean_environment

WITHOUT = """
import sys

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {gone}:
            raise ImportError(name)

sys.meta_path.insert(0, Gone())
"""


def run(program: str, *gone: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.replace("{gone}", repr(set(gone))) + program],
        env=clean_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_its_extra() -> None:
    said = run(
        """
import asyncio
from avatarkit_rtc.errors import MissingDependencyError
from avatarkit_rtc.integrations.runway import RunwayClient, Tool, create_rpc_handler

async def main():
    for work in (
        RunwayClient("key").get_session("s"),
        create_rpc_handler(tools={"a": Tool(print, schema={})}, session_id="s", api_key="key"),
    ):
        try:
            await work
        except MissingDependencyError as error:
            print(error)

asyncio.run(main())
""",
        "aiohttp",
        "jsonschema",
        "cv2",
        "sounddevice",
    )
    assert said.count("pip install 'avatarkit-rtc[runway]'") == 2


def test_the_agents_avatar_without_livekit_agents() -> None:
    said = run(
        """
from avatarkit_rtc.errors import MissingDependencyError
try:
    from avatarkit_rtc.integrations.runway import RunwayAvatar
except MissingDependencyError as error:
    print(error)
"""
    )
    assert "pip install 'avatarkit-rtc[agents]'" in said


def test_the_package_itself_does_not_import_it() -> None:
    said = run(
        """
import sys
import avatarkit_rtc
parts = ("avatarkit_rtc.integrations", "aiohttp", "jsonschema")
print([name for name in sys.modules if name.startswith(parts)])
"""
    )
    assert said == "[]\n"
