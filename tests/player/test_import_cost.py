"""``import avatarkit_rtc`` needs no sound, display or video library, and little time."""

from __future__ import annotations

import json
import subprocess
import sys
import time

HEAVY = ("cv2", "sounddevice", "av", "PIL", "livekit.api", "typer", "rich")

SCRIPT = f"""
import json, sys, time
import livekit.rtc
begin = time.perf_counter()
import avatarkit_rtc
took = time.perf_counter() - begin
print(json.dumps([took, [name for name in {HEAVY!r} if name in sys.modules]]))
"""


def test_import_loads_no_library_of_sound_display_or_video_and_is_quick() -> None:
    took = []
    for _ in range(3):  # the machine may be busy
        said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True)
        seconds, loaded = json.loads(said.stdout)
        assert loaded == []
        took.append(seconds)
        if seconds < 0.5:
            return
        time.sleep(1.0)
    raise AssertionError(f"import avatarkit_rtc took {min(took):.2f} s more than livekit.rtc")


def test_the_renderers_import_without_their_libraries_too() -> None:
    script = f"import sys, renderers; print([name for name in {HEAVY!r} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "[]"
