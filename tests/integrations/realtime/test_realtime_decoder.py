"""What a realtime server says: whole sessions of the stand-in, every event by itself, and garbage."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatarkit_rtc.errors import RealtimeReplyError, RealtimeServerError
from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.decoder import _HANDLERS, MAX_REPORTED, Decoded, Decoder, Refusal
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDelta,
    AssistantDone,
    AssistantStarted,
    AudioDelta,
    AudioDone,
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
from avatarkit_rtc.integrations.realtime.wire import session_update
from avatarkit_rtc.testing.realtime import NOISE, Call, Reply
from avatarkit_rtc.testing.realtime.session import ModelSession

R, I = "resp_1", "item_1"  # noqa: E741


def read(decoder: Decoder, *messages: Any) -> list[Decoded]:
    return [event for each in messages for event in decoder.receive(json.dumps(each))]


def message(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "event_id": "e", **fields}


def begun() -> Decoder:
    decoder = Decoder()
    assert read(decoder, message("response.created", response={"id": R})) == [AssistantStarted(R)]
    return decoder


def audio(pcm: bytes, **fields: Any) -> dict[str, Any]:
    place = {"response_id": R, "item_id": I}
    return message("response.output_audio.delta", delta=base64.b64encode(pcm).decode(), **{**place, **fields})


def call_item(**fields: Any) -> dict[str, Any]:
    item = {"id": "i", "type": "function_call", "status": "completed"}
    return item | {"name": "t", "call_id": "c", "arguments": "{}"} | fields


def done(status: str = "completed", output: Iterable[Any] = (), **fields: Any) -> dict[str, Any]:
    return message("response.done", response={"id": R, "status": status, "output": list(output), **fields})


@pytest.mark.parametrize("beta", [False, True])
def test_a_whole_session_in_both_dialects(beta: bool) -> None:
    session, decoder = ModelSession(beta=beta), Decoder()
    reply = Reply("Hello my friend.", seconds=0.4, calls=(Call("wave", {"hand": "left"}, "c1"),))
    events = read(decoder, session.created(), *[step.event for step in session.respond(reply)])
    pcm = b"".join(each.pcm for each in events if isinstance(each, AudioDelta))
    assert pcm == reply.pcm()
    assert {each.sample_rate for each in events if isinstance(each, AudioDelta)} == {24000}
    words = "".join(each.text for each in events if isinstance(each, AssistantDelta))
    assert words == "Hello my friend."
    rest = [each for each in events if not isinstance(each, AudioDelta | AssistantDelta)]
    kinds = [type(each) for each in rest]
    assert kinds == [
        SessionCreated,
        AssistantStarted,
        AudioDone,
        ToolCalled,
        UsageReported,
        AssistantDone,
    ]
    assert rest[3] == ToolCalled("c1", "wave", '{"hand": "left"}', "resp_1_1")
    assert rest[-1] == AssistantDone("Hello my friend.", "resp_1_1")
    assert decoder.dialect == ("beta" if beta else "ga")
    assert decoder.malformed == decoder.stale == 0
    assert decoder.sound_ms("item_1_1") == pytest.approx(400)


@pytest.mark.parametrize("beta", [False, True])
def test_text_only_in_both_dialects(beta: bool) -> None:
    session, decoder = ModelSession(beta=beta), Decoder()
    config = RealtimeSessionConfig(modalities=("text",))
    answers = session.receive(session_update(config, "beta" if beta else "ga"))
    assert read(decoder, *answers) == [SessionUpdated()]
    events = read(decoder, *[step.event for step in session.respond(Reply("Hi you"))])
    deltas = [each for each in events if isinstance(each, AssistantDelta)]
    assert [(each.text, each.spoken) for each in deltas] == [("Hi ", False), ("you", False)]


def test_the_user() -> None:
    decoder = Decoder()
    buffer, item = "input_audio_buffer", "conversation.item.input_audio_transcription.completed"
    assert read(
        decoder,
        message(f"{buffer}.speech_started", audio_start_ms=5, item_id=I),
        message(f"{buffer}.speech_stopped", audio_end_ms=6, item_id=I),
        message(item, item_id=I, content_index=0, transcript="hello"),
        message(f"{buffer}.speech_started"),
    ) == [SpeechStarted(I), SpeechStopped(I), UserTranscript("hello", I), SpeechStarted()]


def test_what_a_session_says_of_itself() -> None:
    decoder = Decoder(16000)
    assert decoder.creates_responses
    form = {"type": "audio/pcm", "rate": 48000}
    audio_part = {"output": {"format": form}, "input": {"turn_detection": None}}
    events = read(decoder, message("session.created", session={"id": 7, "model": "m", "audio": audio_part}))
    assert events == [SessionCreated(None)]
    assert not decoder.creates_responses
    read(decoder, message("response.created", response={"id": R}))
    delta, usage = read(decoder, audio(b"ab"), done(usage={"total_tokens": 3}))[:2]
    assert delta == AudioDelta(b"ab", 48000, R, I)
    assert usage == UsageReported({"total_tokens": 3}, "m", R)


@pytest.mark.parametrize(
    "session",
    [
        {"audio": 5},
        {"audio": {"output": 5, "input": 6}},
        {"audio": {"output": {"format": {"rate": "x"}}}},
        {"audio": {"output": {"format": {"rate": 5}}}},
        {"modalities": ["audio"]},
    ],
)
def test_a_rate_that_is_none_leaves_the_one_asked_for(session: dict[str, Any]) -> None:
    decoder = Decoder(16000)
    read(
        decoder, message("session.updated", session=session), message("response.created", response={"id": R})
    )
    (delta,) = read(decoder, audio(b"ab"))
    assert isinstance(delta, AudioDelta)
    assert delta.sample_rate == 16000
    assert not decoder.creates_responses


def test_a_sample_cut_in_two_is_put_together() -> None:
    decoder = begun()
    events = read(decoder, audio(b"a"), audio(b"bcd"), audio(b"e", item_id=None), audio(b"f", item_id=None))
    assert [each.pcm for each in events if isinstance(each, AudioDelta)] == [b"abcd"[:4], b"ef"]
    assert decoder.sound_ms(I) == pytest.approx(4 / 2 / 24)


@pytest.mark.parametrize(
    ("error", "code", "event_id", "text"),
    [
        ({"message": "No.", "code": "bad", "event_id": "e7"}, "bad", "e7", "No."),
        ({"message": None, "code": 5, "event_id": 6}, None, None, "no more is said"),
        ({"message": "x\n" * 1000}, None, None, "x x x"),
    ],
)
def test_errors_are_for_the_client_to_judge(
    error: dict[str, Any], code: str | None, event_id: str | None, text: str
) -> None:
    (refusal,) = read(Decoder(), message("error", error=error))
    assert isinstance(refusal, Refusal)
    assert (refusal.error.server_code, refusal.error.event_id) == (code, event_id)
    assert text in str(refusal.error)
    assert len(str(refusal.error)) < 400


def test_a_session_that_has_expired_has_ended() -> None:
    assert read(Decoder(), message("error", error={"code": "session_expired"})) == [SessionEnded("expired")]


@pytest.mark.parametrize("status", ["failed", "incomplete"])
@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"error": {"code": "rate_limit", "message": "Too much."}}, "Too much."),
        ({"reason": "max_output_tokens"}, "max_output_tokens"),
        (None, "no more is said"),
        ({"error": 5}, "no more is said"),
    ],
)
def test_a_response_that_fails_says_why_and_is_done(status: str, details: Any, why: str) -> None:
    events = read(begun(), done(status, status_details=details))
    report, end = events
    assert isinstance(report, ErrorReported)
    assert report.recoverable
    assert isinstance(report.error, RealtimeServerError)
    assert why in str(report.error)
    assert end == AssistantDone("", R)


def test_words_of_a_response_are_said_again_at_its_end() -> None:
    content = [{"type": "audio", "transcript": "One."}, {"type": "text", "text": "Two."}, {"text": 5}, 6]
    output = [{"type": "message", "content": content}, {"type": "message", "content": None}, 7]
    assert read(begun(), done(output=output)) == [AssistantDone("One.\nTwo.", R)]


# -- order ---------------------------------------------------------------------------------------------------


def test_what_belongs_to_no_response_is_dropped() -> None:
    decoder = Decoder()
    late = [
        audio(b"ab"),
        message("response.output_audio.done", response_id=R),
        message("response.output_text.delta", response_id=R, delta="x"),
        message("response.output_audio_transcript.delta", response_id=R, delta="x"),
        message("response.output_item.added", response_id=R, item=call_item()),
        message("response.function_call_arguments.done", response_id=R, call_id="c", arguments="{}"),
        message("response.output_item.done", response_id=R, item=call_item()),
        done(),
    ]
    assert read(decoder, *late) == []
    assert decoder.stale == len(late)
    assert decoder.malformed == 0


def test_a_response_begins_and_ends_once() -> None:
    decoder = begun()
    again = message("response.created", response={"id": R})
    assert read(decoder, again, done(), done()) == [AssistantDone("", R)]
    assert decoder.stale == 2
    assert not decoder.responding


def test_nothing_comes_of_a_cancelled_response_but_its_end() -> None:
    decoder = begun()
    decoder.cancelled()
    output = [{"type": "message", "content": [{"text": "a"}]}, call_item()]
    events = read(decoder, audio(b"ab"), done("completed", output, usage={"total_tokens": 1}))
    assert events == [UsageReported({"total_tokens": 1}, None, R), AssistantDone("a", R, cancelled=True)]
    assert decoder.stale == 1


def test_a_response_cancelled_by_the_server_is_told_as_such() -> None:
    assert read(begun(), done("cancelled")) == [AssistantDone("", R, cancelled=True)]


def test_few_responses_are_remembered() -> None:
    decoder = Decoder()
    read(decoder, *[message("response.created", response={"id": f"r{n}"}) for n in range(20)])
    assert read(decoder, message("response.done", response={"id": "r0"})) == []
    assert len(read(decoder, message("response.done", response={"id": "r19"}))) == 1


def test_what_was_not_heard_is_cut_behind_it_too() -> None:
    decoder = begun()
    read(decoder, *[audio(bytes(48 * 100), item_id=name) for name in "abcb"])  # b comes in two parts
    assert decoder.cut("unknown", 0) == []
    assert decoder.cut("b", 150) == [("b", 150), ("c", 0)]
    assert decoder.cut("b", 150) == []
    assert decoder.cut("a", -5) == [("a", 0), ("b", 0)]
    assert decoder.cut("c", 10**6) == []


def test_sound_of_few_messages_is_remembered() -> None:
    decoder = begun()
    read(decoder, *[audio(b"ab", item_id=f"i{n}") for n in range(200)])
    assert decoder.sound_ms("i0") == 0
    assert decoder.sound_ms("i199") > 0


# -- tool calls ----------------------------------------------------------------------------------------------

ADDED = message(
    "response.output_item.added", response_id=R, item=call_item(arguments="", status="in_progress")
)
ARGUMENTS = message("response.function_call_arguments.done", response_id=R, call_id="c", arguments="{}")
ITEM = message("response.output_item.done", response_id=R, item=call_item())
CALLED = ToolCalled("c", "t", "{}", R)


@pytest.mark.parametrize(
    "messages",
    [
        [ADDED, ARGUMENTS, ITEM, done(output=[call_item()])],
        [ITEM, ITEM, done()],
        [done(output=[call_item()])],
        [ADDED, ARGUMENTS, done()],
        [{**ARGUMENTS, "name": "t"}, done()],
        [ARGUMENTS, done(output=[call_item()])],
        [ADDED, done(output=[call_item(), call_item()])],
    ],
)
def test_a_call_is_told_once_however_it_is_said(messages: list[dict[str, Any]]) -> None:
    assert [each for each in read(begun(), *messages) if isinstance(each, ToolCalled)] == [CALLED]


@pytest.mark.parametrize(
    "messages",
    [
        [ADDED, ARGUMENTS, done("cancelled")],
        [ADDED, message("response.output_item.done", response_id=R, item=call_item(status="incomplete"))],
        [ADDED, done(output=[call_item(status="incomplete")])],
        [ARGUMENTS, done()],
        [ADDED, done()],
        [message("response.output_item.added", response_id=R, item={"type": "message"}), done()],
        [message("response.output_item.done", response_id=R, item={"type": "message"}), done()],
        [message("response.output_item.added", response_id=R, item={"type": "function_call"}), done()],
    ],
)
def test_a_call_that_was_cut_off_is_not_told(messages: list[dict[str, Any]]) -> None:
    assert not any(isinstance(each, ToolCalled) for each in read(begun(), *messages))


def test_calls_without_id_name_or_arguments_are_malformed_and_the_rest_stands() -> None:
    decoder = begun()
    output = [call_item(call_id=None), call_item(name=5), call_item(arguments=None), call_item()]
    events = read(decoder, done(output=output))
    assert [type(each) for each in events] == [ErrorReported] * 3 + [ToolCalled, AssistantDone]
    assert decoder.malformed == 3


def test_calls_of_a_response_are_bounded() -> None:
    decoder = begun()
    items = [call_item(call_id=f"c{n}") for n in range(300)]
    events = read(
        decoder, *[message("response.output_item.done", response_id=R, item=each) for each in items]
    )
    assert len(events) == 128
    assert decoder.stale == 172


# -- garbage -------------------------------------------------------------------------------------------------


def test_noise_is_counted_and_reported_in_bounds() -> None:
    decoder = begun()
    events: list[Decoded] = []
    for data in NOISE:
        events += decoder.receive(data)
    assert {type(each) for each in events} == {ErrorReported}
    assert all(
        isinstance(each.error, RealtimeReplyError) for each in events if isinstance(each, ErrorReported)
    )
    assert len(events) == MAX_REPORTED
    assert decoder.malformed > MAX_REPORTED
    assert decoder.ignored == 1
    assert read(decoder, audio(b"ab")) == [AudioDelta(b"ab", 24000, R, I)]


def test_a_report_holds_no_more_than_the_kind_of_a_message() -> None:
    (report,) = read(begun(), message("response.audio.delta", response_id=R, delta=["sk-secret"]))
    assert isinstance(report, ErrorReported)
    assert "sk-secret" not in repr(report)
    assert len(str(report.error)) < 300


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
FIELDS = (
    "id item response response_id call_id delta status output arguments name session audio error content "
    "usage type transcript item_id"
)
KNOWN = st.sampled_from(FIELDS.split())
VALUES = SCALARS | st.sampled_from([R, "function_call", "completed", "cancelled", "YWI="])
JSON = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN, inner, max_size=5),
    max_leaves=12,
)
KINDS = st.sampled_from([*_HANDLERS, "rate_limits.updated"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(KINDS, st.dictionaries(KNOWN, JSON, max_size=6)), max_size=12), st.integers(0, 12))
def test_nothing_makes_it_raise_and_order_holds(
    messages: list[tuple[str, dict[str, Any]]], cancel_at: int
) -> None:
    decoder = Decoder()
    open_responses: set[str | None] = set()
    calls: set[tuple[str | None, str | None]] = set()
    for number, (kind, fields) in enumerate(messages):
        if number == cancel_at:
            decoder.cancelled()
        for event in decoder.receive(json.dumps({**fields, "type": kind})):
            if isinstance(event, AssistantStarted):
                assert event.response_id not in open_responses
                open_responses.add(event.response_id)
            elif isinstance(event, AssistantDone):
                assert event.response_id in open_responses
                open_responses.remove(event.response_id)
                calls = {each for each in calls if each[0] != event.response_id}
            elif isinstance(event, AudioDelta | AudioDone | AssistantDelta | UsageReported):
                assert event.response_id in open_responses
            elif isinstance(event, ToolCalled):
                assert event.response_id in open_responses
                assert (event.response_id, event.call_id) not in calls
                calls.add((event.response_id, event.call_id))
    assert decoder.responding == bool(open_responses)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything_at_all_is_taken(data: bytes | str) -> None:
    Decoder().receive(data)
