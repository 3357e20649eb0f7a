"""One contract for every sensor: the real one on X11, and those of Windows and macOS on a stand-in for their API.

The stand-in does what UI Automation and the Accessibility API do for `agent.sensors.values`: it tells that the focus is
elsewhere, that a control's text has changed, and gives that text when asked.
"""

import ast
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.assembler import TextAssembler
from agent.sensors.accessibility import SCRIPT, SYSTEM_PYTHON
from agent.sensors.macos import AxControls
from agent.sensors.ports import Away, Deleted, Focused, Inserted, SensorError, Stroke, WindowGone
from agent.sensors.values import Control, ValueSensor, compare
from agent.sensors.windows import UiaControls
from agent.sensors.x11 import X11Screen, X11Sensor
from tests.agent.conftest import wait_until
from tests.agent.desktop import Desktop, on_desktop


class FakeControls:
    """Controls in memory. asked: those whose text was asked for."""

    def __init__(self):
        self.texts = {}
        self.asked = []
        self.running = False
        self.lacks = ()

    def start(self, focused, changed, away, closed):
        self.focused, self.changed, self.away, self.closed = focused, changed, away, closed
        self.running = True

    def stop(self):
        self.running = False

    def text_of(self, control):
        self.asked.append(control)
        return self.texts.get(control)

    def missing(self):
        return self.lacks


class FakeHands:
    """A person at a platform of stand-ins."""

    def __init__(self, platform):
        self.controls = FakeControls()
        self.sensor = ValueSensor(platform, self.controls, "mia", lambda: datetime.now(UTC))
        self.happened = []
        self.sensor.start(self.happened.append)

    def open_editor(self):
        self._focus(Control("Editor", "w1", "Untitled", "c1", "text", False, ""))

    def open_password(self):
        self._focus(Control("Sign in", "w2", "Sign in", "c2", "entry", True, ""))

    def open_terminal(self):
        self._focus(Control("xterm", "w3", "Shell", "c3", "text", False, ""))

    def _focus(self, control):
        self.place = control
        self.controls.texts.setdefault(control.control, "")
        self.controls.focused(control)

    def type(self, text):
        for letter in text:
            self._set(self.controls.texts[self.place.control] + letter)

    def erase(self):
        self._set("")

    def paste_again(self):
        self._set(self.controls.texts[self.place.control] * 2)

    def lock(self, on):
        self.controls.away(on)

    def _set(self, text):
        self.controls.texts[self.place.control] = text
        self.controls.changed(self.place.control)

    def close(self):
        self.sensor.stop()


class X11Hands:
    """A person at a real desktop."""

    def __init__(self, folder):
        self.desktop = Desktop(folder)
        self._on = on_desktop(self.desktop)
        self._on.__enter__()
        self.sensor = X11Sensor("mia")
        self.happened = []
        self.sensor.start(self.happened.append)
        assert self.sensor.accessibility.wait_ready(20)

    def open_editor(self):
        self._open("Mousepad", "mousepad", "--disable-server")

    def open_password(self):
        self._open("Sign in", "zenity", "--password", "--title", "Sign in")

    def open_terminal(self):
        self._open("Shell", "xterm", "-T", "Shell")

    def _open(self, title, *command):
        self.desktop.open(*command)
        self.desktop.front(title)

    def type(self, text):
        self.desktop.type(text)

    def erase(self):
        self.desktop.keys("ctrl+a", "Delete")

    def paste_again(self):
        self.desktop.keys("ctrl+a", "ctrl+c", "Right", "ctrl+v")

    def lock(self, on):
        self.desktop.run("dbus-send", "--session", "--type=signal", "/org/freedesktop/ScreenSaver",
                         "org.freedesktop.ScreenSaver.ActiveChanged", f"boolean:{str(on).lower()}")  # fmt: skip

    def close(self):
        self.sensor.stop()
        self._on.__exit__(None, None, None)
        self.desktop.close()


@pytest.fixture(params=["x11", "windows", "macos"])
def hands(request, tmp_path):
    hands = X11Hands(tmp_path) if request.param == "x11" else FakeHands(request.param)
    yield hands
    hands.close()


def written(hands):
    """The text in the control with the focus, put together from all that was told."""
    assembler = TextAssembler()
    for happening in list(hands.happened):
        match happening:
            case Focused():
                assembler.focus(happening)
            case Inserted():
                assembler.insert(happening)
            case Deleted():
                assembler.delete(happening)
    return assembler.text


def is_in(hands, *, protected):
    def there():
        places = [one.place for one in list(hands.happened) if isinstance(one, Focused)]
        return bool(places) and places[-1].protected is protected

    wait_until(there, f"a place that is protected: {protected}")


def test_what_is_typed_deleted_and_pasted_is_told(hands):
    hands.open_editor()
    is_in(hands, protected=False)
    hands.type("hello")
    wait_until(lambda: written(hands) == "hello", "hello")
    hands.paste_again()
    wait_until(lambda: written(hands) == "hellohello", "hello twice")
    hands.erase()
    wait_until(lambda: written(hands) == "", "nothing")


