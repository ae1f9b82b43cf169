"""The virtual environment for tests against livekit-agents, which wants one exact version of livekit.

    python3 tests/support/agents.py        makes it, where it is not there; CI does so

Tests that are marked ``agents`` find it in the cache; AVATARKIT_AGENTS_PYTHON names another Python to use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

REQUIREMENTS = (
    "livekit-agents==1.8.9",
    "livekit-plugins-runway==1.8.9",
    # What the parts of this package that run there need: the extra "runway" and the core, less what draws.
    "aiohttp>=3.10",
    "jsonschema>=4.18",
    "numpy>=1.26",
    "protobuf>=4.25.1",
    "pyee>=12",
)


def environment_folder() -> Path:
    """Where it is, or is to be: another list of packages, or another Python, is another folder."""
    what = f"{sys.version_info[:2]} {REQUIREMENTS}"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "avatarkit-rtc" / f"agents-{hashlib.sha256(what.encode()).hexdigest()[:12]}"


def find_agents_python() -> Path | None:
    """The Python of the environment; None where there is none."""
    if named := os.environ.get("AVATARKIT_AGENTS_PYTHON"):
        return Path(named)
    folder = environment_folder()
    return _python(folder) if (folder / "complete").exists() else None


def make_environment() -> Path:
    """Make it where it is not there; returns its Python. Takes some 20 s and 400 MB."""
    found = find_agents_python()
    if found is not None:
        return found
    folder = environment_folder()
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    install = [_python(folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *REQUIREMENTS], check=True)
    (folder / "complete").touch()
    return _python(folder)


def require_agents() -> Path:
    """The Python of the environment; the calling test is skipped, or fails in CI, where there is none."""
    found = find_agents_python()
    if found is None:
        from tests.support.system import missing

        missing("needs livekit-agents in an environment of its own: python3 tests/support/agents.py")
    assert found is not None
    return found


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


if __name__ == "__main__":
    sys.stdout.write(f"{make_environment()}\n")
