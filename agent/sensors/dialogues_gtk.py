"""What the person at the device reads and answers: the notice, the menu, and the form that asks for help.

A process of its own, run by the system's Python where GTK's bindings are, only while one of its windows is open. It is
given on its standard input one JSON object: {"show": "notice" | "menu", "monitored": bool, "notice": {"version",
"title", "body", "contacts"}, "help": {"title", "body"}, "seen": [lines], "by": [lines]}, and tells on its standard
output what was answered: {"shown": "notice"}, {"accepted": version}, {"help": words, "picture": bool}.
"""

import json
import sys
from typing import Any

import gi  # type: ignore[import-not-found,unused-ignore]

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GLib, Gtk  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

WORDS_AT_MOST = 5_000


def tell(**fields: Any) -> None:
    """One line to the agent."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def make_window(title: str, width: int, height: int) -> tuple[Any, Any]:
    """A window in the middle of the screen, and the column its content goes in."""
    window = Gtk.Window(title=title, window_position=Gtk.WindowPosition.CENTER)
    window.set_default_size(width, height)
    column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=12, margin=18)
    window.add(column)
    return window, column


def add_text(column: Any, text: str, *, heading: bool = False, scrolls: bool = False) -> None:
    """Paragraphs that can be read, selected, and read aloud by a screen reader."""
    label = Gtk.Label(xalign=0, wrap=True, selectable=not heading, max_width_chars=70)
    if heading:
        label.set_markup(f"<big><b>{GLib.markup_escape_text(text)}</b></big>")
    else:
        label.set_text(text)
    if scrolls:
        around = Gtk.ScrolledWindow(vexpand=True, hscrollbar_policy=Gtk.PolicyType.NEVER)
        around.add(label)
        column.pack_start(around, True, True, 0)
    else:
        column.pack_start(label, False, False, 0)


def show_notice(given: dict[str, Any]) -> None:
    """The notice; it stays until it is accepted, and closing its window only minimises it."""
    notice = given["notice"]
    window, column = make_window(notice["title"] or "This device is monitored", 560, 460)
    add_text(column, notice["title"], heading=True)
    add_text(column, "\n\n".join(filter(None, (notice["body"], notice["contacts"]))), scrolls=True)
    button = Gtk.Button(label="I _have read this", use_underline=True)
    column.pack_end(button, False, False, 0)

    def accept(*_: Any) -> None:
        tell(accepted=notice["version"])
        Gtk.main_quit()

    def stay(*_: Any) -> bool:
        window.iconify()
        return True

    button.connect("clicked", accept)
    window.connect("delete-event", stay)
    window.connect("map-event", lambda *_: tell(shown="notice"))
    window.show_all()
    window.present()


def show_menu(given: dict[str, Any]) -> None:
    """What is seen, by whom, and the way to ask for help."""
    window, column = make_window("Monitoring on this device", 480, 320)
    add_text(column, "Monitored now" if given["monitored"] else "Not monitored now", heading=True)
    add_text(column, "What is seen\n" + "\n".join(f"• {line}" for line in given["seen"]))
    add_text(column, "By whom\n" + "\n".join(f"• {line}" for line in given["by"]))
    row = Gtk.Box(spacing=12)
    for label, action in (
        ("I _need help", lambda *_: show_help(given, window)),
        ("_Read the notice again", lambda *_: show_again(given, window)),
        ("_Close", lambda *_: Gtk.main_quit()),
    ):
        button = Gtk.Button(label=label, use_underline=True)
        button.connect("clicked", action)
        row.pack_start(button, True, True, 0)
    column.pack_end(row, False, False, 0)
    window.connect("destroy", lambda *_: Gtk.main_quit())
    window.show_all()
    window.present()


def show_again(given: dict[str, Any], parent: Any) -> None:
    """The notice to read, with nothing to accept."""
    notice = given.get("notice") or {"title": "", "body": "There is no notice.", "contacts": ""}
    window, column = make_window(notice["title"] or "Notice", 520, 420)
    window.set_transient_for(parent)
    add_text(column, "\n\n".join(filter(None, (notice["body"], notice["contacts"]))), scrolls=True)
    window.show_all()


def show_help(given: dict[str, Any], parent: Any) -> None:
    """The form. Words may be left out, and the screen goes along only where the box is ticked."""
    words = given.get("help") or {"title": "I need help", "body": ""}
    window, column = make_window(words["title"] or "I need help", 480, 340)
    window.set_transient_for(parent)
    add_text(column, words["body"] or "A member of staff will read this. You can leave the box empty.")
    entry = Gtk.TextView(wrap_mode=Gtk.WrapMode.WORD_CHAR, vexpand=True)
    entry.get_accessible().set_name("What would you like to say?")
    around = Gtk.ScrolledWindow(vexpand=True, shadow_type=Gtk.ShadowType.IN)
    around.add(entry)
    column.pack_start(around, True, True, 0)
    picture = Gtk.CheckButton(label="Send a _picture of my screen too", use_underline=True)
    column.pack_start(picture, False, False, 0)
    button = Gtk.Button(label="_Send", use_underline=True)
    column.pack_end(button, False, False, 0)

    def send(*_: Any) -> None:
        buffer = entry.get_buffer()
        text = buffer.get_text(buffer.get_start_iter(), buffer.get_end_iter(), False)[:WORDS_AT_MOST]
        wants_picture = picture.get_active()
        # the form itself need not be on the picture
        window.destroy()
        parent.hide()
        GLib.timeout_add(300, finish, text, wants_picture)

    def finish(text: str, wants_picture: bool) -> bool:
        tell(help=text, picture=wants_picture)
        show_sent()
        return False

    button.connect("clicked", send)
    window.show_all()
    entry.grab_focus()


def show_sent() -> None:
    """Say that it was sent, so that nobody is left to wonder."""
    window, column = make_window("Sent", 360, 140)
    add_text(column, "Your message is on its way. A member of staff will read it.", heading=False)
    button = Gtk.Button(label="_Close", use_underline=True)
    button.connect("clicked", lambda *_: Gtk.main_quit())
    column.pack_end(button, False, False, 0)
    window.connect("destroy", lambda *_: Gtk.main_quit())
    window.show_all()


def main() -> None:
    """Show what the first line of the input asks for."""
    given = json.loads(sys.stdin.readline())
    GLib.set_prgname("trustkeep")
    Gdk.set_program_class("Trustkeep")  # by this name the sensors know not to read it
    if Gdk.Display.get_default() is None:
        sys.exit(1)
    (show_notice if given["show"] == "notice" else show_menu)(given)
    Gtk.main()


if __name__ == "__main__":
    main()
