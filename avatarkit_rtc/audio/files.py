"""Sound files as pieces of int16 samples: WAV by the standard library, all else by PyAV."""

from __future__ import annotations

import os
import wave
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import numpy as np

from avatarkit_rtc.audio.convert import Samples
from avatarkit_rtc.errors import ConfigurationError, MissingDependencyError
from avatarkit_rtc.pyav import load_av

_PIECE_S: Final = 0.5
"""Length of one piece of a WAV file, in seconds."""

Pieces = Generator[tuple[Samples, int], None, None]


def open_file(path: str | os.PathLike[str]) -> Pieces:
    """The sound of ``path`` in pieces: samples of shape (n, channels) and their rate.

    The file is open until the generator is exhausted or closed.

    Raises:
        ConfigurationError: the file is missing, unreadable, or has no sound. From the generator: it is
            damaged.
        MissingDependencyError: its format needs the ``record`` extra.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        raise ConfigurationError(
            f"the sound file {path} cannot be read: {error.strerror or error}"
        ) from error
    why = "it is no WAV file"
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        try:
            return _started(_read_wave(path))
        except (wave.Error, EOFError) as error:
            # Floating point, or a header the standard library does not know: PyAV may.
            why = str(error) or "its header is cut off"
    return _started(_read_av(path, why))


def _started(pieces: Generator[tuple[Samples, int] | None, None, None]) -> Pieces:
    """Run the part that opens the file, so that its errors come now."""
    next(pieces)

    def rest() -> Pieces:
        try:
            for piece in pieces:
                if piece is not None:
                    yield piece
        finally:
            pieces.close()

    return rest()


def _read_wave(path: Path) -> Generator[tuple[Samples, int] | None, None, None]:
    with wave.open(str(path), "rb") as reader:
        rate, channels, width = reader.getframerate(), reader.getnchannels(), reader.getsampwidth()
        if width not in (1, 2, 3, 4) or rate < 1 or channels < 1:
            raise wave.Error(f"{8 * width}-bit samples of {channels} channels at {rate} Hz")
        yield None
        size = max(1, round(rate * _PIECE_S))
        while data := reader.readframes(size):
            whole = len(data) - len(data) % (width * channels)
            yield _pcm(data[:whole], width).reshape(-1, channels), rate


def _pcm(data: bytes, width: int) -> Samples:
    """WAV samples of ``width`` bytes as int16: the upper 16 bits, or 8 bits scaled up."""
    if width == 1:
        return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) * 256).astype(np.int16)
    if width == 2:
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    upper = np.frombuffer(data, np.uint8).reshape(-1, width)[:, -2:]
    return np.ascontiguousarray(upper).view("<i2").reshape(-1).astype(np.int16, copy=False)


def _read_av(path: Path, why: str) -> Generator[tuple[Samples, int] | None, None, None]:
    try:
        av = load_av()
    except ImportError as error:
        raise MissingDependencyError(
            f"{path} cannot be read without PyAV ({why}); "
            "install it with `pip install avatarkit-rtc[record]`, or convert the file to 16-bit WAV"
        ) from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise ConfigurationError(f"{path} has no sound in it")
            yield None
            resampler: Any = av.AudioResampler(format="s16")
            for frame in container.decode(audio=0):
                for piece in resampler.resample(frame):
                    yield _av_samples(piece), piece.sample_rate
            for piece in resampler.resample(None):
                yield _av_samples(piece), piece.sample_rate
    except av.FFmpegError as error:
        raise ConfigurationError(f"the sound file {path} cannot be decoded: {error}") from error


def _av_samples(frame: Any) -> Samples:
    # A packed frame comes as one row of interleaved samples.
    samples: Samples = np.ascontiguousarray(frame.to_ndarray(), np.int16).reshape(
        -1, len(frame.layout.channels)
    )
    return samples
