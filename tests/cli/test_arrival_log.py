"""``play --arrival-log``: the arrivals of a session as a network trace."""

from __future__ import annotations

import csv
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from avatarkit_rtc.cli.arrival_log import COLUMNS, ArrivalLog, MediaTimeline
from avatarkit_rtc.motion.events import FrameArrived, RoundCause, RoundOpened
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.packet import PacketKind
from avatarkit_rtc.testing.impairment import DelayTrace
from avatarkit_rtc.views import MotionArrival
from tests.support.command import assert_no_loose_ends, start_command

FRAME = MotionFrame.neutral()


def frame(number: int, seq: int, *, recovered: bool = False, rebased: bool = False) -> FrameArrived:
    return FrameArrived(number, seq, FRAME, recovered, rebased)


def played(rows: list[str]) -> list[tuple[float, float]]:
    """Send and receive time of each row, in milliseconds."""
    return [tuple(round(1000 * float(cell), 3) for cell in row.split(",")[:2]) for row in rows]  # type: ignore[misc]


def test_rounds_follow_each_other_without_their_pauses() -> None:
    timeline = MediaTimeline()
    rows: list[str] = []
    for seq, late in enumerate((0.005, 0.000, 0.030)):
        rows += timeline.add(frame(1, seq), 100.0 + 0.04 * seq + late)
    # Half a minute later, on a clock that has moved by some milliseconds.
    for seq, late in enumerate((0.010, 0.002)):
        rows += timeline.add(frame(2, seq), 133.3337 + 0.04 * seq + late)
    rows += timeline.flush()
    assert played(rows) == [(0, 25), (40, 60), (80, 130), (120, 148), (160, 180)]


def test_lost_and_late_frames_keep_their_places() -> None:
    timeline = MediaTimeline()
    rows = [row for seq in (1, 4, 3) for row in timeline.add(frame(1, seq), 10.0 + 0.04 * seq)]
    rows += timeline.add(frame(2, 0), 20.0)
    assert [row.split(",")[0] for row in rows] == ["0.040", "0.160", "0.120"]
    assert [row.split(",")[0] for row in timeline.flush()] == ["0.200"], "right behind the newest frame"


def test_a_round_joined_in_its_middle_begins_where_it_was_joined() -> None:
    timeline = MediaTimeline()
    for seq in (4_000_000_000, 4_000_000_002, 3_999_999_999):
        assert timeline.add(frame(1, seq), 10.0) == []
    assert timeline.add(frame(1, 4_000_005_000, rebased=True), 11.0) != []
    assert [row.split(",")[0] for row in timeline.flush()] == ["0.120"]


def test_lines_come_after_ten_seconds_at_the_latest() -> None:
    timeline = MediaTimeline()
    counts = [len(timeline.add(frame(1, seq), 0.04 * seq)) for seq in range(300)]
    assert counts[:250] == [0] * 250
    assert counts[250:] == [251] + [1] * 49


def test_packets_without_news_are_comments(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.csv"
    log = ArrivalLog(str(path))
    log.connection_state("connected")
    log.motion_arrived(MotionArrival(1.0, PacketKind.IDLE, ()))
    opened = RoundOpened(1, RoundCause.FRAME)
    log.motion_arrived(
        MotionArrival(1.04, PacketKind.FRAME, (opened, frame(1, 0, recovered=True), frame(1, 1)))
    )
    log.motion_arrived(MotionArrival(1.08, PacketKind.FRAME, ()))
    log.close()
    log.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == [
        COLUMNS,
        "# 1.000000 idle",
        "# 1.080000 frame",
        "0.000,0.060000,1,0,1,1.040000",
        "0.040,0.060000,1,1,0,1.040000",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to end a child with")
def test_play_writes_a_trace_that_can_be_replayed(
    server_env: dict[str, str], room_name: str, tmp_path: Path
) -> None:
    path = tmp_path / "arrivals.csv"
    room = ("--room", room_name)
    with start_command("play", *room, "--headless", "--arrival-log", path, env=server_env) as play:
        play.wait_for("connected")
        # Reliable packets: a busy machine loses none.
        sending = ("--rounds", "1", "--pause", "0.5", "--reliable")
        with start_command("publish", *room, *sending, env=server_env) as publish:
            assert_no_loose_ends(publish.finish(60))
        play.wait_for("round 1: ")
        play.signal(signal.SIGINT)
        assert_no_loose_ends(play.finish(20))
    rows = list(csv.DictReader(line for line in path.open(encoding="utf-8") if not line.startswith("#")))
    assert len({row["seq"] for row in rows}) == len(rows), "only the first arrival of each frame"
    assert sorted(int(row["seq"]) for row in rows) == list(range(100))
    trace = DelayTrace.load(path)
    assert len(trace) == 100
    assert trace.duration_s == pytest.approx(4.0)
    assert np.nanmin(trace.delay_s) == pytest.approx(0.020)
    from bench.playout.traces import load_trace

    assert len(load_trace(path)) == 100
