"""How long a picture takes from its sending to its handing out, from the network library's running sums.

The sums say how long the library meant to hold pictures back (its target delay): the network's jitter and the
longest decoding of late, so that pictures come out at an even pace. A picture is handed out so long after the
last of its packets has come. What lies before that at the sender, encoding and sending it packet by packet,
cannot be seen from here and is taken for :data:`SENDER_S`. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SENDER_S: Final = 0.005
"""From a picture's capture to the last of its packets being sent: encoding and pacing. Measured on a local
server with VP8 at 640 x 480, against the constant for sound."""

RENDER_S: Final = 0.010
"""Part of the target delay that is meant for drawing (``kRenderDelay`` of WebRTC's ``VCMTiming``): pictures
are handed out so much earlier."""

INITIAL_S: Final = 0.035
"""Taken until there are figures: a quiet network."""

_SMOOTHING: Final = 0.5


class VideoSums(NamedTuple):
    """What ``getStats()`` sums up since the stream began, by the names of the WebRTC statistics standard."""

    jitter_buffer_target_delay: float
    """Seconds, over all pictures that were handed on."""
    jitter_buffer_emitted_count: int
    """Pictures that were handed on."""


class VideoPathDelay:
    """The delay now."""

    def __init__(self) -> None:
        self.delay_s = INITIAL_S
        """Seconds from a picture's sending to its handing out, beyond what the network takes on average."""
        self._known = False
        self._last = VideoSums(0.0, 0)

    def update(self, sums: VideoSums) -> float:
        """Take the sums as they are now; returns :attr:`delay_s`."""
        last, self._last = self._last, sums
        count = sums.jitter_buffer_emitted_count - last.jitter_buffer_emitted_count
        target = sums.jitter_buffer_target_delay - last.jitter_buffer_target_delay
        if count <= 0 or target < 0.0:  # nothing new, or another stream under the same track
            return self.delay_s
        measured = max(0.0, target / count - RENDER_S) + SENDER_S
        self.delay_s += (_SMOOTHING if self._known else 1.0) * (measured - self.delay_s)
        self._known = True
        return self.delay_s
