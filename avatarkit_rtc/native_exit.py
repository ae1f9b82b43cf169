"""A quiet end of the process: LiveKit's native threads leave Python before the interpreter goes.

The LiveKit SDK hands its events over by a Python callback that runs in threads of its native library. When
the interpreter is finalized while such a callback runs, CPython (before 3.14) ends the thread as soon as it
asks for the interpreter's lock, the native library takes that for a panic, and the process aborts (exit code
134, "panic in a function that cannot unwind") although everything went well. The SDK shuts its library down
in an ``atexit`` handler, after which no new callback begins; :func:`let_callbacks_return`, which runs after
that one, waits for those that had begun.
"""

from __future__ import annotations

import atexit
import sys
import time

_FFI = "livekit.rtc._ffi_client"
_GRACE_S = 0.02
"""Threads that wait to enter their callback show no Python frame yet: this long, some times the interpreter's
switch interval of 5 ms, lets them in."""
_LONGEST_S = 2.0
"""A callback takes far less than a millisecond; one that takes this long (a logging handler that hangs,
perhaps) is not waited for any longer."""


def let_callbacks_return() -> None:
    """Wait (2 s at most) until no thread is in a callback of the LiveKit SDK, if that was used."""
    module = sys.modules.get(_FFI)
    if module is None or getattr(getattr(module, "FfiClient", None), "_instance", None) is None:
        return
    deadline = time.monotonic() + _LONGEST_S
    time.sleep(_GRACE_S)
    while _in_callback(module.__file__) and time.monotonic() < deadline:
        time.sleep(_GRACE_S)


def _in_callback(file: str | None) -> bool:
    for frame in sys._current_frames().values():
        outermost = frame
        while outermost.f_back is not None:
            outermost = outermost.f_back
        if outermost.f_code.co_filename == file:  # only a native thread's stack begins there
            return True
    return False


# Handlers run last in, first out, and the SDK adds its own when it is first used: after this import.
atexit.register(let_callbacks_return)
