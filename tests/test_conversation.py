from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatarkit_rtc.conversation import MAX_TEXT, MAX_TURNS, Conversation
from avatarkit_rtc.events import ClientEvent, Transcript


def say(conversation: Conversation, message: Any, sender: str = "worker:1") -> list[Transcript | ClientEvent]:
    return conversation.receive(json.dumps(message).encode(), sender)


def piece(role: str, turn: int, text: str) -> dict[str, Any]:
    return {"type": "transcription", "role": role, "turn": turn, "text": text}


def test_pieces_of_a_turn_are_put_together_and_the_next_turn_of_the_role_ends_it() -> None:
    talk = Conversation()
    assert say(talk, piece("assistant", 1, "Good ")) == [
        Transcript("assistant-1", "Good ", False, "assistant", 1, "Good ", "worker:1")
    ]
    assert say(talk, piece("assistant", 1, "day")) == [
        Transcript("assistant-1", "Good day", False, "assistant", 1, "day", "worker:1")
    ]
    assert [each.id for each in say(talk, piece("user", 2, "Hi"))] == ["user-2"]
    ended, begun = say(talk, piece("assistant", 3, "How"), "worker:2")
    assert ended == Transcript("assistant-1", "Good day", True, "assistant", 1, "", "worker:1")
    assert begun == Transcript("assistant-3", "How", False, "assistant", 3, "How", "worker:2")
    assert len(say(talk, piece("assistant", 4, ""))) == 2  # each turn ends once


def test_a_piece_without_role_and_turn_is_the_assistants() -> None:
    (found,) = say(Conversation(), {"type": "transcription", "text": "Hm", "turn": True})
    assert found == Transcript("assistant-0", "Hm", False, "assistant", 0, "Hm", "worker:1")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda segments: {"segments": segments},
        lambda segments: {"type": "transcription", "segments": segments},
        lambda segments: {"type": "transcript", "segments": segments},
        lambda segments: {"type": "voice_transcript", "data": {"segments": segments}},
    ],
)
def test_segments_have_whole_texts(wrap: Any) -> None:
    talk = Conversation()
    first = [
        {"id": "a", "text": "I thi", "final": False},
        {"id": 5, "text": "no"},
        "no",
        {"id": "b", "text": "x"},
    ]
    assert say(talk, wrap(first), "avatar") == [
        Transcript("a", "I thi", False, None, None, "I thi", "avatar"),
        Transcript("b", "x", True, None, None, "x", "avatar"),
    ]
    more = [{"id": "a", "text": "I think", "final": True, "participantIdentity": "ann", "role": "user"}]
    assert say(talk, wrap(more), "avatar") == [Transcript("a", "I think", True, "user", None, "nk", "ann")]
    changed = [{"id": "a", "text": "A sink", "final": True}]
    assert say(talk, wrap(changed))[0].delta == "A sink"  # type: ignore[union-attr]


def test_client_events_come_as_sent_and_what_acknowledges_them_does_not() -> None:
    talk = Conversation()
    assert say(talk, {"type": "client_event", "tool": "show", "args": {"page": 3}}) == [
        ClientEvent("show", {"page": 3}, "worker:1")
    ]
    for nothing in (
        {"type": "client_event", "tool": "show", "args": {"status": "event_sent"}},
        {"type": "client_event", "tool": 3, "args": {}},
        {"type": "client_event", "tool": "show", "args": None},
        {"type": "client_event", "tool": "show"},
    ):
        assert say(talk, nothing) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\x00",
        b"[1]",
        b"{",
        b'{"type": "END_CALL"}',
        b'{"type": ["x"], "segments": [1]}',
        b"[" * 100_000,
    ],
)
def test_other_messages_and_rubbish_say_nothing(data: bytes) -> None:
    assert Conversation().receive(data, "x") == []


def test_what_is_remembered_is_bounded() -> None:
    talk = Conversation()
    for _ in range(4):
        (found,) = say(talk, piece("user", 1, "y" * (MAX_TEXT // 2)))
    assert isinstance(found, Transcript)
    assert len(found.text) == MAX_TEXT
    assert len(found.delta) == MAX_TEXT // 2
    for k in range(2 * MAX_TURNS):
        say(talk, {"segments": [{"id": f"s{k}", "text": "z"}]})
    assert len(talk._texts) == MAX_TURNS
    talk.reset()
    assert not talk._texts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "segments", "data", "text", "id", "role", "turn", "tool", "args", "final"]
            ),
            inner | st.sampled_from(["transcription", "client_event"]),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=5))
def test_nothing_makes_it_raise(messages: list[Any]) -> None:
    talk = Conversation()
    for message in messages:
        for found in say(talk, message):
            assert isinstance(found, Transcript | ClientEvent)
