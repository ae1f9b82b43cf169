"""The command line: ``avatarkit-rtc``. One file per command, thin; everything they do is in the library."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the ``avatarkit-rtc`` command."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError as error:
        sys.exit(f"avatarkit-rtc: {error.name} is missing; install it with: pip install 'avatarkit-rtc[cli]'")
    try:
        from avatarkit_rtc.cli.app import run

        run(sys.argv[1:])
    except KeyboardInterrupt:  # while importing, or the second Ctrl-C
        sys.exit(130)
