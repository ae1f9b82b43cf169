"""What the player asks of a view. Implementations are in the ``renderers`` package; any object with
:meth:`View.show` will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from avatarkit_rtc.audio.block import AudioBlock
    from avatarkit_rtc.audio.received import ReceivedAudio
    from avatarkit_rtc.events import RoundEnded, RoundStarted
    from avatarkit_rtc.motion.events import StreamEvent
    from avatarkit_rtc.motion.packet import PacketKind
    from avatarkit_rtc.player import AvatarPlayer
    from avatarkit_rtc.playout.pose import Pose
    from avatarkit_rtc.video.picture import Picture, PictureFormat


class MotionArrival(NamedTuple):
    """A motion packet, as it came."""

    t: float
    """Monotonic seconds, on the event loop's clock."""
    kind: PacketKind
    events: tuple[StreamEvent, ...]
    """What it meant: rounds that open and close, frames that are new. Empty for a packet with no news."""


@runtime_checkable
class View(Protocol):
    """The one method a view must have."""

    def show(self, pose: Pose) -> None:
        """Show ``pose`` now. Called on the event loop at 25 poses a second; must return within 2 ms or so,
        so drawing belongs on another thread. An exception is counted and logged, and playing goes on."""


class FullView(View, Protocol):
    """Everything the player calls on a view that has it. Each of these may be left out.

    The player never closes a view it was given: who makes a view closes it.
    """

    @property
    def render_rate_hz(self) -> float | None:
        """Poses per second that the view would like; None, or no such attribute: one per motion frame."""

    @property
    def closed(self) -> bool:
        """True once the user has ended the view (a closed window); ends ``player.wait_closed()``."""

    def attached(self, player: AvatarPlayer) -> None:
        """``player`` was made with this view: to listen to its events, read its figures, and report events of
        the view's own (:meth:`AvatarPlayer.report`). Called once, within the player's making."""

    def user_sound(self, block: AudioBlock) -> None:
        """The user's own sound as it is sent, mono: the microphone after its processing, or what
        ``publish_audio`` sends. ``block.t`` is the moment of sending, in monotonic seconds."""

    def sound(self, block: ReceivedAudio) -> None:
        """The avatar's sound, as it arrives. Its ``presentation_time`` and that of the poses are on one time:
        put together by these, sound and picture are in lip sync, whenever each was given."""

    def flushed(self) -> None:
        """The user has interrupted the avatar: what :meth:`sound` was given and is not heard yet will not
        be."""

    @property
    def picture_format(self) -> PictureFormat:
        """How :meth:`show_picture` wants its pixels; no such attribute: ``i420``."""

    def show_picture(self, picture: Picture) -> None:
        """Show a picture of a video avatar now, in place of poses, which are not shown as long as such an
        avatar is there. Same terms as :meth:`show`. Where a view has no such method, the picture of a video
        avatar is not even fetched from the room."""

    def round_started(self, event: RoundStarted) -> None:
        """The avatar begins to speak."""

    def round_ended(self, event: RoundEnded) -> None:
        """The avatar has ended a turn."""

    def motion_arrived(self, arrival: MotionArrival) -> None:
        """A motion packet arrived, long before its pose is shown: for measurements."""

    def connection_state(self, state: str) -> None:
        """The connection changed; the states are those of :class:`avatarkit_rtc.events.ConnectionState`."""
