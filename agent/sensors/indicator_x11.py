"""The sign in the corner of the screen that always says whether this device is monitored now.

A small window of its own above all others, because a tray is not there on every desktop and can be folded away. A click
on it opens the menu: what is seen, by whom, and "I need help".
"""

import threading
from collections.abc import Callable

from Xlib import X, display, error  # type: ignore[import-untyped]

from agent.sensors.ports import SensorError

WORDS = {True: "Monitored now", False: "Not monitored now"}
COLOURS = {True: ("#1d4f91", "#ffffff"), False: ("#e4e4e4", "#202020")}
WIDTH, HEIGHT, EDGE = 150, 24, 8
RAISE_SECONDS = 0.2
FONTS = ("-*-dejavu sans-medium-r-normal-*-12-*-*-*-*-*-iso10646-1", "7x13", "fixed")


class X11Indicator:
    """The sign. ``show`` may be called from any thread; clicked() is called in the sign's own."""

    def __init__(self, clicked: Callable[[], None]) -> None:
        """Raises SensorError where there is no X server."""
        try:
            self._display = display.Display()
        except (error.DisplayError, OSError) as problem:
            raise SensorError("there is no X server to show the sign on") from problem
        self._clicked = clicked
        self._monitored = False
        self._stopping = False
        self._pause = threading.Event()
        screen = self._display.screen()
        self._root = screen.root
        size = self._root.get_geometry()
        self._window = self._root.create_window(
            size.width - WIDTH - EDGE,
            size.height - HEIGHT - EDGE,
            WIDTH,
            HEIGHT,
            1,
            screen.root_depth,
            override_redirect=True,
            event_mask=X.ExposureMask | X.ButtonPressMask | X.VisibilityChangeMask,
        )
        self._window.set_wm_name("Monitoring")
        self._window.set_wm_class("trustkeep", "Trustkeep")
        self._colours = {
            state: tuple(screen.default_colormap.alloc_named_color(name).pixel for name in names)
            for state, names in COLOURS.items()
        }
        self._context = self._window.create_gc()
        self._font = self._open_font()
        self._wake = self._display.intern_atom("_TRUSTKEEP_SHOW")
        self._thread = threading.Thread(target=self._run, name="indicator", daemon=True)
        self._thread.start()

    def show(self, monitored: bool) -> None:
        """Say so from now on."""
        self._monitored = monitored
        self._poke()

    def stop(self) -> None:
        """Take the sign down."""
        self._stopping = True
        self._pause.set()
        self._poke()
        self._thread.join(timeout=5)

    @property
    def window(self) -> int:
        return int(self._window.id)

    def _poke(self) -> None:
        """Have the sign's thread look again: Xlib's connection is its own, so it is told through the server."""
        other = display.Display()
        window = other.create_resource_object("window", self._window.id)
        window.change_property(self._wake, other.intern_atom("CARDINAL"), 32, [1])
        other.sync()
        other.close()

    def _open_font(self) -> object:
        for name in FONTS:
            if any(True for _ in self._display.list_fonts(name, 1)):
                return self._display.open_font(name)
        return None

    def _run(self) -> None:
        self._window.change_attributes(
            event_mask=X.ExposureMask | X.ButtonPressMask | X.VisibilityChangeMask | X.PropertyChangeMask
        )
        self._window.map()
        while not self._stopping:
            event = self._display.next_event()
            if event.type == X.ButtonPress:
                self._clicked()
            elif event.type == X.VisibilityNotify and event.state != X.VisibilityUnobscured:
                self._come_forward()
            elif event.type == X.Expose or (event.type == X.PropertyNotify and event.atom == self._wake):
                self._draw()
        self._display.close()

    def _come_forward(self) -> None:
        # not at once: another window that always wants to be first too must cost neither of them a core
        self._pause.wait(RAISE_SECONDS)
        self._window.configure(stack_mode=X.Above)
        self._display.flush()

    def _draw(self) -> None:
        back, front = self._colours[self._monitored]
        words = WORDS[self._monitored]
        self._window.change_attributes(background_pixel=back)
        self._window.clear_area(0, 0, WIDTH, HEIGHT)
        self._window.set_wm_name(words)
        self._context.change(foreground=front, background=back, **({"font": self._font} if self._font else {}))
        if self._font:
            self._window.draw_text(self._context, 10, 16, words)
        self._display.flush()
