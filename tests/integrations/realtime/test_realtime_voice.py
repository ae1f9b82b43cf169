"""The model's voice: when it is heard, interrupting it, and what the provider is told was heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.integrations.realtime import Heard, OutputEnded, OutputLevel, OutputStarted
from avatarkit_rtc.integrations.realtime.events import (
    AssistantDone,
    AssistantStarted,
    AudioDelta,
    AudioDone,
    SpeechStarted,
)
from avatarkit_rtc.integrations.realtime.output import OutputListener
from tests.integrations.realtime.conftest import Session
from tests.support.realtime import refused, settle

Run = Callable[..., Any]


def sound(seconds: float, level: float = 0.5, item: str = "i", response: str = "r") -> AudioDelta:
    pcm = np.full(round(seconds * 24000), round(level * 32768), "<i2").tobytes()
    return AudioDelta(pcm, 24000, response, item)


def test_speech_that_comes_in_a_burst_is_told_in_its_own_time(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        loop, times = asyncio.get_running_loop(), {}
        for name in ("tts:audio:start", "tts:audio:end"):
            its.manager.on(name, lambda _, name=name: times.setdefault(name, loop.time()))
        began = loop.time()
        its.client.tell(AssistantStarted("r"), *[sound(0.5)] * 4, AudioDone("r", "i"), AssistantDone("", "r"))
        assert its.manager.get_state().response.status == "completed"
        await asyncio.sleep(1.0)
        assert its.manager.get_state().audio_playing  # goes on after its response
        await asyncio.sleep(5.0)
        assert times["tts:audio:start"] - began == pytest.approx(0.0, abs=0.001)
        assert times["tts:audio:end"] - began == pytest.approx(2.0, abs=0.001)
        levels = [each.rms for each in its.trace.of("tts:lipsync:update")]
        assert levels == pytest.approx([0.5] * 100)
        assert not its.manager.get_state().audio_playing
        await its.manager.stop_session()

    run(main())


def test_the_user_speaks_into_it(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.tell(AssistantStarted("r"), sound(2.0))
        await asyncio.sleep(0.5)
        its.trace.clear()
        its.client.tell(SpeechStarted("u"))
        assert its.trace.names == ["tts:audio:end", "realtime:state", "realtime:user:speech:start"]
        state = its.manager.get_state()
        assert (state.response.status, state.audio_playing) == ("interrupted", False)
        await settle()
        ((method, (item_id, played_ms)),) = its.client.calls
        assert (method, item_id, played_ms) == ("interrupt", "i", pytest.approx(500, abs=25))
        its.trace.clear()
        its.client.tell(sound(1.0), AudioDone("r", "i"), AssistantDone("", "r"))  # late
        await asyncio.sleep(5.0)
        assert its.trace.names == []
        await its.manager.stop_session()

    run(main())


def test_a_provider_that_cannot_be_told_is_only_logged(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.plan("interrupt", error=refused())
        its.client.tell(sound(2.0), SpeechStarted("u"))
        await settle()
        assert its.lines.of("Realtime interruption not told")
        await its.manager.stop_session()

    run(main())


def test_interrupting(run: Run) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.tell(AssistantStarted("r"), sound(2.0))
        await asyncio.sleep(0.5)
        await its.manager.interrupt()
        assert its.client.calls == [("interrupt", ("i", pytest.approx(500, abs=25)))]
        assert its.manager.get_state().response.status == "interrupted"
        await its.manager.interrupt()  # nothing is heard: nothing to forget
        assert its.client.calls[1:] == [("interrupt", (None, None))]
        await its.manager.stop_session()

    run(main())


@pytest.mark.parametrize("end", ["stop", "loss"])
def test_it_is_silent_when_the_session_stops_or_is_lost(run: Run, end: str) -> None:
    async def main() -> None:
        its = await Session().started()
        its.client.tell(AssistantStarted("r"), sound(2.0))
        await asyncio.sleep(0.5)
        its.trace.clear()
        if end == "loss":
            its.client.lose()
        else:
            await its.manager.stop_session()
        assert its.trace.names[:2] == ["tts:audio:end", "realtime:state"]
        await asyncio.sleep(5.0)
        assert "tts:lipsync:update" not in its.trace.names
        await its.manager.stop_session()

    run(main())


class Output:
    """An output of somebody else's."""

    def __init__(self) -> None:
        self.did: list[Any] = []
        self.listener: OutputListener | None = None

    def set_listener(self, listener: OutputListener | None) -> None:
        self.listener = listener

    def play(self, audio: AudioDelta) -> None:
        self.did.append(audio)
        if len(audio.pcm) == 2:
            raise ValueError("broken output")

    def end(self) -> None:
        self.did.append("end")

    def flush(self) -> Heard | None:
        self.did.append("flush")
        return Heard("i", 40)


def test_an_output_of_ones_own(run: Run) -> None:
    async def main() -> None:
        output = Output()
        its = await Session(audio_output=output).started()
        audio = sound(0.1)
        its.client.tell(audio, AudioDone("r", "i"))
        assert output.did == [audio, "end"]
        assert output.listener is not None
        its.trace.clear()
        for event in (OutputStarted(), OutputLevel(0.25), OutputEnded()):
            output.listener(event)
        assert its.trace.but("realtime:state") == ["tts:audio:start", "tts:lipsync:update", "tts:audio:end"]
        await its.manager.interrupt()
        assert its.client.calls == [("interrupt", ("i", 40))]
        await its.manager.aclose()
        assert output.listener is None

    run(main())


def test_an_output_that_raises_keeps_nothing_else_from_happening(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        its = await Session(audio_output=Output()).started()
        its.client.tell(AudioDelta(b"\0\0", 24000, "r"), AssistantDone("hello", "r"))
        assert its.trace.names[-2:] == ["realtime:assistant:done", "realtime:state"]
        assert "PlayAudio failed" in caplog.text
        await its.manager.stop_session()

    run(main())
