"""AvatarSpeech and workers of all kinds: plain participants of a real room that do well or badly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from livekit import rtc

from avatarkit_rtc.audio.sources import SourceReader, open_source
from avatarkit_rtc.errors import (
    AvatarTimeoutError,
    ConfigurationError,
    NotConnectedError,
    PublishError,
)
from avatarkit_rtc.integrations.agents import AvatarSpeech, PlaybackFinished
from avatarkit_rtc.integrations.agents import speech as speech_module
from avatarkit_rtc.integrations.agents.playback import parse_finished
from avatarkit_rtc.integrations.agents.speech import CLEAR_TIMEOUT_S, REPORT_TIMEOUT_S
from tests.support.livekit import LiveKitServer, until
from tests.support.room_peer import Peer

RATE = 24000
AVATAR = "some-avatar-agent"
SECOND = np.zeros(RATE, np.int16)


class PlainWorker(Peer):
    """Takes streams; says only what it is told to."""

    def __init__(self, server: LiveKitServer, room_name: str, identity: str = AVATAR) -> None:
        super().__init__(server, room_name, identity)
        self.streams: list[tuple[dict[str, Any], bytearray, list[bool]]] = []
        self.cleared = 0
        self._reached = False
        self._reading: list[asyncio.Task[None]] = []

    def listen(self) -> None:
        self.room.register_byte_stream_handler("lk.audio_stream", self._on_stream)
        self.room.local_participant.register_rpc_method("lk.clear_buffer", self._on_clear)

    def _on_stream(self, reader: rtc.ByteStreamReader, sender: str) -> None:
        data, ended = bytearray(), []
        info = reader.info
        self.streams.append(({"sender": sender, "name": info.name, **(info.attributes or {})}, data, ended))

        async def read() -> None:
            async for chunk in reader:
                data.extend(chunk)
            ended.append(True)

        self._reading.append(asyncio.create_task(read()))

    def _on_clear(self, call: rtc.RpcInvocationData) -> str:
        assert call.payload == ""
        self.cleared += 1
        return "ok"

    async def reach_speaker(self) -> None:
        """Until calls get there and back: on a busy machine what comes in the moment of joining is lost."""
        for _ in range(20):
            try:
                await self.room.local_participant.perform_rpc(
                    destination_identity="speaker", method="none", payload="", max_round_trip_latency=1.0
                )
            except rtc.RpcError as error:
                if error.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD:
                    return

    async def report(self, method: str, payload: Any = "") -> str:
        if not self._reached:
            await self.reach_speaker()
            self._reached = True
        said = payload if isinstance(payload, str) else json.dumps(payload)
        return await self.room.local_participant.perform_rpc(
            destination_identity="speaker", method=method, payload=said
        )

    async def finished(self, position: Any, interrupted: Any = False) -> str:
        return await self.report(
            "lk.playback_finished", {"playback_position": position, "interrupted": interrupted}
        )


@pytest.fixture
async def worker(livekit_server: LiveKitServer, room_name: str) -> AsyncIterator[PlainWorker]:
    async with PlainWorker(livekit_server, room_name) as worker:
        worker.listen()
        yield worker
        for reading in worker._reading:
            reading.cancel()


@pytest.fixture
async def speaker(
    livekit_server: LiveKitServer, join_token: Callable[..., str], worker: PlainWorker
) -> AsyncIterator[rtc.Room]:
    """Joins after the worker: the server takes 3 s to tell of one that comes later and publishes nothing."""
    room = rtc.Room()
    await room.connect(livekit_server.url, join_token("speaker"))
    yield room
    await room.disconnect()


def to_avatar(room: rtc.Room, **options: Any) -> AvatarSpeech:
    return AvatarSpeech(room, AVATAR, wait_for_video=False, **options)


async def test_a_stream_is_as_livekit_agents_sends_it(speaker: rtc.Room, worker: PlainWorker) -> None:
    sound = np.arange(4000, dtype=np.int16)
    async with to_avatar(speaker, sample_rate=16000) as speech:
        playback = await speech.say(sound, sample_rate=16000)
        await until(lambda: worker.streams and worker.streams[0][2], "the end of the stream")
        about, data, _ = worker.streams[0]
        assert about.pop("name").startswith("AUDIO_")
        assert about == {"sender": "speaker", "sample_rate": "16000", "num_channels": "1"}
        assert bytes(data) == sound.tobytes()
        assert await worker.report("lk.playback_started") == "ok"
        assert playback.started
        assert not playback.over
        assert await worker.finished(0.25) == "ok"
        assert playback.finished == PlaybackFinished(0.25, False)
        silent = await speech.say(np.zeros(0, np.int16), sample_rate=16000)
        assert await silent.wait() == PlaybackFinished(0.0, False, reported=False)
        assert len(worker.streams) == 1


async def test_strangers_are_rejected_and_rubbish_is_counted(
    speaker: rtc.Room, worker: PlainWorker, livekit_server: LiveKitServer, room_name: str
) -> None:
    async with to_avatar(speaker) as speech, PlainWorker(livekit_server, room_name, "stranger") as stranger:
        playback = await speech.say(SECOND, sample_rate=RATE)
        assert await stranger.finished(1.0) == "reject"
        assert await stranger.report("lk.playback_started") == "reject"
        for rubbish in ("", "[]", "{", {"playback_position": "1", "interrupted": False}):
            assert await worker.report("lk.playback_finished", rubbish) == "ok"
        assert speech.unexpected == 4
        assert not playback.started
        assert not playback.over
        await worker.finished(1.0)
        await worker.finished(1.0)
        await worker.report("lk.playback_started")
        assert (await playback.wait()).position_s == 1.0
        assert speech.unexpected == 6


async def test_a_worker_that_does_not_report_an_interruption_is_not_waited_for(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    assert CLEAR_TIMEOUT_S == 2.0
    async with to_avatar(speaker, clear_timeout_s=0.3) as speech:
        playback = await speech.say(SECOND, sample_rate=RATE)
        await asyncio.gather(speech.interrupt(), speech.interrupt())
        assert await playback.wait() == PlaybackFinished(None, True, reported=False)
        await until(lambda: worker.cleared, "the interruption")
        assert worker.cleared == 1
        # What it says of it later is not taken for the end of what comes then.
        other = await speech.say(SECOND, sample_rate=RATE)
        await worker.finished(0.1, True)
        assert not other.over
        await worker.finished(1.0)
        assert await other.wait() == PlaybackFinished(1.0, False)


async def test_a_worker_that_cannot_be_interrupted_is_not_waited_for(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    worker.room.local_participant.unregister_rpc_method("lk.clear_buffer")  # the call fails: 1400
    async with to_avatar(speaker, clear_timeout_s=60) as speech:
        playback = await speech.say(SECOND, sample_rate=RATE)
        await asyncio.wait_for(speech.interrupt(), 30)
        assert await playback.wait() == PlaybackFinished(None, True, reported=False)


async def test_a_worker_that_hangs_while_it_is_interrupted_is_not_waited_for(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    """The SDK alone would wait 8 s for its answer."""
    never = asyncio.Event()

    async def hang(_: rtc.RpcInvocationData) -> str:
        await never.wait()
        return "ok"

    worker.room.local_participant.register_rpc_method("lk.clear_buffer", hang)
    async with to_avatar(speaker, clear_timeout_s=0.1) as speech:
        playback = await speech.say(SECOND, sample_rate=RATE)
        await asyncio.wait_for(speech.interrupt(), 5)
        assert await playback.wait() == PlaybackFinished(None, True, reported=False)
        never.set()


async def test_what_has_not_begun_to_be_sent_can_be_interrupted(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    """A text-to-speech service that still thinks, say: nothing of it is heard."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def thinking() -> AsyncIterator[np.ndarray[Any, Any]]:
        asked.set()
        await go_on.wait()
        yield SECOND[:2400]

    async with to_avatar(speaker) as speech:
        saying = asyncio.create_task(speech.say(thinking(), sample_rate=RATE))
        await asked.wait()
        await speech.interrupt()
        playback = await asyncio.wait_for(saying, 20)
        assert await playback.wait() == PlaybackFinished(0.0, True, reported=False)
        assert (worker.streams, worker.cleared) == ([], 0)
        asked.clear()
        saying = asyncio.create_task(speech.say(thinking(), sample_rate=RATE))
        await asked.wait()
    assert (await asyncio.wait_for(saying, 20)).finished == PlaybackFinished(0.0, True, reported=False)


