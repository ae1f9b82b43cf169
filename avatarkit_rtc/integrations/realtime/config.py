"""What a realtime session is started with, how two such configs merge, and one made from a character."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from avatarkit_rtc.errors import ConfigurationError

DEFAULT_AUDIO_RATE: Final = 24000
"""Samples a second of 16-bit mono, both ways, where a config does not say: OpenAI's ``pcm16``."""

Modality: TypeAlias = Literal["audio", "text"]

DEFAULT_REALTIME_AGENT_INSTRUCTIONS: Final = "\n".join(
    (
        "This is a live conversation: whatever you write is spoken aloud at once.",
        "Answer in short, natural sentences that are easy to follow by ear. "
        "No lists, headings, markup, emoji or links.",
        "Say only words that are meant to be heard. "
        "No stage directions, and no gestures, sounds or moods in brackets or between asterisks.",
        "Use a tool when it helps the conversation, not because it is there; most answers need none. "
        "Never speak of tools, their names, their arguments or their results as such. "
        "If one fails, go on without it.",
        "Stay in character, whatever you are asked.",
    )
)
"""Instructions for any character: spoken output, restraint with tools, no stage directions, in character.
What a product wants beyond that belongs in its own instructions, put behind these."""


@dataclass(frozen=True, slots=True)
class Character:
    """Who the model is to be."""

    id: str
    name: str
    description: str | None = None
    """Whole sentences: who and how it is."""
    personality: str | None = None
    """What follows "Your personality:"."""
    voice: str | None = None
    """Provider's name of its voice."""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """What the model is told of a tool."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema of the arguments, which are an object."""


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the provider finds out that the user has begun and ended to speak. None: its own default."""

    kind: Literal["server_vad", "semantic_vad", "none"] = "server_vad"
    """``none``: it does not; the caller commits the audio and asks for a response."""
    threshold: float | None = None
    """How loud counts as speech, 0 … 1."""
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None
    create_response: bool | None = None
    """Whether the provider responds by itself when the user has spoken."""
    interrupt_response: bool | None = None
    """Whether the provider ends a running response by itself when the user begins to speak."""


@dataclass(frozen=True, slots=True)
class RealtimeSessionConfig:
    """What a session is to be. None always means "not said": the provider's default, and in a merge the other
    config's value."""

    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    instructions: str | None = None
    tools: tuple[ToolDefinition, ...] | None = None
    """Filled in by the manager from its registry; what a caller puts here is ignored by it."""
    tool_choice: str | None = None
    """``auto``, ``none``, ``required``, or the name of a tool."""
    modalities: tuple[Modality, ...] | None = None
    """What responses consist of."""
    turn_detection: TurnDetection | None = None
    transcription_model: str | None = None
    """Model that writes down what the user says; without one there is no ``realtime:user:transcript``."""
    input_rate: int | None = None
    """Samples a second of the user's audio, 16-bit mono; None for 24000."""
    output_rate: int | None = None
    """Samples a second of the model's audio, 16-bit mono; None for 24000."""
    max_tokens: int | None = None
    """Longest response."""
    transport: str | None = None
    """``websocket`` where a config does not say."""
    extra: Mapping[str, Any] | None = None
    """Further fields of the provider's session, sent as they are."""

    def __post_init__(self) -> None:
        for name in ("input_rate", "output_rate"):
            rate = getattr(self, name)
            if rate is not None and not 8000 <= rate <= 48000:
                raise ConfigurationError(f"{name} must be 8000 to 48000 samples a second, not {rate!r}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigurationError(f"max_tokens must be at least 1, not {self.max_tokens!r}")

    def merge(self, newer: RealtimeSessionConfig | None) -> RealtimeSessionConfig:
        """This config with everything that ``newer`` says instead."""
        if newer is None:
            return self
        said = {
            each.name: value
            for each in dataclasses.fields(newer)
            if (value := getattr(newer, each.name)) is not None
        }
        return dataclasses.replace(self, **said)


def build_realtime_session_config(
    character: Character | None = None, base_config: RealtimeSessionConfig | None = None
) -> RealtimeSessionConfig:
    """The config to start a session of ``character`` with.

    What ``base_config`` says stands. Filled in otherwise are the instructions (``You are <name>.``, the
    description, the personality, then :data:`DEFAULT_REALTIME_AGENT_INSTRUCTIONS`), the character's voice,
    ``tool_choice`` and ``transport``. Provider and model never are: they decide what it costs.
    """
    base = base_config or RealtimeSessionConfig()
    filled = RealtimeSessionConfig(
        voice=character.voice if character else None,
        instructions=_instructions(character),
        tool_choice="auto",
        transport="websocket",
    )
    return filled.merge(base)


def _instructions(character: Character | None) -> str:
    lines = []
    if character is not None:
        lines.append(_sentence(f"You are {character.name}"))
        if character.description:
            lines.append(_sentence(character.description))
        if character.personality:
            lines.append(_sentence(f"Your personality: {character.personality}"))
    return "\n".join([*lines, DEFAULT_REALTIME_AGENT_INSTRUCTIONS])


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
