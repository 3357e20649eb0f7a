"""The eyes on the accessibility bus: a small process run by the system's own Python, where the bindings are.

It holds no key, writes no file, and knows no policy. It tells on its standard output, a JSON object a line:

    {"tell": "focus", "pid", "application", "control", "role", "protected": true | false | null}
    {"tell": "insert", "control", "position", "text", "before"}    {"tell": "delete", "control", "position", "count"}
    {"tell": "gone", "pid"}      {"tell": "away"}  {"tell": "back"}     {"tell": "ready", "missing": [...]}

and answers on it what is asked on its standard input: {"ask": "areas", "id"} with {"answer": id, "areas": [[left, top,
width, height], …] or null}, {"ask": "knows", "id", "pid"} with {"answer": id, "knows": bool}. It ends with its input.
Text of a control that is or may be protected is never asked for, kept or told.
"""

import json
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import gi  # type: ignore[import-not-found,unused-ignore]

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, Gio, GLib  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

from agent.protection import is_protected  # noqa: E402

BEFORE_AT_MOST = 80
KNOWN_AT_MOST = 500
CALL_MILLISECONDS = 500
LABEL_PIXELS = 200
SIBLINGS_AT_MOST = 60
EVENTS = (
    "object:state-changed:focused",
    "object:text-changed:insert",
    "object:text-changed:delete",
    "object:children-changed:remove",
)
SAVERS = (
    ("org.gnome.ScreenSaver", "ActiveChanged"),
    ("org.freedesktop.ScreenSaver", "ActiveChanged"),
    ("org.mate.ScreenSaver", "ActiveChanged"),
    ("org.cinnamon.ScreenSaver", "ActiveChanged"),
    ("org.xfce.ScreenSaver", "ActiveChanged"),
)
LOGIN = "org.freedesktop.login1"


def tell(**fields: Any) -> None:
    """One line to whoever started this; without them there is nothing left to do."""
    try:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()
    except OSError:
        os._exit(0)


class Eyes:
    """What has the focus, what is protected, and the text that comes and goes."""

    def __init__(self) -> None:
        self._focused = self._role = ""
        self._protected: bool | None = None
        self._edited_at: int | None = None
        self._hiding: OrderedDict[str, Any] = OrderedDict()

    def on_event(self, event: Any) -> None:
        """Called for each event. A program that is gone or hangs raises; that costs this event only."""
        try:
            if event.type.startswith("object:state-changed:focused"):
                if event.detail1:
                    self._focus(event.source)
            elif event.type.startswith("object:children-changed"):
                self._gone(event)
            elif _name(event.source) == self._focused:
                self._text(event)
        except GLib.Error:
            pass

    def _focus(self, control: Any) -> None:
        name, application = _name(control), control.get_application()
        role = control.get_role_name()
        self._focused, self._role, self._edited_at = name, role, None
        self._protected = self._judge(control, name, role)
        tell(
            tell="focus",
            pid=control.get_process_id(),
            application=application.get_name() if application else "",
            control=name,
            role=role,
            protected=self._protected,
        )

    def _judge(self, control: Any, name: str, role: str) -> bool | None:
        """Whether the control is protected; once it was, it stays so."""
        application = control.get_application()
        protected = is_protected(role, _words(control), application.get_name() if application else "")
        if protected is True:
            self._hiding[name] = control
            if len(self._hiding) > KNOWN_AT_MOST:
                self._hiding.popitem(last=False)
        return True if name in self._hiding else protected

    def _text(self, event: Any) -> None:
        control, position, count = event.source, event.detail1, event.detail2
        if control.get_role_name() != self._role:  # it has turned into something else since it got the focus
            self._focus(control)
        if self._protected is not False:
            return
        if event.type.startswith("object:text-changed:delete"):
            tell(tell="delete", control=self._focused, position=position, count=count)
            self._edited_at = position
            return
        text = event.any_data if isinstance(event.any_data, str) else ""
        before = ""
        if position != self._edited_at and position > 0:
            before = Atspi.Text.get_text(control, max(0, position - BEFORE_AT_MOST), position)
        self._edited_at = position + len(text)
        tell(tell="insert", control=self._focused, position=position, text=text, before=before)

    def _gone(self, event: Any) -> None:
        if event.source.get_role() == Atspi.Role.DESKTOP_FRAME:
            present = _present()
            for name in [name for name in self._hiding if name.split("/", 1)[0] not in present]:
                del self._hiding[name]

    def areas(self) -> list[list[int]] | None:
        """Where protected controls stand on the screen, in its pixels; None where it can't be told."""
        found = []
        try:
            for control in [*self._hiding.values(), *_password_fields()]:
                try:
                    states = control.get_state_set()
                    if not states.contains(Atspi.StateType.SHOWING):
                        continue
                    box = Atspi.Component.get_extents(control, Atspi.CoordType.SCREEN)
                except GLib.Error:
                    continue  # the control is gone, and its window with it
                found.append([box.x, box.y, box.width, box.height])
        except GLib.Error:
            return None
        return found


