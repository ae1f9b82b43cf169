"""Where the stand-ins of HTTP services listen: a port of this machine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


async def serve_locally(app: web.Application, port: int = 0) -> tuple[web.AppRunner, int]:
    """Serve ``app`` on 127.0.0.1; returns what has to be cleaned up (``await runner.cleanup()``, which breaks
    requests off that are still open after 0.1 s) and the port, a free one for 0.

    Raises:
        OSError: the port is taken.
    """
    from aiohttp import web

    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]
