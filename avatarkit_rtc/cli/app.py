"""All commands in one application, and what they have in common: errors, exit codes, an optional URL."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from avatarkit_rtc import __version__
from avatarkit_rtc.cli.demo import LOCAL_SERVER, demo
from avatarkit_rtc.cli.devices import devices
from avatarkit_rtc.cli.doctor import doctor
from avatarkit_rtc.cli.face import face
from avatarkit_rtc.cli.play import play
from avatarkit_rtc.cli.publish import publish
from avatarkit_rtc.cli.record import record
from avatarkit_rtc.cli.replay import replay
from avatarkit_rtc.cli.running import SayHandler, fail
from avatarkit_rtc.cli.runway_tools import runway_tools
from avatarkit_rtc.cli.session import session
from avatarkit_rtc.cli.token import token
from avatarkit_rtc.errors import AvatarKitError

app = typer.Typer(
    name="avatarkit-rtc",
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks with local variables would print tokens and secrets.
    pretty_exceptions_enable=False,
    # Plain help and plain usage errors: they can be searched, and are not folded into boxes.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Play, record and test streamed talking avatars.",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the libraries log as well.")] = False,
) -> None:
    """Play, record and test streamed talking avatars."""
    del version
    set_up_logging(verbose)


def set_up_logging(verbose: bool) -> None:
    """Log lines go where lines for people go. LiveKit logs what we report ourselves, so it is left out."""
    logging.basicConfig(handlers=[SayHandler()], level=logging.INFO if verbose else logging.WARNING)
    if verbose:
        return
    logging.getLogger("livekit").setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        # The secret of LiveKit's own development mode is shorter than PyJWT likes.
        warnings.filterwarnings("ignore", module="jwt")


for command in (demo, play, record, replay, publish, session, runway_tools, token, devices, doctor):
    app.command()(command)
app.add_typer(face, name="face")


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
    except (AvatarKitError, OSError) as error:
        # OSError: a full disk or the like, where a file of results is written.
        fail(str(error))