def _password_fields() -> list[Any]:
    """The password fields in every window, whether they ever had the focus or not."""
    rule = Atspi.MatchRule.new(
        Atspi.StateSet.new([Atspi.StateType.SHOWING]),
        Atspi.CollectionMatchType.ALL,
        {},
        Atspi.CollectionMatchType.NONE,
        [Atspi.Role.PASSWORD_TEXT],
        Atspi.CollectionMatchType.ANY,
        [],
        Atspi.CollectionMatchType.NONE,
        False,
    )
    found: list[Any] = []
    desktop = Atspi.get_desktop(0)
    for index in range(desktop.get_child_count()):
        application = desktop.get_child_at_index(index)
        for number in range(application.get_child_count() if application else 0):
            try:
                window = application.get_child_at_index(number)
                collection = window.get_collection_iface() if window else None
                if collection:
                    found += collection.get_matches(rule, Atspi.CollectionSortOrder.CANONICAL, 0, True)
            except GLib.Error:
                continue  # a program without collections: its fields are known from their focus
    return found


def _present() -> set[str]:
    desktop = Atspi.get_desktop(0)
    children = (desktop.get_child_at_index(index) for index in range(desktop.get_child_count()))
    return {child.app.bus_name for child in children if child and child.app}


def _knows(pid: int) -> bool:
    """Whether the program with this process id shows itself on the accessibility bus."""
    desktop = Atspi.get_desktop(0)
    for index in range(desktop.get_child_count()):
        try:
            child = desktop.get_child_at_index(index)
            if child and child.get_process_id() == pid:
                return True
        except GLib.Error:
            continue
    return False


def _name(control: Any) -> str:
    return f"{control.app.bus_name if control.app else ''}{control.path}"


def _words(control: Any) -> str:
    """Everything a control says of itself."""
    words = [control.get_name() or "", control.get_description() or ""]
    words += [f"{name}:{value}" for name, value in (control.get_attributes() or {}).items() if name != "toolkit"]
    for relation in control.get_relation_set() or ():
        if relation.get_relation_type() == Atspi.RelationType.LABELLED_BY:
            words += [relation.get_target(index).get_name() or "" for index in range(relation.get_n_targets())]
    return " ".join([*words, _label_beside(control)])


def _label_beside(control: Any) -> str:
    """The label left of a control or over it: many programs don't say that the two belong together."""
    parent = control.get_parent()
    if parent is None:
        return ""
    box = Atspi.Component.get_extents(control, Atspi.CoordType.SCREEN)
    nearest, words = 2 * LABEL_PIXELS, ""
    for index in range(min(parent.get_child_count(), SIBLINGS_AT_MOST)):
        sibling = parent.get_child_at_index(index)
        if sibling is None or sibling.get_role() != Atspi.Role.LABEL:
            continue
        label = Atspi.Component.get_extents(sibling, Atspi.CoordType.SCREEN)
        left = box.x - label.x - label.width
        over = box.y - label.y - label.height
        on_one_line = abs(2 * label.y + label.height - 2 * box.y - box.height) < box.height
        # one over it counts only where none stands beside it
        distance = left if on_one_line else over + LABEL_PIXELS if over >= -2 else -LABEL_PIXELS
        if -2 <= distance < nearest and label.x < box.x + box.width:
            nearest, words = distance, sibling.get_name() or ""
    return words


