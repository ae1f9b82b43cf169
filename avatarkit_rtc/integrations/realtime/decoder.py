"""What an OpenAI-style realtime server says, as events of ours. Pure; nothing in a message makes it raise.

Both dialects are read, whichever was asked for: ``response.output_audio.delta`` and ``response.audio.delta``
are the same. What belongs to no response that is under way (it was never begun, is over, or was cancelled
from here) is dropped and counted, so that nothing of an interrupted response is heard.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from avatarkit_rtc.errors import RealtimeReplyError, RealtimeServerError
from avatarkit_rtc.integrations.realtime.config import DEFAULT_AUDIO_RATE
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDelta,
    AssistantDone,
    AssistantStarted,
    AudioDelta,
    AudioDone,
    ClientEvent,
    ErrorReported,
    SessionCreated,
    SessionEnded,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    UsageReported,
    UserTranscript,
)
from avatarkit_rtc.integrations.realtime.message_parts import (
    Message,
    failure_of,
    object_of,
    object_or_empty,
    reported_error,
    text,
    text_or_none,
    words_of,
)
from avatarkit_rtc.integrations.realtime.wire import Dialect, dialect_of

MAX_REPORTED: Final = 10
"""Messages of one connection that are reported as not understood; all are counted."""

_MAX_RESPONSES: Final = 8
_MAX_CALLS: Final = 128
_MAX_ITEMS: Final = 64
_EXPIRED: Final = "session_expired"


class Refusal(NamedTuple):
    """The server reports an error. Whether it is one the client decides, who knows what it asked for."""

    error: RealtimeServerError


class Committed(NamedTuple):
    """What the user has said is a message now, by whomever it was ended."""


Decoded: TypeAlias = ClientEvent | Refusal | Committed


@dataclass(slots=True)
class _Call:
    """What is known of a tool call."""

    name: str | None = None
    arguments: str | None = None
    told: bool = False


@dataclass(slots=True)
class _Response:
    """A response under way."""

    calls: OrderedDict[str, _Call] = field(default_factory=OrderedDict)
    """By call id."""
    rest: bytes = b""
    """Half a sample that the rest of is still to come."""
    cancelled: bool = False
    """From here: nothing of it is wanted any more but its end."""


class Decoder:
    """Reads the messages of one connection, in order."""

    def __init__(self, sample_rate: int | None = None) -> None:
        """``sample_rate``: samples per second of the model's sound, where the server does not say."""
        self._rate = sample_rate or DEFAULT_AUDIO_RATE
        self._model: str | None = None
        self._open: OrderedDict[str, _Response] = OrderedDict()
        self._sound: OrderedDict[str, float] = OrderedDict()
        self._reported = 0
        self.dialect: Dialect | None = None
        """What the server speaks, once it has told of its session."""
        self.creates_responses = True
        """The server responds by itself when the user has spoken."""
        self.turn_detection: object = None
        """How the server finds out that the user speaks, as it says it; None: it does not."""
        self.ignored = 0
        """Events of kinds that are of no use here."""
        self.malformed = 0
        """Messages that are no events, or events that lack what they must have."""
        self.stale = 0
        """Events of responses that are not under way."""

    @property
    def responding(self) -> bool:
        """A response is under way."""
        return bool(self._open)

    def sound_ms(self, item_id: str) -> float:
        """How much sound of the message ``item_id`` has come, in milliseconds."""
        return self._sound.get(item_id, 0.0)

    def cut(self, item_id: str, played_ms: int) -> list[tuple[str, int]]:
        """The user has heard ``played_ms`` milliseconds of the message ``item_id``, and nothing of what
        comes behind it: each message that is to be cut, and to how many milliseconds."""
        if item_id not in self._sound:
            return []
        names = list(self._sound)
        kept = {item_id: max(0, played_ms)} | dict.fromkeys(names[names.index(item_id) + 1 :], 0)
        cuts = [(name, kept_ms) for name, kept_ms in kept.items() if kept_ms < int(self._sound[name])]
        self._sound.update({name: float(kept_ms) for name, kept_ms in cuts})
        return cuts

    def cancelled(self, response_id: str | None = None) -> None:
        """What is under way, or that response alone, was cancelled from here: nothing of it is wanted any
        more but its end."""
        for name, response in self._open.items():
            response.cancelled = response.cancelled or response_id in (None, name)

    def receive(self, data: str | bytes) -> list[Decoded]:
        """Take one message; returns what it says."""
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            message = None
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            return self._malformed("no event")
        handler = _HANDLERS.get(kind)
        if handler is None:
            self.ignored += 1
            return []
        try:
            return handler(self, message)
        except (KeyError, TypeError, ValueError, binascii.Error):
            return self._malformed(kind)

    # -- session ---------------------------------------------------------------------------------------------

    def _session_created(self, message: Message) -> list[Decoded]:
        return [SessionCreated(text_or_none(self._learn(message), "id"))]

    def _session_updated(self, message: Message) -> list[Decoded]:
        self._learn(message)
        return [SessionUpdated()]

    def _learn(self, message: Message) -> Message:
        session = object_of(message["session"])
        self.dialect = dialect_of(session)
        model = text_or_none(session, "model")
        self._model = model if model is not None else self._model
        audio = object_or_empty(session.get("audio"))
        heard, spoken = audio.get("input"), object_or_empty(audio.get("output"))
        rate = object_or_empty(spoken.get("format")).get("rate")
        if isinstance(rate, int) and 8000 <= rate <= 48000:
            self._rate = rate
        detection = (heard if isinstance(heard, dict) else session).get("turn_detection")
        self.turn_detection = detection
        asked = detection.get("create_response", True) if isinstance(detection, dict) else False
        self.creates_responses = asked is not False
        return session

    def _error(self, message: Message) -> list[Decoded]:
        error = object_of(message["error"])
        if error.get("code") == _EXPIRED:
            return [SessionEnded("expired")]
        return [Refusal(reported_error(error))]

    # -- the user --------------------------------------------------------------------------------------------

    def _speech_started(self, message: Message) -> list[Decoded]:
        return [SpeechStarted(text_or_none(message, "item_id"))]

    def _speech_stopped(self, message: Message) -> list[Decoded]:
        return [SpeechStopped(text_or_none(message, "item_id"))]

    def _committed(self, message: Message) -> list[Decoded]:
        del message
        return [Committed()]

    def _transcribed(self, message: Message) -> list[Decoded]:
        return [UserTranscript(text(message, "transcript"), text_or_none(message, "item_id"))]

    # -- responses -------------------------------------------------------------------------------------------

    def _response_created(self, message: Message) -> list[Decoded]:
        response_id = text(object_of(message["response"]), "id")
        if response_id in self._open:
            self.stale += 1
            return []
        self._open[response_id] = _Response()
        while len(self._open) > _MAX_RESPONSES:
            self._open.popitem(last=False)
        return [AssistantStarted(response_id)]

    def _response_done(self, message: Message) -> list[Decoded]:
        body = object_of(message["response"])
        response_id = text(body, "id")
        response = self._open.pop(response_id, None)
        if response is None:
            self.stale += 1
            return []
        status = body.get("status")
        output = body.get("output")
        items = [each for each in output if isinstance(each, dict)] if isinstance(output, list) else []
        out: list[Decoded] = []
        if not response.cancelled and status in ("completed", None):
            for item in items:
                out += self._call_done(response_id, response, item)
            out += [
                ToolCalled(call_id, call.name, call.arguments, response_id)
                for call_id, call in response.calls.items()
                if not call.told and call.name is not None and call.arguments is not None
            ]
        usage = body.get("usage")
        if isinstance(usage, dict):
            out.append(UsageReported(usage, self._model, response_id))
        if status in ("failed", "incomplete"):
            out.append(ErrorReported(failure_of(body)))
        cancelled = response.cancelled or status == "cancelled"
        return [*out, AssistantDone(words_of(items), response_id, cancelled)]

    def _spoken_text(self, message: Message) -> list[Decoded]:
        delta = text(message, "delta")
        response_id = self._under_way(message)[0]
        return [AssistantDelta(delta, response_id)] if response_id is not None else []

    def _written_text(self, message: Message) -> list[Decoded]:
        delta = text(message, "delta")
        response_id = self._under_way(message)[0]
        return [AssistantDelta(delta, response_id, spoken=False)] if response_id is not None else []

    def _audio(self, message: Message) -> list[Decoded]:
        pcm = base64.b64decode(text(message, "delta"), validate=True)
        item_id = text_or_none(message, "item_id")
        response_id, response = self._under_way(message)
        if response is None:
            return []
        pcm = response.rest + pcm
        whole = len(pcm) - len(pcm) % 2
        response.rest = pcm[whole:]
        if not whole:
            return []
        if item_id is not None:
            self._sound[item_id] = self._sound.get(item_id, 0.0) + whole * 500 / self._rate
            while len(self._sound) > _MAX_ITEMS:
                self._sound.popitem(last=False)
        return [AudioDelta(pcm[:whole], self._rate, response_id, item_id)]

    def _audio_done(self, message: Message) -> list[Decoded]:
        response_id = self._under_way(message)[0]
        return [AudioDone(response_id, text_or_none(message, "item_id"))] if response_id is not None else []

    # -- tool calls ------------------------------------------------------------------------------------------

    def _item_added(self, message: Message) -> list[Decoded]:
        item = object_of(message["item"])
        if item.get("type") == "function_call":
            call = self._call(self._under_way(message)[1], text_or_none(item, "call_id"))
            if call is not None:
                call.name = text_or_none(item, "name")
        return []

    def _arguments_done(self, message: Message) -> list[Decoded]:
        arguments = text(message, "arguments")
        call = self._call(self._under_way(message)[1], text_or_none(message, "call_id"))
        if call is not None:
            # Also sent, with what there is, for a call that was cut off: whether to make it the end of the
            # item says, or of the response.
            call.arguments = arguments
            call.name = text_or_none(message, "name") or call.name
        return []

    def _item_done(self, message: Message) -> list[Decoded]:
        item = object_of(message["item"])
        if item.get("type") != "function_call":
            return []
        response_id, response = self._under_way(message)
        return self._call_done(response_id, response, item)

    def _call_done(self, response_id: str | None, response: _Response | None, item: Message) -> list[Decoded]:
        if item.get("type") != "function_call" or item.get("status", "completed") != "completed":
            return []
        name, arguments, call_id = (text_or_none(item, each) for each in ("name", "arguments", "call_id"))
        if name is None or arguments is None or call_id is None:
            return self._malformed("function_call")
        call = self._call(response, call_id)
        if call is None or call.told:
            return []
        call.told = True
        return [ToolCalled(call_id, name, arguments, response_id)]

    def _call(self, response: _Response | None, call_id: str | None) -> _Call | None:
        if response is None or call_id is None:
            return None
        if len(response.calls) >= _MAX_CALLS and call_id not in response.calls:
            self.stale += 1
            return None
        return response.calls.setdefault(call_id, _Call())

    # -- inside ----------------------------------------------------------------------------------------------

    def _under_way(self, message: Message) -> tuple[str | None, _Response | None]:
        response_id = text(message, "response_id")
        response = self._open.get(response_id)
        if response is None or response.cancelled:
            self.stale += 1
            return None, None
        return response_id, response

    def _malformed(self, what: str) -> list[Decoded]:
        self.malformed += 1
        self._reported += 1
        if self._reported > MAX_REPORTED:
            return []
        shown = what if len(what) <= 80 else what[:80] + "…"
        error = RealtimeReplyError(
            f"the realtime server sent what is not understood ({shown!r}); is this an OpenAI-style server?"
        )
        return [ErrorReported(error)]


