"""``examples/spatialreal_direct.py`` against the stand-in of the service, as it runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.command import assert_no_loose_ends, clean_environment, start_example
from tests.support.system import require


def test_it_says_two_things_and_records_them_or_is_interrupted(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="recording needs the extra record")
    environment = clean_environment()
    with (
        start_example("spatialreal_direct.py", "--demo", "--out", "direct.mp4", cwd=tmp_path) as recording,
        start_example(
            "spatialreal_direct.py", "--demo", "--interrupt", "0.5", env=environment
        ) as interrupted,
    ):
        recorded, cut = recording.finish(60), interrupted.finish(60)
    for done in (recorded, cut):
        assert_no_loose_ends(done)
    assert "utterance 1 begins" in recorded.out
    assert recorded.out.count("ends after 2.00 s") == 2
    assert "of 100 keyframes shown" in recorded.out
    assert "no window" in cut.out
    assert "utterance 1 was interrupted after" in cut.out
    assert "utterance 2 was interrupted after 0.00 s" in cut.out

    require("ffmpeg")
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(tmp_path / "direct.mp4")],
        check=True,
        capture_output=True,
    )
    streams = {each["codec_type"]: float(each["duration"]) for each in json.loads(told.stdout)["streams"]}
    assert min(streams["video"], streams["audio"]) > 4.0
