"""Configs: what a character makes of one, and how two merge."""

from __future__ import annotations

import pytest

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.integrations.realtime import (
    DEFAULT_REALTIME_AGENT_INSTRUCTIONS,
    Character,
    RealtimeSessionConfig,
    ToolDefinition,
    build_realtime_session_config,
)

ADA = Character("ada", "Ada", "She builds engines", "curious, dry wit.", "sage")


def test_the_instructions_of_a_character() -> None:
    config = build_realtime_session_config(ADA)
    assert config.instructions == "\n".join(
        (
            "You are Ada.",
            "She builds engines.",
            "Your personality: curious, dry wit.",
            DEFAULT_REALTIME_AGENT_INSTRUCTIONS,
        )
    )
    assert config.voice == "sage"


def test_a_character_that_is_only_a_name() -> None:
    config = build_realtime_session_config(Character("b", "Bo"))
    assert config.instructions == f"You are Bo.\n{DEFAULT_REALTIME_AGENT_INSTRUCTIONS}"
    assert config.voice is None


def test_without_a_character_there_are_only_the_defaults() -> None:
    assert build_realtime_session_config().instructions == DEFAULT_REALTIME_AGENT_INSTRUCTIONS


def test_provider_and_model_are_never_filled_in() -> None:
    config = build_realtime_session_config(ADA)
    assert (config.provider, config.model) == (None, None)
    base = RealtimeSessionConfig(provider="openai", model="gpt-realtime")
    config = build_realtime_session_config(ADA, base)
    assert (config.provider, config.model) == ("openai", "gpt-realtime")


def test_what_the_base_says_stands() -> None:
    base = RealtimeSessionConfig(voice="alloy", instructions="Be brief.", tool_choice="none", max_tokens=9)
    config = build_realtime_session_config(ADA, base)
    assert (config.voice, config.instructions, config.tool_choice, config.max_tokens) == (
        "alloy",
        "Be brief.",
        "none",
        9,
    )
    assert build_realtime_session_config(ADA).tool_choice == "auto"


@pytest.mark.parametrize("about", ["spoken", "tool", "stage directions", "in character"])
def test_the_default_instructions_are_generic(about: str) -> None:
    assert about in DEFAULT_REALTIME_AGENT_INSTRUCTIONS


def test_merging() -> None:
    older = RealtimeSessionConfig(voice="a", model="m", tools=(ToolDefinition("t"),))
    newer = RealtimeSessionConfig(voice="b", tools=())
    assert older.merge(newer) == RealtimeSessionConfig(voice="b", model="m", tools=())
    assert older.merge(None) is older


@pytest.mark.parametrize("wrong", [{"input_rate": 4000}, {"output_rate": 96000}, {"max_tokens": 0}])
def test_values_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RealtimeSessionConfig(**wrong)  # type: ignore[arg-type]
