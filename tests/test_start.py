"""``start.py`` and Ctrl-C: the command it runs sees it, too, and says how the whole ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import ROOT, ctrl_c_heard

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one group")

RUN = "import start, sys; sys.exit(start.run([sys.executable, '-c', sys.argv[1]]))"
CLEAN = """
import signal, sys, time
def end(*_):
    time.sleep(0.8)  # longer than subprocess.run gives it
    print("ended cleanly", flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print("runs", flush=True)
time.sleep(60)
"""
BREAKS = "import time; print('runs', flush=True); time.sleep(60)"
FAILS = CLEAN.replace("sys.exit(0)", "sys.exit(3)")


@pytest.mark.parametrize(("program", "code"), [(CLEAN, 0), (BREAKS, 130), (FAILS, 130)])
def test_ctrl_c_leaves_the_command_its_time_and_its_exit_code(program: str, code: int) -> None:
    with (
        ctrl_c_heard(),
        subprocess.Popen(
            [sys.executable, "-c", RUN, program],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert ("ended cleanly" in out) == (program != BREAKS)
    assert "start.py" not in err  # no traceback of its own


def test_an_interrupt_that_the_command_does_not_see_ends_it_when_it_is_repeated() -> None:
    """As a supervisor sends it, to one process alone."""
    with (
        ctrl_c_heard(),
        subprocess.Popen(
            [sys.executable, "-c", RUN, BREAKS], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        until = time.monotonic() + 50
        while process.poll() is None and time.monotonic() < until:
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
    assert process.returncode == 128 + signal.SIGTERM


def test_an_interrupt_that_the_command_does_not_see_ends_it_after_its_time() -> None:
    run = RUN.replace("; sys.exit(", "; start.PATIENCE_S = 0.5; sys.exit(")
    with (
        ctrl_c_heard(),
        subprocess.Popen(
            [sys.executable, "-c", run, BREAKS], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(50) == 128 + signal.SIGTERM


@pytest.mark.parametrize("code", [0, 5])
def test_the_commands_exit_code_is_the_result(code: int) -> None:
    program = f"import sys; sys.exit({code})"
    done = subprocess.run([sys.executable, "-c", RUN, program], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == code


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "start.py"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert b"start.py demo" in done.stderr
