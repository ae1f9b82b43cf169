"""Pictures to packets: an encoder that can be told to work less hard in the middle of a file."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np

from renderers.face import Image
from renderers.recording.formats import VideoCodec

CLOCK: Final = 90_000
"""Ticks a second of the pictures' times."""

_THREADED_PIXELS: Final = 640 * 480
"""Pictures larger than this are encoded by two threads; for smaller ones one costs less in all."""
_SMPTE_170M: Final = 6
_LIMITED_RANGE: Final = 1


def _to_planes() -> Callable[[Image], Image] | None:
    """OpenCV's conversion to planes of ``yuv420p``, as one array: a third of the work of FFmpeg's, which also
    waits for threads of its own. None where OpenCV cannot be loaded."""
    try:
        import cv2
    except ImportError:
        return None
    return lambda image: np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)


class VideoEncoder:
    """Encodes pictures of one size for one stream of a file. Not thread-safe."""

    def __init__(
        self, av: Any, stream: Any, codec: VideoCodec, size: tuple[int, int], fps: float, level: int = 0
    ) -> None:
        """
        Args:
            av: the module PyAV.
            stream: of the container, added for ``codec`` and not yet opened.
            size: width and height in pixels, even.
            fps: pictures a second that are usual.
            level: how little to work: 0, or an index of the codec's levels.
        """
        self._av = av
        self._stream = stream
        self._codec = codec
        self._size = size
        self._rate = Fraction(fps).limit_denominator(1001)
        self.level = level
        """How little the encoder works now."""
        self._planes = _to_planes()
        self._context: Any = stream.codec_context
        self._set_up(self._context, level)
        self._choose(level)

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self._codec.levels)

    def _options(self, level: int) -> dict[str, str]:
        return {**self._codec.options, **self._codec.levels[level]}

    def _set_up(self, context: Any, level: int) -> None:
        width, height = self._size
        context.width, context.height = width, height
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, CLOCK)
        context.framerate = self._rate
        # Key pictures are asked for one by one, on the media's own time.
        context.gop_size = max(1, round(10 * self._rate))
        context.thread_count = 2 if width * height > _THREADED_PIXELS else 1
        context.colorspace = context.color_primaries = context.color_trc = _SMPTE_170M
        context.color_range = _LIMITED_RANGE
        if self._codec.rate_controlled:
            context.bit_rate = 200_000 + 3 * width * height

    def encode(self, image: Image | Any, pts: int, *, key: bool) -> list[Any]:
        """The packets of one picture.

        Args:
            image: shape (height, width, 3), blue-green-red; or a frame of PyAV's of the file's size, in
                ``yuv420p``.
            pts: its time in ticks, later than the one before.
            key: it must be decodable by itself.
        """
        frame = self._converted(image) if isinstance(image, np.ndarray) else image
        frame.pts, frame.time_base = pts, Fraction(1, CLOCK)
        frame.pict_type = self._av.video.frame.PictureType.I if key else self._av.video.frame.PictureType.NONE
        return self._own(self._context.encode(frame))

    def _converted(self, image: Image) -> Any:
        width, height = self._size
        if image.shape[:2] != (height, width):
            image = image[:height, :width]
        if self._planes is None:
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            return frame.reformat(
                format="yuv420p", dst_colorspace=_SMPTE_170M, dst_color_range=_LIMITED_RANGE
            )
        frame = self._av.VideoFrame.from_ndarray(self._planes(image), format="yuv420p")
        frame.colorspace, frame.color_range = _SMPTE_170M, _LIMITED_RANGE
        return frame

    def change_level(self, level: int) -> tuple[bool, list[Any]]:
        """Work at ``level`` from the next picture on, which must be a key picture.

        Returns:
            Whether that is possible in this file, and the packets that the encoder still held.
        """
        if level == self.level:
            return True, []
        if not self._context.is_open:  # nothing is encoded yet, and there are no headers to agree with
            self._choose(level)
            return True, []
        context = self._av.CodecContext.create(self._codec.encoder, "w")
        self._set_up(context, level)
        context.options = self._options(level)
        if self._codec.global_header:
            context.flags |= self._av.codec.context.Flags.global_header
        context.open()
        if self._codec.global_header and context.extradata != self._context.extradata:
            return False, []
        rest = self.flush()
        self._context, self.level = context, level
        return True, rest

    def _choose(self, level: int) -> None:
        """The level to be opened with."""
        self._stream.options = self._options(level)
        self._context.options = self._options(level)
        self.level = level

    def flush(self) -> list[Any]:
        """The packets that the encoder still holds. It takes no more pictures."""
        return self._own(self._context.encode(None)) if self._context.is_open else []

    def _own(self, packets: list[Any]) -> list[Any]:
        for packet in packets:
            packet.stream = self._stream
        return packets
