"""A recorded day played back: its pauses, its screens, and what is wrong with a day file."""

import json
from datetime import UTC, datetime

import pytest

from agent.sensors.replay import DayError, ReplaySource, read_day

STEP = {
    "after_seconds": 4,
    "account": "mia",
    "application": "Chat",
    "window_title": "Year 9",
    "address": "https://chat.example",
    "typed": "hello",
    "screen": "screens/one.webp",
}
NOW = datetime(2025, 9, 8, tzinfo=UTC)


@pytest.fixture
def write_day(tmp_path):
    (tmp_path / "screens").mkdir()
    (tmp_path / "screens" / "one.webp").write_bytes(b"the first screen")
    (tmp_path / "screens" / "two.webp").write_bytes(b"the second screen")

    def write(*steps):
        path = tmp_path / "day.jsonl"
        path.write_text("\n".join(step if isinstance(step, str) else json.dumps(step) for step in steps))
        return path

    return write


def play(steps, stop_after=100, **options):
    """The source, and the list its pauses are written to; it is told to stop after so many of them."""
    pauses = []

    def wait(seconds):
        pauses.append(seconds)
        return len(pauses) <= stop_after

    return ReplaySource(steps, **{"speed": 1, "loop": False, "wait": wait, "now": lambda: NOW, **options}), pauses


def test_a_day_is_played_step_by_step_with_its_pauses_and_screens(write_day):
    steps = read_day(
        write_day(STEP, {**STEP, "after_seconds": 10, "typed": "bye", "screen": "screens/two.webp", "context": ["a"]})
    )
    source, pauses = play(steps, speed=2)
    seen = [(event.text, event.earlier, event.protected, event.at, source.grab()) for event in source.events()]
    assert seen == [
        ("hello", (), False, NOW, b"the first screen"),
        ("bye", ("a",), False, NOW, b"the second screen"),
    ]
    assert pauses == [2, 5]


def test_a_day_that_loops_goes_on_until_it_is_stopped(write_day):
    source, _ = play(read_day(write_day(STEP, STEP)), stop_after=7, loop=True)
    assert len(list(source.events())) == 7


def test_a_looping_day_without_any_pause_is_played_once(write_day):
    source, _ = play(read_day(write_day({**STEP, "after_seconds": 0})), loop=True)
    assert len(list(source.events())) == 1


def test_a_step_may_have_no_screen_and_a_protected_control(write_day):
    (step,) = read_day(write_day({**STEP, "screen": None, "protected": None, "role": "password text"}, "", "  "))
    source, _ = play((step,))
    (event,) = source.events()
    assert (event.protected, event.role, source.grab()) == (None, "password text", None)


FAULTS = [
    (["{"], "line 1: not JSON"),
    (["[]"], "line 1: must be an object"),
    ([STEP, {**STEP, "typed": 5}], "line 2: typed must be text"),
    ([{**STEP, "after_seconds": -1}], "line 1: after_seconds must be"),
    ([{**STEP, "after_seconds": "4"}], "line 1: after_seconds must be"),
    ([{**STEP, "screen": "screens/three.webp"}], "line 1: there is no screen file screens/three.webp"),
    ([{**STEP, "screen": "/etc/hostname"}], "line 1: screen must be a path relative"),
    ([{**STEP, "context": "one"}], "line 1: context must be a list"),
    ([{**STEP, "protected": "yes"}], "line 1: protected must be"),
    ([{**STEP, "colour": "red"}], "line 1: unknown field 'colour'"),
    ([""], "has no step"),
]


@pytest.mark.parametrize(("lines", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_fault_is_named_with_its_line(write_day, lines, fault):
    with pytest.raises(DayError) as caught:
        read_day(write_day(*lines))
    assert fault in str(caught.value)
    assert "hello" not in str(caught.value)


def test_a_day_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(DayError, match="can't be read"):
        read_day(tmp_path / "none.jsonl")
