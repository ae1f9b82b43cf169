"""Several views as one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from avatarkit_rtc.errors import ConfigurationError
from avatarkit_rtc.video.picture import DEFAULT_FORMAT, PictureFormat, check_format
from renderers._log import ThinnedLog

if TYPE_CHECKING:
    from avatarkit_rtc.playout.pose import Pose
    from avatarkit_rtc.video.picture import Picture
    from avatarkit_rtc.views import View

_OPTIONAL: Final = (
    "attached",
    "sound",
    "user_sound",
    "flushed",
    "round_started",
    "round_ended",
    "motion_arrived",
    "connection_state",
)


class Tee:
    """Hands everything the player tells a view to several views.

    A view that raises does not stop the others. The Tee has those optional methods of a view (``attached``,
    ``sound``, ``user_sound``, ``flushed``, ``round_started``, ``round_ended``, ``motion_arrived``,
    ``connection_state``, ``show_picture``) that at least one of its views has.

    Pictures of a video avatar come in the format that all of its views ask for; where they differ, as
    ``i420``, which is converted here for each view that asks for another.
    """

    def __init__(self, *views: View) -> None:
        """Raises ConfigurationError if something among ``views`` has no method ``show``."""
        for view in views:
            if not callable(getattr(view, "show", None)):
                raise ConfigurationError(f"a view needs a method show(pose); {view!r} has none")
        self.views: Final = tuple(views)
        """The views, in the order they are told."""
        self.errors = 0
        """Calls that a view answered with an exception."""
        self._log = ThinnedLog(logging.getLogger("avatarkit_rtc"))
        self._shows = [(view, view.show) for view in views]
        for name in _OPTIONAL:
            methods = [(view, getattr(view, name)) for view in views if callable(getattr(view, name, None))]
            if methods:
                setattr(self, name, self._forward(methods))
        pictures = [
            (view, show_picture, check_format(getattr(view, "picture_format", DEFAULT_FORMAT)))
            for view in views
            if callable(show_picture := getattr(view, "show_picture", None))
        ]
        if pictures:
            formats = {form for _, _, form in pictures}
            self.picture_format: PictureFormat = formats.pop() if len(formats) == 1 else DEFAULT_FORMAT
            self.show_picture = self._show_picture
        self._pictures = pictures

    def _show_picture(self, picture: Picture) -> None:
        """Show ``picture`` in every view that shows pictures."""
        for view, show_picture, form in self._pictures:
            try:
                show_picture(picture.converted(form))
            except Exception as error:
                self._count(view, error)

    def _forward(self, methods: list[tuple[View, Callable[..., Any]]]) -> Callable[..., None]:
        def forward(*arguments: Any) -> None:
            for view, method in methods:
                try:
                    method(*arguments)
                except Exception as error:
                    self._count(view, error)

        return forward

    def show(self, pose: Pose) -> None:
        """Show ``pose`` in every view."""
        for view, show in self._shows:
            try:
                show(pose)
            except Exception as error:
                self._count(view, error)

    @property
    def closed(self) -> bool:
        """True once any of the views is closed."""
        return any(bool(getattr(view, "closed", False)) for view in self.views)

    def close(self) -> None:
        """Close every view that can be closed, in reverse order; never raises."""
        for view in reversed(self.views):
            close = getattr(view, "close", None)
            if callable(close):
                try:
                    close()
                except Exception as error:
                    self._count(view, error)

    def _count(self, view: View, error: Exception) -> None:
        self.errors += 1
        name = type(view).__name__
        self._log.warning(name, f"Tee: {name} raised {type(error).__name__}: {error}", error)
