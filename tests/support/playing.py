"""What tests of the player share: a player of a mock, a view that takes notes, a record of events, packets of
a round."""

from __future__ import annotations

import asyncio
from typing import Any

from avatarkit_rtc.events import EVENTS
from avatarkit_rtc.motion.frame import MotionFrame
from avatarkit_rtc.motion.packet import encode_frame, encode_message, encode_transition_end
from avatarkit_rtc.player import AvatarPlayer
from avatarkit_rtc.playout.pose import Pose, PoseKind
from avatarkit_rtc.testing.mock_provider import MockProvider
from tests.support.livekit import until

SPOKEN = frozenset({PoseKind.RECEIVED, PoseKind.RECOVERED, PoseKind.INTERPOLATED, PoseKind.HELD})


class NotingView:
    """A view with the one method it must have."""

    def __init__(self) -> None:
        self.poses: list[Pose] = []

    def show(self, pose: Pose) -> None:
        self.poses.append(pose)

    @property
    def spoken(self) -> list[Pose]:
        return [pose for pose in self.poses if pose.kind in SPOKEN]

    @property
    def idles(self) -> bool:
        """Whether the newest pose is an idle one."""
        return bool(self.poses) and self.poses[-1].kind is PoseKind.IDLE


class Record:
    """Every event of a player, in order, with its moment in seconds of the event loop."""

    def __init__(self, player: AvatarPlayer) -> None:
        self.events: list[tuple[str, Any, float]] = []
        for name in EVENTS:
            player.on(name, lambda payload, name=name: self._note(name, payload))

    def _note(self, name: str, payload: Any) -> None:
        self.events.append((name, payload, asyncio.get_running_loop().time()))

    @property
    def names(self) -> list[str]:
        """Names of the events, without changes of the state."""
        return [name for name, _, _ in self.events if name != "connection-state-changed"]

    @property
    def states(self) -> list[str]:
        return [str(payload) for name, payload, _ in self.events if name == "connection-state-changed"]

    def count(self, name: str) -> int:
        return len(self.payloads(name))

    def payloads(self, name: str) -> list[Any]:
        return [payload for event, payload, _ in self.events if event == name]

    def times(self, name: str) -> list[float]:
        return [t for event, _, t in self.events if event == name]


class Played:
    """A player without sound, whose avatar is a mock; its view and its events."""

    def __init__(self, **options: Any) -> None:
        self.provider = MockProvider()
        self.view = NotingView()
        options.setdefault("disconnect_transition_frames", 2)
        self.player = AvatarPlayer(self.provider, self.view, play_audio=False, **options)
        self.record = Record(self.player)


async def nothing_left(player: AvatarPlayer) -> None:
    """No task of the player's is left, and nothing is shown any more."""
    await until(lambda: not player._motion.running, "the end of the motion loop")
    await until(lambda: len(asyncio.all_tasks()) == 1, f"tasks to end: {asyncio.all_tasks()}")


def pose_of(number: int) -> MotionFrame:
    """A frame that differs from those of other numbers."""
    return MotionFrame.from_fields({"jaw_pose": (0.001 * (number % 100 + 1), 0.0, 0.0)})


def frame_packet(seq: int, *, start: bool = False) -> bytes:
    return encode_frame(seq, encode_message(pose_of(seq)), start=start)


def end_packet(seq: int) -> bytes:
    return encode_transition_end(encode_message(pose_of(seq)))


async def speak(provider: MockProvider, frames: int, *, first: int = 0, end: bool = False) -> None:
    """The avatar says something: ``frames`` frames in real time."""
    for seq in range(first, first + frames):
        provider.feed_packet(frame_packet(seq, start=seq == 0))
        await asyncio.sleep(0.04)
    if end:
        provider.feed_packet(end_packet(first + frames - 1))
