"""Sees that tracks of a LiveKit room are subscribed, and that a subscribed voice hands out sound."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from livekit import rtc

_log = logging.getLogger("avatarkit_rtc")

ASK_AGAIN_S: Final = 5.0
"""After so long without a track a subscription is taken back and asked for anew; then after twice as long,
and so on."""
MOST_WAIT_S: Final = 60.0
"""Longest wait between two attempts."""
PAUSE_S: Final = 1.0
"""From taking a subscription back to asking anew. The server brings about the last state it was told of, so
that without a pause it would do nothing at all."""
CHECK_S: Final = 1.0
"""How often to look whether sound comes."""
STALLED_CHECKS: Final = 3
"""So many looks in a row without sound: something is wrong."""


@dataclass(slots=True)
class _Asking:
    at: float
    """When to do something next."""
    wait_s: float = ASK_AGAIN_S
    taken_back: bool = False


class Subscriptions:
    """Asks for subscriptions until they are there. On the event loop.

    To say again that a track is wanted changes nothing where the server has subscribed it already, and only
    the track never came about here. So after a while it is taken back first.
    """

    def __init__(self, look_again: Callable[[], None]) -> None:
        """``look_again`` is called while something is missing; it calls :meth:`want` with what still is."""
        self._look_again = look_again
        self._asking: dict[str, _Asking] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.renewed = 0
        """Subscriptions taken back to be asked for anew."""

    def want(self, missing: Iterable[rtc.RemoteTrackPublication]) -> None:
        """See that these come, and forget about all others."""
        publications = {publication.sid: publication for publication in missing}
        self._asking = {sid: asking for sid, asking in self._asking.items() if sid in publications}
        if not publications:
            self.stop()
            return
        now = time.monotonic()
        for sid, publication in publications.items():
            asking = self._asking.get(sid)
            if asking is None:
                publication.set_subscribed(True)
                self._asking[sid] = _Asking(now + ASK_AGAIN_S)
            elif now >= asking.at:
                if asking.taken_back:
                    publication.set_subscribed(True)
                    asking.taken_back, asking.at = False, now + asking.wait_s
                else:
                    asking.wait_s = min(2 * asking.wait_s, MOST_WAIT_S)
                    self._take_back(publication, asking, now)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_S / 2, self._look)

    def renew(self, publication: rtc.RemoteTrackPublication) -> None:
        """Take this subscription back; :meth:`want` asks for it anew."""
        asking = self._asking[publication.sid] = _Asking(0.0)
        self._take_back(publication, asking, time.monotonic())

    def stop(self) -> None:
        """Ask for nothing any longer."""
        self._asking.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_back(self, publication: rtc.RemoteTrackPublication, asking: _Asking, now: float) -> None:
        self.renewed += 1
        _log.info("the avatar's track %s is subscribed to anew", publication.sid)
        publication.set_subscribed(False)
        asking.taken_back, asking.at = True, now + PAUSE_S

    def _look(self) -> None:
        self._timer = None
        self._look_again()


class SoundWatch:
    """Notices that a subscribed track hands out nothing at all: the library does so 100 times a second even
    where the avatar is silent, muted, or has never sent anything. Pure.

    It counts looks, not seconds, so that a program that stood still for a while is not taken for a stall.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._still = 0
        self._limit = STALLED_CHECKS

    @property
    def still_s(self) -> float:
        """For how long nothing has come, about."""
        return self._still * CHECK_S

    def begin(self) -> None:
        """Another feed: it has as long as the last one that failed, and twice that after each failure."""
        self._seen = self._still = 0

    def check(self, received: int | None) -> bool:
        """Look again.

        Args:
            received: what the feed has received so far; None where nobody reads it.

        Returns:
            Whether it has stalled. Then, if nothing comes, it is so again after twice as many looks.
        """
        if received is None:
            self._still = 0
        elif received > self._seen:
            self._seen, self._still, self._limit = received, 0, STALLED_CHECKS
        else:
            self._still += 1
            if self._still >= self._limit:
                self._limit = min(2 * self._limit, round(MOST_WAIT_S / CHECK_S))
                return True
        return False