def test_nothing_is_told_of_a_password_field_but_that_it_is_one(hands):
    hands.open_password()
    is_in(hands, protected=True)
    hands.type("sesame")
    hands.open_editor()
    is_in(hands, protected=False)
    hands.type("after")
    wait_until(lambda: written(hands) == "after", "after")
    told = "".join(one.text for one in hands.happened if isinstance(one, Inserted))
    assert told == "after"
    if isinstance(hands, FakeHands):
        assert "c2" not in hands.controls.asked


def test_a_terminal_can_not_be_told(hands):
    hands.open_terminal()
    is_in(hands, protected=None)
    hands.type("sesame")
    hands.open_editor()
    is_in(hands, protected=False)
    assert not any(isinstance(one, Inserted) for one in hands.happened)


def test_a_lock_is_told_and_its_end_with_the_place(hands):
    hands.open_editor()
    is_in(hands, protected=False)
    hands.lock(True)
    wait_until(lambda: any(one == Away(one.at) for one in list(hands.happened)), "away")
    hands.lock(False)
    wait_until(lambda: any(isinstance(one, Away) and one.back for one in list(hands.happened)), "back")
    is_in(hands, protected=False)
    assert isinstance(hands.happened[-1], Focused)


def test_the_person_the_program_and_the_window_are_named(hands):
    hands.open_editor()
    is_in(hands, protected=False)
    place = [one.place for one in hands.happened if isinstance(one, Focused)][-1]
    assert place.account == "mia" and place.application and place.window and place.control
    assert "Untitled" in place.window_title


def test_after_the_stop_nothing_is_told(hands):
    hands.open_editor()
    is_in(hands, protected=False)
    hands.sensor.stop()
    count = len(hands.happened)
    hands.type("too late")
    assert len(hands.happened) == count
    assert hands.sensor.platform in ("linux-x11", "windows", "macos")


# -- what only the stand-in can show


def test_a_control_without_the_platforms_word_on_passwords_is_not_read():
    hands = FakeHands("macos")
    hands._focus(Control("Editor", "w1", "Untitled", "c1", "text", None, ""))
    hands.type("hello")
    assert not any(isinstance(one, Inserted) for one in hands.happened)


def test_a_revealed_password_stays_one_until_its_window_is_gone():
    hands = FakeHands("windows")
    hands.open_password()
    revealed = Control("Sign in", "w2", "Sign in", "c2", "entry", False, "")
    hands._focus(revealed)
    hands.type("sesame")
    assert "c2" not in hands.controls.asked
    hands.controls.closed("w2")
    assert isinstance(hands.happened[-1], WindowGone)


def test_what_stood_in_a_control_before_was_not_typed():
    hands = FakeHands("windows")
    hands.controls.texts["c1"] = "an old letter"
    hands.open_editor()
    hands.type("!")
    assert [(one.text, one.before) for one in hands.happened if isinstance(one, Inserted)] == [("!", "an old letter")]


def test_missing_permissions_are_handed_on():
    hands = FakeHands("macos")
    hands.controls.lacks = ("screen-recording",)
    assert hands.sensor.permissions_missing() == ("screen-recording",)


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=12))
def test_what_is_compared_makes_the_one_of_the_other(before, after):
    text = before
    for one in compare("c", before, after, datetime.now(UTC)):
        if isinstance(one, Deleted):
            text = text[: one.position] + text[one.position + one.count :]
        else:
            assert text[: one.position].endswith(one.before)
            text = text[: one.position] + one.text + text[one.position :]
    assert text == after


def test_the_adapters_say_plainly_that_this_is_another_platform():
    for controls in (UiaControls, AxControls):
        with pytest.raises(SensorError):
            controls()


# -- what only X11 can show


@pytest.fixture
def desktop(tmp_path):
    desktop = Desktop(tmp_path)
    with on_desktop(desktop):
        yield desktop
    desktop.close()


def open_deaf(desktop):
    """An editor that shows nothing on the accessibility bus, as old programs do."""
    desktop.open("mousepad", "--disable-server", NO_AT_BRIDGE="1", GTK_MODULES="")
    desktop.front("Mousepad")


def is_readable(happened):
    return any(isinstance(one, Focused) and one.place.protected is False for one in list(happened))


def keys_of(happened):
    return "".join(one.text or f"<{one.name}>" for one in list(happened) if isinstance(one, Stroke))


@pytest.mark.parametrize(
    ("layout", "keys", "typed"),
    [
        ("gb", ["shift+3", "shift+2", "numbersign"], '£"#'),
        ("de", ["ISO_Level3_Shift+q", "ISO_Level3_Shift+e", "adiaeresis", "shift+adiaeresis"], "@€äÄ"),
        ("fr", ["dead_circumflex", "e", "dead_circumflex", "shift+i", "eacute"], "êÎé"),
        ("de", ["dead_acute", "a", "BackSpace", "x"], "á<BackSpace>x"),
    ],
)
def test_keys_are_read_as_the_keyboard_writes_them(desktop, layout, keys, typed):
    desktop.run("setxkbmap", layout)
    sensor, happened = X11Sensor("mia", ("Mousepad",)), []
    sensor.start(happened.append)
    try:
        open_deaf(desktop)
        wait_until(lambda: is_readable(happened), "a place that may be read")
        desktop.keys(*keys)
        wait_until(lambda: keys_of(happened) == typed, f"{typed!r}, not {keys_of(happened)!r}")
        assert sensor.permissions_missing() == ("login-manager",)
    finally:
        sensor.stop()


