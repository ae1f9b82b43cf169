"""Keeps the face in step with the voice that is being heard."""

from __future__ import annotations

import asyncio
from typing import Final

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.output import AudioOutput
from avatarkit_rtc.audio.path_delay import follow_path_delay
from avatarkit_rtc.audio.sync import LipSync
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.playout.delay import SyncDelay
from avatarkit_rtc.providers.base import AudioFeed

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
        self._output = output
        self._face = face
        self._sync = LipSync(
            audio_delay_s=options.audio_delay_ms / 1000,
            correction_s=options.lip_sync_correction_ms / 1000,
        )
        self.delay_s: float | None = None
        """Seconds from the sending of a frame to the hearing of its sound, beyond what the network takes on
        average; None while that is not known. The face's own delay is less by what drawing takes."""
        self._path_delay: float | None = None
        self._unheard_s = 0.0
        self._polling = asyncio.create_task(follow_path_delay(feed, self._told), name="voice delay")

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
                self._set(None)
            return
        self._unheard_s = 0.0
        self._sync.heard(block.t, path_delay, audible)
        if self._sync.delay_s is not None:
            self._set(self._sync.delay_s)

    def stop(self) -> None:
        """Follow no longer; the face goes back to the delay of its own."""
        self._polling.cancel()
        self._set(None)

    def _set(self, delay_s: float | None) -> None:
        self.delay_s = delay_s
        # Less than 0 where drawing takes longer than the sound: the face is late then, and figures say so.
        self._face.delay_s = None if delay_s is None else delay_s - self._face.render_s

    def _told(self, path_delay_s: float) -> None:
        self._path_delay = path_delay_s
