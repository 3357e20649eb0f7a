"""The agent on a real desktop: what of what a person types in real programs arrives at the box, and what never does.

Xvfb, openbox, mousepad, zenity, xterm and xdotool; the accessibility bus; a real broker.
"""

import io
import json

import pytest
from PIL import Image

from tests.agent.conftest import Program, wait_until
from tests.agent.desktop import Desktop

RULES = [
    {"id": "home", "category": "abuse", "phrases": ["scared to go home", "Grüße aus dem Käfig", "a€b@c"]},
    {"id": "die", "category": "self_harm", "phrases": ["kill myself"], "unless_any": ["kill myself laughing"]},
    {"id": "secret", "category": "none", "phrases": ["sesame opens"]},
]
POLICY = {"version": "desk-1", "academy": "Larkfield Academy", "rules": RULES, "excluded_applications": ["Zenity-Help"]}


class Watched:
    """A desktop with the agent on it, and the box it reports to."""

    def __init__(self, folder, desktop, device, box, policy_key, policy, **settings):
        self.desktop, self.box = desktop, box
        self.folder = folder
        device.close()
        (folder / "policy.json").write_bytes(policy_key.sign(policy))
        credentials = device.credentials
        names = ("ca", "certificate", "key")
        broker = {"host": credentials.host, "port": credentials.port}
        for name in names:
            (folder / name).write_bytes(getattr(credentials, name).read_bytes())
            broker[name] = name
        document = {
            "device_id": credentials.device_id,
            "data_dir": "data",
            "policy": "policy.json",
            "policy_key": policy_key.write_public(folder / "policy.pem").name,
            "box_key": device.box_key.write_public(folder / "box.pem").name,
            "broker": broker,
            "heartbeat_seconds": 1,
            **settings,
        }
        (folder / "agent.json").write_text(json.dumps(document))
        self.agent: Program | None = None

    def start(self):
        run = ("-m", "agent", "run", "--config", self.folder / "agent.json", "--watch")
        self.agent = Program(*run, environment=self.desktop.environment)
        lines = self.agent.lines
        for words in ("monitored now", "connected"):
            wait_until(lambda words=words: any(words in line for line in list(lines)), f"{words!r} in {lines}")
        self.agent.drain()
        return self

    @property
    def typed(self):
        return [event.header["typed"] for event in self.box.events]

    def stop(self):
        if self.agent:
            self.agent.process.terminate()
            self.agent.finish()


@pytest.fixture
def desktop(tmp_path_factory):
    desktop = Desktop(tmp_path_factory.mktemp("desktop"))
    yield desktop
    desktop.close()


@pytest.fixture
def watch(tmp_path, desktop, device, box, policy_key):
    """Start the agent on the desktop; policy and settings may be changed."""
    started = []

    def start(policy=None, **settings):
        started.append(Watched(tmp_path / "data", desktop, device, box, policy_key, policy or POLICY, **settings))
        return started[-1].start()

    yield start
    for watched in started:
        watched.stop()


@pytest.fixture
def pad(desktop):
    """An editor with the focus, known to the accessibility bus."""

    def open_pad():
        desktop.open("mousepad", "--disable-server")
        desktop.front("Mousepad")

    return open_pad


def is_read(watched, text="scared to go home "):
    """Type something that arrives; whatever was typed before has been looked at by then."""
    count = len(watched.box.events)
    watched.desktop.type(text)
    wait_until(lambda: len(watched.box.events) > count, f"an event for {text!r}")


