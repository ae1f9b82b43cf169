"""A TCP relay: carries LiveKit's signalling to a server that listens elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType
from typing import Final, Self

from avatarkit_rtc.errors import ServerError
from avatarkit_rtc.testing.impairment.relay import Address

_CHUNK: Final = 65_536
_CONNECT_TIMEOUT_S: Final = 5.0


class TcpRelay:
    """Carries connections to ``server`` unchanged, on an event loop in a thread of its own.

    Use it as a context manager, or :meth:`start` and :meth:`stop` it.
    """

    def __init__(self, listen: Address, server: Address) -> None:
        """
        Args:
            listen: where clients connect to; port 0 for any free one, see :attr:`address`.
            server: where the server listens.
        """
        self._listen, self._server = listen, server
        self._address: Address | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> Address:
        """Where clients connect to."""
        return self._address or self._listen

    def start(self) -> None:
        """Begin to relay. More than once is fine.

        Raises:
            ServerError: the address cannot be listened on.
        """
        if self._thread is not None:
            return
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="tcp relay", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise ServerError(
                f"cannot relay TCP at {self._listen[0]}:{self._listen[1]}: "
                f"{self._failure.strerror or self._failure}; is the address this machine's and the port free?"
            ) from self._failure

    def stop(self) -> None:
        """Cut all connections. More than once is fine; never raises."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # the loop is over already
                self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()
        self._address = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(self._accept, *self._listen)
        except OSError as error:
            self._failure = error
            self._ready.set()
            return
        host, port = server.sockets[0].getsockname()[:2]
        self._address = (str(host), int(port))
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                far_reader, far_writer = await asyncio.open_connection(*self._server)
        except (OSError, TimeoutError):
            writer.transport.abort()  # as if nobody listened here
            return
        try:
            ways = [asyncio.create_task(_pump(reader, far_writer))]
            ways.append(asyncio.create_task(_pump(far_reader, writer)))
            try:
                await asyncio.gather(*ways)
            finally:
                for way in ways:
                    way.cancel()
        except OSError:
            pass  # either side broke it off: so does the other
        finally:
            for each in (writer, far_writer):
                each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    # Only this direction is over.
    with contextlib.suppress(OSError):
        writer.write_eof()
