"""System parts that tests need: skip with a reason on a user's machine, fail where all must be there."""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRE_ALL = os.environ.get("AVATARKIT_REQUIRE_ALL") == "1"
"""Set by ``.ci/run`` after it has installed every part by name."""


def missing(reason: str) -> None:
    """A needed part is not here: skip, or fail where all parts are required."""
    if REQUIRE_ALL:
        pytest.fail(f"{reason}, and AVATARKIT_REQUIRE_ALL=1 says that all is installed", pytrace=False)
    pytest.skip(reason)


def require(*programs: str) -> None:
    """Skip (or fail) the calling test unless every one of ``programs`` is on the path."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        missing(f"needs {', '.join(absent)}")
