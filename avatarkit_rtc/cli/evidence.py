"""What a session with an avatar service was like, for those who could not be there: events with their times,
samples of the packets, who was in the room. No key, no token and no id that is to stay hidden is in it."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import importlib.metadata
import platform
import time
import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from avatarkit_rtc import __version__
from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.motion.packet import Flag
from avatarkit_rtc.providers.base import ProviderListener
from avatarkit_rtc.providers.join_token import redacted
from avatarkit_rtc.providers.livekit import LiveKitProvider

_EVENTS_KEPT: Final = 500
_FIRST_KEPT: Final = 50
_FIRST_BYTES: Final = 30_000
_OF_EACH_KIND: Final = 5
_HEADER: Final = 5
"""Flags and length, before a packet's body."""
_WBITS_ANY: Final = 47
"""gzip or zlib, as the data says itself."""
_HEAD_KEPT: Final = 32
"""Of a packet that cannot be unpacked whole, and so may hide what nobody may see: enough to tell its kind."""
_SHORTEST_HIDDEN: Final = 4
"""Less would blank parts of other words."""
_MAX_UNPACKED: Final = 1 << 20
_PACKAGES: Final = ("livekit", "spatialreal", "websockets", "protobuf", "numpy")


@dataclass
class _Kind:
    """Packets of one flag byte, or messages."""

    count: int = 0
    first_t: float = 0.0
    last_t: float = 0.0
    shortest: int = 1 << 30
    longest: int = 0
    samples: list[str] = field(default_factory=list)


class Evidence:
    """Takes notes. Bounded, whatever comes."""

    def __init__(self, hidden: Iterable[str | None] = ()) -> None:
        """``hidden``: ids and keys, of 4 characters or more, that are to be in nothing that is written."""
        names = {each.strip() for each in hidden if each and len(each.strip()) >= _SHORTEST_HIDDEN}
        self._hidden = sorted(names, key=len, reverse=True)
        self._began = time.monotonic()
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self._kinds: dict[str, _Kind] = {}
        self._first: list[dict[str, Any]] = []
        self._first_bytes = 0
        self._room: dict[str, Any] | None = None

    def note(self, event: str, payload: object = None) -> None:
        """Something happened."""
        entry: dict[str, Any] = {"t": self._now(), "event": event}
        if isinstance(payload, AvatarKitError):
            entry |= {"code": payload.code, "message": redacted(str(payload))}
            entry |= {name: getattr(payload, name, None) for name in ("status", "close_code", "vendor_code")}
        elif dataclasses.is_dataclass(payload) and not isinstance(payload, type):
            values = ((each.name, getattr(payload, each.name)) for each in dataclasses.fields(payload))
            entry |= {name: value for name, value in values if isinstance(value, str | int | float | None)}
        elif payload is not None:
            entry["value"] = redacted(str(payload))
        self._events.append(entry)

    def packet(self, data: bytes) -> None:
        """A motion packet came, as it is on the wire."""
        self._came(f"{data[0]:#04x}" if data else "empty", data, packed=True)

    def message(self, data: bytes) -> None:
        """A serialised ``Message`` came by itself, as it does over the service's WebSocket."""
        self._came("message", data, packed=False)

    def _came(self, name: str, data: bytes, *, packed: bool) -> None:
        now = self._now()
        kind = self._kinds.setdefault(name, _Kind(first_t=now))
        kind.count += 1
        kind.last_t = now
        kind.shortest, kind.longest = min(kind.shortest, len(data)), max(kind.longest, len(data))
        first = len(self._first) < _FIRST_KEPT and self._first_bytes < _FIRST_BYTES
        if not first and len(kind.samples) >= _OF_EACH_KIND:
            return
        text = base64.b64encode(self._blanked_packet(data) if packed else self._blanked(data)).decode()
        if len(kind.samples) < _OF_EACH_KIND:
            kind.samples.append(text)
        if first:
            self._first.append({"t": now, "bytes": text})
            self._first_bytes += len(data)

    def room(self, room: Any) -> None:
        """Who is in the room (``livekit.rtc.Room``), and what they publish."""
        if room is None:
            return
        self._room = {
            "participants": [
                {
                    "identity": each.identity,
                    "kind": int(each.kind),
                    "attributes": {name: redacted(value) for name, value in each.attributes.items()},
                    "tracks": [
                        {"name": track.name, "kind": int(track.kind), "source": int(track.source)}
                        | {"mime_type": track.mime_type, "muted": track.muted}
                        for track in each.track_publications.values()
                    ],
                }
                for each in room.remote_participants.values()
            ]
        }

    def as_dict(self, **more: Any) -> dict[str, Any]:
        """All of it and ``more``, for JSON, with nothing that is to be hidden."""
        told = self._told() | more
        return {name: self._without(value) for name, value in told.items()}

    def _told(self) -> dict[str, Any]:
        return {
            "made_with": {"avatarkit-rtc": __version__, "python": platform.python_version()}
            | {"system": platform.platform(terse=True)}
            | {name: _version(name) for name in _PACKAGES},
            "events": list(self._events),
            "room": self._room,
            "packets": {
                "by_flags": {name: dataclasses.asdict(kind) for name, kind in self._kinds.items()},
                "first": self._first,
            },
        }

    def _without(self, value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
        if isinstance(value, dict):
            return {self._without(name): self._without(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._without(each) for each in value]
        if isinstance(value, str):
            for hidden in self._hidden:
                value = value.replace(hidden, "<hidden>")
        return value

    def _blanked(self, data: bytes) -> bytes:
        """With as many ``x`` in place of what is to be hidden: the layout stays as it is."""
        for hidden in self._hidden:
            data = data.replace(hidden.encode(), b"x" * len(hidden.encode()))
        return data

    def _blanked_packet(self, data: bytes) -> bytes:
        """Likewise, also inside a compressed body, which is compressed anew then (with gzip). Of what cannot
        be looked through to its last byte only the beginning is left."""
        plain = self._blanked(data)
        if not self._hidden or len(data) < _HEADER or not data[0] & Flag.COMPRESSED:
            return plain
        inflater = zlib.decompressobj(_WBITS_ANY)
        try:
            body = inflater.decompress(data[_HEADER:], _MAX_UNPACKED)
        except zlib.error:
            return plain[:_HEAD_KEPT]
        if not inflater.eof or inflater.unused_data:
            return plain[:_HEAD_KEPT]
        blanked = self._blanked(body)
        if blanked == body and plain == data:
            return data
        packed = gzip.compress(blanked, mtime=0)
        return data[:1] + len(packed).to_bytes(4, "little") + packed

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)


class TappedProvider(LiveKitProvider):
    """A LiveKit provider whose motion packets are noted, too."""

    def __init__(self, evidence: Evidence, avatar_identity: str | None = None) -> None:
        super().__init__(avatar_identity=avatar_identity)
        self._evidence = evidence

    def set_listener(self, listener: ProviderListener | None) -> None:
        """See :meth:`LiveKitProvider.set_listener`."""
        tap: Any = None if listener is None else _Tap(listener, self._evidence)
        super().set_listener(tap)


class _Tap:
    def __init__(self, listener: ProviderListener, evidence: Evidence) -> None:
        self._listener, self._evidence = listener, evidence

    def on_motion_packet(self, data: bytes) -> None:
        self._evidence.packet(data)
        self._listener.on_motion_packet(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