class Session:
    """Whether the screen is locked or another person's session is in front."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self.missing: list[str] = []

    def watch(self) -> None:
        """Subscribe to the savers of the session bus and to the login manager of the system bus."""
        try:
            bus = Gio.bus_get_sync(Gio.BusType.SESSION)
            for interface, signal in SAVERS:
                bus.signal_subscribe(None, interface, signal, None, None, 0, self._on_saver)
            self._session_bus = bus
        except GLib.Error:
            self.missing.append("screen-lock")
        try:
            self._watch_login()
        except GLib.Error:
            self.missing.append("login-manager")

    def _watch_login(self) -> None:
        bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
        manager = "org.freedesktop.login1.Manager"
        try:
            reply = _call(bus, "/org/freedesktop/login1", manager, "GetSessionByPID", GLib.Variant("(u)", (0,)))
        except GLib.Error:
            name = os.environ.get("XDG_SESSION_ID", "")
            reply = _call(bus, "/org/freedesktop/login1", manager, "GetSession", GLib.Variant("(s)", (name,)))
        path = reply.unpack()[0]
        interface = f"{LOGIN}.Session"
        bus.signal_subscribe(LOGIN, "org.freedesktop.DBus.Properties", "PropertiesChanged", path, interface, 0,
                             self._on_login)  # fmt: skip
        bus.signal_subscribe(LOGIN, interface, "Lock", path, None, 0, lambda *_: self._set("lock", True))
        bus.signal_subscribe(LOGIN, interface, "Unlock", path, None, 0, lambda *_: self._set("lock", False))
        self._system_bus = bus
        get = "org.freedesktop.DBus.Properties"
        reply = _call(bus, path, get, "GetAll", GLib.Variant("(s)", (interface,)))
        self._take(reply.unpack()[0])

    def _on_saver(self, _bus: Any, _sender: str, _path: str, interface: str, _signal: str, values: Any) -> None:
        self._set(interface, bool(values.unpack()[0]))

    def _on_login(self, _bus: Any, _sender: str, _path: str, _interface: str, _signal: str, values: Any) -> None:
        self._take(values.unpack()[1])

    def _take(self, properties: dict[str, Any]) -> None:
        if "Active" in properties:
            self._set("not in front", not properties["Active"])
        if "LockedHint" in properties:
            self._set("locked", bool(properties["LockedHint"]))

    def _set(self, reason: str, holds: bool) -> None:
        before = bool(self._reasons)
        if holds:
            self._reasons.add(reason)
        else:
            self._reasons -= {reason} | ({"lock", "locked"} if reason in ("lock", "locked") else set())
        if bool(self._reasons) is not before:
            tell(tell="away" if self._reasons else "back")


def _call(bus: Any, path: str, interface: str, method: str, arguments: Any) -> Any:
    return bus.call_sync(LOGIN, path, interface, method, arguments, None, 0, 2000, None)


def main() -> None:
    """Watch until the input ends."""
    Atspi.init()
    Atspi.set_timeout(CALL_MILLISECONDS, 2000)
    eyes, session = Eyes(), Session()
    listener = Atspi.EventListener.new(eyes.on_event)
    for event in EVENTS:
        listener.register(event)
    session.watch()
    loop = GLib.MainLoop()

    def on_input(channel: Any, _condition: Any) -> bool:
        status, line, _length, _end = channel.read_line()
        if status != GLib.IOStatus.NORMAL:
            loop.quit()
            return False
        _answer(json.loads(line), eyes)
        return True

    channel = GLib.IOChannel.unix_new(sys.stdin.fileno())
    GLib.io_add_watch(channel, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, on_input)
    tell(tell="ready", missing=session.missing)
    loop.run()


def _answer(asked: dict[str, Any], eyes: Eyes) -> None:
    if asked.get("ask") == "areas":
        tell(answer=asked["id"], areas=eyes.areas())
    elif asked.get("ask") == "knows":
        try:
            tell(answer=asked["id"], knows=_knows(int(asked["pid"])))
        except GLib.Error:
            tell(answer=asked["id"], knows=True)  # can't be told: then no key is read


if __name__ == "__main__":
    main()