def test_typed_pasted_corrected_and_deleted_text(watch, desktop, pad):
    watched = watch()
    pad()
    # typed
    is_read(watched, "i am scared to go home tonight")
    first = watched.box.events[0].header
    assert first["trigger"] == "scared to go home" and first["application"] == "Mousepad"
    assert first["window_title"].endswith("Mousepad")
    # corrected: it was another word at first
    desktop.keys("ctrl+a", "Delete")
    desktop.type("i will kill mum")
    desktop.keys("BackSpace", "BackSpace")
    desktop.type("yself ")
    wait_until(lambda: len(watched.box.events) == 2, "the corrected text")
    assert watched.typed[1] == "i will kill myself "
    # the words after it may make it something else
    desktop.keys("ctrl+a", "Delete")
    desktop.type("i could kill myself laughing at this")
    # deleted before it was sent
    desktop.keys("ctrl+a", "Delete")
    desktop.type("so scared to go home again")
    desktop.keys("ctrl+a", "Delete")
    wait_until(lambda: len(watched.box.events) == 3, "the deleted text")
    assert watched.typed[2] == "so scared to go home again"
    # pasted
    desktop.type("me too i want to kill")
    desktop.keys("ctrl+a", "ctrl+x", "ctrl+v")
    desktop.type(" myself")
    wait_until(lambda: len(watched.box.events) == 4, "the pasted text")
    assert watched.typed[3] == "me too i want to kill myself"
    assert not any("laughing" in text for text in watched.typed)
    assert "i could kill myself laughing at this" in watched.box.events[3].header["context"]


def test_accents_altgr_and_dead_keys_arrive_as_they_were_written(watch, desktop, pad):
    watched = watch()
    desktop.run("setxkbmap", "gb")
    pad()
    is_read(watched)
    desktop.run("setxkbmap", "de")
    # a, AltGr+e, b, AltGr+q, c
    desktop.keys("ctrl+a", "Delete", "a", "ISO_Level3_Shift+e", "b", "ISO_Level3_Shift+q", "c", "space")
    wait_until(lambda: any("a€b@c" in text for text in watched.typed), "what AltGr types")


def test_what_is_typed_into_a_password_field_never_arrives(watch, desktop, pad):
    watched = watch()
    desktop.open("zenity", "--password", "--title", "Sign in")
    desktop.front("Sign in")
    desktop.type("sesame opens ")
    desktop.open("xterm", "-T", "Prompt")
    desktop.front("Prompt")
    desktop.type("sudo sesame opens ")
    pad()
    is_read(watched)
    assert watched.typed == ["scared to go home "]
    assert not any("sesame" in line for event in watched.box.events for line in event.header["context"])


