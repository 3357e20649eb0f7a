"""Linux with X11: which window is in front, which keys are pressed where nothing better is known, and the screen.

Text comes from the accessibility bus (`agent.sensors.accessibility`). Keys come from XRECORD, only where the device's
settings list a program for it, and only while that program's window is in front.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image
from Xlib import X, display, error  # type: ignore[import-untyped]
from Xlib.ext import randr, record  # type: ignore[import-untyped]
from Xlib.protocol import rq  # type: ignore[import-untyped]

from agent.sensors.accessibility import Accessibility
from agent.sensors.desk import Desk, Front
from agent.sensors.ports import Area, Happening, SensorError, Shown, Stroke
from agent.sensors.xkb import Keyboard, locale_name

PIXELS_AT_MOST = 2 * 1920 * 1080
"""More than two full screens are too much for one picture: then only the monitor in use is kept."""
TITLE_AT_MOST = 500


class X11Sensor:
    """The desktop of one person. One thread reads the window system, one the keys, one the accessibility process."""

    platform = "linux-x11"

    def __init__(self, account: str, keystroke_applications: tuple[str, ...] = ()) -> None:
        self._account = account
        self._listed = frozenset(name.casefold() for name in keystroke_applications)
        self._put: Callable[[Happening], None] = lambda happening: None
        self._lock = threading.Lock()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._remapped = threading.Event()
        self._missing: list[str] = []
        self.accessibility = Accessibility(self._told, self._blind)
        self._known: dict[int, bool] = {}
        self._desk = Desk(account, keystroke_applications, lambda pid: self._known.get(pid, True))

    def start(self, put: Callable[[Happening], None]) -> None:
        """Begin to watch. Raises SensorError where there is no X server."""
        self._put = put
        try:
            self._display = display.Display()
            self._keys = display.Display() if self._listed else None
        except (error.DisplayError, OSError) as problem:
            raise SensorError("there is no X server to watch") from problem
        self._root = self._display.screen().root
        self._atoms = {name: self._display.intern_atom(name) for name in _ATOMS}
        self._root.change_attributes(event_mask=X.PropertyChangeMask)
        self.accessibility.start()
        self._look_at_front()
        self._run(self._watch_windows, "windows")
        if self._keys is not None:
            self._start_keys(self._keys)

    def stop(self) -> None:
        """Stop watching."""
        self._stopping = True
        self.accessibility.stop()
        # an event of our own wakes the thread that waits for one
        wake = display.Display()
        wake.screen().root.change_property(wake.intern_atom("_TRUSTKEEP_STOP"), wake.intern_atom("CARDINAL"), 32, [1])
        wake.sync()
        if self._keys is not None:
            wake.record_disable_context(self._context)
            wake.sync()
        wake.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def permissions_missing(self) -> tuple[str, ...]:
        """ "accessibility": no text is seen; "screen-lock", "login-manager": a lock or another session isn't noticed;
        "keyboard": the server doesn't let keys be read.
        """
        return (*self.accessibility.missing, *self._missing)

    # -- what is told, from any of the threads

    def _told(self, line: dict[str, Any]) -> None:
        with self._lock:
            self._hand_over(self._desk.told(line, _now()))

    def _blind(self) -> None:
        with self._lock:
            self._hand_over(self._desk.blind(_now()))

    def _hand_over(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            self._put(happening)

    def _ask_about(self, pid: int) -> None:
        """Find out whether a program shows itself on the accessibility bus; without an answer it counts as if it did.

        Never called with the lock held: the answer comes through a thread that may be waiting for it.
        """
        answer = self.accessibility.ask("knows", pid=pid) if self.accessibility.wait_ready(2) else None
        self._known[pid] = answer is None or bool(answer["knows"])

    # -- windows

    def _run(self, target: Callable[..., None], name: str, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watch_windows(self) -> None:
        watched = {self._atoms["_NET_ACTIVE_WINDOW"], self._atoms["_NET_WM_NAME"], self._atoms["WM_NAME"]}
        while not self._stopping:
            event = self._display.next_event()
            if event.type == X.PropertyNotify and event.atom in watched:
                self._look_at_front()
            elif event.type == X.DestroyNotify:
                with self._lock:
                    self._hand_over(self._desk.closed(str(event.window.id), _now()))
            elif event.type == X.MappingNotify:
                self._remapped.set()

    def _look_at_front(self) -> None:
        front = self._front()
        if front is not None and front.application.casefold() in self._listed:
            self._ask_about(front.pid)
        with self._lock:
            self._hand_over(self._desk.front(front, _now()))

    def _front(self) -> Front | None:
        try:
            number = self._property(self._root, "_NET_ACTIVE_WINDOW")
            if not number or not number[0]:
                return None
            window = self._display.create_resource_object("window", number[0])
            # its title may change while it is in front, and its end is told to whoever asked for it
            window.change_attributes(event_mask=X.PropertyChangeMask | X.StructureNotifyMask)
            pid = self._property(window, "_NET_WM_PID")
            return Front(str(number[0]), self._application(window), self._title(window), int(pid[0]) if pid else 0)
        except error.XError:
            return None  # gone while it was looked at

    def _property(self, window: Any, name: str) -> Any:
        found = window.get_full_property(self._atoms[name], X.AnyPropertyType)
        return found.value if found else None

    def _application(self, window: Any) -> str:
        names = window.get_wm_class()
        if names:
            return str(names[1] or names[0])
        pid = self._property(window, "_NET_WM_PID")
        try:
            return Path(f"/proc/{int(pid[0])}/comm").read_text().strip() if pid else ""
        except OSError:
            return ""

    def _title(self, window: Any) -> str:
        raw = self._property(window, "_NET_WM_NAME") or self._property(window, "WM_NAME") or b""
        text = raw if isinstance(raw, str) else bytes(raw).decode("utf-8", "replace")
        return text[:TITLE_AT_MOST]

    # -- keys

    def _start_keys(self, connection: Any) -> None:
        try:
            keyboard = Keyboard(connection.get_display_name(), locale_name())
            if not connection.has_extension("RECORD"):
                raise SensorError("the X server has no RECORD extension")
        except SensorError:
            self._missing.append("keyboard")
            return
        asked = {
            "core_requests": (0, 0),
            "core_replies": (0, 0),
            "ext_requests": (0, 0, 0, 0),
            "ext_replies": (0, 0, 0, 0),
            "delivered_events": (0, 0),
            "device_events": (X.KeyPress, X.ButtonPress),
            "errors": (0, 0),
            "client_started": False,
            "client_died": False,
        }
        self._context = connection.record_create_context(0, [record.AllClients], [asked])
        self._run(self._watch_keys, "keys", connection, keyboard)

    def _watch_keys(self, connection: Any, keyboard: Keyboard) -> None:
        def take(reply: Any) -> None:
            data = reply.data if reply.category == record.FromServer and not reply.client_swapped else b""
            while data:
                event, data = rq.EventField(None).parse_binary_value(data, connection.display, None, None)
                if event.type == X.KeyPress or event.type == X.ButtonPress:
                    self._take_key(event, keyboard)

        connection.record_enable_context(self._context, take)
        connection.record_free_context(self._context)
        connection.close()
        keyboard.close()

    def _take_key(self, event: Any, keyboard: Keyboard) -> None:
        if not self._desk.reads_keys:  # not even looked up
            keyboard.forget()
            return
        if self._remapped.is_set():
            self._remapped.clear()
            keyboard.reload()
        # a click moves the caret to where nobody knows
        text, name = keyboard.press(event.detail, event.state) if event.type == X.KeyPress else ("", "Other")
        if text or name:
            with self._lock:
                self._hand_over(self._desk.stroke(Stroke(_now(), text, name)))


class X11Screen:
    """The picture of all monitors, the windows on it, and where protected controls stand. Has a connection of its own,
    and belongs to the thread that asks.
    """

    def __init__(self, accessibility: Accessibility) -> None:
        self._accessibility = accessibility
        self._display = display.Display()
        self._screen = self._display.screen()
        self._atoms = {name: self._display.intern_atom(name) for name in _ATOMS}

    def grab(self) -> Image.Image | None:
        """All monitors in one picture."""
        size = self._screen.root.get_geometry()
        taken = self._screen.root.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF)
        return Image.frombytes("RGB", (size.width, size.height), taken.data, "raw", "BGRX")

    def protected_areas(self) -> tuple[Area, ...] | None:
        """From the accessibility process; None, and so no picture, where it doesn't answer."""
        answer = self._accessibility.ask("areas")
        if answer is None or answer["areas"] is None:
            return None
        return tuple(Area(*area) for area in answer["areas"])

    def shown(self) -> tuple[Shown, ...]:
        """The window manager's list of windows, with their frames."""
        found = self._screen.root.get_full_property(self._atoms["_NET_CLIENT_LIST"], X.AnyPropertyType)
        return tuple(filter(None, map(self._look_at, found.value if found else ())))

    def part_to_keep(self) -> Area | None:
        """The monitor with the middle of the window in front, where all monitors together are too much."""
        size = self._screen.root.get_geometry()
        if size.width * size.height <= PIXELS_AT_MOST:
            return None
        monitors = self._monitors()
        found = self._screen.root.get_full_property(self._atoms["_NET_ACTIVE_WINDOW"], X.AnyPropertyType)
        front = self._look_at(found.value[0]) if found and found.value and found.value[0] else None
        if not monitors or front is None:
            return monitors[0] if monitors else None
        x, y = front.area.left + front.area.width // 2, front.area.top + front.area.height // 2
        return next((area for area in monitors if _holds(area, x, y)), monitors[0])

    def _monitors(self) -> list[Area]:
        try:
            monitors = randr.get_monitors(self._screen.root).monitors
        except (error.XError, AttributeError):
            return []
        return [Area(one.x, one.y, one.width_in_pixels, one.height_in_pixels) for one in monitors]

    def _look_at(self, number: int) -> Shown | None:
        window = self._display.create_resource_object("window", number)
        try:
            if window.get_attributes().map_state != X.IsViewable:
                return None
            size = window.get_geometry()
            place = window.translate_coords(self._screen.root, 0, 0)
            names = window.get_wm_class() or ("", "")
            return Shown(str(names[1] or names[0]), "", Area(-place.x, -place.y, size.width, size.height))
        except error.XError:
            return None


_ATOMS = ("_NET_ACTIVE_WINDOW", "_NET_CLIENT_LIST", "_NET_WM_NAME", "WM_NAME", "_NET_WM_PID")


def _holds(area: Area, x: int, y: int) -> bool:
    return area.left <= x < area.left + area.width and area.top <= y < area.top + area.height


def _now() -> datetime:
    return datetime.now(UTC)
