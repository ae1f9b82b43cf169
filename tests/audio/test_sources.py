"""What can be published: everything comes out as 10 ms blocks at 48 kHz mono, and stays the caller's."""

from __future__ import annotations

import asyncio
import gc
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit_rtc.audio import AudioBlock, PushSource, SourceReader, is_native_track, open_source
from avatarkit_rtc.audio.sources import AudioSource
from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from tests.support.pulse import peak_frequency, rms, run_python, tone


async def read(reader: SourceReader, blocks: int | None = None) -> np.ndarray:
    """The samples of ``reader``, shape (n,), after a check that each block is one."""
    out: list[np.ndarray] = []
    while blocks is None or len(out) < blocks:
        try:
            block = await anext(reader)
        except StopAsyncIteration:
            break
        assert block.samples.shape == (reader.sample_rate // 100, reader.channels)
        assert block.samples.dtype == np.int16
        assert block.sample_rate == reader.sample_rate
        out.append(block.samples[:, 0])
    return np.concatenate(out) if out else np.empty(0, np.int16)


def write_wav(path: Path, frames: bytes, *, rate: int, channels: int, width: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(frames)
    return path


async def check_tone(source: AudioSource, **options: Any) -> None:
    reader = open_source(source, **options)
    samples = await read(reader)
    await reader.aclose()
    assert 48000 <= len(samples) <= 48480
    assert peak_frequency(samples[2400:45600]) == pytest.approx(440, abs=2)
    assert rms(samples[2400:45600]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (44100, 2), (8000, 1)])
async def test_a_wav_file(tmp_path: Path, width: int, rate: int, channels: int) -> None:
    samples = np.repeat(tone(440, 1.0, rate=rate)[:, np.newaxis], channels, axis=1).astype("<i4")
    if width == 1:
        frames = ((samples >> 8) + 128).astype(np.uint8).tobytes()
    else:
        as_bytes = (samples << 16).view(np.uint8).reshape(-1, 4)
        frames = as_bytes[:, 4 - width :].tobytes()
    path = write_wav(tmp_path / "tone.wav", frames, rate=rate, channels=channels, width=width)
    await check_tone(path)
    await check_tone(str(path))


async def test_another_file_by_pyav(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "tone.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=44100)
        stream.layout = "stereo"
        stream.format = "s16"
        samples = np.repeat(tone(440, 1.0, rate=44100), 2)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 44100
        container.mux([*stream.encode(frame), *stream.encode(None)])
    await check_tone(path)


async def test_a_float_wav_by_pyav(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "float.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=48000)
        stream.layout = "mono"
        samples = (tone(440, 1.0) / np.float32(32767)).astype(np.float32)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    await check_tone(path)


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "voice.ogg"
    path.write_bytes(b"OggS" + bytes(100))
    out = run_python(
        f"""
import sys
sys.modules["av"] = None
from avatarkit_rtc.audio import open_source
from avatarkit_rtc.errors import MissingDependencyError
try:
    open_source({str(path)!r})
except MissingDependencyError as error:
    print(error)
"""
    )
    assert "avatarkit-rtc[record]" in out
    assert "voice.ogg" in out


@pytest.mark.parametrize("content", [None, b"", b"RIFF\x00\x00\x00\x00WAVE", b"no sound at all" * 10])
def test_a_file_that_is_no_sound_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((ConfigurationError, MissingDependencyError), match=r"broken\.wav"):
        open_source(path)


async def test_closing_the_reader_closes_the_file(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    path = write_wav(tmp_path / "long.wav", bytes(2 * 48000 * 5), rate=48000, channels=1, width=2)
    reader = open_source(path)
    await anext(reader)
    assert str(path) in [file.path for file in psutil.Process().open_files()]
    await reader.aclose()
    gc.collect()
    assert str(path) not in [file.path for file in psutil.Process().open_files()]
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_arrays() -> None:
    await check_tone(tone(440, 1.0), sample_rate=48000)
    await check_tone((tone(440, 1.0, rate=16000) / 32767).astype(np.float32), sample_rate=16000)
    await check_tone(np.repeat(tone(440, 1.0)[:, np.newaxis], 2, axis=1), sample_rate=48000)
    await check_tone(tone(440, 1.0).tobytes(), sample_rate=48000)
    await check_tone(np.repeat(tone(440, 1.0), 2).tobytes(), sample_rate=48000, channels=2)


async def test_the_last_block_is_filled_up_with_silence() -> None:
    samples = await read(open_source(np.full(500, 7, np.int16), sample_rate=48000))
    assert len(samples) == 960
    assert samples[:500].tolist() == [7] * 500
    assert not samples[500:].any()


async def test_an_async_iterator_of_any_kind_of_sound() -> None:
    from livekit import rtc

    quarter = tone(440, 0.25)

    async def source() -> AsyncIterator[Any]:
        yield AudioBlock(quarter[:, np.newaxis], 48000, 0.0)
        yield (quarter / 32767).astype(np.float32)
        data = quarter.tobytes()
        yield data[:1001]  # in the middle of a sample
        yield data[1001:]
        yield rtc.AudioFrame(quarter.tobytes(), 48000, 1, len(quarter))

    reader = open_source(source(), sample_rate=48000)
    assert not reader.paced
    samples = await read(reader)
    assert np.array_equal(samples.reshape(4, -1)[0], quarter)
    assert np.abs(samples.reshape(4, -1).astype(int) - quarter).max() <= 1


async def test_a_push_source() -> None:
    source = PushSource(24000, 2)
    await source.push(np.repeat(tone(440, 0.5, rate=24000)[:, np.newaxis], 2, axis=1))
    await source.push(np.repeat(tone(440, 0.5, rate=24000)[:, np.newaxis], 2, axis=1))
    source.end()
    samples = await read(open_source(source))
    assert 48000 <= len(samples) <= 48480


async def test_a_reader_that_is_closed_leaves_the_caller_s_generator_alive() -> None:
    """A reader is cancelled and closed while it waits for a piece; the next reader gets that very piece."""
    gate = asyncio.Event()
    closed = False

    async def source() -> AsyncIterator[np.ndarray]:
        nonlocal closed
        try:
            yield np.full(480, 1, np.int16)
            await gate.wait()
            yield np.full(480, 2, np.int16)
            yield np.full(480, 3, np.int16)
        finally:
            closed = True

    generator = source()
    first = open_source(generator, sample_rate=48000)
    assert (await read(first, 1)).tolist() == [1] * 480
    waiting = asyncio.create_task(anext(first))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await first.aclose()
    assert not closed
    gate.set()
    second = open_source(generator, sample_rate=48000)
    assert (await read(second)).tolist() == [2] * 480 + [3] * 480
    assert closed


async def test_a_cancelled_read_loses_nothing(tmp_path: Path) -> None:
    ramp = (np.arange(48000 * 2) % 30000).astype(np.int16)
    path = write_wav(tmp_path / "ramp.wav", ramp.tobytes(), rate=48000, channels=1, width=2)
    reader = open_source(path)
    blocks: list[np.ndarray] = []
    while True:
        task = asyncio.create_task(anext(reader))
        if len(blocks) % 10 == 0:
            await asyncio.sleep(0)
            if task.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await task
                task = asyncio.create_task(anext(reader))
        try:
            blocks.append((await task).samples[:, 0])
        except StopAsyncIteration:
            break
    assert np.array_equal(np.concatenate(blocks), ramp)


async def test_what_the_iterator_raises_reaches_the_reader() -> None:
    async def source() -> AsyncIterator[np.ndarray]:
        yield np.zeros(480, np.int16)
        raise RuntimeError("out of words")

    reader = open_source(source(), sample_rate=48000)
    await anext(reader)
    with pytest.raises(RuntimeError, match="out of words"):
        await anext(reader)


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (np.zeros(10, np.int16), {}, "sample_rate="),
        (b"\x00\x00", {}, "sample_rate="),
        (b"\x00", {"sample_rate": 48000}, "whole number"),
        (np.zeros((2, 100), np.int16), {"sample_rate": 48000}, "shape"),
        (np.zeros(10, np.int64), {"sample_rate": 48000}, "int64"),
        (np.zeros(10, np.int16), {"sample_rate": 0}, "positive"),
        (42, {}, "no sound source"),
        (None, {}, "no sound source"),
        (np.zeros(10, np.int16), {"sample_rate": 48000, "output_rate": 44110 + 1}, "multiple of 100"),
    ],
)
def test_what_is_no_source_is_refused(source: AudioSource, options: dict[str, int], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_source(source, **options)


async def test_an_iterator_of_something_else_is_refused() -> None:
    async def source() -> AsyncIterator[Any]:
        yield "la la la"

    with pytest.raises(ConfigurationError, match="str"):
        await anext(open_source(source()))

    async def bare() -> AsyncIterator[Any]:
        yield np.zeros(480, np.int16)

    with pytest.raises(ConfigurationError, match="sample_rate="):
        await anext(open_source(bare()))


async def test_a_ready_track_is_known_as_one() -> None:
    from livekit import rtc

    source = rtc.AudioSource(48000, 1)
    assert is_native_track(rtc.LocalAudioTrack.create_audio_track("mine", source))
    assert not is_native_track(source)
    assert not is_native_track("voice.wav")
    await source.aclose()
