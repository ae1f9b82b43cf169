"""What a session with an avatar service was like, for those who could not be there: events with their times,
samples of the packets, who was in the room. No key and no token is in it."""

from __future__ import annotations

import base64
import dataclasses
import importlib.metadata
import platform
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from avatarkit_rtc import __version__
from avatarkit_rtc.errors import AvatarKitError
from avatarkit_rtc.providers.base import ProviderListener
from avatarkit_rtc.providers.join_token import redacted
from avatarkit_rtc.providers.livekit import LiveKitProvider

_EVENTS_KEPT: Final = 500
_FIRST_KEPT: Final = 50
_OF_EACH_KIND: Final = 5
_PACKAGES: Final = ("livekit", "spatialreal", "websockets", "protobuf", "numpy")


@dataclass
class _Kind:
    """Packets of one flag byte."""

    count: int = 0
    first_t: float = 0.0
    last_t: float = 0.0
    shortest: int = 1 << 30
    longest: int = 0
    samples: list[str] = field(default_factory=list)


class Evidence:
    """Takes notes. Bounded, whatever comes."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self._kinds: dict[int, _Kind] = {}
        self._first: list[dict[str, Any]] = []
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
        now = self._now()
        kind = self._kinds.setdefault(data[0] if data else -1, _Kind(first_t=now))
        kind.count += 1
        kind.last_t = now
        kind.shortest, kind.longest = min(kind.shortest, len(data)), max(kind.longest, len(data))
        if len(kind.samples) < _OF_EACH_KIND:
            kind.samples.append(base64.b64encode(data).decode())
        if len(self._first) < _FIRST_KEPT:
            self._first.append({"t": now, "bytes": base64.b64encode(data).decode()})

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

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "made_with": {"avatarkit-rtc": __version__, "python": platform.python_version()}
            | {"system": platform.platform(terse=True)}
            | {name: _version(name) for name in _PACKAGES},
            "events": list(self._events),
            "room": self._room,
            "packets": {
                "by_flags": {f"{flags:#04x}": dataclasses.asdict(k) for flags, k in self._kinds.items()},
                "first": self._first,
            },
        }

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