@pytest.mark.parametrize("end", ["closed", "worker gone"])
async def test_an_end_while_the_source_is_opened_is_none_to_miss(
    end: str, speaker: rtc.Room, worker: PlainWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the source then gives nothing."""
    opening, go_on = threading.Event(), threading.Event()

    def open_slowly(*arguments: Any, **options: Any) -> SourceReader:
        opening.set()
        go_on.wait(30)
        return open_source(*arguments, **options)

    async def silent() -> AsyncIterator[np.ndarray[Any, Any]]:
        await asyncio.Event().wait()
        yield SECOND

    monkeypatch.setattr(speech_module, "open_source", open_slowly)
    await worker.show()  # who publishes is seen to leave at once
    async with to_avatar(speaker) as speech:
        saying = asyncio.create_task(speech.say(silent(), sample_rate=RATE))
        await asyncio.to_thread(opening.wait, 30)
        if end == "closed":
            await speech.aclose()
        else:
            await worker.leave()
            await until(lambda: AVATAR not in speaker.remote_participants, "its leaving")
        go_on.set()
        playback = await asyncio.wait_for(saying, 20)
    assert playback.finished == PlaybackFinished(0.0, True, reported=False)


async def test_a_worker_that_does_not_report_the_end_is_not_waited_for(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    assert REPORT_TIMEOUT_S == 10.0
    async with to_avatar(speaker, report_timeout_s=0.1) as speech:
        playback = await speech.say(SECOND[: RATE // 10], sample_rate=RATE)
        end = await asyncio.wait_for(playback.wait(), 5)
        assert end == PlaybackFinished(None, False, reported=False)
        assert speech.pending == ()


async def test_what_was_reported_is_answered_before_the_room_is_left(
    livekit_server: LiveKitServer,
    join_token: Callable[..., str],
    worker: PlainWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """LiveKit Agents' worker plays nothing more after three reports that were not answered."""
    for name in ("_ANSWER_TIMEOUT_S", "_JUST_NOW_S"):  # as long as a slow machine takes
        assert getattr(speech_module, name) == 2.0
        monkeypatch.setattr(speech_module, name, 60.0)
    for number in range(3):
        room = rtc.Room()
        await room.connect(livekit_server.url, join_token("speaker"))
        async with to_avatar(room) as speech:
            playback = await speech.say(SECOND, sample_rate=RATE)
            await until(lambda: len(worker.streams) > number, "the stream")  # noqa: B023
            await worker.reach_speaker()
            report = asyncio.create_task(worker.finished(1.0))
            await playback.wait()
        await room.disconnect()
        assert await asyncio.wait_for(report, 20) == "ok"


async def test_a_report_that_came_late_or_twice_ends_nothing_else(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    """A worker that got no answer, of a program that broke off perhaps, reports again."""
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[np.ndarray[Any, Any]]:
        yield SECOND[:2400]
        await go_on.wait()

    async with to_avatar(speaker) as speech:
        long = await speech.say(np.zeros(20 * RATE, np.int16), sample_rate=RATE)
        assert await worker.finished(0.4) == "ok"
        assert not long.over
        await worker.finished(20.0)
        assert await long.wait() == PlaybackFinished(20.0, False)
        saying = asyncio.create_task(speech.say(slowly(), sample_rate=RATE))
        await until(lambda: speech.pending, "the first words")
        await worker.finished(20.0)  # nobody has said yet that this one ends
        assert speech.unexpected == 2
        go_on.set()
        slow = await saying
        assert not slow.over
        await worker.finished(0.1)
        assert await slow.wait() == PlaybackFinished(0.1, False)


async def test_a_worker_that_leaves_and_a_room_that_ends_end_what_is_said(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    await worker.show()  # who publishes is seen to leave at once
    async with to_avatar(speaker) as speech:
        playback = await speech.say(SECOND, sample_rate=RATE)
        await worker.leave()
        assert await asyncio.wait_for(playback.wait(), 10) == PlaybackFinished(None, True, reported=False)
        with pytest.raises(AvatarTimeoutError, match="not in the room"):
            await speech.start(timeout=0.2)
        waiting = asyncio.create_task(speech.say(SECOND, sample_rate=RATE))
        await asyncio.sleep(0.1)
        await speaker.disconnect()
        with pytest.raises(NotConnectedError):
            await asyncio.wait_for(waiting, 5)


async def test_it_waits_for_the_picture_and_says_what_is_missing(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    await until(lambda: AVATAR in speaker.remote_participants, "the worker")
    speech = AvatarSpeech(speaker, AVATAR)
    with pytest.raises(AvatarTimeoutError, match="no picture"):
        await speech.start(timeout=0.2)
    starting = asyncio.create_task(speech.start(timeout=10))
    await worker.show("camera")
    await starting
    await speech.aclose()
    await speech.aclose()
    with pytest.raises(NotConnectedError, match="closed"):
        await speech.say(SECOND, sample_rate=RATE)


async def test_one_at_a_time_and_wrong_arguments(speaker: rtc.Room, worker: PlainWorker) -> None:
    for option, value in (
        ("sample_rate", 24001),
        ("sample_rate", 4000),
        ("clear_timeout_s", -1.0),
        ("report_timeout_s", 61),
    ):
        with pytest.raises(ConfigurationError):
            AvatarSpeech(speaker, AVATAR, **{option: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        AvatarSpeech(speaker, "")
    with pytest.raises(NotConnectedError):
        await AvatarSpeech(rtc.Room(), AVATAR).start()
    async with to_avatar(speaker) as speech:
        with pytest.raises(ConfigurationError, match="is open"):
            await to_avatar(speaker).start()
        with pytest.raises(ConfigurationError, match="no sound source"):
            await speech.say(3)
        with pytest.raises(ConfigurationError, match="sample rate"):
            await speech.say(SECOND)
    async with to_avatar(speaker) as again:
        await again.say(SECOND, sample_rate=RATE)


async def test_a_source_that_fails_ends_the_stream_and_says_so(
    speaker: rtc.Room, worker: PlainWorker
) -> None:
    async def breaking() -> AsyncIterator[np.ndarray[Any, Any]]:
        yield SECOND[:2400]
        raise OSError("no more")

    async with to_avatar(speaker) as speech:
        with pytest.raises(OSError, match="no more"):
            await speech.say(breaking(), sample_rate=RATE)
        await until(lambda: worker.streams and worker.streams[0][2], "the end of the stream")
        assert len(worker.streams[0][1]) == 4800


async def test_a_room_that_takes_no_stream_is_a_publish_error(
    worker: PlainWorker, speaker: rtc.Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with to_avatar(speaker) as speech:

        async def refuse(*_: object, **__: object) -> None:
            raise RuntimeError("no data channel")

        monkeypatch.setattr(speaker.local_participant, "stream_bytes", refuse)
        with pytest.raises(PublishError, match="no data channel"):
            await speech.say(SECOND, sample_rate=RATE)
        assert speech.pending == ()


async def test_cancelling_say_ends_the_stream(speaker: rtc.Room, worker: PlainWorker) -> None:
    async def endless() -> AsyncIterator[np.ndarray[Any, Any]]:
        while True:
            yield SECOND[:2400]
            await asyncio.sleep(0.05)

    async with to_avatar(speaker) as speech:
        saying = asyncio.create_task(speech.say(endless(), sample_rate=RATE))
        await until(lambda: worker.streams and len(worker.streams[0][1]), "the first words")
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saying
        await until(lambda: worker.streams[0][2], "the end of the stream")


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"playback_position": 2, "interrupted": true}', PlaybackFinished(2.0, True)),
        ('{"playback_position": 0.5, "interrupted": false, "more": 1}', PlaybackFinished(0.5, False)),
        ('{"playback_position": -1, "interrupted": false}', None),
        ('{"playback_position": NaN, "interrupted": false}', None),
        ('{"playback_position": Infinity, "interrupted": false}', None),
        ('{"playback_position": true, "interrupted": false}', None),
        ('{"playback_position": 1}', None),
        ("[" * 100_000, None),
    ],
)
def test_reports_are_read_with_care(payload: str, said: PlaybackFinished | None) -> None:
    assert parse_finished(payload) == said


def test_it_is_importable_without_livekit_agents_and_what_draws() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['livekit.agents', 'cv2', 'sounddevice', 'av'])); "
    )
    program += "import avatarkit_rtc.integrations.agents"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
