"""All commands in one application, and what they have in common: errors, exit codes, an optional URL."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from avatarkit_rtc import __version__
from avatarkit_rtc.cli.demo import demo
from avatarkit_rtc.cli.devices import devices
from avatarkit_rtc.cli.doctor import doctor
from avatarkit_rtc.cli.play import play
from avatarkit_rtc.cli.publish import publish
from avatarkit_rtc.cli.token import token
from avatarkit_rtc.errors import AvatarKitError

LOCAL_SERVER = "local"
"""What ``--livekit`` means without a URL."""

app = typer.Typer(
    name="avatarkit-rtc",
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks with local variables would print tokens and secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Play, record and test streamed talking avatars.",
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Play, record and test streamed talking avatars."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


for command in (demo, play, publish, token, devices, doctor):
    app.command()(command)


def with_livekit_value(arguments: Sequence[str]) -> list[str]:
    """``--livekit`` may stand without a URL, which options of a command line cannot; give it one."""
    out: list[str] = []
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else "-"
        if argument == "--livekit" and following.startswith("-"):
            argument = f"--livekit={LOCAL_SERVER}"  # noqa: PLW2901
        out.append(argument)
    return out


def run(arguments: Sequence[str]) -> None:
    """Run one command; known errors become one line and exit code 1."""
    try:
        app(args=with_livekit_value(arguments), prog_name="avatarkit-rtc")
    except AvatarKitError as error:
        print(f"avatarkit-rtc: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
