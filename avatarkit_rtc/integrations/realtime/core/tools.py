"""Tools of a realtime session: what one is, the registry, and the checks of arguments and results."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from avatarkit_rtc.errors import ConfigurationError, ToolCallError
from avatarkit_rtc.integrations.error_text import text_of, text_or_class_of
from avatarkit_rtc.integrations.realtime.config import Character, ToolDefinition
from avatarkit_rtc.integrations.realtime.types import RealtimeState

DEFAULT_TOOL_TIMEOUT_S: Final = 10.0
"""Longest time for one call of a tool that does not say."""

ToolHandler: TypeAlias = Callable[..., Any]
"""``handler(args)`` or ``handler(args, context)``; returns a dict (or is a coroutine that does), as JSON.
A second parameter that has a default is the handler's own, unless its name is ``context``."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool is told beside its arguments."""

    character: Character | None
    state: RealtimeState
    """As it was when the tool was called."""
    call_id: str
    log: Callable[..., None]
    """``log(level, message, context=None)``: a line with the session's id."""


@dataclass(frozen=True, slots=True)
class ToolRegistration:
    """A tool: what the model is told of it, and what carries it out."""

    definition: ToolDefinition
    handler: ToolHandler
    """Coroutine functions run on the event loop; plain functions in a thread, as they may well block."""
    timeout_s: float | None = None
    """Longest time for one call; None for the manager's ``tool_timeout_s``."""

    @property
    def wants_context(self) -> bool:
        """Whether the handler's second argument is a :class:`ToolContext`: see :data:`ToolHandler`."""
        try:
            signature = inspect.signature(self.handler)
            signature.bind(None, None)
        except TypeError:
            return False
        except ValueError:  # a builtin that does not say
            return False
        _, second, *_ = [*signature.parameters.values(), None]
        return second is None or second.default is second.empty or second.name == "context"


class ToolRegistry:
    """Tools by name. A tool registered under a name that is taken replaces that one."""

    def __init__(self) -> None:
        self._tools: dict[str, ToolRegistration] = {}

    def register(self, tool: ToolRegistration) -> None:
        """
        Raises:
            ConfigurationError: the tool is malformed.
        """
        self._tools[tool.definition.name] = checked_registration(tool)

    def unregister(self, name: str) -> None:
        """Nothing happens when there is none of that name."""
        self._tools.pop(name, None)

    def get(self, name: str) -> ToolRegistration | None:
        """The tool of that name, if there is one."""
        return self._tools.get(name)

    def definitions(self) -> tuple[ToolDefinition, ...]:
        """What the model is told, in the order of registration."""
        return tuple(tool.definition for tool in self._tools.values())


def checked_registration(tool: ToolRegistration) -> ToolRegistration:
    """``tool``, if it is well-formed.

    Raises:
        ConfigurationError: it is not.
    """
    name, parameters = tool.definition.name, tool.definition.parameters
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"a tool's name is a text, not {name!r}")
    if not isinstance(parameters, Mapping) or parameters.get("type") != "object":
        raise ConfigurationError(f"the parameters of tool {name!r} must be a schema of type object")
    if not isinstance(parameters.get("properties", {}), Mapping):
        raise ConfigurationError(f"the properties of tool {name!r} must be {{'name': schema}}")
    required = parameters.get("required", ())
    if not isinstance(required, list | tuple) or not all(isinstance(each, str) for each in required):
        raise ConfigurationError(f"required of tool {name!r} must be a list of names")
    try:
        json.dumps(dict(parameters), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the parameters of tool {name!r} are no JSON: {error}") from error
    if not callable(tool.handler):
        raise ConfigurationError(f"tool {name!r} must be a function, not {type(tool.handler).__name__}")
    if tool.timeout_s is not None and not 0 < tool.timeout_s < math.inf:
        raise ConfigurationError(f"timeout_s of tool {name!r} must be more than 0")
    return tool


def read_arguments(text: str) -> Any:
    """A call's arguments as JSON; the text itself where it is none."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def check_arguments(definition: ToolDefinition, args: Any) -> None:
    """An object; what is required is there; each property that is described is in its ``enum`` and of its
    ``type``. Nested schemas, ``additionalProperties`` and unions of types are not looked at.

    Raises:
        ToolCallError: the first of these that does not hold.
    """
    if not isinstance(args, dict):
        raise _unfit(definition, "arguments must be an object")
    for name in definition.parameters.get("required", ()):
        if name not in args:
            raise _unfit(definition, f'missing required property "{name}"')
    for name, schema in definition.parameters.get("properties", {}).items():
        if name not in args or not isinstance(schema, Mapping):
            continue
        allowed, kind = schema.get("enum"), schema.get("type")
        if isinstance(allowed, list | tuple) and not any(_same(args[name], each) for each in allowed):
            listed = ", ".join(json.dumps(each, ensure_ascii=False) for each in allowed)
            raise _unfit(definition, f'property "{name}" must be one of {listed}')
        if not isinstance(kind, str):
            continue
        if kind not in _TYPES:
            raise _unfit(definition, f'property "{name}" uses unsupported schema type "{kind}"')
        if not _TYPES[kind](args[name]):
            raise _unfit(definition, f'property "{name}" must be {kind}')


def checked_result(name: str, result: Any) -> dict[str, Any]:
    """``result`` as the JSON that the model gets, a copy.

    Raises:
        ToolCallError: it is no object, or no JSON.
    """
    if not isinstance(result, Mapping):
        raise ToolCallError(f'Realtime tool "{name}" must return an object', tool=name)
    try:
        copied = json.loads(json.dumps(dict(result), allow_nan=False))
    except Exception as error:  # the mapping may be anybody's
        said = f'Realtime tool "{name}" result could not be serialized to JSON: {text_of(error)}'
        raise ToolCallError(said, tool=name) from error
    return dict(copied)


def failure_output(error: Exception) -> dict[str, Any]:
    """What the model is told of a call that failed."""
    return {"success": False, "error": text_or_class_of(error)}


def _is_integer(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return math.isfinite(value) if isinstance(value, float) else _is_integer(value)


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": _is_integer,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}


def _same(value: Any, allowed: Any) -> bool:
    # To Python true and 1 are the same; to JSON they are not.
    return bool(value == allowed) and isinstance(value, bool) == isinstance(allowed, bool)


def _unfit(definition: ToolDefinition, what: str) -> ToolCallError:
    name = definition.name
    return ToolCallError(f'Realtime tool "{name}" arguments failed schema validation: {what}', tool=name)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