def test_keys_in_a_program_that_is_not_listed_or_shows_its_controls_are_not_read(desktop):
    sensor, happened = X11Sensor("mia", ("Mousepad",)), []
    sensor.start(happened.append)
    try:
        desktop.open("zenity", "--password", "--title", "Sign in", NO_AT_BRIDGE="1", GTK_MODULES="")
        desktop.front("Sign in")
        desktop.type("sesame")
        open_deaf(desktop)
        wait_until(lambda: is_readable(happened), "a place that may be read")
        desktop.type("ok")
        wait_until(lambda: keys_of(happened) == "ok", "ok")
    finally:
        sensor.stop()


def test_a_layout_changed_while_it_runs_counts_from_then_on(desktop):
    desktop.run("setxkbmap", "gb")
    sensor, happened = X11Sensor("mia", ("Mousepad",)), []
    sensor.start(happened.append)
    try:
        open_deaf(desktop)
        wait_until(lambda: is_readable(happened), "a place that may be read")
        desktop.keys("y")
        wait_until(lambda: keys_of(happened) == "y", "y")
        desktop.run("setxkbmap", "de")
        wait_until(lambda: sensor._remapped.is_set(), "the new layout noticed")
        desktop.keys("ISO_Level3_Shift+e")
        wait_until(lambda: keys_of(happened) == "y€", "the euro of the new layout")
    finally:
        sensor.stop()


def test_the_accessibility_process_comes_back_when_it_dies(desktop):
    sensor, happened = X11Sensor("mia"), []
    sensor.start(happened.append)
    try:
        assert sensor.accessibility.wait_ready(20)
        desktop.open("mousepad", "--disable-server")
        desktop.front("Mousepad")
        wait_until(lambda: is_readable(happened), "a place that may be read")
        first = sensor.accessibility.pid
        os.kill(first, 9)
        wait_until(lambda: isinstance(happened[-1], Focused) and happened[-1].place.protected is None, "blind")
        wait_until(lambda: sensor.accessibility.pid != first and sensor.accessibility.is_ready, "it is back")
    finally:
        sensor.stop()


def test_the_screen_is_taken_with_its_windows_and_password_fields(desktop):
    sensor = X11Sensor("mia")
    sensor.start(lambda happening: None)
    try:
        assert sensor.accessibility.wait_ready(20)
        screen = X11Screen(sensor.accessibility)
        root = screen._display.screen().root
        root.change_attributes(background_pixel=0x204060)
        root.clear_area(0, 0, 0, 0)
        wait_until(lambda: screen.grab().getpixel((5, 5)) == (0x20, 0x40, 0x60), "the colour of the desktop")
        assert screen.grab().size == (1280, 800) and screen.part_to_keep() is None
        desktop.open("zenity", "--password", "--title", "Sign in")
        desktop.front("Sign in")
        # before it ever had a key
        wait_until(lambda: screen.protected_areas(), "the field")
        (window,) = screen.shown()
        area = screen.protected_areas()[0]
        assert window.application == "Zenity"
        assert window.area.left <= area.left and area.left + area.width <= window.area.left + window.area.width
    finally:
        sensor.stop()
    # nobody answers any more: no picture may be kept
    assert screen.protected_areas() is None


def test_without_an_x_server_it_says_so(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4999")
    with pytest.raises(SensorError, match="no X server"):
        X11Sensor("mia").start(lambda happening: None)


def test_the_accessibility_process_imports_nothing_but_the_bindings_and_the_rule():
    names = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    assert names == {"agent.protection", "collections", "gi", "gi.repository", "json", "os", "pathlib", "sys", "typing"}


@pytest.fixture
def login_manager(desktop, monkeypatch):
    """A login manager on a system bus of the desktop's own; ``tell`` changes its session."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", desktop.environment["DBUS_SESSION_BUS_ADDRESS"])
    script = Path(__file__).with_name("login_manager.py")
    process = subprocess.Popen([SYSTEM_PYTHON, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"

    def tell(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()

    yield tell
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def test_another_persons_session_in_front_and_the_login_managers_lock_are_told(desktop, login_manager):
    sensor, happened = X11Sensor("mia"), []
    sensor.start(happened.append)
    try:
        assert sensor.accessibility.wait_ready(20)
        assert sensor.permissions_missing() == ()

        def aways():
            return [one.back for one in list(happened) if isinstance(one, Away)]

        login_manager("Active false")
        wait_until(lambda: aways() == [False], "away")
        # locked too while it is away: both must be over
        login_manager("LockedHint true")
        login_manager("Active true")
        login_manager("LockedHint false")
        wait_until(lambda: aways() == [False, True], "back once")
    finally:
        sensor.stop()
