"""Makes sure that Qt paints a new window under X.

While a window opens, two threads of Qt read from one connection to the X server, and every now and then (one
time in four on a server without a window manager) the news that the window is on the screen gets lost between
them. Qt then never paints the window: it stays black. So Qt is told again, with events of our own that are
harmless where the true ones arrived.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_uint, c_uint8, c_uint32, c_void_p
from typing import Any, Final

_WM_NAME: Final = 39
_EXPOSE: Final = 12
_MAP_NOTIFY: Final = 19
_MAX_WINDOWS: Final = 5000
_MAX_DEPTH: Final = 4
"""How deep window managers nest a program's window in frames of theirs."""


class _Cookie(Structure):
    _fields_ = (("sequence", c_uint),)


class _ScreenIterator(Structure):
    _fields_ = (("data", POINTER(c_uint32)), ("rem", c_int), ("index", c_int))


def _library() -> Any:
    xcb: Any = ctypes.CDLL("libxcb.so.1")
    for name, result, arguments in (
        ("xcb_connect", c_void_p, (c_char_p, c_void_p)),
        ("xcb_connection_has_error", c_int, (c_void_p,)),
        ("xcb_disconnect", None, (c_void_p,)),
        ("xcb_flush", c_int, (c_void_p,)),
        ("xcb_get_setup", c_void_p, (c_void_p,)),
        ("xcb_setup_roots_iterator", _ScreenIterator, (c_void_p,)),
        ("xcb_query_tree", _Cookie, (c_void_p, c_uint32)),
        ("xcb_query_tree_reply", c_void_p, (c_void_p, _Cookie, c_void_p)),
        ("xcb_query_tree_children", POINTER(c_uint32), (c_void_p,)),
        ("xcb_query_tree_children_length", c_int, (c_void_p,)),
        ("xcb_get_property", _Cookie, (c_void_p, c_uint8, c_uint32, c_uint32, c_uint32, c_uint32, c_uint32)),
        ("xcb_get_property_reply", c_void_p, (c_void_p, _Cookie, c_void_p)),
        ("xcb_get_property_value", c_void_p, (c_void_p,)),
        ("xcb_get_property_value_length", c_int, (c_void_p,)),
        ("xcb_send_event", _Cookie, (c_void_p, c_uint8, c_uint32, c_uint32, c_char_p)),
    ):
        function = getattr(xcb, name)
        function.restype, function.argtypes = result, arguments
    return xcb


class XNudge:
    """A connection of our own to the X server. Everything here does nothing where there is none."""

    def __init__(self) -> None:
        self._connection: Any = None
        if sys.platform in ("darwin", "win32"):
            return
        try:
            # Qt's plugin has loaded these already.
            self._xcb = _library()
            self._free = ctypes.CDLL(None).free
        except (OSError, AttributeError):
            return
        self._free.argtypes = (c_void_p,)
        connection = c_void_p(self._xcb.xcb_connect(None, None))
        if self._xcb.xcb_connection_has_error(connection):
            self._xcb.xcb_disconnect(connection)
            return
        self._connection = connection

    def find(self, name: str) -> int:
        """The window with the title ``name``; 0 if there is none. Takes milliseconds."""
        if self._connection is None:
            return 0
        screen = self._xcb.xcb_setup_roots_iterator(self._xcb.xcb_get_setup(self._connection))
        wanted, level, seen = name.encode(), [int(screen.data[0])], 0
        for _ in range(_MAX_DEPTH):
            below: list[int] = []
            for window in level:
                for child in self._children(window):
                    seen += 1
                    if seen > _MAX_WINDOWS:
                        return 0
                    if self._name(child) == wanted:
                        return child
                    below.append(child)
            level = below
        return 0

    def tell(self, window: int) -> None:
        """Tell the owner of ``window`` that it is on the screen and wants to be painted."""
        if self._connection is None or not window:
            return
        mapped = struct.pack("=BxHIIB19x", _MAP_NOTIFY, 0, window, window, 0)
        exposed = struct.pack("=BxHIHHHHH14x", _EXPOSE, 0, window, 0, 0, 8192, 8192, 0)
        for event in (mapped, exposed):
            self._xcb.xcb_send_event(self._connection, 0, window, 0, event)
        self._xcb.xcb_flush(self._connection)

    def close(self) -> None:
        """Close the connection; more than once is fine."""
        if self._connection is not None:
            self._xcb.xcb_disconnect(self._connection)
            self._connection = None

    def _children(self, window: int) -> list[int]:
        cookie = self._xcb.xcb_query_tree(self._connection, window)
        reply = c_void_p(self._xcb.xcb_query_tree_reply(self._connection, cookie, byref(c_void_p())))
        if not reply:
            return []
        count = self._xcb.xcb_query_tree_children_length(reply)
        children = self._xcb.xcb_query_tree_children(reply)
        found = [int(children[i]) for i in range(count)]
        self._free(reply)
        return found

    def _name(self, window: int) -> bytes:
        cookie = self._xcb.xcb_get_property(self._connection, 0, window, _WM_NAME, 0, 0, 64)
        reply = c_void_p(self._xcb.xcb_get_property_reply(self._connection, cookie, byref(c_void_p())))
        if not reply:
            return b""
        length = self._xcb.xcb_get_property_value_length(reply)
        value = ctypes.string_at(self._xcb.xcb_get_property_value(reply), length)
        self._free(reply)
        return value
