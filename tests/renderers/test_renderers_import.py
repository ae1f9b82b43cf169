from __future__ import annotations

import subprocess
import sys

import renderers


def test_importing_renderers_loads_no_picture_or_sound_library() -> None:
    script = (
        "import sys, renderers; "
        "print([name for name in ('cv2', 'av', 'PIL', 'sounddevice', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_public_names_are_there() -> None:
    assert all(hasattr(renderers, name) for name in renderers.__all__)
    expected = {
        "Face",
        "HeadlessSink",
        "OpenCVWindow",
        "Recorder",
        "Shot",
        "Tee",
        "display_available",
        "make_face",
    }
    assert expected <= set(renderers.__all__)
