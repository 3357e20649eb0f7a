"""What a key types, by the X server's own keyboard map: levels (AltGr), layouts, Caps Lock and dead keys.

libxkbcommon over ctypes: the keyboard library of every Linux desktop, where python's own X bindings know two levels.
"""

import ctypes
import ctypes.util
import os

from agent.sensors.ports import SensorError

COMPOSING, COMPOSED, CANCELLED = 1, 2, 3
_NAMES = {
    "BackSpace": "BackSpace",
    "Delete": "Delete",
    "KP_Delete": "Delete",
    "Return": "Return",
    "KP_Enter": "Return",
    "Left": "Left",
    "KP_Left": "Left",
    "Right": "Right",
    "KP_Right": "Right",
    "Home": "Home",
    "KP_Home": "Home",
    "End": "End",
    "KP_End": "End",
}
_SILENT = ("Shift", "Control", "Alt", "Meta", "Super", "Hyper", "Caps_Lock", "Num_Lock", "Scroll_Lock", "ISO_", "Mode_")
_NO_SYMBOL = 0
_CONTROL, _MOD1, _MOD4 = 0x4, 0x8, 0x40


class Keyboard:
    """The X server's keyboard. Belongs to the thread that asks it."""

    def __init__(self, display: str, locale: str) -> None:
        """Raises SensorError where the libraries or the keyboard extension are missing."""
        self._xkb, self._x11, self._xcb = (_load(name) for name in ("xkbcommon", "xkbcommon-x11", "xcb"))
        _declare(self._xkb, self._x11, self._xcb)
        self._connection = self._xcb.xcb_connect(display.encode(), None)
        if self._xcb.xcb_connection_has_error(self._connection):
            raise SensorError("the X server's keyboard can't be reached")
        extension = [ctypes.c_uint16() for _ in range(2)] + [ctypes.c_uint8() for _ in range(2)]
        if not self._x11.xkb_x11_setup_xkb_extension(self._connection, 1, 0, 0, *map(ctypes.byref, extension)):
            raise SensorError("the X server has no keyboard extension")
        self._context = self._xkb.xkb_context_new(0)
        self._device = self._x11.xkb_x11_get_core_keyboard_device_id(self._connection)
        table = self._xkb.xkb_compose_table_new_from_locale(self._context, locale.encode(), 0)
        self._compose = self._xkb.xkb_compose_state_new(table, 0) if table else None
        self._keymap: int | None = None
        self._state: int | None = None
        self.reload()

    def reload(self) -> None:
        """Take the map that the server has now."""
        keymap = self._x11.xkb_x11_keymap_new_from_device(self._context, self._connection, self._device, 0)
        if not keymap:
            raise SensorError("the X server's keyboard map can't be read")
        if self._keymap:
            self._xkb.xkb_state_unref(self._state)
            self._xkb.xkb_keymap_unref(self._keymap)
        self._keymap, self._state = keymap, self._xkb.xkb_state_new(keymap)

    def press(self, keycode: int, state: int) -> tuple[str, str]:
        """(text, name) of a key: what it types, and its name where it types nothing; both empty for one without effect.

        state: the modifiers and layout of the X event. A key held with Ctrl, Alt or Super is a command: it types
        nothing, and its name is "Other".
        """
        # the event's lower byte has what is pressed and what is locked alike; its layout stands in bits 13 and 14
        self._xkb.xkb_state_update_mask(self._state, state & 0xFF, 0, 0, 0, 0, state >> 13 & 3)
        symbol = self._xkb.xkb_state_key_get_one_sym(self._state, keycode)
        name = self._symbol_name(symbol)
        if symbol == _NO_SYMBOL or (name.startswith(_SILENT) and name != "ISO_Left_Tab"):
            return "", ""
        if state & (_CONTROL | _MOD1 | _MOD4):
            return "", "Other"
        if name in _NAMES:
            self._reset()
            return "", _NAMES[name]
        composed = self._feed(symbol)
        if composed is not None:
            return composed, ""
        text = self._text(keycode)
        return (text, "") if text and text.isprintable() else ("", "Other")

    def forget(self) -> None:
        """Drop a dead key that waits for its letter: the focus is elsewhere."""
        self._reset()

    def close(self) -> None:
        """Let go of the connection."""
        self._xcb.xcb_disconnect(self._connection)

    def _feed(self, symbol: int) -> str | None:
        """What the dead keys make of it: text, "" while they wait, None where they have no part in it."""
        if not self._compose:
            return None
        self._xkb.xkb_compose_state_feed(self._compose, symbol)
        status = self._xkb.xkb_compose_state_get_status(self._compose)
        if status == COMPOSING:
            return ""
        if status == COMPOSED:
            buffer = ctypes.create_string_buffer(64)
            self._xkb.xkb_compose_state_get_utf8(self._compose, buffer, 64)
            self._reset()
            return buffer.value.decode("utf-8", "replace")
        if status == CANCELLED:
            self._reset()
            return ""
        return None

    def _reset(self) -> None:
        if self._compose:
            self._xkb.xkb_compose_state_reset(self._compose)

    def _text(self, keycode: int) -> str:
        buffer = ctypes.create_string_buffer(64)
        self._xkb.xkb_state_key_get_utf8(self._state, keycode, buffer, 64)
        return buffer.value.decode("utf-8", "replace")

    def _symbol_name(self, symbol: int) -> str:
        buffer = ctypes.create_string_buffer(64)
        self._xkb.xkb_keysym_get_name(symbol, buffer, 64)
        return buffer.value.decode("ascii", "replace")


