"""What OpenCV's windows need of X beyond what OpenCV does: to be painted at all, and to be a kiosk's.

While a window opens, two threads of Qt read from one connection to the X server, and every now and then (one
time in four on a server without a window manager) the news that the window is on the screen gets lost between
them. Qt then never paints the window: it stays black. So Qt is told again, with events of our own that are
harmless where the true ones arrived.

A kiosk's window gets an invisible window over it that has an invisible cursor and swallows the mouse, which
would zoom and drag the picture. And without a window manager nobody makes a window fill the screen, so here
can be asked whether there is one.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_int,
    c_int16,
    c_uint,
    c_uint8,
    c_uint16,
    c_uint32,
    c_void_p,
)
from typing import Any, Final

_WM_NAME: Final = 39
_ANY_TYPE: Final = 0
_EXPOSE: Final = 12
_MAP_NOTIFY: Final = 19
_MAX_WINDOWS: Final = 5000
_MAX_DEPTH: Final = 4
"""How deep window managers nest a program's window in frames of theirs."""


_INPUT_ONLY: Final = 2
_DONT_PROPAGATE, _CURSOR = 1 << 12, 1 << 14
_MOUSE_EVENTS: Final = 0x3F4C
"""Buttons pressed and released, and all motion."""
_LARGE: Final = 32767
_FOREGROUND: Final = 4
_RESET: Final = 0


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
        ("xcb_get_geometry", _Cookie, (c_void_p, c_uint32)),
        ("xcb_get_geometry_reply", c_void_p, (c_void_p, _Cookie, c_void_p)),
        ("xcb_intern_atom", _Cookie, (c_void_p, c_uint8, c_uint16, c_char_p)),
        ("xcb_intern_atom_reply", c_void_p, (c_void_p, _Cookie, c_void_p)),
        ("xcb_generate_id", c_uint32, (c_void_p,)),
        ("xcb_create_pixmap", _Cookie, (c_void_p, c_uint8, c_uint32, c_uint32, c_uint16, c_uint16)),
        ("xcb_create_gc", _Cookie, (c_void_p, c_uint32, c_uint32, c_uint32, c_char_p)),
        ("xcb_poly_fill_rectangle", _Cookie, (c_void_p, c_uint32, c_uint32, c_uint32, c_char_p)),
        ("xcb_create_cursor", _Cookie, (c_void_p, c_uint32, c_uint32, c_uint32, *[c_uint16] * 8)),
        (
            "xcb_create_window",
            _Cookie,
            (
                c_void_p,
                c_uint8,
                c_uint32,
                c_uint32,
                *[c_int16] * 2,
                *[c_uint16] * 4,
                *[c_uint32] * 2,
                c_char_p,
            ),
        ),
        ("xcb_force_screen_saver", _Cookie, (c_void_p, c_uint8)),
        ("xcb_map_window", _Cookie, (c_void_p, c_uint32)),
        ("xcb_send_event", _Cookie, (c_void_p, c_uint8, c_uint32, c_uint32, c_char_p)),
    ):
        function = getattr(xcb, name)
        function.restype, function.argtypes = result, arguments
    return xcb


class XConnection:
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
        wanted, level, seen = name.encode(), [self._root()], 0
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

    def unmanaged_screen(self) -> tuple[int, int] | None:
        """Width and height of the screen, where there is no window manager; else None."""
        if self._connection is None or self._has_window_manager():
            return None
        return self.size(self._root())

    def size(self, window: int) -> tuple[int, int] | None:
        """Width and height of ``window``'s inside in pixels; None where that cannot be had. A roundtrip."""
        if self._connection is None or not window:
            return None
        cookie = self._xcb.xcb_get_geometry(self._connection, window)
        reply = c_void_p(self._xcb.xcb_get_geometry_reply(self._connection, cookie, byref(c_void_p())))
        if not reply:
            return None
        width, height = struct.unpack("=16xHH", ctypes.string_at(reply, 20))
        self._free(reply)
        return int(width), int(height)

    def cover(self, window: int) -> None:
        """Take cursor and mouse from ``window``, until either it or this connection is closed."""
        if self._connection is None or not window:
            return
        xcb, connection = self._xcb, self._connection
        pixels, context, cursor, over = (int(xcb.xcb_generate_id(connection)) for _ in range(4))
        xcb.xcb_create_pixmap(connection, 1, pixels, window, 1, 1)
        xcb.xcb_create_gc(connection, context, pixels, _FOREGROUND, struct.pack("=I", 0))
        xcb.xcb_poly_fill_rectangle(connection, pixels, context, 1, struct.pack("=hhHH", 0, 0, 1, 1))
        xcb.xcb_create_cursor(connection, cursor, pixels, pixels, *[0] * 8)
        values = struct.pack("=II", _MOUSE_EVENTS, cursor)
        mask, place = _DONT_PROPAGATE | _CURSOR, (0, 0, _LARGE, _LARGE, 0)
        xcb.xcb_create_window(connection, 0, over, window, *place, _INPUT_ONLY, 0, mask, values)
        xcb.xcb_map_window(connection, over)
        xcb.xcb_flush(connection)

    def keep_awake(self) -> None:
        """Begin the time anew after which screen saver and power saving come, as a key pressed would."""
        if self._connection is not None:
            self._xcb.xcb_force_screen_saver(self._connection, _RESET)
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

    def _root(self) -> int:
        screen = self._xcb.xcb_setup_roots_iterator(self._xcb.xcb_get_setup(self._connection))
        return int(screen.data[0])

    def _has_window_manager(self) -> bool:
        name = b"_NET_SUPPORTING_WM_CHECK"
        cookie = self._xcb.xcb_intern_atom(self._connection, 1, len(name), name)
        reply = c_void_p(self._xcb.xcb_intern_atom_reply(self._connection, cookie, byref(c_void_p())))
        if not reply:
            return True
        (atom,) = struct.unpack("=8xI", ctypes.string_at(reply, 12))
        self._free(reply)
        return bool(atom and self._property(self._root(), atom))

    def _name(self, window: int) -> bytes:
        return self._property(window, _WM_NAME)

    def _property(self, window: int, atom: int) -> bytes:
        cookie = self._xcb.xcb_get_property(self._connection, 0, window, atom, _ANY_TYPE, 0, 64)
        reply = c_void_p(self._xcb.xcb_get_property_reply(self._connection, cookie, byref(c_void_p())))
        if not reply:
            return b""
        length = self._xcb.xcb_get_property_value_length(reply)
        value = ctypes.string_at(self._xcb.xcb_get_property_value(reply), length)
        self._free(reply)
        return value
