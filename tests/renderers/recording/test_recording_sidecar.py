from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.errors import ConfigurationError, RecordingError
from avatarkit_rtc.events import Stalled
from avatarkit_rtc.motion.events import RoundEndReason
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.testing.performer import perform
from renderers.recording.sidecar import SidecarWriter, fields_of, read_sidecar

ROOT = Path(__file__).resolve().parents[3]

HEADER = {"file": "talk.mp4", "part": 1, "start": 0.0, "face": "cartoon", "size": [64, 48], "fps": 25}

GOLDEN = """\
{"type":"recording","version":1,"file":"talk.mp4","part":1,"start":0.0,"face":"cartoon","size":[64,48],"fps":25}
{"type":"round-started","t":0.0,"round":3}
{"type":"pose","t":0.08,"kind":"received","round":3,"position":2.0,"pose":{"jaw_pose":[0.3],"eye_lid":[0.0,1.0]}}
{"type":"pose","t":0.12,"kind":"idle","pose":{}}
{"type":"event","t":0.12,"event":"stalled","payload":{"silence_s":3.0,"round":null,"what":"motion"}}
{"type":"event","t":0.12,"event":"error","payload":{"error":"RecordingError","code":"recording-failed","message":"full"}}
{"type":"round-ended","t":0.123457,"round":3,"reason":"flushed"}
"""


def write(path: Path) -> None:
    """The file that ``docs/recording.md`` shows."""
    sidecar = SidecarWriter(path, HEADER)
    spoken = MotionFrame.from_fields({"jaw_pose": [0.3], "eye_lid": [0.0, 1.0]})
    sidecar.write("round-started", 0.0, round=3)
    sidecar.pose(Pose(7.0, PoseKind.RECEIVED, spoken, 3, 2.0), 0.08)
    sidecar.pose(Pose(7.04, PoseKind.IDLE, MotionFrame.neutral()), 0.12)
    sidecar.write("event", 0.12, event="stalled", payload=Stalled(3.0, None))
    sidecar.write("event", 0.12, event="error", payload=RecordingError("full"))
    sidecar.write("round-ended", 0.1234567, round=3, reason=RoundEndReason.FLUSHED)
    sidecar.close()


def test_the_format_is_the_documented_one(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    write(path)
    assert path.read_text(encoding="utf-8") == GOLDEN
    assert GOLDEN in (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")


def test_what_was_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    write(path)
    lines = list(read_sidecar(path))
    assert [line.type for line in lines] == [json.loads(text)["type"] for text in GOLDEN.splitlines()]
    pose = lines[2].pose()
    assert (pose.t, pose.presentation_time, pose.kind, pose.round, pose.position) == (
        0.08,
        0.08,
        PoseKind.RECEIVED,
        3,
        2.0,
    )
    assert pose.frame == MotionFrame.from_fields({"jaw_pose": [0.3], "eye_lid": [0.0, 1.0]})
    assert lines[3].pose().frame == MotionFrame.neutral()
    with pytest.raises(ConfigurationError, match="no pose"):
        lines[1].pose()


def test_poses_come_back_to_five_digits(tmp_path: Path) -> None:
    for frame in perform(1, 1.0).frames:
        back = MotionFrame.from_fields(fields_of(frame))
        np.testing.assert_allclose(back.values, frame.values, rtol=1e-4, atol=1e-12)


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(GOLDEN[:-20], encoding="utf-8")
    assert [line.type for line in read_sidecar(path)][-1] == "event"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", None),
        ("hello\n", "line 1"),
        ('{"type":"pose","t":0}\n', "begin with a line of type recording"),
        ('{"type":"recording","version":2}\n', "version is 2"),
        (GOLDEN + "hello\n", "line 8"),
        (GOLDEN + '{"type":"pose"}\n', "no time t"),
        (GOLDEN + '{"type":"pose","t":NaN}\n', "no time t"),
        (GOLDEN + "[1]\n", "no object"),
        (GOLDEN + "[" * 99_000 + "\n", "line 8"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, says: str | None) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(text, encoding="utf-8")
    if says is None:
        assert list(read_sidecar(path)) == []
        return
    with pytest.raises(ConfigurationError, match=says):
        list(read_sidecar(path))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        list(read_sidecar(tmp_path / "none.jsonl"))
