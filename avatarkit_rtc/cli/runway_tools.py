"""``avatarkit-rtc runway-tools``: answers an avatar's tool calls with the functions of a module."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from avatarkit_rtc.cli.options import Token, Url
from avatarkit_rtc.cli.running import run, say, unless, wait_first
from avatarkit_rtc.errors import ConfigurationError, ConnectError
from avatarkit_rtc.events import ConnectionState


def load_tools(where: str) -> Mapping[str, Any]:
    """The mapping that ``module:NAME`` names. Modules of the current directory are found, too.

    Raises:
        ConfigurationError: there is no such module or name, it does not import, or it is no mapping.
    """
    module_name, _, attribute = where.partition(":")
    if not (module_name and attribute):
        raise ConfigurationError(f"tools are given as module:NAME, not {where!r}")
    sys.path.insert(0, os.getcwd())
    try:
        tools: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigurationError(
            f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    for part in attribute.split("."):
        if not hasattr(tools, part):
            raise ConfigurationError(f"module {module_name!r} has no {attribute!r}")
        tools = getattr(tools, part)
    if not isinstance(tools, Mapping):
        raise ConfigurationError(
            f"{where} must be a mapping of names to functions, not {type(tools).__name__}"
        )
    return tools


def runway_tools(
    tools: Annotated[str, typer.Argument(help="module:NAME of a mapping of names to functions.")],
    session: Annotated[str | None, typer.Option("--session", help="Id of Runway's session.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", envvar="RUNWAYML_API_SECRET", help="Better in the environment."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", envvar="RUNWAYML_BASE_URL", help="Of Runway's API.")
    ] = None,
    url: Url = None,
    token: Token = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.001, help="Longest time for one call, in seconds.")
    ] = 30.0,
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Tools that work at the same time.")] = 16,
    debug: Annotated[bool, typer.Option("--debug", help="A line for each call.")] = False,
) -> None:
    """Answer the tool calls of a Runway avatar until the session is over, or Ctrl-C. The exit code is 1 where
    the room was lost for good.

    The way into the room is either --session with RUNWAYML_API_SECRET, or --url and --token.
    """
    from avatarkit_rtc.integrations.runway import RpcHandler, RunwayCredentials, create_rpc_handler

    if session is None and not (url and token):
        raise ConfigurationError(
            "which session? Give --session (and RUNWAYML_API_SECRET), or --url and --token of its room"
        )
    found = load_tools(tools)
    credentials = RunwayCredentials(url, token) if session is None and url and token else None

    async def main(stop: asyncio.Event) -> None:
        joining = create_rpc_handler(
            tools=found,
            api_key=api_key,
            session_id=session,
            credentials=credentials,
            base_url=base_url,
            debug=debug,
            tool_timeout_s=timeout,
            max_calls_at_once=at_once,
        )
        handler: RpcHandler = await unless(stop, joining)
        async with handler:
            handler.on("error", lambda error: say(f"{type(error).__name__}: {error}"))
            handler.on("connection-state-changed", lambda state: say(f"the room is {state.value}"))
            say(f"answering {', '.join(found)}; Ctrl-C ends it")
            await wait_first([stop.wait(), handler.wait_closed()])
            lost = handler.connection_state is ConnectionState.FAILED
        stats = handler.stats()
        say(f"{stats.calls} calls: {stats.answered} answered, {stats.refused} refused, {stats.failed} failed")
        if lost:
            raise ConnectError(
                "the session's room was lost and could not be joined again; start this anew if it goes on"
            )

    run(main)
