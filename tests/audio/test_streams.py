"""Streams that open and do not start, or start while another thread is kept in PortAudio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from avatarkit_rtc.audio import Microphone, Speaker, portaudio
from avatarkit_rtc.audio import microphone as microphone_module
from avatarkit_rtc.audio import speaker as speaker_module
from avatarkit_rtc.audio.release import unfinished
from avatarkit_rtc.errors import AudioDeviceError
from tests.support.fake_sound import Card, FakeSound, PortAudioError, Stream


def wait(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.005)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    return FakeSound([Card("USB", inputs=1)]).install(monkeypatch)


@pytest.mark.parametrize("make", [Speaker, Microphone])
def test_a_stream_that_does_not_start_is_closed_once(
    sound: FakeSound, monkeypatch: pytest.MonkeyPatch, make: type[Speaker] | type[Microphone]
) -> None:
    """PortAudio frees it when it is closed, so a second time would free it again."""
    closed: list[Stream] = []

    def start(stream: Stream) -> None:
        raise PortAudioError("Error starting stream: Wait timed out", -9987)

    def close(stream: Stream, ignore_errors: bool = True) -> None:
        closed.append(stream)
        stream.closed = True

    monkeypatch.setattr(Stream, "start", start)
    monkeypatch.setattr(Stream, "close", close)
    device = make()
    with pytest.raises(AudioDeviceError, match="Wait timed out"):
        device.start()
    device.close()
    wait(lambda: not unfinished(), "everything closed")
    assert closed == sound.streams
    assert len(closed) == 1


@pytest.mark.parametrize(
    ("make", "module"), [(Speaker, speaker_module), (Microphone, microphone_module)], ids=["output", "input"]
)
def test_an_open_stream_starts_while_another_thread_is_kept_in_portaudio(
    sound: FakeSound,
    monkeypatch: pytest.MonkeyPatch,
    make: type[Speaker] | type[Microphone],
    module: Any,
) -> None:
    monkeypatch.setattr(portaudio, "PATIENCE_S", 0.05)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with portaudio.PORTAUDIO_LOCK:
            held.set()
            done.wait(30.0)

    holder, real = threading.Thread(target=hold), module.open_stream

    def open_stream(*args: Any, **options: Any) -> Any:
        opened = real(*args, **options)
        holder.start()
        assert held.wait(10.0)
        return opened

    monkeypatch.setattr(module, "open_stream", open_stream)
    device = make()
    try:
        device.start()
        assert sound.streams[0].active
    finally:
        done.set()
        holder.join()
        device.close()
    wait(lambda: not sound.open_streams(), "the stream closed")
