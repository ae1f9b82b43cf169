"""When a picture would have been handed out by a machine that never stands still. Pure.

The network library hands pictures out at an even pace, at moments that it states; what comes later than the
most prompt ones of the last seconds has waited for this machine, not for the network.
"""

from __future__ import annotations

from typing import Final

from avatarkit_rtc.playout.delay import SlidingMinimum

WINDOW_S: Final = 3.0
"""The most prompt picture of so many seconds shows how the library's clock lies against ours."""

BELIEVED_S: Final = 0.3
"""A picture that seems to have waited for longer is taken for one that came just now: the clock that it is
dated by has been set, or the stream has begun anew."""


class PromptTime:
    """Takes the waiting for this machine out of the moments at which pictures came."""

    def __init__(self) -> None:
        self._late = SlidingMinimum(WINDOW_S)

    def moment(self, arrived: float, stated: float) -> float:
        """The moment to go by for a picture.

        Args:
            arrived: when it was handed out, in monotonic seconds.
            stated: when it was meant to be, in seconds of any steady clock; 0 where that is not known.
        """
        if stated <= 0.0:
            return arrived
        late = arrived - stated
        waited = late - self._late.update(arrived, late)
        return arrived - waited if waited <= BELIEVED_S else arrived
