"""What goes out to a realtime server: configurations in both dialects, the client's events."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from avatarkit_rtc.integrations.realtime import wire
from avatarkit_rtc.integrations.realtime.config import (
    RealtimeSessionConfig,
    ToolDefinition,
    TurnDetection,
)

PCM = {"type": "audio/pcm", "rate": 24000}
FULL = RealtimeSessionConfig(
    provider="openai",
    model="gpt-realtime",
    voice="marin",
    instructions="Be brief.",
    tools=(ToolDefinition("look_at", "Look.", {"type": "object", "properties": {"x": {"type": "number"}}}),),
    tool_choice="look_at",
    modalities=("audio", "text"),
    turn_detection=TurnDetection("server_vad", threshold=0.4, silence_duration_ms=300, create_response=False),
    transcription_model="whisper-1",
    max_tokens=500,
)
TOOL = {
    "type": "function",
    "name": "look_at",
    "description": "Look.",
    "parameters": {"type": "object", "properties": {"x": {"type": "number"}}},
}
DETECTION = {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300, "create_response": False}


def session(config: RealtimeSessionConfig, dialect: wire.Dialect = "ga", **options: Any) -> dict[str, Any]:
    message = wire.session_update(config, dialect, **options)
    assert message["type"] == "session.update"
    assert json.loads(wire.encode(message)) == message
    return message["session"]


def test_a_full_config_as_released() -> None:
    assert session(FULL) == {
        "type": "realtime",
        "instructions": "Be brief.",
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "look_at"},
        "output_modalities": ["audio"],
        "max_output_tokens": 500,
        "audio": {
            "input": {"format": PCM, "turn_detection": DETECTION, "transcription": {"model": "whisper-1"}},
            "output": {"format": PCM, "voice": "marin"},
        },
    }


def test_a_full_config_as_in_the_preview() -> None:
    assert session(FULL, "beta") == {
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "instructions": "Be brief.",
        "tools": [TOOL],
        "tool_choice": {"type": "function", "name": "look_at"},
        "modalities": ["audio", "text"],
        "max_response_output_tokens": 500,
        "voice": "marin",
        "turn_detection": DETECTION,
        "input_audio_transcription": {"model": "whisper-1"},
    }


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_what_a_config_does_not_say_is_not_sent(dialect: wire.Dialect) -> None:
    said = session(RealtimeSessionConfig(), dialect)
    nothing: dict[str, Any] = {
        "ga": {"type": "realtime", "audio": {"input": {"format": PCM}, "output": {"format": PCM}}},
        "beta": {"input_audio_format": "pcm16", "output_audio_format": "pcm16"},
    }
    assert said == nothing[dialect]


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_a_voice_that_stands_is_not_said_again(dialect: wire.Dialect) -> None:
    assert "marin" not in wire.encode(session(FULL, dialect, voice=False))


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_choices_that_are_no_tools(choice: str) -> None:
    assert session(RealtimeSessionConfig(tool_choice=choice))["tool_choice"] == choice


def test_text_only() -> None:
    config = RealtimeSessionConfig(modalities=("text",))
    assert session(config)["output_modalities"] == ["text"]
    assert session(config, "beta")["modalities"] == ["text"]


@pytest.mark.parametrize(
    ("detection", "sent"),
    [
        (TurnDetection("none"), None),
        (TurnDetection("server_vad"), {"type": "server_vad"}),
        (TurnDetection("server_vad", prefix_padding_ms=1), {"type": "server_vad", "prefix_padding_ms": 1}),
        (
            TurnDetection("semantic_vad", threshold=0.3, interrupt_response=True),
            {"type": "semantic_vad", "interrupt_response": True},
        ),
    ],
)
def test_turn_detection(detection: TurnDetection, sent: object) -> None:
    assert (
        session(RealtimeSessionConfig(turn_detection=detection))["audio"]["input"]["turn_detection"] == sent
    )


def test_rates_are_said_where_the_protocol_has_them() -> None:
    audio = session(RealtimeSessionConfig(input_rate=16000, output_rate=48000))["audio"]
    assert audio["input"]["format"]["rate"] == 16000
    assert audio["output"]["format"]["rate"] == 48000


def test_further_fields_go_where_they_belong_and_win() -> None:
    extra = {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}, "tracing": "auto"}
    config = RealtimeSessionConfig(voice="marin", instructions="a", extra={**extra, "instructions": "b"})
    said = session(config)
    assert said["audio"]["input"] == {"format": PCM, "noise_reduction": {"type": "near_field"}}
    assert said["audio"]["output"]["voice"] == "marin"
    assert said["tracing"] == "auto"
    assert said["instructions"] == "b"


def test_events_of_the_client() -> None:
    assert wire.append(b"\x01\x02") == {
        "type": "input_audio_buffer.append",
        "audio": base64.b64encode(b"\x01\x02").decode(),
    }
    assert wire.commit() == {"type": "input_audio_buffer.commit"}
    assert wire.create_response() == {"type": "response.create"}
    assert wire.cancel_response() == {"type": "response.cancel"}
    assert wire.truncate("i", 250) == {
        "type": "conversation.item.truncate",
        "item_id": "i",
        "content_index": 0,
        "audio_end_ms": 250,
    }
    assert wire.user_message("hi")["item"]["content"] == [{"type": "input_text", "text": "hi"}]
    assert wire.tool_result("c", {"ok": True})["item"] == {
        "type": "function_call_output",
        "call_id": "c",
        "output": '{"ok":true}',
    }


@pytest.mark.parametrize("output", [{"a": float("nan")}, {"a": object()}])
def test_a_result_that_is_no_json_is_refused(output: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        wire.tool_result("c", output)


@pytest.mark.parametrize(
    ("told", "dialect"),
    [
        ({"type": "realtime", "audio": {}}, "ga"),
        ({"modalities": ["audio"], "voice": "alloy"}, "beta"),
        ({"input_audio_format": "pcm16"}, "beta"),
        ({"modalities": ["audio"], "audio": {}}, "ga"),
        ({}, "ga"),
    ],
)
def test_a_server_is_known_by_its_session(told: dict[str, Any], dialect: str) -> None:
    assert wire.dialect_of(told) == dialect
