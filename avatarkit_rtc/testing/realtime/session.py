"""One session of an OpenAI-style realtime protocol, from the model's side: events in, events out. Pure.

The names and shapes are those of the protocol's general release; with ``beta`` those of the preview before
it, which many other servers speak.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

import numpy as np

from avatarkit_rtc.testing.realtime.replies import CHUNK_S, RATE, EnergyDetector, Reply, chunks, words
from avatarkit_rtc.testing.realtime.session_config import SessionConfig

Event = dict[str, Any]

MAX_BUFFER_S: Final = 60.0
"""Sound of the user that is kept until it is committed; the oldest goes first."""

BETA_NAMES: Final = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
"""What events were called in the preview; ``conversation.item.done`` did not exist."""


class Moment(StrEnum):
    """Where in a session something may go wrong."""

    CONNECTED = "connected"
    """Before ``session.created``."""
    PATCH = "patch"
    """A ``session.update`` has come."""
    CREATED = "created"
    """After ``response.created``."""
    SPEECH = "speech"
    """After a delta of sound or text."""
    CALL = "call"
    """After a delta of a call's arguments."""
    CALLED = "called"
    """After ``response.done`` of a response with a call: the tool runs."""
    DONE = "done"
    """Before ``response.done``."""


class Step(NamedTuple):
    """One event of a response."""

    event: Event
    moment: Moment | None = None
    """What it is the moment of, once it is sent."""
    sound_s: float = 0.0
    """Length of the sound in it."""


@dataclass(slots=True)
class Item:
    """Something in the conversation."""

    event: Event
    sound_ms: float = 0.0
    """Sound that the model has sent of it."""


@dataclass(slots=True)
class _Response:
    id: str
    reply: Reply
    output: list[Event] = field(default_factory=list)
    over: bool = False


