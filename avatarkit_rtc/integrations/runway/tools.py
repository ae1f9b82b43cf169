"""What a tool is, and the pure part of calling one: who may, the arguments, the schema, the answer's text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError

Handler: TypeAlias = Callable[[Any], Any]
"""Takes the arguments, returns (or is a coroutine that returns) what goes back, as JSON."""

WORKER_PREFIX: Final = "worker:"
"""Identities of Runway's avatar workers, who alone may call, begin so."""
MAX_REPLY_BYTES: Final = 15360
"""Longest answer that LiveKit's RPC carries, in UTF-8 (15 KiB; with more the caller gets error 1504)."""
MAX_ERROR_BYTES: Final = 256
"""Longest message of an RPC error; LiveKit's SDK cuts off the rest."""
MAX_NAME_BYTES: Final = 64
"""Longest name of an RPC method."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool with settings of its own. Where none are needed, a (coroutine) function will do."""

    handler: Handler
    """Coroutine functions run on the event loop; plain functions in a thread, as they may well block."""
    timeout_s: float | None = None
    """Longest time for one call; None for the handler's ``tool_timeout_s``."""
    schema: Mapping[str, Any] | bool | None = None
    """JSON Schema (2020-12 unless it says otherwise) of the arguments; None for no check."""


class Refused(Exception):  # noqa: N818 (not an error of ours)
    """The call is not carried out; the message goes to the caller with code 1500."""


def checked_tools(tools: Mapping[str, Handler | Tool]) -> dict[str, tuple[Tool, Callable[[Any], None]]]:
    """Each tool with what checks its arguments (raises :class:`Refused`).

    Raises:
        ConfigurationError: no tools, or one is malformed.
        MissingDependencyError: one has a schema, and jsonschema is not installed.
    """
    if not isinstance(tools, Mapping) or not tools:
        raise ConfigurationError("tools must name at least one tool: {'name': function}")
    return {name: (_checked(name, tool), _checker(name, tool)) for name, tool in tools.items()}


def check_caller(identity: str) -> None:
    """
    Raises:
        Refused: it is no avatar worker of Runway's.
    """
    if not identity.startswith(WORKER_PREFIX):
        raise Refused(f"Unauthorized caller: {identity}")


def read_arguments(payload: str) -> Any:
    """The arguments in a call's payload: its member ``args`` if it has one, else all of it.

    Raises:
        Refused: the payload is no JSON value, or null.
    """
    try:
        said = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        said = None
    if said is None:
        raise Refused("Invalid JSON payload")
    return said["args"] if isinstance(said, dict) and "args" in said else said


def reply_text(result: Any) -> str:
    """``result`` as JSON, as short as it gets.

    Raises:
        ValueError, TypeError, RecursionError: it is no JSON.
    """
    text = json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only the escaped form can carry
        text = json.dumps(result, allow_nan=False, separators=(",", ":"))
    return text


def cut(message: str, limit: int = MAX_ERROR_BYTES) -> str:
    """``message`` in at most ``limit`` bytes of UTF-8, with dots where something was left out."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - 3].decode(errors="ignore") + "…"


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _checked(name: str, tool: Handler | Tool) -> Tool:
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= MAX_NAME_BYTES:
        raise ConfigurationError(f"a tool's name is a text of 1 to {MAX_NAME_BYTES} bytes, not {name!r}")
    tool = tool if isinstance(tool, Tool) else Tool(tool)
    if not callable(tool.handler):
        raise ConfigurationError(f"tool {name!r} must be a function, not {type(tool.handler).__name__}")
    if tool.timeout_s is not None and not 0 < tool.timeout_s < math.inf:
        raise ConfigurationError(f"timeout_s of tool {name!r} must be more than 0")
    return tool


def _checker(name: str, tool: Handler | Tool) -> Callable[[Any], None]:
    schema = tool.schema if isinstance(tool, Tool) else None
    if schema is None:
        return lambda _: None
    try:
        import jsonschema
        from jsonschema.validators import validator_for
        from referencing import Registry
    except ImportError as error:
        raise MissingDependencyError(
            f"tool {name!r} has a schema, which needs jsonschema: pip install 'avatarkit-rtc[runway]'"
        ) from error
    kind = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ConfigurationError(f"the schema of tool {name!r} is none: {error.message}") from error
    # An empty registry: a $ref to somewhere else must not make this program fetch it.
    validator = kind(schema, registry=Registry())

    def check(arguments: Any) -> None:
        problem = jsonschema.exceptions.best_match(validator.iter_errors(arguments))
        if problem is not None:
            raise Refused(f"Invalid arguments: {problem.json_path}: {problem.message}")

    return check
