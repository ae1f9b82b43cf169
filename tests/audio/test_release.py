"""Streams that do not let themselves be closed keep nobody but their own threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from avatarkit_rtc.audio import release as module
from avatarkit_rtc.audio.portaudio import PORTAUDIO_LOCK
from avatarkit_rtc.audio.release import close_stream, release_stream, unfinished


class Stream:
    """A stream whose calls come back when they are let."""

    def __init__(self, go_on: threading.Event, *, hangs_in: str = "") -> None:
        self.go_on, self.hangs_in = go_on, hangs_in
        self.calls: list[str] = []
        self.closed = False

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.hangs_in:
            self.go_on.wait()

    def abort(self, ignore_errors: bool) -> None:
        self._call("abort")

    def close(self, ignore_errors: bool) -> None:
        self._call("close")
        if self.hangs_in == "broken":
            raise RuntimeError("a driver")
        self.go_on.wait(0.05)  # it takes its time
        self.closed = True


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()
    wait(lambda: not unfinished(), "all streams closed")


def wait(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.005)


def lock_is_free() -> bool:
    taken = PORTAUDIO_LOCK.acquire(timeout=10.0)
    if taken:
        PORTAUDIO_LOCK.release()
    return taken


def assert_closed_before_it_returns(stream: Stream) -> None:
    begin = time.monotonic()
    close_stream(stream)
    # A machine that stands still for so long lets it return before.
    assert stream.closed or time.monotonic() - begin >= module.ABANDON_S
    wait(lambda: stream.closed, "the stream closed")
    assert stream.calls == ["abort", "close"]


def test_a_stream_is_aborted_and_closed_before_it_returns(go_on: threading.Event) -> None:
    assert_closed_before_it_returns(Stream(go_on))


@pytest.mark.parametrize("hangs_in", ["abort", "close"])
def test_one_that_hangs_is_left_alone_and_keeps_no_lock(
    go_on: threading.Event, hangs_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABANDON_S", 0.3)
    stream, told = Stream(go_on, hangs_in=hangs_in), threading.Event()
    release = release_stream(stream, told.set)
    assert not release.wait()
    assert release.over(time.monotonic())
    assert lock_is_free()
    assert release in unfinished()
    # Whoever comes later does not wait once more.
    monkeypatch.setattr(module, "ABANDON_S", 30.0)
    release._begun = (begin := time.monotonic()) - 30.0
    assert not release.wait(30.0)
    assert time.monotonic() - begin < 15.0
    go_on.set()
    assert told.wait(10.0)
    assert release.finished
    assert stream.calls == ["abort", "close"]


def test_many_that_hang_keep_few_threads_and_are_all_closed_in_the_end(go_on: threading.Event) -> None:
    before = threading.active_count()
    streams = [Stream(go_on, hangs_in="abort") for _ in range(30)]
    for stream in streams:
        release_stream(stream)
    wait(lambda: sum(bool(stream.calls) for stream in streams) == module._THREADS, "all threads at work")
    assert threading.active_count() <= before + module._THREADS
    go_on.set()
    wait(lambda: all(stream.calls == ["abort", "close"] for stream in streams), "all closed")


def test_a_driver_that_raises_harms_nobody(go_on: threading.Event) -> None:
    close_stream(Stream(go_on, hangs_in="broken"))
    assert_closed_before_it_returns(Stream(go_on))


@pytest.mark.parametrize("hangs_in", ["abort", "close"])
def test_a_stream_that_is_being_closed_is_not_closed_again(go_on: threading.Event, hangs_in: str) -> None:
    stream, told, told_too = Stream(go_on, hangs_in=hangs_in), threading.Event(), threading.Event()
    release = release_stream(stream, told.set)
    wait(lambda: hangs_in in stream.calls, "the call that hangs")
    assert release_stream(stream, told_too.set) is release
    go_on.set()
    assert told.wait(10.0)
    assert told_too.wait(10.0)
    assert stream.calls == ["abort", "close"]


@pytest.mark.parametrize("refused", [{"sound release", "sound closes"}, {"sound closes"}])
def test_where_no_thread_can_be_started_it_is_closed_all_the_same(
    go_on: threading.Event, monkeypatch: pytest.MonkeyPatch, refused: set[str]
) -> None:
    """As when Python 3.12.0 ends."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name in refused:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert_closed_before_it_returns(Stream(go_on))
        wait(lambda: not unfinished(), "nothing left")
    for _ in range(module._THREADS + 1):
        assert_closed_before_it_returns(Stream(go_on))
