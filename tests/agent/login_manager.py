"""A login manager for a test, run by the system's Python: one session, which lines on the input lock and leave.

Input: "LockedHint true", "Active false" and the like. It prints "ready" once it has its name.
"""

import sys

from gi.repository import Gio, GLib  # type: ignore[import-not-found,unused-ignore]

PATH = "/org/freedesktop/login1/session/_31"
XML = """
<node>
  <interface name="org.freedesktop.login1.Manager">
    <method name="GetSessionByPID"><arg type="u" direction="in"/><arg type="o" direction="out"/></method>
  </interface>
  <interface name="org.freedesktop.login1.Session">
    <property name="Active" type="b" access="read"/>
    <property name="LockedHint" type="b" access="read"/>
  </interface>
</node>
"""
state = {"Active": True, "LockedHint": False}
manager, session = Gio.DBusNodeInfo.new_for_xml(XML).interfaces
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)


def call(_bus, _sender, _path, _interface, _method, _values, invocation):
    invocation.return_value(GLib.Variant("(o)", (PATH,)))


def get(_bus, _sender, _path, _interface, name):
    return GLib.Variant("b", state[name])


def read(channel, _condition):
    status, line, _length, _end = channel.read_line()
    if status != GLib.IOStatus.NORMAL:
        loop.quit()
        return False
    name, value = line.split()
    state[name] = value == "true"
    changed = ("org.freedesktop.login1.Session", {name: GLib.Variant("b", state[name])}, [])
    bus.emit_signal(
        None, PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", GLib.Variant("(sa{sv}as)", changed)
    )
    return True


bus.register_object("/org/freedesktop/login1", manager, call, None, None)
bus.register_object(PATH, session, None, get, None)
Gio.bus_own_name_on_connection(bus, "org.freedesktop.login1", 0, lambda *_: print("ready", flush=True), None)
loop = GLib.MainLoop()
GLib.io_add_watch(
    GLib.IOChannel.unix_new(sys.stdin.fileno()),
    GLib.PRIORITY_DEFAULT,
    GLib.IOCondition.IN | GLib.IOCondition.HUP,
    read,
)
loop.run()
