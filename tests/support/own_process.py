"""A Python process without the threads and the many objects of the one that tests run in.

What calls ``tracemalloc`` belongs there. Up to Python 3.12.8 and 3.13.1 its ``stop()`` may crash a process in
which another thread allocates (https://github.com/python/cpython/issues/128679), and threads of LiveKit's
library live, and call Python, in every process that was ever in a room.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def own_process() -> ProcessPoolExecutor:
    """``with own_process() as process: process.submit(function, *arguments).result()``."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))
