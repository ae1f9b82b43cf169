"""What the service reports beside the motion itself."""

from __future__ import annotations

from collections.abc import Callable

from avatarkit_rtc.errors import AvatarKitError


class ServiceNews:
    """A :class:`~avatarkit_rtc.integrations.spatialreal.link.LinkListener`: only failures are news."""

    def __init__(self, failed: Callable[[AvatarKitError, str | None], None]) -> None:
        """``failed`` is given the error, and the request that it is about, if it is about one."""
        self._failed = failed

    def on_signal(self, request_id: str, end: bool) -> None:
        """Not needed: the motion says it itself."""

    def on_playback_state(self, request_id: str, state: str, position_s: float, reason: str) -> None:
        """Not needed: what is played is played here."""

    def on_service_error(self, error: AvatarKitError, request_id: str | None) -> None:
        """The service could not do something."""
        self._failed(error, request_id)
