"""Logs written line by line: what they keep, what they empty, and what they could not write."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from avatarkit_rtc.cli.arrival_log import COLUMNS, ArrivalLog
from avatarkit_rtc.cli.motion_log import LineWriter, MotionLog
from avatarkit_rtc.cli.watching import check_different, report_lines
from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.views import View
from tests.support.command import Child, run_command

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
WAY = ("--url", "ws://127.0.0.1:9", "--key", "k", "--secret", "s" * 32, "--room", "r")


def test_the_file_of_the_last_run_is_kept_until_there_is_something_to_write(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("yesterday's\n", encoding="utf-8")
    writer = LineWriter(str(path))
    writer.put({"k": 1})
    writer.close()
    assert path.read_text(encoding="utf-8") == "yesterday's\n"
    writer = LineWriter(str(path), "header")
    writer.begin()
    writer.begin()
    writer.put({"k": 1})
    writer.put(lambda: [2])
    writer.close()
    writer.close()
    assert path.read_text(encoding="utf-8").splitlines() == ["header", '{"k":1}', "[2]"]
    assert (writer.dropped, writer.problem) == (0, None)


def test_a_log_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    for begun in (False, True):
        writer = LineWriter(str(tmp_path / "log"))
        if begun:
            writer.begin()
        writer.close()
        assert (tmp_path / "log").exists() == begun


def test_a_log_that_never_began_leaves_what_others_wrote(tmp_path: Path) -> None:
    path = tmp_path / "log"
    waits, works = LineWriter(str(path)), LineWriter(str(path))
    works.begin()
    works.put({"k": 1})
    works.close()
    waits.close()
    assert path.read_text(encoding="utf-8") == '{"k":1}\n'


@pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators there")
def test_a_link_to_a_file_that_is_not_there_yet_stays(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    LineWriter(str(link)).close()
    assert link.is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes of this kind")
def test_lines_that_a_pipe_does_not_take_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = LineWriter(str(path))
    os.set_blocking(writer._file.fileno(), False)
    writer.begin()
    for _ in range(2000):
        writer.put_text("x" * 100)
    writer.close()
    os.close(reader)
    assert writer.dropped > 1000  # a pipe holds 64 KiB
    assert writer._file.closed


@pytest.mark.parametrize(("kind", "lines"), [(MotionLog, 1), (ArrivalLog, 0)])
def test_a_players_log_begins_with_the_connection(kind: Any, lines: int, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("yesterday's\n", encoding="utf-8")
    log = kind(str(path))
    view: View = log
    view.show(Pose(1.0, PoseKind.IDLE, MotionFrame.neutral()))
    for state in ("connecting", "connected", "reconnecting", "connected"):
        log.connection_state(state)
    view.show(Pose(2.0, PoseKind.IDLE, MotionFrame.neutral()))
    log.close()
    written = path.read_text(encoding="utf-8").splitlines()
    if kind is ArrivalLog:
        assert written.pop(0) == COLUMNS
    assert [json.loads(line)["t"] for line in written] == [2.0] * lines


def test_a_join_that_fails_costs_no_log_that_was_there(tmp_path: Path) -> None:
    names = ("keep.jsonl", "keep.csv")
    for name in names:
        (tmp_path / name).write_text("yesterday's\n", encoding="utf-8")
    options = ("--headless", "--motion-log", "keep.jsonl", "--arrival-log", "keep.csv")
    assert run_command("play", *WAY, *options, cwd=tmp_path).code == 1
    assert run_command("publish", *WAY, "--sent-log", "keep.csv", cwd=tmp_path).code == 1
    assert run_command("publish", *WAY, "--sent-log", "new.jsonl", cwd=tmp_path).code == 1
    assert {each.name: each.read_text(encoding="utf-8") for each in tmp_path.iterdir()} == dict.fromkeys(
        names, "yesterday's\n"
    )


@full
def test_lines_that_cannot_be_written_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    writer = LineWriter("/dev/full")
    writer.begin()
    for k in range(3):
        writer.put(k)
    writer.close()
    assert writer.dropped == 3
    assert not report_lines(Path("/dev/full"), writer)
    said = capsys.readouterr().err
    assert "3 lines could not be written to /dev/full: No space left on device" in said


TORN = """
import resource, signal, sys, time
from avatarkit_rtc.cli.motion_log import LineWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
writer = LineWriter(sys.argv[1])
writer.begin()
for line in ("12345", "67890"):
    writer.put_text(line)
while not writer.dropped:
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, before)
writer.put_text("next")
writer.close()
assert writer.dropped == 1
"""
"""A program whose files may have 10 bytes for a while, as on a disk that was full."""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_line_after_a_torn_one_stands_alone(tmp_path: Path) -> None:
    with Child([sys.executable, "-c", TORN, tmp_path / "log"]) as child:
        done = child.finish()
    assert done.code == 0, done.err
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines() == ["12345", "6789", "next"]


@full
def test_a_log_that_cannot_be_written_is_a_failure(server_env: dict[str, str], room_name: str) -> None:
    options = ("--room", room_name, "--duration", "1")
    for command in (("publish", "--sent-log"), ("play", "--headless", "--arrival-log")):
        done = run_command(*command, "/dev/full", *options, env=server_env)
        assert done.code == 1, done.err
        assert "could not be written to /dev/full: No space left on device" in done.err
        assert "Traceback" not in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators there")
def test_links_that_go_in_a_circle_are_no_crash(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    check_different({"--one": one, "--else": tmp_path / "else"})


def test_two_outputs_into_one_file_are_refused(tmp_path: Path) -> None:
    def check(one: str, other: str) -> None:
        check_different({"--one": tmp_path / one, "--none": None, "--other": Path(other)})

    for one, other in (("a", str(tmp_path / "a")), ("b/../a", f"{tmp_path}/./a")):
        with pytest.raises(ConfigurationError, match="--one and --other name the same file"):
            check(one, other)
    check("a", str(tmp_path / "b"))
    if sys.platform != "win32":
        (tmp_path / "link").symlink_to("a")
        with pytest.raises(ConfigurationError):
            check("link", str(tmp_path / "a"))
        check_different({"--one": Path("/dev/null"), "--other": Path("/dev/null")})


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["play", "--headless", *WAY, "--stats", "f", "--motion-log", "f"], "--stats and --motion-log"),
        (["play", "--headless", *WAY, "--motion-log", "f", "--arrival-log", "./f"], "--motion-log and --arr"),
        (["session", "--say", "f", "--record", "f.mp4", "--stats", "f.jsonl"], "the sidecar of --record and"),
    ],
)
def test_commands_refuse_it_before_they_write(arguments: list[str], wanted: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("kept", encoding="utf-8")
    done = run_command(*arguments, cwd=tmp_path)
    assert done.code == 1
    assert wanted in done.err
    assert [each.read_text(encoding="utf-8") for each in tmp_path.iterdir()] == ["kept"]
