"""``avatarkit-rtc face``: what the faces need to be prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avatarkit_rtc.cli.running import say

face = typer.Typer(no_args_is_help=True, help="Prepare a face: fit FLAME's model file to the default head.")


@face.callback()
def _group() -> None:
    """Prepare a face: fit FLAME's model file to the default head."""


@face.command()
def fit(
    file: Annotated[Path, typer.Argument(help="FLAME's model file: a pickle (.pkl) or an .npz.")],
) -> None:
    """Fit FLAME's expressions to the default head, once; after it, --face flame speaks with FLAME's mouth.

    The model file comes from https://flame.is.tue.mpg.de; FLAME 2023 Open is published under CC BY 4.0. It is
    read without running anything that is in it, and is not needed again: the fit is kept in the cache. Take
    the edition that the avatar's service uses; they are not interchangeable.
    """
    from renderers.flame.fit import fit_file, last_fit

    _, report = fit_file(file)
    say(
        f"compared {report.places} places of the skin, {report.distance_mm:.1f} mm apart in the median; "
        f"the head can make {report.explained:.0%} of the expressions' movement"
    )
    say(f"kept in {last_fit()}; show it with --face flame")
