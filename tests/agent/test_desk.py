"""Where the focus is, joined from two sources that come in any order; and what may be read there."""

from datetime import UTC, datetime

import pytest

from agent.protection import is_protected, is_terminal
from agent.sensors.desk import KEYSTROKES, Desk, Front
from agent.sensors.ports import Away, Focused, Inserted, Stroke, WindowGone

NOW = datetime(2025, 9, 8, tzinfo=UTC)
PAD = Front("w1", "Mousepad", "Untitled", 41)
OLD = Front("w2", "Oldpad", "Untitled", 42)
FOCUS = {"tell": "focus", "pid": 41, "application": "pad", "control": "c1", "role": "text", "protected": False}
INSERT = {"tell": "insert", "control": "c1", "position": 0, "text": "hello", "before": ""}


@pytest.fixture
def desk():
    return Desk("mia", ["oldpad", "xterm"], lambda pid: pid == 41)


def place(happenings):
    (focused,) = happenings
    assert isinstance(focused, Focused)
    return focused.place


def test_a_window_is_unknown_until_its_control_is_told(desk):
    assert place(desk.front(PAD, NOW)).protected is None
    assert desk.told(INSERT, NOW) == []
    found = place(desk.told(FOCUS, NOW))
    assert (found.application, found.control, found.protected, found.window_title) == (
        "Mousepad", "c1", False, "Untitled",
    )  # fmt: skip
    assert desk.told(INSERT, NOW) == [Inserted(NOW, "c1", 0, "hello", "")]


def test_the_control_may_be_told_before_the_window(desk):
    assert desk.told(FOCUS, NOW) == []
    assert place(desk.front(PAD, NOW)).control == "c1"


def test_a_control_of_a_program_behind_counts_for_nothing(desk):
    desk.told(FOCUS, NOW)
    desk.front(PAD, NOW)
    assert place(desk.front(Front("w3", "Other", "", 43), NOW)).protected is None
    assert desk.told(INSERT, NOW) == []


def test_a_window_without_a_process_is_unknown(desk):
    desk.told({**FOCUS, "pid": 0}, NOW)
    assert place(desk.front(Front("w4", "oldpad", "", 0), NOW)).protected is None


def test_a_new_title_is_said_and_an_old_one_not_repeated(desk):
    desk.told(FOCUS, NOW)
    desk.front(PAD, NOW)
    assert desk.front(PAD, NOW) == []
    assert place(desk.front(Front("w1", "Mousepad", "*Untitled", 41), NOW)).window_title == "*Untitled"


def test_keys_are_read_only_in_a_listed_program_that_shows_no_controls(desk):
    stroke = Stroke(NOW, "x")
    assert place(desk.front(OLD, NOW)).role == KEYSTROKES
    assert desk.stroke(stroke) == [stroke]
    for front in (
        PAD,
        Front("w5", "Oldpad", "", 41),  # listed, but it shows its controls
        Front("w6", "xterm", "", 44),  # listed, but a terminal
        Front("w7", "Unlisted", "", 45),
    ):
        desk.front(front, NOW)
        assert desk.stroke(stroke) == []


def test_the_agents_own_windows_are_never_read(desk):
    desk.told(FOCUS, NOW)
    assert place(desk.front(Front("w8", "Trustkeep", "I need help", 41), NOW)).protected is None


def test_without_the_accessibility_process_nothing_is_known(desk):
    desk.told(FOCUS, NOW)
    desk.front(PAD, NOW)
    assert place(desk.blind(NOW)).protected is None
    assert desk.told(INSERT, NOW) == []


def test_coming_back_tells_the_place_anew(desk):
    desk.told(FOCUS, NOW)
    desk.front(PAD, NOW)
    assert desk.told({"tell": "away"}, NOW) == [Away(NOW)]
    away, focused = desk.told({"tell": "back"}, NOW)
    assert away == Away(NOW, back=True) and focused.place.control == "c1"


def test_a_window_that_is_gone_is_said(desk):
    assert desk.closed("w1", NOW) == [WindowGone(NOW, "w1")]


@pytest.mark.parametrize("words", ["Password", "Card number", "PIN", "CVC2", "Security code:", "autocomplete:cc-csc",
                                   "Enter your one-time code", "Sort code", "Cyfrinair"])  # fmt: skip
def test_a_control_that_says_it_wants_a_secret_is_protected(words):
    assert is_protected("entry", words, "Shop") is True


@pytest.mark.parametrize("words", ["", "Message", "Opinion", "Pinboard", "Discard", "Expected answer"])
def test_other_words_are_not_secrets(words):
    assert is_protected("entry", words, "Shop") is False


def test_unknown_roles_and_terminals_can_not_be_told():
    assert is_protected("frame", "", "Shop") is None
    assert is_protected("text", "", "xterm") is None
    assert is_protected("password text", "", "Shop") is True
    assert is_terminal("Gnome-terminal") and is_terminal("WindowsTerminal.exe") and not is_terminal("Termite Mound")
