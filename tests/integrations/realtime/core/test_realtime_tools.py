"""The registry and its checks: of tools, of their arguments, rule by rule."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import pytest

from avatarkit_rtc.errors import ConfigurationError, ToolCallError
from avatarkit_rtc.integrations.realtime.config import ToolDefinition
from avatarkit_rtc.integrations.realtime.core.tools import (
    ToolRegistration,
    ToolRegistry,
    check_arguments,
    failure_output,
    read_arguments,
)
from tests.support.realtime import tool


def said(schema: Any, value: Any) -> str | None:
    """What is wrong with ``{"p": value}``, if anything is."""
    definition = ToolDefinition("t", "", {"type": "object", "properties": {"p": schema}})
    try:
        check_arguments(definition, {"p": value})
    except ToolCallError as error:
        return str(error).removeprefix('Realtime tool "t" arguments failed schema validation: property "p" ')
    return None


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


class TestArguments:
    @pytest.mark.parametrize("args", [None, [], "text", 5, True])
    def test_they_must_be_an_object(self, args: Any) -> None:
        text = 'Realtime tool "t" arguments failed schema validation: arguments must be an object'
        with pytest.raises(ToolCallError) as caught:
            check_arguments(ToolDefinition("t"), args)
        assert (str(caught.value), caught.value.tool) == (text, "t")

    def test_what_is_required_must_be_there_also_if_null(self) -> None:
        definition = tool("t", print, required=["p"]).definition
        with pytest.raises(ToolCallError, match=r'missing required property "p"$'):
            check_arguments(definition, {"q": 1})
        check_arguments(definition, {"p": None})

    @pytest.mark.parametrize(
        ("kind", "right", "wrong"),
        [
            ("string", ["", "text"], [1, None, [], {}]),
            ("number", [0, -1.5, 10**400], ["1", True, None, math.inf, math.nan]),
            ("integer", [0, -3, 2.0, 10**400], [1.5, "1", False, math.inf, math.nan]),
            ("boolean", [True, False], [0, 1, "true", None]),
            ("object", [{}, {"a": 1}], [[], "{}", None]),
            ("array", [[], [1]], [{}, "[]", None]),
            ("null", [None], [0, False, "", "null"]),
        ],
    )
    def test_each_type(self, kind: str, right: list[Any], wrong: list[Any]) -> None:
        assert [said({"type": kind}, value) for value in right] == [None] * len(right)
        assert [said({"type": kind}, value) for value in wrong] == [f"must be {kind}"] * len(wrong)

    def test_enum_comes_before_type(self) -> None:
        schema = {"type": "string", "enum": ["a", "ö"]}
        assert said(schema, "a") is None
        assert said(schema, "b") == said(schema, 5) == 'must be one of "a", "ö"'
        assert said({"type": "string", "enum": [5]}, 5) == "must be string"

    def test_true_is_not_1(self) -> None:
        assert said({"enum": [1]}, True) == "must be one of 1"
        assert said({"enum": [True]}, 1) == "must be one of true"
        assert said({"enum": [1]}, 1.0) is None

    def test_a_type_that_is_none(self) -> None:
        assert said({"type": "date"}, "today") == 'uses unsupported schema type "date"'

    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}, {"q": 5}),
            ({"type": "array", "items": {"type": "string"}}, [1]),
            ({"type": ["string", "null"]}, 5),
            ({"anyOf": [{"type": "string"}]}, 5),
            ({"minLength": 5}, ""),
            ({}, object()),
            (True, 5),
        ],
    )
    def test_what_is_not_enforced(self, schema: Any, value: Any) -> None:
        assert said(schema, value) is None

    def test_properties_that_are_not_described_pass(self) -> None:
        parameters = {"type": "object", "properties": {}, "additionalProperties": False}
        check_arguments(ToolDefinition("t", "", parameters), {"more": 1})
        check_arguments(ToolDefinition("t", "", {"type": "object"}), {"more": 1})

    def test_reading_them(self) -> None:
        assert read_arguments('{"a": [1.5, null]}') == {"a": [1.5, None]}
        assert read_arguments('{"a": 1e999}') == {"a": math.inf}
        assert [read_arguments(text) for text in ("", "{", '{"a": NaN}')] == ["", "{", '{"a": NaN}']
        assert read_arguments("[" * 100_000) == "[" * 100_000


class TestRegistry:
    def test_tools_by_name_in_order(self) -> None:
        registry = ToolRegistry()
        for name in ("a", "b"):
            registry.register(tool(name, print))
        other = tool("a", repr)
        registry.register(other)  # replaces
        assert [each.name for each in registry.definitions()] == ["a", "b"]
        assert registry.get("a") is other
        registry.unregister("a")
        registry.unregister("a")
        assert registry.get("a") is None

    @pytest.mark.parametrize(
        "definition",
        [
            ToolDefinition(""),
            ToolDefinition(5),  # type: ignore[arg-type]
            ToolDefinition("t", "", {}),
            ToolDefinition("t", "", {"type": "array"}),
            ToolDefinition("t", "", []),  # type: ignore[arg-type]
            ToolDefinition("t", "", {"type": "object", "properties": []}),
            ToolDefinition("t", "", {"type": "object", "required": "name"}),
            ToolDefinition("t", "", {"type": "object", "required": None}),
            ToolDefinition("t", "", {"type": "object", "required": 5}),
            ToolDefinition("t", "", {"type": "object", "required": True}),
            ToolDefinition("t", "", {"type": "object", "required": [["name"]]}),
            ToolDefinition("t", "", {"type": "object", "properties": {"p": object()}}),
        ],
    )
    def test_definitions_that_are_none(self, definition: ToolDefinition) -> None:
        with pytest.raises(ConfigurationError):
            ToolRegistry().register(ToolRegistration(definition, print))

    @pytest.mark.parametrize("timeout_s", [0, -1, math.inf, math.nan])
    def test_times_that_are_none(self, timeout_s: float) -> None:
        with pytest.raises(ConfigurationError, match="timeout_s"):
            ToolRegistry().register(tool("t", print, timeout_s))

    def test_a_handler_that_is_none(self) -> None:
        with pytest.raises(ConfigurationError, match="must be a function, not str"):
            ToolRegistry().register(tool("t", "print"))  # type: ignore[arg-type]

    def test_who_wants_the_context(self) -> None:
        def one(args: Any) -> None: ...
        def two(args: Any, context: Any) -> None: ...

        assert [tool("t", each).wants_context for each in (one, two, functools.partial(two, 1))] == [
            False,
            True,
            False,
        ]
        assert tool("t", dict).wants_context is False  # does not say

    def test_a_second_argument_of_its_own_is_not_the_context(self) -> None:
        def own(args: Any, unit: str = "C") -> None: ...
        def named(args: Any, context: Any = None) -> None: ...
        def any_number(*args: Any) -> None: ...

        wants = [tool("t", each).wants_context for each in (own, named, any_number)]
        assert wants == [False, True, True]

    def test_a_failure_without_words_is_told_by_its_name(self) -> None:
        assert failure_output(KeyError()) == {"success": False, "error": "KeyError"}
        assert failure_output(ValueError("why")) == {"success": False, "error": "why"}
        assert failure_output(SpeechlessError()) == {"success": False, "error": "SpeechlessError"}

    def test_registrations_cannot_change(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            tool("t", print).timeout_s = 5  # type: ignore[misc]
