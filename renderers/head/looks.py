"""Who is shown: the parameters of a head's looks, and a few people by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

from avatarkit_rtc.errors import ConfigurationError

HairStyle: TypeAlias = Literal["bald", "crop", "short", "swept", "curly", "bob", "long", "bun"]
ClothesStyle: TypeAlias = Literal["crew", "v_neck", "shirt", "turtleneck"]

_COLOR: Final = re.compile(r"#[0-9a-fA-F]{6}\Z")

_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "sex": (-1.0, 1.0),
    "age": (0.0, 1.0),
    "african": (0.0, 1.0),
    "asian": (0.0, 1.0),
    "caucasian": (0.0, 1.0),
    "heavy": (0.0, 1.0),
    "beard": (0.0, 1.0),
    "freckles": (0.0, 1.0),
    "blush": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class HeadLook:
    """How a head looks. Colours are ``#rrggbb``.

    Raises:
        ConfigurationError: a colour, a style or a number cannot be.
    """

    sex: float = 0.0
    """-1 female, 1 male, or anything between."""
    age: float = 0.1
    """0 young, 1 old."""
    african: float = 0.0
    """How far the features follow the mean of each part of the world, 0 to 1 (all zero: the mean of all)."""
    asian: float = 0.0
    caucasian: float = 0.0
    heavy: float = 0.0
    """0 slim to 1 heavy."""
    skin: str = "#dfae92"
    blush: float = 0.4
    """Red of cheeks, nose and ears, 0 to 1."""
    freckles: float = 0.0
    """0 to 1."""
    lips: str = "#b8655f"
    eyes: str = "#6a4a30"
    """The iris."""
    hair: HairStyle = "short"
    hair_color: str = "#3a281d"
    brow_color: str | None = None
    """None: the hair's."""
    beard: float = 0.0
    """0 none, 0.3 stubble, 1 full."""
    clothes: ClothesStyle = "crew"
    clothes_color: str = "#2f4a63"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _RANGES:
                low, high = _RANGES[field.name]
                if not _is_number(value) or not low <= value <= high:
                    raise ConfigurationError(f"{field.name} must be from {low:g} to {high:g}, not {value!r}")
            elif field.name in ("hair", "clothes"):
                styles = get_args(HairStyle if field.name == "hair" else ClothesStyle)
                if value not in styles:
                    raise ConfigurationError(
                        f"{field.name} must be one of {', '.join(styles)}, not {value!r}"
                    )
            elif not (value is None and field.name == "brow_color"):
                check_color(field.name, value)


def check_color(name: str, value: Any) -> str:
    """``value``, if it is a colour.

    Raises:
        ConfigurationError: it is none; the message calls it ``name``.
    """
    if not isinstance(value, str) or not _COLOR.match(value):
        raise ConfigurationError(f"{name} must be a colour like #dfae92, not {value!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


LOOKS: Final[Mapping[str, HeadLook]] = MappingProxyType(
    {
        "anna": HeadLook(
            sex=-0.75,
            age=0.08,
            caucasian=0.55,
            skin="#e6b79c",
            blush=0.5,
            lips="#bd6763",
            eyes="#5f7f5a",
            hair="bob",
            hair_color="#5a3a25",
            clothes="crew",
            clothes_color="#2c5364",
        ),
        "ben": HeadLook(
            sex=0.8,
            age=0.15,
            caucasian=0.8,
            skin="#ddab8d",
            lips="#b3726a",
            eyes="#5b7f99",
            hair="swept",
            hair_color="#6b4a2c",
            beard=0.28,
            clothes="shirt",
            clothes_color="#c9d6e2",
        ),
        "chloe": HeadLook(
            sex=-0.8,
            age=0.05,
            african=0.85,
            skin="#8a5a41",
            blush=0.25,
            lips="#8d4a47",
            eyes="#3c2415",
            hair="curly",
            hair_color="#1d1512",
            clothes="v_neck",
            clothes_color="#c98a2b",
        ),
        "kenji": HeadLook(
            sex=0.7,
            age=0.1,
            asian=0.9,
            skin="#d8a883",
            blush=0.3,
            lips="#b06e63",
            eyes="#3b2517",
            hair="short",
            hair_color="#17130f",
            clothes="crew",
            clothes_color="#3d3f46",
        ),
        "mei": HeadLook(
            sex=-0.8,
            age=0.05,
            asian=0.85,
            skin="#e7bd9c",
            blush=0.45,
            lips="#c0666a",
            eyes="#3a2316",
            hair="long",
            hair_color="#1b1512",
            clothes="turtleneck",
            clothes_color="#8c3b4a",
        ),
        "omar": HeadLook(
            sex=0.85,
            age=0.25,
            caucasian=0.4,
            african=0.2,
            skin="#b37f5c",
            blush=0.2,
            lips="#98594f",
            eyes="#4a2d18",
            hair="short",
            hair_color="#1a1411",
            beard=0.9,
            clothes="shirt",
            clothes_color="#44546a",
        ),
        "grace": HeadLook(
            sex=-0.7,
            age=0.75,
            caucasian=0.6,
            skin="#e3b49b",
            blush=0.45,
            lips="#b0635f",
            eyes="#57768c",
            hair="bun",
            hair_color="#b3aca3",
            brow_color="#8a7f74",
            clothes="v_neck",
            clothes_color="#5d4a78",
        ),
        "nia": HeadLook(
            sex=-0.6,
            age=0.1,
            african=0.5,
            caucasian=0.2,
            skin="#a9714f",
            blush=0.3,
            freckles=0.5,
            lips="#9c544f",
            eyes="#5a3a1e",
            hair="bun",
            hair_color="#2a1a12",
            clothes="crew",
            clothes_color="#e2ddd2",
        ),
    }
)
"""People by name, for ``HeadFace(look=...)``."""

DEFAULT_LOOK: Final = "anna"


def find_look(look: str | HeadLook) -> HeadLook:
    """The look called ``look``, or ``look`` itself.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if isinstance(look, HeadLook):
        return look
    if look not in LOOKS:
        raise ConfigurationError(f"there is no look {look!r}; the looks are {', '.join(LOOKS)}")
    return LOOKS[look]
