"""Which streams there are in the process, without looking through all its objects each time."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import weakref
from types import ModuleType
from typing import Any

import pytest

from avatarkit_rtc.audio import portaudio
from avatarkit_rtc.audio.portaudio import load_sounddevice, open_streams
from avatarkit_rtc.audio.streams import foreign_stream_open
from avatarkit_rtc.errors import AudioDeviceError
from tests.support.command import Child, clean_environment
from tests.support.pulse import PulseServer


@pytest.fixture
def sounddevice(monkeypatch: pytest.MonkeyPatch) -> Any:
    """In sounddevice's place, as if the program had imported it before."""

    class _StreamBase:
        def __init__(self, *, fails: bool = False) -> None:
            self.closed = False  # as in sounddevice, whose pointer is there before PortAudio is called
            if fails:
                raise RuntimeError("device unavailable")

    class OutputStream(_StreamBase):
        def __init__(self, **options: bool) -> None:
            _StreamBase.__init__(self, **options)

    module: Any = ModuleType("sounddevice")
    module._StreamBase, module.OutputStream = _StreamBase, OutputStream
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr(portaudio, "_streams", weakref.WeakSet())
    return module


def test_streams_of_before_and_of_later_are_known(sounddevice: Any) -> None:
    older = sounddevice.OutputStream()
    load_sounddevice()
    later = sounddevice.OutputStream()
    with pytest.raises(RuntimeError) as failed:
        sounddevice.OutputStream(fails=True)
    assert set(open_streams()) == {older, later}
    del failed  # its traceback has kept the stream that failed
    assert foreign_stream_open()
    older.closed = True
    assert open_streams() == [later]
    del later
    gc.collect()
    assert open_streams() == []
    assert not foreign_stream_open()


def test_the_objects_of_the_process_are_looked_through_once(
    sounddevice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    real = gc.get_objects
    monkeypatch.setattr(gc, "get_objects", lambda: looks.append(1) or real())
    for _ in range(5):
        load_sounddevice()
        foreign_stream_open()
    assert len(looks) == 1
    made = sounddevice._StreamBase.__init__
    load_sounddevice()
    assert sounddevice._StreamBase.__init__ is made


def test_a_real_stream_of_the_program_itself_is_known(pulse: PulseServer) -> None:
    out = pulse.run(
        """
import gc
gc.get_objects = None  # not needed where the package is there first
from avatarkit_rtc.audio import portaudio
from avatarkit_rtc.audio.portaudio import load_sounddevice, open_streams
from avatarkit_rtc.audio.streams import refresh_devices
sd = load_sounddevice()
own = sd.OutputStream(device="pulse", channels=1)
print(open_streams() == [own], refresh_devices())
own.close()
print(open_streams(), refresh_devices())
""",
        sink="speaker",
    )
    assert out.splitlines() == ["True False", "[] True"]


def test_another_thread_s_call_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "PATIENCE_S", 0.05)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with portaudio.PORTAUDIO_LOCK:
            held.set()
            done.wait(30.0)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10.0)
        with pytest.raises(AudioDeviceError, match="has not answered"):
            load_sounddevice()
    finally:
        done.set()
        holder.join()


def test_a_program_with_an_open_microphone_ends_while_the_sound_server_hangs(portaudio: None) -> None:
    program = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
import sounddevice
from avatarkit_rtc.audio import Microphone
microphone = Microphone("default")
microphone.start()
own = sounddevice.InputStream(device="default", channels=1)
own.start()
print("ready", flush=True)
signal.sigwait([signal.SIGUSR1])
print("over", flush=True)
"""
    with PulseServer("card") as pulse:
        env = {**clean_environment(), **pulse.env(sink="card", source="card.monitor")}
        with Child([sys.executable, "-c", program], env=env) as child:
            child.wait_for("ready")
            os.kill(pulse.pid, signal.SIGSTOP)
            try:
                child.signal(signal.SIGUSR1)
                child.wait_for("over")
                assert child.finish(20.0).code == 0  # PulseAudio's own time limits are 30 s
            finally:
                os.kill(pulse.pid, signal.SIGCONT)
