"""Processes that a test did not start itself."""

from __future__ import annotations

import time

import psutil


def gone(pid: int, timeout_s: float = 10.0) -> bool:
    """Whether ``pid`` has ended, or does so within ``timeout_s``; a zombie has."""
    deadline = time.monotonic() + timeout_s
    while not _ended(pid):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # also where it ends between the two calls
        return True
