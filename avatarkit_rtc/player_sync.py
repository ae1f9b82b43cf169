"""Keeps the face in step with the voice that is being heard."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.output import AudioOutput
from avatarkit_rtc.audio.sync import LipSync
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.playout.delay import SyncDelay
from avatarkit_rtc.providers.base import AudioFeed

POLL_S: Final = 0.3
"""How often the network library is asked how long it holds the sound back; a question takes 1.5 ms."""

KEPT_S: Final = 3.0
"""So long the face keeps its delay when nothing is heard: after an underrun the voice mostly comes back as it
was, and a face that ran ahead meanwhile would have to wait for it."""


class VoiceFollower:
    """Follows one feed through one output, and sets the face's delay. All calls on the event loop."""

    def __init__(
        self, feed: AudioFeed, output: AudioOutput, face: SyncDelay, options: AvatarPlayerOptions
    ) -> None:
        """
        Args:
            feed: the avatar's sound.
            output: what plays it.
            face: where the face's delay is set; cleared again by :meth:`stop`.
            options: of the player: ``audio_delay_ms`` and ``lip_sync_correction_ms``.
        """
        self._feed = feed
        self._output = output
        self._face = face
        self._sync = LipSync(
            audio_delay_s=options.audio_delay_ms / 1000,
            correction_s=options.lip_sync_correction_ms / 1000,
        )
        self._path_delay: float | None = None
        self._unheard_s = 0.0
        self._polling = asyncio.create_task(self._poll(), name="voice delay")

    def played(self, block: AudioBlock, position: int | None) -> None:
        """``block`` was given to the output, which put it at ``position``."""
        path_delay = self._path_delay
        if path_delay is None:
            return
        audible = self._output.audible_at(position) if position is not None else None
        if audible is None:
            self._sync.forget()  # what is heard next may come another way
            self._unheard_s += block.duration
            if self._unheard_s >= KEPT_S:
                self._face.delay_s = None
            return
        self._unheard_s = 0.0
        self._sync.heard(block.t, path_delay, audible)
        if self._sync.delay_s is not None:
            self._face.delay_s = max(0.0, self._sync.delay_s - self._face.render_s)

    def stop(self) -> None:
        """Follow no longer; the face goes back to the delay of its own."""
        self._polling.cancel()
        self._face.delay_s = None

    async def _poll(self) -> None:
        while True:
            # A room that is going down answers with an error of the library's own; the last figure stays.
            with contextlib.suppress(Exception):
                self._path_delay = await self._feed.path_delay_s()
            await asyncio.sleep(POLL_S)
