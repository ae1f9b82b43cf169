"""The one end of a session: told to the avatar in the room, else cancelled through the API; whatever happens
to the caller meanwhile. A session that is not ended goes on being billed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from avatarkit_rtc.errors import AvatarKitError, RunwayStatusError
from avatarkit_rtc.integrations.arrival import arrived
from avatarkit_rtc.integrations.runway.own_loop import outliving_loop
from avatarkit_rtc.integrations.waiting import wait_out

if TYPE_CHECKING:
    from livekit import rtc

    from avatarkit_rtc.integrations.runway.client import RunwayClient

_log = logging.getLogger("avatarkit_rtc.runway")

END_CALL: Final = json.dumps({"type": "END_CALL"}).encode()
"""Data message to the avatar that ends the session (``COMPLETED``)."""
END_TIMEOUT_S: Final = 10.0
"""Longest time for cancelling through the API."""
_TELL_TIMEOUT_S: Final = 3.0
LINGER_S: Final = 0.25
"""What was sent last is on its way for a moment; a room that is left meanwhile takes it along. So long it is
waited for where the other end cannot be asked."""
ARRIVAL_TIMEOUT_S: Final = 1.0
"""So long it may take to say that it has come."""
OVER_AFTER_S: Final = 1.0
"""Time for a worker to end its session after it was told."""
LOOK_TIMEOUT_S: Final = 3.0
"""So long it may take to look whether it has; the rest of the time is for cancelling it."""
_GONE: Final = frozenset({404, 409, 410})


def delete_in_thread(client: RunwayClient, session_id: str, *, unless_over: bool = False) -> Future[None]:
    """Cancel a session in a thread with an event loop of its own, which nobody cancels: not the caller, and
    not ``asyncio.run()`` at its end. The process does not end before it. The future never fails.

    Args:
        unless_over: look a second later whether it is over already, and only cancel it if it is not.
    """
    done: Future[None] = Future()

    async def cancel() -> None:
        async with asyncio.timeout(END_TIMEOUT_S):
            if unless_over and await _is_over(client, session_id):
                return
            await client.cancel(session_id)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=outliving_loop) as runner:
                runner.run(cancel())
            _log.info("session %s is ended", session_id)
        except RunwayStatusError as error:
            if error.status not in _GONE:
                _log.warning("session %s could not be cancelled, and may go on: %s", session_id, error)
        except TimeoutError:
            _log.warning(
                "session %s could not be cancelled within %g s, and may go on", session_id, END_TIMEOUT_S
            )
        except AvatarKitError as error:
            _log.warning("session %s could not be cancelled, and may go on: %s", session_id, error)
        except BaseException as error:
            _log.warning("session %s could not be cancelled: %s", session_id, type(error).__name__)
        finally:
            done.set_result(None)

    threading.Thread(target=run, name="cancel session").start()
    return done


async def _is_over(client: RunwayClient, session_id: str) -> bool:
    from avatarkit_rtc.integrations.runway.client import FINAL_STATUSES

    await asyncio.sleep(OVER_AFTER_S)
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return (await client.get_session(session_id)).status in FINAL_STATUSES
    except (AvatarKitError, TimeoutError):
        return False


class SessionEnd:
    """Ends a session exactly once, in two steps that need nobody to wait for them."""

    def __init__(self, client: RunwayClient) -> None:
        self._client = client
        self._done: Future[None] = Future()
        self._begun = False
        self._telling: asyncio.Task[bool] | None = None

    @property
    def begun(self) -> bool:
        """Whether the session is being ended, or has been."""
        return self._begun

    def begin(
        self,
        session_id: str | None,
        room: rtc.Room | None = None,
        avatar: Callable[[rtc.Room], list[str]] | None = None,
    ) -> None:
        """Begin to end the session; further calls do nothing. Must run on the event loop.

        Args:
            session_id: None if it is not known, so that only the room is left.
            room: a room with the avatar in it; None for none.
            avatar: identities of those to tell; None for everybody.
        """
        if self._begun:
            return
        self._begun = True
        to: list[str] | None = None
        try:
            if room is not None and room.isconnected():
                to = avatar(room) if avatar is not None else []
        except Exception as error:
            _log.warning("no room to tell the avatar of the end in", exc_info=error)
        if room is None or to is None:
            self._cancel(session_id)
            return
        self._telling = asyncio.get_running_loop().create_task(_tell(room, to), name="END_CALL")
        # Not in the task: one that is cancelled before its first step does nothing at all.
        self._telling.add_done_callback(lambda task: self._told(task, session_id))

    async def wait(self) -> None:
        """Wait for the end, also when the caller is cancelled; that is raised afterwards."""
        if self._begun:
            await wait_out(asyncio.wrap_future(self._done))

    def _told(self, task: asyncio.Task[bool], session_id: str | None) -> None:
        if not task.cancelled() and task.exception() is None:
            if task.result():
                self._done.set_result(None)
            else:  # nobody was there, has just joined or has just left: is the session over?
                self._cancel(session_id, unless_over=True)
            return
        problem = "cancelled" if task.cancelled() else repr(task.exception())
        _log.warning("the avatar could not be told of the end (%s); cancelling the session", problem)
        self._cancel(session_id)

    def _cancel(self, session_id: str | None, *, unless_over: bool = False) -> None:
        if session_id is None:
            _log.warning("no session to cancel: its id is not known")
            self._done.set_result(None)
            return
        deleted = delete_in_thread(self._client, session_id, unless_over=unless_over)
        deleted.add_done_callback(lambda _: self._done.set_result(None))


async def _tell(room: rtc.Room, to: list[str]) -> bool:
    """Whether the message is known to have got there."""
    async with asyncio.timeout(_TELL_TIMEOUT_S):
        await room.local_participant.publish_data(END_CALL, reliable=True, destination_identities=to)
    # It is sent: a cancellation from here on must not send a second end after it.
    with contextlib.suppress(asyncio.CancelledError):
        asked = (arrived(room.local_participant, each, ARRIVAL_TIMEOUT_S) for each in to)
        if any(await asyncio.gather(*asked)):
            return True
        await asyncio.sleep(LINGER_S)
    return False


def workers_in(room: Any) -> list[str]:
    """Identities of Runway's workers in ``room``; everybody (an empty list) if there are none to be seen."""
    return [identity for identity in room.remote_participants if identity.startswith("worker:")]
