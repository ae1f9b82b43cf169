"""What is sent to an OpenAI-style realtime server, as JSON: configurations and the client's events. Pure.

Two dialects: ``ga`` is the protocol as it was generally released (2025), ``beta`` the preview before it,
which many other servers speak. :mod:`~avatarkit_rtc.integrations.realtime.decoder` reads what comes back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from avatarkit_rtc.integrations.realtime.config import (
    DEFAULT_AUDIO_RATE,
    RealtimeSessionConfig,
    ToolDefinition,
    TurnDetection,
)

Dialect: TypeAlias = Literal["ga", "beta"]
Message: TypeAlias = dict[str, Any]

_CHOICES: Final = ("auto", "none", "required")
_LOUDNESS: Final = ("threshold", "prefix_padding_ms", "silence_duration_ms")


def encode(event: Mapping[str, Any]) -> str:
    """``event`` as it is sent.

    Raises:
        ValueError: something in it is no JSON.
        TypeError: the same.
    """
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


def dialect_of(session: Mapping[str, Any]) -> Dialect:
    """The dialect of a server, by the session that it says it has made."""
    beta = "modalities" in session or "input_audio_format" in session
    return "beta" if beta and "audio" not in session else "ga"


def session_update(config: RealtimeSessionConfig, dialect: Dialect, *, voice: bool = True) -> Message:
    """``session.update`` with all that ``config`` says.

    The model is not in it: it is part of the address, and cannot be changed.

    Args:
        voice: say the voice, which cannot be changed any more once the model has spoken.
    """
    session = _ga(config, voice) if dialect == "ga" else _beta(config, voice)
    for name, value in (config.extra or {}).items():
        _put(session, name, value)
    return {"type": "session.update", "session": session}


def append(pcm: bytes) -> Message:
    """Further sound of the user's."""
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode("ascii")}


def commit() -> Message:
    """The user's turn is over."""
    return {"type": "input_audio_buffer.commit"}


def user_message(text: str) -> Message:
    """The user says ``text`` in writing."""
    content = [{"type": "input_text", "text": text}]
    return _item({"type": "message", "role": "user", "content": content})


def tool_result(call_id: str, output: Mapping[str, Any]) -> Message:
    """The answer to a tool call.

    Raises:
        ValueError: ``output`` is no JSON.
        TypeError: the same.
    """
    return _item({"type": "function_call_output", "call_id": call_id, "output": encode(output)})


def create_response() -> Message:
    """The model is to respond now."""
    return {"type": "response.create"}


def cancel_response() -> Message:
    """The model is to end what it says."""
    return {"type": "response.cancel"}


def truncate(item_id: str, played_ms: int) -> Message:
    """Of the sound of the message ``item_id`` only the first ``played_ms`` milliseconds were heard."""
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": played_ms,
    }


def _item(item: Message) -> Message:
    return {"type": "conversation.item.create", "item": item}


def _ga(config: RealtimeSessionConfig, voice: bool) -> Message:
    session: Message = {"type": "realtime"}
    heard: Message = {"format": _pcm(config.input_rate)}
    spoken: Message = {"format": _pcm(config.output_rate)}
    _common(session, config)
    if config.modalities is not None:
        # Sound always comes with its transcript; both at once may not be asked for.
        session["output_modalities"] = ["audio"] if "audio" in config.modalities else ["text"]
    if config.max_tokens is not None:
        session["max_output_tokens"] = config.max_tokens
    if config.voice is not None and voice:
        spoken["voice"] = config.voice
    if config.turn_detection is not None:
        heard["turn_detection"] = _turn_detection(config.turn_detection)
    if config.transcription_model is not None:
        heard["transcription"] = {"model": config.transcription_model}
    session["audio"] = {"input": heard, "output": spoken}
    return session


def _beta(config: RealtimeSessionConfig, voice: bool) -> Message:
    session: Message = {"input_audio_format": "pcm16", "output_audio_format": "pcm16"}
    _common(session, config)
    if config.modalities is not None:
        session["modalities"] = ["audio", "text"] if "audio" in config.modalities else ["text"]
    if config.max_tokens is not None:
        session["max_response_output_tokens"] = config.max_tokens
    if config.voice is not None and voice:
        session["voice"] = config.voice
    if config.turn_detection is not None:
        session["turn_detection"] = _turn_detection(config.turn_detection)
    if config.transcription_model is not None:
        session["input_audio_transcription"] = {"model": config.transcription_model}
    return session


def _common(session: Message, config: RealtimeSessionConfig) -> None:
    if config.instructions is not None:
        session["instructions"] = config.instructions
    if config.tools is not None:
        session["tools"] = [_tool(tool) for tool in config.tools]
    if config.tool_choice is not None:
        named = {"type": "function", "name": config.tool_choice}
        session["tool_choice"] = config.tool_choice if config.tool_choice in _CHOICES else named


def _tool(tool: ToolDefinition) -> Message:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }


def _pcm(rate: int | None) -> Message:
    return {"type": "audio/pcm", "rate": rate or DEFAULT_AUDIO_RATE}


def _turn_detection(detection: TurnDetection) -> Message | None:
    if detection.kind == "none":
        return None
    # Detection by meaning has no use for what says how loud and how long.
    names = ("create_response", "interrupt_response", *(_LOUDNESS if detection.kind == "server_vad" else ()))
    said = {name: getattr(detection, name) for name in names}
    return {"type": detection.kind} | {name: value for name, value in said.items() if value is not None}


def _put(session: Message, name: str, value: Any) -> None:
    """Set a field; of an object, its fields one by one, so that what is there besides stays."""
    known = session.get(name)
    if isinstance(known, dict) and isinstance(value, Mapping):
        for inner, inner_value in value.items():
            _put(known, inner, inner_value)
    else:
        session[name] = value
