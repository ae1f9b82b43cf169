"""What became of one utterance, and what went wrong with it."""

from __future__ import annotations

from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.integrations.agents.playback import Playback, PlaybackFinished


class SpeechPlayback(Playback):
    """One utterance, from its first sound going to the player to its last, or to what cut it off."""

    def __init__(self) -> None:
        super().__init__()
        self.error: AvatarKitError | None = None
        """Why it was broken off, if something went wrong: the connection was lost, the source failed."""

    async def wait(self) -> PlaybackFinished:
        """Wait until it is over. ``position_s`` is how much of it went to the player.

        Raises:
            AvatarKitError: :attr:`error`, if there is one. What was played is in :attr:`finished`.
        """
        finished = await super().wait()
        if self.error is not None:
            raise self.error
        return finished
