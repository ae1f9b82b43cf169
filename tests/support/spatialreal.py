"""The vendor's real client against the stand-in of its service, with notes of everything it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import pytest

from avatarkit_rtc.motion import motion_pb2 as pb
from avatarkit_rtc.motion.frame import FIELD_SIZES, MotionFrame
from avatarkit_rtc.testing.spatialreal_service import Connection, SpatialRealService
from tests.support.livekit import until

spatialreal = pytest.importorskip(
    "spatialreal", reason="needs the vendor's package, of the extra spatialreal"
)


class VendorClient:
    """A session of the vendor's package; an async context manager that closes it."""

    def __init__(self, service: SpatialRealService, **options: Any) -> None:
        self.service = service
        self.signals: list[Any] = []
        self.states: list[Any] = []
        self.messages: list[tuple[pb.Message, bool]] = []
        """Messages in our protobuf, and whether the vendor's package called them the last of their turn."""
        self.errors: list[Any] = []
        self.closes = 0
        self.session = spatialreal.new_avatar_session(
            **{
                "api_key": service.api_key,
                "app_id": service.app_id,
                "avatar_id": service.avatar_id,
                "expire_at": datetime.now(UTC) + timedelta(hours=1),
                "sample_rate": 24000,
                "console_endpoint_url": service.console_url,
                "ingress_endpoint_url": service.ingress_url,
                "on_playback": self.signals.append,
                "on_playback_state": self.states.append,
                "transport_frames": lambda data, last: self.messages.append(
                    (pb.Message.FromString(data), last)
                ),
                "on_error": self.errors.append,
                "on_close": self._closed,
            }
            | options
        )

    async def __aenter__(self) -> Self:
        await self.session.init()
        await self.session.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    def _closed(self) -> None:
        self.closes += 1

    @property
    def connection(self) -> Connection:
        """The service's side of it."""
        return next(each for each in self.service.connections if each.id == self.session.connection_id)

    async def wait_events(self, *events: str) -> None:
        """Wait until the service's side has noted all of ``events``."""
        noted = self.connection.events
        await until(lambda: {what for what, _ in noted} >= set(events), f"{events} in {noted}")

    async def wait_closed(self) -> int | None:
        """Wait until both sides have ended; the close code."""
        await until(lambda: self.closes and self.connection.closed.is_set(), "the end of the session")
        return self.connection.close_code

    async def wait_last(self) -> None:
        """Wait for the last message of a turn."""
        await until(lambda: self.messages and self.messages[-1][1], "the last message of a turn")

    def keyframes(self) -> list[MotionFrame]:
        """All motion that came, in order."""
        return [
            MotionFrame.from_fields({name: getattr(flame, name) for name in FIELD_SIZES})
            for message, _ in self.messages
            for flame in message.server_response_animation.animation.keyframes
        ]


def same(frames: Sequence[MotionFrame], others: Sequence[MotionFrame]) -> bool:
    """Whether both are the same, bit for bit."""
    return [each.values.tobytes() for each in frames] == [each.values.tobytes() for each in others]
