"""The child process that looks at the devices while this one plays."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from avatarkit_rtc.audio import scan
from avatarkit_rtc.audio.scan import ScanChild, can_scan, read_scan
from tests.support.pulse import PulseServer


def finished(child: ScanChild, timeout: float = 20.0) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    while (result := child.result(time.monotonic())) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return result


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "child.py"
    monkeypatch.setattr(scan, "_PROGRAM", path)
    return path


def test_it_sees_and_tries_what_is_there(pulse: PulseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in pulse.env(sink="speaker", source="voice.monitor").items():
        monkeypatch.setenv(name, value)
    found = read_scan(finished(ScanChild(time.monotonic(), "list")))
    assert found is not None
    default = next(device for device in found.devices if device.is_default_output)
    assert default.name == "default"
    assert found.server["output"] in ("speaker", "voice")
    for kind in ("output", "input"):
        child = ScanChild(time.monotonic(), "probe", kind, str(default.index), "48000")
        assert finished(child) == {"works": True, "name": "default"}
    monkeypatch.setenv("PULSE_SINK", "nowhere")
    child = ScanChild(time.monotonic(), "probe", "output", str(default.index), "48000")
    assert finished(child) == {"works": False, "name": "default"}


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "print('no JSON')", "print('[1]')", ""])
def test_one_that_fails_has_seen_nothing(program: Path, text: str) -> None:
    program.write_text(text)
    result = finished(ScanChild(time.monotonic(), "list"))
    assert result == {}
    assert read_scan(result) is None


def test_one_that_hangs_is_ended(program: Path) -> None:
    program.write_text("import time; time.sleep(60)")
    now = time.monotonic()
    child = ScanChild(now, "list")
    assert child.result(now + 1.0) is None
    assert child.result(now + 20.0) == {}
    child.close()


def test_a_frozen_program_has_no_interpreter_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_scan()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not can_scan()
