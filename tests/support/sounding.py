"""The sound of a player without the player: a PlayerSound, what it is given, and what comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from avatarkit_rtc.audio.block import AudioBlock
from avatarkit_rtc.audio.output import NullSpeaker
from avatarkit_rtc.options import AvatarPlayerOptions
from avatarkit_rtc.player_sound import PlayerSound
from avatarkit_rtc.providers.bounded_feed import BoundedAudioFeed
from avatarkit_rtc.testing.mock_provider import MockProvider


class Sounding:
    def __init__(
        self, *, play_audio: bool = False, hears: bool = True, listened: bool = False, **options: Any
    ) -> None:
        self.listened = listened
        self.provider = MockProvider()
        self.heard: list[AudioBlock] = []
        self.events: list[tuple[str, Any]] = []
        self.muted = False
        self.sound = PlayerSound(
            self.provider,
            AvatarPlayerOptions(play_audio=play_audio, **options),
            hear=self.heard.append if hears else None,
            is_muted=lambda: self.muted,
            emit=lambda name, payload=None: self.events.append((name, payload)),
            listened=lambda name: self.listened,
        )

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def feed_with(blocks: int, value: int = 1) -> BoundedAudioFeed:
    feed = BoundedAudioFeed()
    feed.feed(np.full((480 * blocks, 1), value, np.int16), 48000, 0.0)
    return feed


class NotedSpeaker(NullSpeaker):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = self.flushes = self.closes = 0

    def write(self, block: AudioBlock) -> None:
        self.blocks += 1

    def flush(self) -> None:
        self.flushes += 1

    async def aclose(self) -> None:
        self.closes += 1
