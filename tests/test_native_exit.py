"""The process ends well although a native thread of the LiveKit SDK is still in Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys, time
if sys.argv[1] == "with":
    import avatarkit_rtc
from livekit import rtc
from livekit.rtc._ffi_client import FfiQueue

put = FfiQueue.put

def slowly(queue, event):
    put(queue, event)  # the program goes on, and to its end
    for _ in range(300):
        time.sleep(0.001)  # gives the interpreter away and asks for it again

FfiQueue.put = slowly

class Late:
    def __del__(self, sleep=time.sleep):
        sleep(0.2)  # makes the interpreter's own end long enough to be met every time

late = Late()

async def main():
    try:
        await rtc.Room().connect("ws://127.0.0.1:9", "no-token")
    except rtc.ConnectError:
        print("refused")

asyncio.run(main())
"""


def run(how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_callback_that_still_runs_at_the_end_does_not_abort_the_process() -> None:
    done = run("with")
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
    assert "panicked" not in done.stderr


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="since Python 3.14 such a thread is left hanging")
def test_it_is_needed() -> None:
    done = run("without")  # the panic's report may take longer than the interpreter's end: then the code is 0
    assert done.returncode or "panicked" in done.stderr, "the SDK waits by itself now: native_exit can go"


def test_a_program_that_never_used_the_sdk_does_not_wait() -> None:
    program = "import avatarkit_rtc.native_exit as n, time; n.time.sleep = None; n.let_callbacks_return()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