_Handler: TypeAlias = Callable[[Decoder, Message], list[Decoded]]

_HANDLERS: Final[Mapping[str, _Handler]] = {
    "session.created": Decoder._session_created,
    "session.updated": Decoder._session_updated,
    "error": Decoder._error,
    "input_audio_buffer.speech_started": Decoder._speech_started,
    "input_audio_buffer.speech_stopped": Decoder._speech_stopped,
    "input_audio_buffer.committed": Decoder._committed,
    "conversation.item.input_audio_transcription.completed": Decoder._transcribed,
    "response.created": Decoder._response_created,
    "response.done": Decoder._response_done,
    "response.output_item.added": Decoder._item_added,
    "response.output_item.done": Decoder._item_done,
    "response.function_call_arguments.done": Decoder._arguments_done,
    "response.output_audio.delta": Decoder._audio,
    "response.output_audio.done": Decoder._audio_done,
    "response.output_audio_transcript.delta": Decoder._spoken_text,
    "response.output_text.delta": Decoder._written_text,
    "response.audio.delta": Decoder._audio,
    "response.audio.done": Decoder._audio_done,
    "response.audio_transcript.delta": Decoder._spoken_text,
    "response.text.delta": Decoder._written_text,
}
"""Events that mean something here, by both names of those that have two."""
