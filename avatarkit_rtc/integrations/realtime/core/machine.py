"""The course of a session as a pure state machine: what happened goes in, what to do comes out.

Neither waits nor looks at a clock: each method takes ``now`` where it needs one (monotonic seconds) and
returns effects, to be carried out in their order. :attr:`Machine.deadline` says when :meth:`Machine.due` is
to be called.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from avatarkit_rtc.errors import RealtimeServerError, RealtimeStateError
from avatarkit_rtc.integrations.realtime.config import Character, RealtimeSessionConfig
from avatarkit_rtc.integrations.realtime.core.conversation import Conversation
from avatarkit_rtc.integrations.realtime.core.effects import (
    CancelOp,
    Connect,
    Disconnect,
    Effect,
    Emit,
    Log,
    LogLevel,
    Settle,
    Update,
)
from avatarkit_rtc.integrations.realtime.core.opening import Opening, why
from avatarkit_rtc.integrations.realtime.core.recovery import Recovery
from avatarkit_rtc.integrations.realtime.core.tables import CONNECTED, SHOWN, TRANSITIONS, Input, Phase
from avatarkit_rtc.integrations.realtime.core.tools import ToolRegistry
from avatarkit_rtc.integrations.realtime.core.wanted import WantedConfig
from avatarkit_rtc.integrations.realtime.events import (
    ClientEvent,
    ConnectionLost,
    ErrorReported,
    SessionEnded,
)
from avatarkit_rtc.integrations.realtime.output import OutputEvent
from avatarkit_rtc.integrations.realtime.payloads import (
    Failure,
    SessionChanged,
    StateChanged,
    TransitionReason,
)
from avatarkit_rtc.integrations.realtime.types import RealtimeState, SessionState

ALREADY_ACTIVE: Final = "Realtime session already active"
NOT_ACTIVE: Final = "Realtime session not active"
RECONNECTING: Final = "Realtime session is reconnecting"
STOPPED_WHILE_STARTING: Final = "Realtime session was stopped while it was starting"

_OPENING: Final = frozenset({Phase.STARTING, Phase.RECOVERING})


class Machine:
    """One manager's sessions, one after the other."""

    def __init__(
        self,
        registry: ToolRegistry,
        new_session_id: Callable[[], str],
        default_config: RealtimeSessionConfig | None = None,
    ) -> None:
        """
        Args:
            registry: the tools; read whenever a config is made.
            new_session_id: called once per session.
            default_config: what the first session is started with where the caller says nothing.
        """
        self._new_session_id = new_session_id
        self._phase = Phase.IDLE
        self._wanted = WantedConfig(registry, default_config)
        self._recovery = Recovery(self._log)
        self._last_error: Exception | None = None
        self.character: Character | None = None
        self.session_id: str | None = None
        """Id of the session, from its start until it is stopped or has failed."""
        self.deadline: float | None = None
        """When :meth:`due` is to be called, in monotonic seconds; None: not at all."""
        self.opening = Opening()
        """What comes while ``connect()`` runs."""
        self.conversation = Conversation(registry, lambda: self.state, lambda: self.session_id)
        self._op = 0
        self._announced = False
        self._reason: TransitionReason = "user"
        self._start_waiter: Hashable = None
        self._patch_waiters: list[Hashable] = []
        self._next_waiters: list[Hashable] = []
        self._queued = False
        self._stop_waiters: list[Hashable] = []

    @property
    def phase(self) -> Phase:
        """Where the session is."""
        return self._phase

    @property
    def state(self) -> RealtimeState:
        """What the caller sees."""
        connection, status = SHOWN[self._phase]
        character = self.character.id if self.character else None
        return RealtimeState(
            connection,
            SessionState(status, self._wanted.live, character),
            self.conversation.responses.state,
            self._last_error,
            self.conversation.audio_playing,
        )

    def set_character(self, character: Character | None) -> list[Effect]:
        """Who the model is to be, from the next config on."""
        self.character = character
        return [self._state()]

    def check_connected(self) -> None:
        """
        Raises:
            RealtimeStateError: nothing can be sent now.
        """
        if self._phase in (Phase.WAITING, Phase.RECOVERING):
            raise RealtimeStateError(f"{RECONNECTING}; wait for realtime:reconnect:success")
        if self._phase not in CONNECTED:
            raise RealtimeStateError(f"{NOT_ACTIVE}; call start_session() first")

    # What the caller asks for.

    def start(self, waiter: Hashable, config: RealtimeSessionConfig | None) -> list[Effect]:
        """Begin a session with what was wanted so far and ``config``.

        Raises:
            RealtimeStateError: there is one.
        """
        if (self._phase, Input.START) not in TRANSITIONS:
            raise RealtimeStateError(f"{ALREADY_ACTIVE}; call stop_session() first")
        self._wanted.want(config)
        self.session_id = self._new_session_id()
        self._last_error = None
        self._announced = False
        self._reason = "user"
        self._start_waiter = waiter
        self.conversation.begin()
        self._move(Input.START)
        return [self._state(), self._connect(again=False)]

    def update(self, waiter: Hashable, config: RealtimeSessionConfig | None) -> list[Effect]:
        """Want ``config``, too: at once where a session is connected, with the next patch where one is in
        flight, and else with the next start or reconnect."""
        self._wanted.want(config)
        if self._phase is Phase.ACTIVE:
            return self._patch([waiter])
        if self._phase is Phase.PATCHING:
            self._queued = True
            self._next_waiters.append(waiter)
            return []
        return [Settle(waiter)]

    def stop(self, waiter: Hashable) -> list[Effect]:
        """End the session, whatever it is at."""
        if self._phase is Phase.STOPPING:
            self._stop_waiters.append(waiter)
            return []
        if (self._phase, Input.STOP) not in TRANSITIONS:
            return [Settle(waiter)]
        return self._end(Input.STOP, "user", [waiter])

    def interrupt(self) -> list[Effect]:
        """The caller wants no more of the response; the client is to be told then.

        Raises:
            RealtimeStateError: there is no connection to tell it on.
        """
        self.check_connected()
        return self.conversation.interrupt()

    # How it went.

    def opened(self, op: int, now: float) -> list[Effect]:
        """``connect()`` has returned."""
        if op != self._op:
            return []
        if self.opening.broken is not None:
            return self.open_failed(op, self.opening.broken, now)
        again = self._phase is Phase.RECOVERING
        self._take_over(Input.OPENED)
        effects: list[Effect] = [self._state()]
        if again:
            effects += self._recovery.succeeded(now)
        else:
            self._announced = True
            effects += [
                self._log("info", "Realtime session started"),
                Emit("realtime:session:start", SessionChanged(self.state, "user")),
                *self._settle_start(None),
            ]
        if self._wanted.changed:
            effects += self._patch([])
        for event in self.opening.take():
            effects += self.handle(event, now)
        return effects

    def open_failed(self, op: int, error: Exception, now: float) -> list[Effect]:
        """``connect()`` has raised."""
        if op != self._op:
            return []
        broken = self.opening.broken is not None
        self.opening.begin()
        if self._phase is Phase.STARTING:
            effects = [*self._fail(Input.OPEN_FAILED, error), *self._settle_start(error)]
            return [*effects, self._close()] if broken else effects
        self._last_error = error
        if not self._recovery.exhausted:
            self._move(Input.OPEN_FAILED)
            return [self._state(), *self._next_attempt(now)]
        effects = [self._state(), *self._recovery.failed(now, error), *self._fail(Input.EXHAUSTED, error)]
        return [*effects, self._close()] if broken else effects

    def patched(self, op: int) -> list[Effect]:
        """``update()`` has returned."""
        if op != self._op:
            return []
        self._take_over(Input.PATCHED)
        effects = [self._state(), self._log("info", "Realtime session patch succeeded")]
        return [*effects, *self._settle_patch(None), *self._next_patch()]

    def patch_failed(self, op: int, error: Exception) -> list[Effect]:
        """``update()`` has raised."""
        if op != self._op:
            return []
        self._move(Input.PATCH_FAILED)
        if isinstance(error, RealtimeServerError):
            self._wanted.refused()
        effects = [*self._error(error), self._log("error", "Realtime session patch failed", error=str(error))]
        return [*effects, *self._settle_patch(error), *self._next_patch()]

    def closed(self, op: int) -> list[Effect]:
        """``disconnect()`` has returned."""
        if op != self._op or (self._phase, Input.CLOSED) not in TRANSITIONS:
            return []
        self._move(Input.CLOSED)
        self._last_error = None
        self._over()
        effects: list[Effect] = [self._state()]
        if self._announced:
            effects.append(Emit("realtime:session:end", SessionChanged(self.state, self._reason)))
        effects.append(self._log("info", "Realtime session ended", reason=self._reason))
        self.session_id = None
        return [*effects, *self._settle_stop(None)]

    def close_failed(self, op: int, error: Exception) -> list[Effect]:
        """``disconnect()`` has raised."""
        if op != self._op or (self._phase, Input.CLOSE_FAILED) not in TRANSITIONS:
            return []
        return [*self._fail(Input.CLOSE_FAILED, error), *self._settle_stop(error)]

    def due(self, now: float) -> list[Effect]:
        """Time has come to :attr:`deadline`."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        self._move(Input.DUE)
        return [self._connect(again=True)]

    # What the client tells.

    def handle(self, event: ClientEvent, now: float) -> list[Effect]:
        """An event of the client's."""
        if self._phase not in CONNECTED:
            return self._while_opening(event) if self._phase in _OPENING else []
        if isinstance(event, ConnectionLost):
            return self._lost(event, now)
        if isinstance(event, SessionEnded):
            return [
                self._log("info", "Realtime session ended by the provider", why=event.reason),
                *self._end(Input.ENDED, "server", []),
            ]
        if isinstance(event, ErrorReported):
            return self._reported(event)
        return self.conversation.handle(event, self._wanted.sent)

    def heard(self, event: OutputEvent) -> list[Effect]:
        """What the sound output tells; without a connection there is no voice."""
        return self.conversation.heard(event) if self._phase in CONNECTED else []

    def _while_opening(self, event: ClientEvent) -> list[Effect]:
        self.opening.note(event)
        if not isinstance(event, ErrorReported):
            return []
        self._last_error = event.error
        return [self._state()]

    def _lost(self, event: ConnectionLost, now: float) -> list[Effect]:
        error = why(event)
        effects: list[Effect] = []
        if self._phase is Phase.PATCHING:
            self._op += 1
            effects.append(CancelOp())
        self._move(Input.LOST)
        self._last_error = error
        self._recovery.begin(event.cause, now)
        effects += self.conversation.lost()
        return [
            *effects,
            self._state(),
            self._log("warning", "Realtime connection lost", cause=event.cause),
            *self.conversation.calls.drop(lost=True),
            *self._settle_patch(None),  # what they want is remembered, and part of the next attempt
            *self._next_attempt(now),
        ]

    def _reported(self, event: ErrorReported) -> list[Effect]:
        error = event.error
        if event.recoverable:
            return [*self._error(error), self._log("error", "Realtime error surfaced", error=str(error))]
        effects = [*self.conversation.end(), *self._fail(Input.FATAL, error)]
        return [*effects, *self._settle_patch(error), self._close()]

    # Steps of the above.

    def _connect(self, *, again: bool) -> Effect:
        self.opening.begin()
        self._op += 1
        return Connect(self._op, self._wanted.send(self.character), again)

    def _patch(self, waiters: list[Hashable]) -> list[Effect]:
        self._move(Input.UPDATE)
        self._last_error = None
        self._patch_waiters = waiters
        self._op += 1
        update = Update(self._op, self._wanted.send(self.character))
        return [self._state(), self._log("debug", "Realtime session patch started"), update]

    def _next_patch(self) -> list[Effect]:
        if not self._queued:
            return []
        waiters, self._next_waiters, self._queued = self._next_waiters, [], False
        return self._patch(waiters)

    def _next_attempt(self, now: float) -> list[Effect]:
        self.deadline, effects = self._recovery.next_attempt(now)
        return effects

    def _take_over(self, cause: Input) -> None:
        """The provider has the config that it was sent."""
        self._move(cause)
        self._wanted.take_over()
        self._last_error = None

    def _end(self, cause: Input, reason: TransitionReason, waiters: list[Hashable]) -> list[Effect]:
        self._reason = reason
        self._stop_waiters = waiters
        self.deadline = None
        self.opening.begin()
        effects = self.conversation.end()
        self._move(cause)
        return [
            *effects,
            self._state(),
            *self._settle_start(RealtimeStateError(STOPPED_WHILE_STARTING)),
            *self._settle_patch(None),  # what they want is remembered
            self._close(),
        ]

    def _close(self) -> Effect:
        self._op += 1
        return Disconnect(self._op)

    def _fail(self, cause: Input, error: Exception) -> list[Effect]:
        self._move(cause)
        self._over()
        effects = [*self._error(error), self._log("error", "Realtime session failed", error=str(error))]
        self.session_id = None
        return effects

    def _over(self) -> None:
        self._wanted.live = None
        self.deadline = None
        self.conversation.reset()

    def _error(self, error: Exception) -> list[Effect]:
        self._last_error = error
        return [Emit("realtime:error", Failure(error)), self._state()]

    def _settle_start(self, error: Exception | None) -> list[Effect]:
        waiter, self._start_waiter = self._start_waiter, None
        return [] if waiter is None else [Settle(waiter, error)]

    def _settle_patch(self, error: Exception | None) -> list[Effect]:
        waiters, self._patch_waiters = self._patch_waiters, []
        if self._phase is not Phase.ACTIVE:  # there will be no other
            waiters = [*waiters, *self._next_waiters]
            self._next_waiters, self._queued = [], False
        return _settled(waiters, error)

    def _settle_stop(self, error: Exception | None) -> list[Effect]:
        waiters, self._stop_waiters = self._stop_waiters, []
        return _settled(waiters, error)

    def _move(self, cause: Input) -> None:
        self._phase = TRANSITIONS[self._phase, cause]

    def _state(self) -> Effect:
        return Emit("realtime:state", StateChanged(self.state))

    def _log(self, level: LogLevel, message: str, **context: Any) -> Effect:
        return Log(level, message, {**context, "sessionId": self.session_id})


def _settled(waiters: Sequence[Hashable], error: Exception | None) -> list[Effect]:
    return [Settle(waiter, error) for waiter in waiters]
