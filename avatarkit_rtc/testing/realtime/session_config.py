"""What a realtime session is configured to do, in the words of the protocol and of its preview. Pure."""

from __future__ import annotations

from typing import Any

from avatarkit_rtc.testing.realtime.replies import RATE


class SessionConfig:
    """The configuration of one session: its fields as the client sees them, and what they mean."""

    def __init__(self, model: str, *, beta: bool) -> None:
        """``beta``: with the fields of the preview."""
        self._beta = beta
        self.fields = _defaults(model, beta)
        """All of them, as ``session.update`` has left them."""

    def update(self, change: dict[str, Any]) -> None:
        """Take over the fields of ``change``; what it does not name stays."""
        _merge(self.fields, change)

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """How turns are told from each other; None where the client does that."""
        found = self.fields if self._beta else self.fields["audio"]["input"]
        detection: dict[str, Any] | None = found["turn_detection"]
        return detection

    @property
    def transcribes(self) -> bool:
        """Whether what the user says is written down."""
        if self._beta:
            return self.fields["input_audio_transcription"] is not None
        return self.fields["audio"]["input"]["transcription"] is not None

    @property
    def speaks(self) -> bool:
        """Whether responses are spoken; else they are text alone."""
        if self._beta:
            return "audio" in self.fields["modalities"]
        return "text" not in self.fields["output_modalities"]

    def changes_voice(self, change: dict[str, Any]) -> bool:
        """Whether ``change`` asks for another voice."""
        return self._voice(change) not in (None, self._voice(self.fields))

    def _voice(self, fields: dict[str, Any]) -> object:
        """None where nothing is said of it."""
        if self._beta:
            return fields.get("voice")
        audio = fields.get("audio")
        spoken = audio.get("output") if isinstance(audio, dict) else None
        return spoken.get("voice") if isinstance(spoken, dict) else None


def _defaults(model: str, beta: bool) -> dict[str, Any]:
    detection = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300}
    detection |= {"silence_duration_ms": 500, "create_response": True, "interrupt_response": True}
    common = {"object": "realtime.session", "model": model, "instructions": "", "tools": []}
    common |= {"tool_choice": "auto"}
    if beta:
        return common | {
            "modalities": ["audio", "text"],
            "voice": "alloy",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": None,
            "turn_detection": detection,
            "temperature": 0.8,
            "max_response_output_tokens": "inf",
        }
    pcm = {"type": "audio/pcm", "rate": RATE}
    heard = {"format": pcm, "transcription": None, "noise_reduction": None, "turn_detection": detection}
    spoken = {"format": dict(pcm), "voice": "marin", "speed": 1.0}
    return common | {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {"input": heard, "output": spoken},
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
    }


def _merge(known: dict[str, Any], change: dict[str, Any]) -> None:
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(known.get(name), dict):
            _merge(known[name], value)
        else:
            known[name] = value
