"""PyAV and OpenCV in one process: both bring libraries of X, and the window must still open."""

from __future__ import annotations

import subprocess
import sys

from tests.support.display import start_display

SCRIPT = """
from pathlib import Path
from renderers import OpenCVWindow, Recorder
recorder = Recorder(Path({path!r}))
window = OpenCVWindow("both")
window.close()
recorder.close()
print("both")
"""


def test_a_window_opens_after_a_recorder(tmp_path) -> None:  # type: ignore[no-untyped-def]
    script = SCRIPT.format(path=str(tmp_path / "out.mp4"))
    with start_display() as display:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=display.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout.strip() == "both", done.stderr
