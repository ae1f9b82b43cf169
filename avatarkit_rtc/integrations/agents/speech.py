"""Speech for an avatar worker in a LiveKit room: what it shall say goes to it as sound, it sends back picture
and voice.

As LiveKit Agents does: each utterance is a byte stream on the topic ``lk.audio_stream`` (16-bit PCM, with the
attributes ``sample_rate`` and ``num_channels``), which ends with the utterance. The worker reports by RPC
``lk.playback_started`` and ``lk.playback_finished``; ``lk.clear_buffer`` makes it stop at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Callable
from typing import Any, Final

from livekit import rtc

from avatarkit_rtc.audio.sources import SourceReader, open_source
from avatarkit_rtc.errors import AvatarTimeoutError, ConfigurationError, NotConnectedError, PublishError
from avatarkit_rtc.integrations.agents.pending import Pending
from avatarkit_rtc.integrations.agents.playback import Playback, PlaybackFinished, parse_finished
from avatarkit_rtc.integrations.agents.reports import listen, stop_listening
from avatarkit_rtc.integrations.arrival import arrived
from avatarkit_rtc.integrations.utterance import until_cut

__all__ = ["AvatarSpeech", "Playback", "PlaybackFinished"]

AUDIO_TOPIC: Final = "lk.audio_stream"
"""Topic of the byte streams."""
CLEAR_BUFFER: Final = "lk.clear_buffer"
"""RPC method of the worker: drop what is queued and be silent."""

CLEAR_TIMEOUT_S: Final = 2.0
"""So long the worker may take to answer ``lk.clear_buffer`` and to report where it stopped; LiveKit Agents
gives it as long for the report alone."""
REPORT_TIMEOUT_S: Final = 10.0
"""So much longer than an utterance takes a worker may wait before it reports its end."""
_JUST_NOW_S: Final = 2.0
"""What was reported longer ago than this has been answered."""
_ANSWER_TIMEOUT_S: Final = 2.0

_BLOCKS_A_WRITE: Final = 10
"""Blocks of 10 ms that are sent at a time: at 24 kHz 4.8 kB, a third of what a packet carries."""

_log = logging.getLogger("avatarkit_rtc.agents")


class AvatarSpeech:
    """Makes one avatar worker speak::

        async with AvatarSpeech(player.get_native_client(), "my-avatar-agent") as speech:
            playback = await speech.say("hello.wav")
            print(await playback.wait())

    A worker listens to one participant: the one it was told of, else the first of the kind agent. So the
    token of this program's participant has to be of that kind, or the worker has to be told its identity.

    The room is borrowed. After a player's ``reconnect()`` it has another one, which needs another
    :class:`AvatarSpeech`. All calls belong on the room's event loop.
    """

    def __init__(
        self,
        room: rtc.Room,
        avatar_identity: str,
        *,
        sample_rate: int = 24000,
        wait_for_video: bool = True,
        clear_timeout_s: float = CLEAR_TIMEOUT_S,
        report_timeout_s: float = REPORT_TIMEOUT_S,
    ) -> None:
        """
        Args:
            room: a connected room.
            avatar_identity: of the worker.
            sample_rate: samples per second that are sent, a multiple of 100; Runway's takes 16000.
            wait_for_video: :meth:`start` waits until the worker has published its picture, too: one that is
                still starting may not listen yet.
            clear_timeout_s: how long the worker may take to stop and to report where, 0 to 60.
            report_timeout_s: how much longer than an utterance takes the worker may take to report its end,
                0 to 60.

        Raises:
            ConfigurationError: an argument cannot be right.
        """
        if not avatar_identity:
            raise ConfigurationError("avatar_identity must not be empty; it is the worker's in the room")
        if not 8000 <= sample_rate <= 48000 or sample_rate % 100:
            raise ConfigurationError(f"sample_rate is 8000 to 48000 in steps of 100, not {sample_rate!r}")
        if not (0 <= clear_timeout_s <= 60 and 0 <= report_timeout_s <= 60):
            raise ConfigurationError("clear_timeout_s and report_timeout_s are 0 to 60")
        self._room = room
        self._identity = avatar_identity
        self._rate = sample_rate
        self._wait_for_video = wait_for_video
        self._clear_timeout_s = clear_timeout_s
        self._report_timeout_s = report_timeout_s
        self._reported_at = -math.inf
        self._handlers: dict[Any, Callable[..., None]] = {}
        self._changed = asyncio.Event()
        self._saying = asyncio.Lock()
        self._current: Playback | None = None  # pending from its first sample on
        self._pending = Pending()
        self._writer: rtc.ByteStreamWriter | None = None
        self._interrupting: asyncio.Task[None] | None = None
        self._closed = False
        self._interrupts = 0

    # -- life ------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> tuple[Playback, ...]:
        """What was said and is not over, in order."""
        return tuple(self._pending)

    @property
    def unexpected(self) -> int:
        """Reports that belong to nothing that was said, or cannot be understood."""
        return self._pending.unexpected

    async def start(self, timeout: float | None = 30.0) -> None:
        """Wait until the worker is there. :meth:`say` does so, too.

        Raises:
            AvatarTimeoutError: it did not come, or showed no picture, within ``timeout`` seconds.
            NotConnectedError: the room is not connected, or this is closed.
        """
        self._attach()
        try:
            async with asyncio.timeout(timeout):
                while not self._ready():
                    self._changed.clear()
                    await self._changed.wait()
                    self._check_room()
        except TimeoutError as error:
            what = "has published no picture" if self._present() is not None else "is not in the room"
            raise AvatarTimeoutError(
                f"{self._identity!r} {what} after {timeout:g} s; was its session started for this room?"
            ) from error

    async def aclose(self) -> None:
        """Say no more. What was sent is still said; nobody waits for it any longer. After this the room may
        be left: what the worker has just reported has been answered (which takes 2 s at most). Never raises;
        more than once is fine."""
        if self._closed:
            return
        self._closed = True
        for event, handler in self._handlers.items():
            self._room.off(event, handler)
        await self._end_stream()
        self._give_up()
        with contextlib.suppress(Exception):  # a room that is down has no participant
            us = self._room.local_participant
            stop_listening(us, self._identity, self)
            just_now = asyncio.get_running_loop().time() - self._reported_at < _JUST_NOW_S
            if just_now and self._present() is not None and self._room.isconnected():
                # LiveKit Agents' worker reports again what was not answered, and after three times gives up.
                await arrived(us, self._identity, _ANSWER_TIMEOUT_S)

    async def __aenter__(self) -> AvatarSpeech:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # -- speaking --------------------------------------------------------------------------------------------

    async def say(
        self, source: Any, *, sample_rate: int | None = None, channels: int | None = None
    ) -> Playback:
        """Send one utterance, as fast as the room takes it; returns when all of it is sent, or
        :meth:`interrupt` has cut it off. While another one is being said this waits for its turn.

        Args:
            source: as of :meth:`avatarkit_rtc.AvatarPlayer.publish_audio`: a path, an array, bytes, an async
                iterator, a ``PushSource``. An iterator may be slow: the worker says what it has.
            sample_rate: samples per second of arrays and bytes.
            channels: channels of bytes.

        Raises:
            AvatarTimeoutError: the worker is not there after 30 s.
            NotConnectedError: the room is not connected, or this is closed.
            ConfigurationError: the source is none.
            PublishError: the room did not take it.
        """
        interrupts = self._interrupts
        async with self._saying:
            return await self._say(source, interrupts, sample_rate=sample_rate, channels=channels)

    async def _say(
        self, source: Any, interrupts: int, *, sample_rate: int | None, channels: int | None
    ) -> Playback:
        playback = Playback()
        await self.start()
        # LiveKit Agents' worker reports only the first end of two utterances that it has got at once.
        await self.wait_played()
        if self._interrupting is not None:  # what it ends must not be taken for the end of this one
            await asyncio.wait([self._interrupting])
        reader = await asyncio.to_thread(
            open_source, source, sample_rate=sample_rate, channels=channels, output_rate=self._rate
        )
        self._current = playback
        # Nobody was told of this one while its source was being opened.
        if interrupts != self._interrupts or not self._heard():
            self._drop_current()
        try:
            await self._send(reader, playback)
        finally:
            self._current = None
            await reader.aclose()
            playback.all_sent = True
            if self._interrupting is None:  # which does it once the worker is told
                await self._end_stream()
            if not (playback.cut or playback.over):
                loop = asyncio.get_running_loop()
                loop.call_later(playback.sent_s + self._report_timeout_s, self._not_reported, playback)
        return playback

    async def interrupt(self) -> None:
        """Make the worker be silent now: what was said and is not over ends, as does each :meth:`say` that
        still sends or waits, also for its source's first sound. Returns when the worker has reported where
        it stopped, after 2 s at most. Nothing happens where nothing is being said."""
        self._interrupts += 1
        self._drop_current()
        if self._interrupting is None:
            if not self._pending and self._writer is None:
                return
            self._interrupting = asyncio.create_task(self._interrupt(), name="interrupt the avatar")
            self._interrupting.add_done_callback(self._interrupted)
        await asyncio.shield(self._interrupting)

    async def wait_played(self) -> None:
        """Wait until all that was said is over."""
        await self._pending.wait()

    # -- inside ----------------------------------------------------------------------------------------------

    async def _send(self, reader: SourceReader, playback: Playback) -> None:
        held: list[bytes] = []
        async with contextlib.aclosing(until_cut(reader, playback)) as blocks:
            async for block in blocks:
                held.append(block.samples.tobytes())
                if len(held) >= (_BLOCKS_A_WRITE if reader.paced else 1):
                    await self._write(b"".join(held), playback)
                    held.clear()
        if held and not playback.cut:
            await self._write(b"".join(held), playback)
        if not playback.sent_s and not playback.cut:
            playback.finish(PlaybackFinished(0.0, False, reported=False))  # there was nothing to say

    async def _write(self, data: bytes, playback: Playback) -> None:
        self._check_room()
        try:
            if self._writer is None:
                self._pending.add(playback)
                writer = await self._room.local_participant.stream_bytes(
                    name=f"AUDIO_{secrets.token_hex(6)}",
                    topic=AUDIO_TOPIC,
                    destination_identities=[self._identity],
                    attributes={"sample_rate": str(self._rate), "num_channels": "1"},
                )
                if playback.cut:  # meanwhile
                    await writer.aclose()
                    return
                self._writer = writer
            await self._writer.write(data)
        except Exception as error:
            if playback.cut:
                return
            if not playback.sent_s:
                self._pending.never_sent(playback)
            raise PublishError(f"the room did not take the avatar's speech: {error}") from error
        playback.wrote(len(data) / 2 / self._rate, asyncio.get_running_loop().time())

    def _not_reported(self, playback: Playback) -> None:
        if not playback.over:
            _log.warning("the avatar %s did not report the end of what it said", self._identity)
            self._pending.not_reported(playback)

    async def _end_stream(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(Exception):  # the room may be gone
                await writer.aclose()

    async def _interrupt(self) -> None:
        cut = self._pending.cut_off()
        try:
            # Both together: the SDK alone waits 8 s for the answer of a worker that hangs.
            async with asyncio.timeout(self._clear_timeout_s):
                await self._room.local_participant.perform_rpc(
                    destination_identity=self._identity, method=CLEAR_BUFFER, payload=""
                )
                await self._end_stream()
                for playback in cut:
                    await playback.wait()
        except Exception as error:
            what = "did not stop in time" if isinstance(error, TimeoutError) else f"was not told: {error}"
            _log.warning("interrupting the avatar %s: it %s", self._identity, what)
        await self._end_stream()
        self._pending.not_stopped(cut, asyncio.get_running_loop().time())

    def _interrupted(self, task: asyncio.Task[None]) -> None:
        self._interrupting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("interrupting the avatar failed", exc_info=error)

    def playback_started(self) -> None:
        """The worker reports that it has begun."""
        self._reported_at = asyncio.get_running_loop().time()
        self._pending.started()

    def playback_finished(self, payload: str) -> None:
        """The worker reports an end."""
        now = self._reported_at = asyncio.get_running_loop().time()
        finished = parse_finished(payload)
        if finished is None:
            self._pending.unexpected += 1
            _log.warning("a playback report of %s cannot be understood", self._identity)
            return
        self._pending.finished(finished, now, interrupting=self._interrupting is not None)

    def _give_up(self) -> None:
        """The worker is gone: nothing will be reported."""
        self._drop_current()
        self._pending.give_up()

    def _drop_current(self) -> None:
        """Cut off what has not begun to be sent, as its source has given nothing yet."""
        if self._current is not None and self._current not in self._pending:
            self._current.interrupt()
            self._current.finish(PlaybackFinished(0.0, True, reported=False))

    # -- the room --------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        self._check_room()
        if not listen(self._room.local_participant, self._identity, self):
            return
        self._handlers = {
            "participant_connected": self._on_room_changed,
            "participant_disconnected": self._on_left,
            "track_published": self._on_room_changed,
            "disconnected": self._on_room_state,
            "connection_state_changed": self._on_room_state,  # the other one is left out now and then
        }
        for event, handler in self._handlers.items():
            self._room.on(event, handler)

    def _check_room(self) -> None:
        if self._closed:
            raise NotConnectedError("this AvatarSpeech is closed; make a new one")
        if not self._room.isconnected():
            raise NotConnectedError("the room is not connected; connect first")

    def _present(self) -> rtc.RemoteParticipant | None:
        return self._room.remote_participants.get(self._identity)

    def _heard(self) -> bool:
        return not self._closed and self._room.isconnected() and self._present() is not None

    def _ready(self) -> bool:
        worker = self._present()
        if worker is None:
            return False
        kinds = [publication.kind for publication in worker.track_publications.values()]
        return not self._wait_for_video or rtc.TrackKind.KIND_VIDEO in kinds

    def _on_room_changed(self, *_: object) -> None:
        self._changed.set()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self._give_up()
        self._changed.set()

    def _on_room_state(self, *_: object) -> None:
        if not self._room.isconnected():
            self._give_up()
            self._changed.set()
