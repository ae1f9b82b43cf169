"""RPC methods that are there before the first call can come.

LiveKit's native library takes RPC calls from the moment on in which it is in the room, and answers those of
methods that it does not know by itself, with error 1400. The Python SDK hears of that moment by a callback in
a thread of the library's, and has the event loop make a ``Room`` of it some time later: on a busy machine,
tens of milliseconds. The library begins to read what has come from the room only after that callback. So the
methods are registered within it; what is called from then on waits for the event loop.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from avatarkit_rtc.providers.join_token import read_join_token

_log = logging.getLogger("avatarkit_rtc.runway")


@contextlib.contextmanager
def registered_on_joining(methods: Sequence[str], token: str) -> Iterator[None]:
    """While this is open, whoever joins with ``token`` has ``methods`` from the first moment on.

    The event loop has to register them again, with their handlers, in the step in which ``Room.connect()``
    returns: the SDK hands calls out in the steps after that one.
    """
    with contextlib.ExitStack() as stack:
        try:
            _watch(methods, token, stack)
        except Exception as error:  # an SDK of another make: calls that come too early are answered 1400
            _log.debug("methods are registered after joining only: %r", error)
        yield


def _watch(methods: Sequence[str], token: str, stack: contextlib.ExitStack) -> None:
    # No public way leads there: a LocalParticipant, which methods are registered with, comes later.
    from livekit.rtc._ffi_client import FfiClient
    from livekit.rtc._proto.ffi_pb2 import FfiRequest

    said = read_join_token(token)

    def look(event: Any) -> bool:
        if event.WhichOneof("message") == "connect":
            joined = event.connect.result
            us = joined.local_participant
            if us.info.identity == said.identity and said.room in (None, joined.room.info.name):
                for name in methods:
                    request = FfiRequest()
                    request.register_rpc_method.local_participant_handle = us.handle.id
                    request.register_rpc_method.method = name
                    FfiClient.instance.request(request)
        return False  # nothing for the queue

    events = FfiClient.instance.queue
    stack.callback(events.unsubscribe, events.subscribe(filter_fn=look))