def locale_name() -> str:
    """The locale whose table of dead keys holds, as the C library finds it."""
    return os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or "C.UTF-8"


def _load(name: str) -> ctypes.CDLL:
    path = {"xkbcommon": "libxkbcommon.so.0", "xkbcommon-x11": "libxkbcommon-x11.so.0", "xcb": "libxcb.so.1"}[name]
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise SensorError(f"the library {path} is missing") from error


def _declare(xkb: ctypes.CDLL, x11: ctypes.CDLL, xcb: ctypes.CDLL) -> None:
    pointer, number, text = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p
    for library, name, result, arguments in (
        (xcb, "xcb_connect", pointer, [text, pointer]),
        (xcb, "xcb_connection_has_error", ctypes.c_int, [pointer]),
        (xcb, "xcb_disconnect", None, [pointer]),
        (x11, "xkb_x11_setup_xkb_extension", ctypes.c_int,
         [pointer, ctypes.c_uint16, ctypes.c_uint16, ctypes.c_int, pointer, pointer, pointer, pointer]),
        (x11, "xkb_x11_get_core_keyboard_device_id", ctypes.c_int32, [pointer]),
        (x11, "xkb_x11_keymap_new_from_device", pointer, [pointer, pointer, ctypes.c_int32, ctypes.c_int]),
        (xkb, "xkb_context_new", pointer, [ctypes.c_int]),
        (xkb, "xkb_state_new", pointer, [pointer]),
        (xkb, "xkb_state_unref", None, [pointer]),
        (xkb, "xkb_keymap_unref", None, [pointer]),
        (xkb, "xkb_state_update_mask", ctypes.c_int, [pointer, *[number] * 6]),
        (xkb, "xkb_state_key_get_one_sym", number, [pointer, number]),
        (xkb, "xkb_state_key_get_utf8", ctypes.c_int, [pointer, number, text, ctypes.c_size_t]),
        (xkb, "xkb_keysym_get_name", ctypes.c_int, [number, text, ctypes.c_size_t]),
        (xkb, "xkb_compose_table_new_from_locale", pointer, [pointer, text, ctypes.c_int]),
        (xkb, "xkb_compose_state_new", pointer, [pointer, ctypes.c_int]),
        (xkb, "xkb_compose_state_feed", ctypes.c_int, [pointer, number]),
        (xkb, "xkb_compose_state_get_status", ctypes.c_int, [pointer]),
        (xkb, "xkb_compose_state_get_utf8", ctypes.c_int, [pointer, text, ctypes.c_size_t]),
        (xkb, "xkb_compose_state_reset", None, [pointer]),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
