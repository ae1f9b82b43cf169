"""What the realtime manager asks of a client, whichever provider and transport it talks to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from avatarkit_rtc.integrations.realtime.config import RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.events import ClientEvent

EventHandler: TypeAlias = Callable[[ClientEvent], None]


@runtime_checkable
class RealtimeClient(Protocol):
    """One connection to a realtime model at a time.

    Rules that the manager relies on:

    - Events are handed to the one handler on the event loop, in the server's order; the handler never blocks
      and never raises. None comes before :meth:`connect` begins or after :meth:`disconnect` returns, after
      ``connect`` raised or was cancelled, or after :class:`~.events.ConnectionLost`.
    - ``ConnectionLost`` comes once per connection, only where nobody here asked for the end, and never
      instead of an exception of ``connect``. After it the client is closed, and ``connect`` may be called
      again.
    - Any coroutine may be cancelled at any await and then leaves nothing behind of its own; ``update`` may be
      cancelled after the config has been sent.
    - Failures are raised as :class:`~avatarkit_rtc.errors.RealtimeError`: ``RealtimeServerError`` where the
      provider refused, ``RealtimeTransportError`` where it was not reached. No message carries a secret.
    - Nothing is queued without bound: sending waits for the transport, or drops and counts.
    """

    def set_event_handler(self, handler: EventHandler | None) -> None:
        """Hand all further events to ``handler``; None: to nobody."""

    async def connect(self, config: RealtimeSessionConfig) -> None:
        """Open a connection and a session with ``config``; returns when the provider has taken that over.

        Raises:
            RealtimeError: that failed; nothing is left open.
        """

    async def update(self, config: RealtimeSessionConfig) -> None:
        """Give the running session ``config``, all of it; returns when the provider has taken it over.

        Raises:
            RealtimeError: that failed; the session is as it was.
        """

    async def disconnect(self) -> None:
        """Close the connection. Nothing happens when there is none. Leaves nothing open, also when it raises.

        Raises:
            RealtimeError: it could not be closed in an orderly way.
        """

    async def send_text(self, text: str) -> None:
        """Say ``text`` as the user and have it responded to (as soon as a running response is done).

        Raises:
            RealtimeError: it could not be sent.
        """

    async def send_audio(self, pcm: bytes) -> None:
        """Append the user's sound: 16-bit mono, little-endian, at the config's ``input_rate``.

        Raises:
            RealtimeError: it could not be sent.
        """

    async def commit_audio(self) -> None:
        """End the user's turn: what was appended becomes a message, and is responded to.
        For sessions without turn detection.

        Raises:
            RealtimeError: it could not be sent.
        """

    async def interrupt(self, *, item_id: str | None = None, played_ms: int | None = None) -> None:
        """Cancel the running response, if there is one; that there is none any more is no error.

        Args:
            item_id: the message whose sound was cut off, if any was.
            played_ms: how much of it was heard, for the provider to forget the rest.

        Raises:
            RealtimeError: it could not be sent.
        """

    async def send_tool_result(self, call_id: str, output: Mapping[str, Any]) -> None:
        """Answer a tool call with ``output`` (it is JSON), and have the model go on (once all calls of its
        response are answered).

        Raises:
            RealtimeError: it could not be sent.
        """
