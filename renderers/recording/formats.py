"""Which container and which encoders a recording has, by the name of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from avatarkit_rtc.errors import ConfigurationError

FRAGMENT_S: Final = 0.5
"""Longest fragment (MP4) or cluster (Matroska): it is on disk when the next one begins."""

KEY_PICTURE_S: Final = 2.0
"""From one key picture to the next: this is how exactly players can seek."""

INTERLEAVE_S: Final = 0.5
"""So long one stream waits in the muxer for the others, at most."""


@dataclass(frozen=True, slots=True)
class VideoCodec:
    """An encoder for pictures, and how hard it may work."""

    encoder: str
    """FFmpeg's name of it."""
    options: Mapping[str, str]
    levels: tuple[Mapping[str, str], ...]
    """Options on top, from the most work to the least."""
    global_header: bool
    """Parameters stand once in the file's header, so they must be the same at each level."""
    rate_controlled: bool = False
    """It needs a highest bit rate beside its quality."""


_X264_SAME_HEADER: Final = (
    # With these fixed, the presets from veryfast on write the same parameter sets, and one may follow the
    # other within a file. No look-ahead: what is encoded is in the file within a fragment.
    "ref=1:bframes=0:cabac=1:8x8dct=1:weightp=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:sliced-threads=0:scenecut=0"
)

VIDEO_CODECS: Final[Mapping[str, VideoCodec]] = {
    "h264": VideoCodec(
        "libx264",
        {"crf": "23", "tune": "zerolatency", "forced-idr": "1", "x264-params": _X264_SAME_HEADER},
        tuple({"preset": name} for name in ("veryfast", "superfast", "ultrafast")),
        global_header=True,
    ),
    "vp8": VideoCodec(
        "libvpx",
        {"crf": "20", "deadline": "realtime", "lag-in-frames": "0"},
        tuple({"cpu-used": speed} for speed in ("8", "12", "16")),
        global_header=False,
        rate_controlled=True,
    ),
    "vp9": VideoCodec(
        "libvpx-vp9",
        {"crf": "33", "deadline": "realtime", "lag-in-frames": "0"},
        tuple({"cpu-used": speed} for speed in ("6", "7", "8")),
        global_header=False,
        rate_controlled=True,
    ),
}
"""Encoders by the name that :class:`renderers.Recorder` takes."""


@dataclass(frozen=True, slots=True)
class Format:
    """A container with its encoders."""

    muxer: str
    options: Mapping[str, str]
    video: VideoCodec
    audio: str
    """FFmpeg's name of the encoder for sound."""
    audio_bit_rate: int


_INTERLEAVE: Final = {
    "flush_packets": "1",
    "max_interleave_delta": str(round(INTERLEAVE_S * 1e6)),
}
_MP4: Final = {
    # delay_moov: the header is written with the first fragment, when the encoders' delays are known; so the
    # sound's priming samples are named in an edit list and players leave them out.
    "movflags": "+frag_keyframe+delay_moov+default_base_moof",
    "frag_duration": str(round(FRAGMENT_S * 1e6)),
    **_INTERLEAVE,
}
_MATROSKA: Final = {"cluster_time_limit": str(round(FRAGMENT_S * 1e3)), **_INTERLEAVE}

_CONTAINERS: Final = {
    ".mp4": ("mp4", _MP4, "aac", 96_000, ("h264",)),
    ".m4v": ("mp4", _MP4, "aac", 96_000, ("h264",)),
    ".mkv": ("matroska", _MATROSKA, "libopus", 64_000, ("vp8", "vp9", "h264")),
    ".webm": ("webm", _MATROSKA, "libopus", 64_000, ("vp8", "vp9")),
}

SUFFIXES: Final = tuple(_CONTAINERS)
"""Names of files that can be written."""


def format_of(path: Path, codec: str | None = None) -> Format:
    """The format of the file ``path``.

    Args:
        codec: ``h264`` (MP4, Matroska), ``vp8`` or ``vp9`` (Matroska, WebM); None for H.264 in MP4, VP8 else.

    Raises:
        ConfigurationError: there is no such container or encoder, or one does not take the other.
    """
    container = _CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise ConfigurationError(
            f"a recording is an MP4, Matroska or WebM file: name it ….mp4, ….mkv or ….webm, not {path.name!r}"
        )
    muxer, options, audio, bit_rate, codecs = container
    name = codec or codecs[0]
    if name not in codecs:
        raise ConfigurationError(f"{path.suffix} takes {' or '.join(codecs)}, not {codec!r}")
    return Format(muxer, options, VIDEO_CODECS[name], audio, bit_rate)
