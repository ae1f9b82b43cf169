"""Streams that do not start, or start while another thread is kept in PortAudio or the program ends."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from avatarkit_rtc.audio import Microphone, Speaker, portaudio
from avatarkit_rtc.audio import microphone as microphone_module
from avatarkit_rtc.audio import speaker as speaker_module
from avatarkit_rtc.audio.release import unfinished
from avatarkit_rtc.audio.streams import open_stream, start_stream
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


class End:
    """The end of the interpreter, as far as sound goes; and what is called on streams."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sounddevice: Any = SimpleNamespace(_initialized=1, _last_callback=None)
        self.calls: list[str] = []
        self.starts = threading.Event()
        self.go_on = threading.Event()
        start, abort = Stream.start, Stream.abort

        def slow_start(stream: Stream) -> None:
            self.calls.append("start")
            self.starts.set()
            self.go_on.wait(30.0)
            start(stream)
            self.calls.append("started")

        def noted_abort(stream: Stream, ignore_errors: bool = True) -> None:
            self.calls.append("abort")
            abort(stream)

        monkeypatch.setattr(Stream, "start", slow_start)
        monkeypatch.setattr(Stream, "abort", noted_abort)
        # Of its own, so that the process goes on afterwards.
        monkeypatch.setattr(portaudio, "PORTAUDIO_LOCK", threading.RLock())
        monkeypatch.setattr(portaudio, "_streams", weakref.WeakSet())
        monkeypatch.setattr(portaudio, "_ending", threading.Event())

    def run(self) -> None:
        portaudio._before_the_end(self.sounddevice)


def opened_output() -> Any:
    return open_stream(
        "output",
        None,
        sample_rate=48000,
        channels=1,
        latency=0.06,
        callback=lambda *_: None,
        finished=lambda: None,
    )


def test_the_end_waits_for_a_stream_that_is_being_started(
    sound: FakeSound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PortAudio aborts the process where a stream is aborted inside its start."""
    monkeypatch.setattr(portaudio, "_EXIT_S", 30.0)
    end, opened = End(monkeypatch), opened_output()
    starting = threading.Thread(target=start_stream, args=(opened, "output"))
    ending = threading.Thread(target=end.run)
    starting.start()
    assert end.starts.wait(10.0)
    ending.start()
    ending.join(0.1)
    assert end.calls == ["start"]
    end.go_on.set()
    starting.join()
    ending.join(30.0)
    assert end.calls[:3] == ["start", "started", "abort"]
    assert sound.open_streams() == []
    assert end.sounddevice._initialized == 1


def test_the_end_leaves_a_start_that_hangs_alone(sound: FakeSound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "_EXIT_S", 0.05)
    end, opened = End(monkeypatch), opened_output()
    starting = threading.Thread(target=start_stream, args=(opened, "output"))
    starting.start()
    assert end.starts.wait(10.0)
    end.run()
    assert end.calls == ["start"]
    assert end.sounddevice._initialized == 0, "PortAudio would close it"
    end.go_on.set()
    starting.join()
    opened.stream.close()


def test_nothing_is_started_once_the_end_has_begun(sound: FakeSound, monkeypatch: pytest.MonkeyPatch) -> None:
    end, opened = End(monkeypatch), opened_output()
    end.run()
    with pytest.raises(AudioDeviceError, match="about to end"):
        start_stream(opened, "output")
    assert "start" not in end.calls
    wait(lambda: opened.stream.closed, "the stream closed")
