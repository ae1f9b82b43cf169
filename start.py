#!/usr/bin/env python3
"""Set everything up and run it, with nothing but Python 3.11+:

    python3 start.py demo       installs the package, then runs "avatarkit-rtc demo"
    python3 start.py test       installs it with its test tools, then runs all tests, some at the same time

Both use the virtual environment .venv beside this file, made if it is not there. What follows the first
word goes to avatarkit-rtc or to pytest: "python3 start.py demo --livekit", "python3 start.py test -k
stream" (with "-n 0" one test at a time). Any other command of avatarkit-rtc may stand in demo's place.
Up to three tests that failed beside others run once more, alone (tests/support/second_chance.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

# Whole files of tests in several processes, in the order of tests/support/parallel.py.
TOGETHER = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]

PATIENCE_S = 20.0
"""So long after Ctrl-C a command may take to end."""


def main(arguments: list[str]) -> int:
    """Install, then run; returns the exit code."""
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}")
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit(__doc__)
    what, *rest = arguments
    if not PYTHON.exists():
        print(f"making {ENVIRONMENT}", file=sys.stderr, flush=True)
        try:
            venv.create(ENVIRONMENT, with_pip=True)
        except (subprocess.CalledProcessError, OSError):
            sys.exit("no virtual environment can be made; on Debian and Ubuntu: apt install python3-venv")
    extra = "test" if what == "test" else "cli"
    install = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["-e", f"{ROOT}[{extra}]"]
    print(f"installing avatarkit-rtc[{extra}] into {ENVIRONMENT}", file=sys.stderr, flush=True)
    if run(install):
        sys.exit("the installation failed, see above")
    if what == "test":
        return run([PYTHON, "-m", "tests.support.second_chance", *TOGETHER, *rest], cwd=ROOT)
    return run([PYTHON, "-m", "avatarkit_rtc", what, *rest])


def run(command: Sequence[str | Path], cwd: Path | None = None) -> int:
    """Run ``command`` to its end; returns its exit code, as a shell would say it (130: ended by Ctrl-C).

    Ctrl-C is the command's own matter, which sees it as well: it takes the time it needs to end cleanly.
    ``subprocess.run`` would kill it after 0.25 s. Where it does not end for long, or Ctrl-C comes again, it
    gets SIGTERM: what was sent to this process alone it has not seen.
    """
    interrupted = False
    with subprocess.Popen(command, cwd=cwd) as child:
        while True:
            try:
                code = child.wait(PATIENCE_S if interrupted else None)
                break
            except KeyboardInterrupt:
                if interrupted:
                    child.terminate()
                interrupted = True
            except subprocess.TimeoutExpired:
                child.terminate()
    if code < 0:
        return 128 - code
    return 130 if code and interrupted else code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