class ModelSession:
    """What the server remembers of one connection."""

    def __init__(self, *, number: int = 1, model: str = "stand-in", beta: bool = False) -> None:
        """``number`` makes the ids of this session different from those of others."""
        self._beta = beta
        self._number = number
        self._ids: dict[str, Iterator[int]] = {}
        self.id = self._id("sess")
        self._config = SessionConfig(model, beta=beta)
        self.items: dict[str, Item] = {}
        """The conversation."""
        self.truncations: list[tuple[str, int]] = []
        """Items that were cut and how many milliseconds of them stayed, in order."""
        self.heard_s = 0.0
        """Sound of the user's so far, in seconds."""
        self.vad = EnergyDetector()
        self._buffer = bytearray()
        self._turn: str | None = None
        self._response: _Response | None = None
        self._spoke = False  # aloud: the voice is fixed from then on
        self.wants_response = False
        """A response is to begin; whoever begins one clears it."""

    @property
    def config(self) -> Event:
        """The session's configuration, as ``session.update`` has left it."""
        return self._config.fields

    @property
    def responding(self) -> bool:
        """A response is under way."""
        return self._response is not None

    def created(self) -> Event:
        """``session.created``."""
        return self.event("session.created", session={"id": self.id, **self.config})

    def event(self, kind: str, **fields: Any) -> Event:
        """An event to the client, with its own id."""
        kind = BETA_NAMES.get(kind, kind) if self._beta else kind
        return {"type": kind, "event_id": self._id("event"), **fields}

    def error(self, message: str, *, code: str | None = None, of: Event | None = None) -> Event:
        """``error``, caused by the client's event ``of``."""
        caused = of.get("event_id") if of is not None else None
        body = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        return self.event("error", error={**body, "event_id": caused})

    # -- events of the client's ------------------------------------------------------------------------------

    def receive(self, event: Event) -> list[Event]:
        """Take an event of the client's; returns the answers to it."""
        handlers: dict[str, Callable[[Event], list[Event]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.truncate": self._truncate,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }
        handler = handlers.get(str(event.get("type")))
        if handler is None:
            return [self.error(f"there is no event {event.get('type')!r}", code="invalid_value", of=event)]
        return handler(event)

    def _update(self, event: Event) -> list[Event]:
        session = event.get("session")
        if not isinstance(session, dict):
            return [self.error("session is missing", code="missing_required_parameter", of=event)]
        if not self._beta and session.get("type") != "realtime":
            return [self.error("session.type is missing", code="missing_required_parameter", of=event)]
        unknown = sorted(set(session) - set(self.config))
        if unknown:
            message = f"Unknown parameter: 'session.{unknown[0]}'."
            return [self.error(message, code="unknown_parameter", of=event)]
        if self._spoke and self._config.changes_voice(session):
            message = "Cannot update a conversation's voice if assistant audio is present."
            return [self.error(message, code="cannot_update_voice", of=event)]
        self._config.update(session)
        return [self.event("session.updated", session={"id": self.id, **self.config})]

    def _append(self, event: Event) -> list[Event]:
        try:
            data = base64.b64decode(str(event.get("audio")), validate=True)
        except (binascii.Error, ValueError):
            return [self.error("audio is not base64", code="invalid_value", of=event)]
        if not data or len(data) % 2:
            return [self.error("audio is not 16-bit PCM", code="invalid_value", of=event)]
        self._buffer += data
        del self._buffer[: max(0, len(self._buffer) - round(MAX_BUFFER_S * RATE) * 2)]
        self.heard_s += len(data) / 2 / RATE
        changes = self.vad.hear(np.frombuffer(data, "<i2").astype(np.int16))
        answers: list[Event] = []
        for change in changes if self._config.turn_detection else ():
            answers += (
                self.speech_started(change.at_ms) if change.started else self.speech_stopped(change.at_ms)
            )
        return answers

    def speech_started(self, at_ms: int | None = None) -> list[Event]:
        """The user begins to speak, as the detector says or somebody else."""
        self._turn = self._turn or self._id("item")
        at_ms = self.vad.heard_ms if at_ms is None else at_ms
        started = self.event("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._turn)
        detection = self._config.turn_detection or {}
        interrupts = detection.get("interrupt_response", True)
        return [started, *(self.cancel("turn_detected") if interrupts else [])]

    def speech_stopped(self, at_ms: int | None = None) -> list[Event]:
        """The user has spoken, as the detector says or somebody else."""
        at_ms = self.vad.heard_ms if at_ms is None else at_ms
        item = self._turn or self._id("item")
        stopped = self.event("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item)
        self.wants_response = (self._config.turn_detection or {}).get("create_response", True)
        return [stopped, *self._committed()]

    def _commit(self, event: Event) -> list[Event]:
        if not self._buffer:
            return [
                self.error("the buffer is empty", code="input_audio_buffer_commit_empty", of=event),
            ]
        return self._committed()

    def _committed(self) -> list[Event]:
        item, self._turn = self._turn or self._id("item"), None
        self._buffer.clear()
        self.vad.forget()
        content = [{"type": "input_audio", "transcript": None}]
        answers = [
            self.event("input_audio_buffer.committed", previous_item_id=self._last_item(), item_id=item),
            *self._add({"id": item, "type": "message", "role": "user", "content": content}),
        ]
        if self._config.transcribes:
            answers.append(
                self.event(
                    "conversation.item.input_audio_transcription.completed",
                    item_id=item,
                    content_index=0,
                    transcript="what the user said",
                )
            )
        return answers

    def _clear(self, event: Event) -> list[Event]:
        del event
        self._buffer.clear()
        return [self.event("input_audio_buffer.cleared")]

    def _create_item(self, event: Event) -> list[Event]:
        item = event.get("item")
        if not isinstance(item, dict) or item.get("type") not in ("message", "function_call_output"):
            return [self.error("item is missing or of no known type", code="invalid_value", of=event)]
        return self._add({"id": self._id("item"), **item})

    def _truncate(self, event: Event) -> list[Event]:
        known = self.items.get(str(event.get("item_id")))
        end_ms = event.get("audio_end_ms")
        if known is None or known.event.get("role") != "assistant" or not known.sound_ms:
            return [self.error("Only model output audio messages can be truncated", of=event)]
        if not isinstance(end_ms, int) or end_ms > known.sound_ms:
            message = f"Audio content of {known.sound_ms:.0f}ms is already shorter than {end_ms}ms"
            return [self.error(message, code="invalid_value", of=event)]
        known.sound_ms = end_ms
        self.truncations.append((str(event["item_id"]), end_ms))
        fields = {name: event.get(name) for name in ("item_id", "content_index", "audio_end_ms")}
        return [self.event("conversation.item.truncated", **fields)]

    def _create_response(self, event: Event) -> list[Event]:
        if self._response is not None:
            message = f"Conversation already has an active response in progress: {self._response.id}."
            return [self.error(message, code="conversation_already_has_active_response", of=event)]
        self.wants_response = True
        return []

    def _cancel_response(self, event: Event) -> list[Event]:
        if self._response is None:
            message = "Cancellation failed: no active response found"
            return [self.error(message, code="response_cancel_not_active", of=event)]
        return self.cancel("client_cancelled")

    # -- responses -------------------------------------------------------------------------------------------

    def cancel(self, reason: str) -> list[Event]:
        """End the response that is under way, if one is."""
        response = self._response
        if response is None:
            return []
        return [self._done(response, "cancelled", {"type": "cancelled", "reason": reason})]

    def respond(self, reply: Reply) -> Iterator[Step]:
        """The events of a response, one after the other; it ends early once it is cancelled."""
        self.wants_response = False
        response = self._response = _Response(self._id("resp"), reply)
        started = {"id": response.id, "object": "realtime.response", "status": "in_progress", "output": []}
        yield Step(self.event("response.created", response=started), Moment.CREATED)
        parts = [self._message(response)] if reply.text or reply.seconds else []
        parts += [self._call(response, index) for index in range(len(reply.calls))]
        for step in itertools.chain.from_iterable(parts):
            if response.over:
                return
            yield step
        if not response.over:
            yield Step(self.event("rate_limits.updated", rate_limits=[]), Moment.DONE)
        if not response.over:
            done = self._done(response, reply.status, None)
            yield Step(done, Moment.CALLED if reply.calls else None)

    def _message(self, response: _Response) -> Iterator[Step]:
        spoken = self._config.speaks
        item: Event = {"id": self._id("item"), "type": "message", "role": "assistant"}
        item |= {"status": "in_progress"}
        item |= {"object": "realtime.item", "content": []}
        known = Item(item)
        output = {"response_id": response.id, "output_index": 0}
        place = {**output, "item_id": item["id"], "content_index": 0}
        yield Step(self.event("response.output_item.added", **output, item=dict(item)))
        self.items[str(item["id"])] = known
        added = self.event("conversation.item.added", previous_item_id=None, item=dict(item))
        yield Step(added)
        part = {"type": "audio", "transcript": ""} if spoken else {"type": "text", "text": ""}
        yield Step(self.event("response.content_part.added", **place, part=part))
        reply = response.reply
        if spoken:
            yield from self._speech(reply, known, place)
        else:
            for word in words(reply.text):
                yield Step(self.event("response.output_text.delta", **place, delta=word), Moment.SPEECH)
            yield Step(self.event("response.output_text.done", **place, text=reply.text))
        content = {**part, "transcript" if spoken else "text": reply.text}
        yield Step(self.event("response.content_part.done", **place, part=content))
        finished = {**item, "status": "completed", "content": [content]}
        response.output.append(finished)
        yield Step(self.event("response.output_item.done", **output, item=finished))

    def _speech(self, reply: Reply, known: Item, place: Event) -> Iterator[Step]:
        pieces = itertools.zip_longest(chunks(reply.pcm()), words(reply.text))
        for chunk, word in pieces:
            if word is not None:
                yield Step(self.event("response.output_audio_transcript.delta", **place, delta=word))
            if chunk is not None:
                seconds = len(chunk) / 2 / RATE
                known.sound_ms += 1000 * seconds
                self._spoke = True
                delta = base64.b64encode(chunk).decode()
                event = self.event("response.output_audio.delta", **place, delta=delta)
                yield Step(event, Moment.SPEECH, min(seconds, CHUNK_S))
        yield Step(self.event("response.output_audio.done", **place))
        yield Step(self.event("response.output_audio_transcript.done", **place, transcript=reply.text))

    def _call(self, response: _Response, index: int) -> Iterator[Step]:
        call = response.reply.calls[index]
        item: Event = {"id": self._id("item"), "type": "function_call", "status": "in_progress"}
        item |= {"name": call.name, "call_id": call.call_id or self._id("call"), "arguments": ""}
        output = {"response_id": response.id, "output_index": len(response.output)}
        place = {**output, "item_id": item["id"], "call_id": item["call_id"]}
        yield Step(self.event("response.output_item.added", **output, item=dict(item)))
        self.items[item["id"]] = Item(item)
        kind = "response.function_call_arguments"
        middle = len(call.text) // 2
        for piece in (call.text[:middle], call.text[middle:]):
            yield Step(self.event(f"{kind}.delta", **place, delta=piece), Moment.CALL)
        yield Step(self.event(f"{kind}.done", **place, name=call.name, arguments=call.text))
        finished = {**item, "status": "completed", "arguments": call.text}
        response.output.append(finished)
        yield Step(self.event("response.output_item.done", **output, item=finished))

    def _done(self, response: _Response, status: str, details: Event | None) -> Event:
        response.over = True
        if self._response is response:
            self._response = None
        spoken = round(50 * response.reply.seconds)
        usage: Event = {"total_tokens": 100 + spoken, "input_tokens": 100, "output_tokens": spoken}
        usage |= {"input_token_details": {"cached_tokens": 0}, "output_token_details": {"text_tokens": 0}}
        body: Event = {"id": response.id, "object": "realtime.response", "status": status}
        body |= {"status_details": details, "output": response.output, "usage": usage}
        return self.event("response.done", response=body)

    # -- inside ----------------------------------------------------------------------------------------------

    def _add(self, item: Event) -> list[Event]:
        previous = self._last_item()
        self.items[item["id"]] = Item(item)
        answers = [self.event("conversation.item.added", previous_item_id=previous, item=item)]
        if not self._beta:
            answers.append(self.event("conversation.item.done", previous_item_id=previous, item=item))
        return answers

    def _last_item(self) -> str | None:
        return next(reversed(self.items), None)

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._number}_{next(self._ids.setdefault(kind, itertools.count(1)))}"
