"""Tools with which the model moves the avatar, and the projector that makes events of their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from avatarkit_rtc.errors import ConfigurationError, ToolCallError
from avatarkit_rtc.integrations.realtime.config import ToolDefinition
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistration
from avatarkit_rtc.integrations.realtime.payloads import Expression, Gaze, Motion, ToolOutcome

SET_EXPRESSION: Final = "set_expression"
PLAY_MOTION: Final = "play_motion"
LOOK_AT: Final = "look_at"

GAZE_RANGE: Final = (-1.0, 1.0)
"""What ``x`` and ``y`` of :data:`LOOK_AT` are brought into."""


def create_avatar_tools(
    expressions: Sequence[str] = (), motions: Mapping[str, int] | None = None
) -> tuple[ToolRegistration, ...]:
    """The tools an avatar can carry out; :func:`avatar_projector` is to be added with them.

    Args:
        expressions: the avatar's expressions; without any there is no ``set_expression``.
        motions: how many motions there are in each group; without any there is no ``play_motion``.

    Raises:
        ConfigurationError: a group without motions.
    """
    tools = [_look_at()]
    if motions:
        tools.insert(0, _play_motion(motions))
    if expressions:
        tools.insert(0, _set_expression(expressions))
    return tuple(tools)


def avatar_projector(outcome: ToolOutcome) -> None:
    """Emits ``realtime:expression``, ``:motion`` and ``:gaze`` for results of the tools above."""
    output = outcome.output
    if outcome.name == SET_EXPRESSION:
        outcome.emit("realtime:expression", Expression(output["expression_id"]))
    elif outcome.name == PLAY_MOTION:
        outcome.emit("realtime:motion", Motion(output["group"], output["index"]))
    elif outcome.name == LOOK_AT:
        outcome.emit("realtime:gaze", Gaze(output["x"], output["y"]))


def _set_expression(expressions: Sequence[str]) -> ToolRegistration:
    async def set_expression(args: Mapping[str, Any]) -> dict[str, Any]:
        return {"success": True, "expression_id": args["expression_id"]}

    described = "Which one."
    properties = {"expression_id": {"type": "string", "enum": list(expressions), "description": described}}
    definition = ToolDefinition(
        SET_EXPRESSION,
        "Change the look on your face. It stays until the next change, so call this when the mood changes, "
        "not in every answer.",
        {"type": "object", "properties": properties, "required": ["expression_id"]},
    )
    return ToolRegistration(definition, set_expression)


def _play_motion(motions: Mapping[str, int]) -> ToolRegistration:
    counts = dict(motions)
    empty = [group for group, count in counts.items() if count < 1]
    if empty:
        raise ConfigurationError(f"there are no motions in {', '.join(empty)}; leave such groups out")

    async def play_motion(args: Mapping[str, Any]) -> dict[str, Any]:
        group, index = args["group"], int(args.get("index", 0))
        if not 0 <= index < counts[group]:
            said = f'{PLAY_MOTION} index {index} is out of range for group "{group}"'
            raise ToolCallError(said, tool=PLAY_MOTION)
        return {"success": True, "group": group, "index": index}

    sizes = ", ".join(f"{group}: {count}" for group, count in counts.items())
    properties = {
        "group": {"type": "string", "enum": list(counts), "description": "Kind of motion."},
        "index": {"type": "integer", "description": f"Which one of the group, from 0. How many: {sizes}."},
    }
    definition = ToolDefinition(
        PLAY_MOTION,
        "Make one gesture, where it says more than words do. One in an answer is plenty.",
        {"type": "object", "properties": properties, "required": ["group"]},
    )
    return ToolRegistration(definition, play_motion)


def _look_at() -> ToolRegistration:
    async def look_at(args: Mapping[str, Any]) -> dict[str, Any]:
        return {"success": True, "x": _within(args["x"]), "y": _within(args["y"])}

    properties = {
        "x": {"type": "number", "description": "-1 is far left as the viewer sees it, 1 far right."},
        "y": {"type": "number", "description": "-1 is far down, 1 far up."},
    }
    definition = ToolDefinition(
        LOOK_AT,
        "Turn your eyes somewhere; 0, 0 is at the viewer. The lightest of reactions.",
        {"type": "object", "properties": properties, "required": ["x", "y"]},
    )
    return ToolRegistration(definition, look_at)


def _within(value: float) -> float:
    low, high = GAZE_RANGE
    return float(min(max(value, low), high))
