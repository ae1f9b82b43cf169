"""The stand-in's session configuration means the same in the protocol and in its preview."""

from __future__ import annotations

from typing import Any

import pytest

from avatarkit_rtc.testing.realtime.session_config import SessionConfig


def heard(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def spoken(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


@pytest.mark.parametrize("beta", [False, True])
def test_at_first_it_speaks_and_tells_turns_and_writes_nothing_down(beta: bool) -> None:
    config = SessionConfig("model", beta=beta)
    assert config.speaks
    assert not config.transcribes
    assert config.turn_detection is not None
    assert config.turn_detection["silence_duration_ms"] == 500
    assert config.fields["model"] == "model"


@pytest.mark.parametrize(
    ("beta", "change"),
    [
        (
            False,
            {"output_modalities": ["text"], **heard(turn_detection=None, transcription={"model": "any"})},
        ),
        (
            True,
            {"modalities": ["text"], "turn_detection": None, "input_audio_transcription": {"model": "any"}},
        ),
    ],
)
def test_all_of_it_can_be_changed(beta: bool, change: dict[str, Any]) -> None:
    config = SessionConfig("model", beta=beta)
    config.update(change)
    assert not config.speaks
    assert config.transcribes
    assert config.turn_detection is None


def test_what_a_change_does_not_name_stays() -> None:
    config = SessionConfig("model", beta=False)
    config.update(heard(turn_detection={"silence_duration_ms": 200}))
    assert config.turn_detection is not None
    assert (config.turn_detection["type"], config.turn_detection["silence_duration_ms"]) == (
        "server_vad",
        200,
    )
    assert config.fields["audio"]["output"]["voice"] == "marin"
    assert SessionConfig("model", beta=False).turn_detection != config.turn_detection


@pytest.mark.parametrize(
    ("beta", "change", "another"),
    [
        (False, spoken(voice="cedar"), True),
        (False, spoken(voice="marin"), False),
        (False, {"voice": "cedar"}, False),
        (False, {"audio": None}, False),
        (True, {"voice": "sage"}, True),
        (True, {"voice": "alloy"}, False),
        (True, spoken(voice="sage"), False),
    ],
)
def test_another_voice_is_seen(beta: bool, change: dict[str, Any], another: bool) -> None:
    assert SessionConfig("model", beta=beta).changes_voice(change) is another