def test_the_password_field_is_blank_on_the_picture(watch, desktop, pad, tmp_path):
    watched = watch()
    desktop.open("zenity", "--password", "--title", "Sign in")
    desktop.front("Sign in")
    desktop.type("sesame")
    place = dict(line.split("=") for line in desktop.run("xdotool", "search", "--name", "Sign in",
                                                         "getwindowgeometry", "--shell").split())  # fmt: skip
    pad()
    desktop.run("xdotool", "search", "--name", "Mousepad", "windowsize", "300", "200", "windowmove", "0", "0")
    is_read(watched)
    image = Image.open(io.BytesIO(watched.box.events[0].image)).convert("RGB")
    left, top, width, height = (int(place[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))
    inside = image.crop((left, top, left + width, top + height))
    grey = sum(count for count, colour in inside.getcolors(width * height) if colour == (96, 96, 96))
    assert grey > 3000
    assert image.size == (1280, 800)


def test_a_terminal_is_never_read_even_where_it_is_listed(watch, desktop, pad):
    watched = watch(keystroke_applications=["xterm", "XTerm"])
    desktop.open("xterm", "-T", "Shell")
    desktop.front("Shell")
    desktop.type("sesame opens ")
    pad()
    is_read(watched)
    assert watched.typed == ["scared to go home "]


def test_an_excluded_application_is_left_alone(watch, desktop, pad):
    watched = watch({**POLICY, "excluded_applications": ["Zenity"]})
    desktop.open("zenity", "--entry", "--title", "Diary")
    desktop.front("Diary")
    desktop.type("sesame opens ")
    pad()
    is_read(watched)
    assert watched.typed == ["scared to go home "]


def test_a_payment_field_is_never_read(watch, desktop, pad):
    watched = watch()
    desktop.open("zenity", "--forms", "--title", "Shop", "--text", "Pay", "--add-entry", "Card number",
                 "--add-entry", "Remarks")  # fmt: skip
    desktop.front("Shop")
    desktop.type("sesame opens ")
    desktop.keys("Tab")
    is_read(watched)
    assert watched.typed == ["scared to go home "]


def test_while_the_screen_is_locked_nothing_is_read(watch, desktop, pad):
    watched = watch()
    pad()
    is_read(watched)
    lock = ("dbus-send", "--session", "--type=signal", "/org/freedesktop/ScreenSaver",
            "org.freedesktop.ScreenSaver.ActiveChanged")  # fmt: skip
    desktop.run(*lock, "boolean:true")
    watched.agent.wait_for_line("not monitored now")
    desktop.type("sesame opens ")
    desktop.run(*lock, "boolean:false")
    watched.agent.wait_for_line("monitored now")
    desktop.keys("ctrl+a", "Delete")
    is_read(watched, "again scared to go home ")
    assert not any("sesame" in text for text in watched.typed)


def test_the_words_of_two_windows_are_never_joined(watch, desktop, pad):
    watched = watch()
    pad()
    desktop.type("so scared to ")
    desktop.open("zenity", "--entry", "--title", "Other")
    desktop.front("Other")
    desktop.type("go home ")
    is_read(watched, "kill myself ")
    assert watched.typed == ["go home kill myself "]
    assert watched.box.events[0].header["context"] == []


def test_the_heartbeat_says_how_the_desktop_stands(watch):
    watched = watch()
    # there is no login manager on this desktop
    wait_until(
        lambda: watched.box.beats and watched.box.beats[-1]["permissions_missing"] == ["login-manager"], "a beat"
    )
    beat = watched.box.beats[-1]
    assert (beat["platform"], beat["policy_number"], beat["monitored_now"]) == ("linux-x11", 1, True)


NOTICE = {"version": "2025-09", "title": "This laptop is monitored", "body": "One.\n\nTwo.", "contacts": "The office"}


def test_the_notice_is_shown_before_anything_is_read_and_its_acceptance_is_kept(watch, desktop, pad, policy_key):
    watched = watch({**POLICY, "notice": NOTICE})
    desktop.front("This laptop is monitored")
    wait_until(lambda: watched.box.beats, "a heartbeat")
    assert watched.box.beats[-1]["notice_accepted"] is None
    desktop.keys("alt+h")
    watched.agent.wait_for_line("the notice 2025-09 was accepted")
    wait_until(lambda: watched.box.beats[-1]["notice_accepted"], "a heartbeat that says so")
    watched.stop()
    watched.start()
    pad()
    is_read(watched)
    assert not desktop.run("xdotool", "search", "--onlyvisible", "--name", "This laptop is monitored").strip()


def test_a_pupil_asks_for_help_from_the_sign(watch, desktop):
    watched = watch({**POLICY, "help": {"title": "Ask for help", "body": "Tell us."}})
    # the sign stands at the lower right edge
    desktop.run("xdotool", "mousemove", "1200", "780", "click", "1")
    desktop.front("Monitoring on this device")
    desktop.keys("alt+n")
    desktop.front("Ask for help")
    desktop.type("please talk to me scared to go home ")
    desktop.keys("alt+s")
    wait_until(lambda: watched.box.events, "the report")
    header = watched.box.events[0].header
    assert (header["rule_id"], header["trigger"], header["image"]) == ("pupil-help", "", None)
    assert header["typed"] == "please talk to me scared to go home "
    # the form itself was never read
    assert len(watched.box.events) == 1


def test_the_sign_always_stands_above_the_windows_and_says_what_holds(watch, desktop, pad):
    watch()
    pad()
    desktop.run("xdotool", "search", "--name", "Mousepad", "windowsize", "1280", "800", "windowmove", "0", "0")
    shown = desktop.run("xdotool", "search", "--onlyvisible", "--name", "^Monitored now$").split()
    assert len(shown) == 1
    # what is under the mouse there is the sign, though the editor covers the whole screen
    under = desktop.run("xdotool", "mousemove", "1200", "780", "getmouselocation", "--shell")
    assert f"WINDOW={shown[0]}" in under.splitlines()
