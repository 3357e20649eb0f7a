"""What is written, looked at, and told: typed, pasted, corrected, deleted, sent, left, and protected."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.assembler import CHARACTERS_AT_MOST, TextAssembler
from agent.observer import Device, Observer
from agent.outbox import Outbox
from agent.policy import parse_policy
from agent.sensors.ports import Asked, Away, Deleted, Focused, Inserted, Place, Stroke, WindowGone
from agent.watcher import Watcher

START = datetime(2025, 9, 8, 10, 0, tzinfo=UTC)
POLICY = parse_policy(
    {
        "version": "1",
        "academy": "Larkfield Academy",
        "excluded_applications": ["Vault"],
        "rules": [
            {"id": "home", "category": "abuse", "phrases": ["scared to go home"]},
            {"id": "die", "category": "self_harm", "phrases": ["kill myself"], "unless_any": ["kill myself laughing"]},
        ],
    }
)
CHAT = Place("mia", "Chat", "w1", "Year 9", "c1", "text", False)


class Desk:
    """A person's hands on a watcher over a real outbox. Time goes on by 0.1 s with each key."""

    def __init__(self, folder, box_key, page):
        self.now = START
        self.on = True
        self.grabs = 0
        self.lines = []
        self._page = page
        self._box_key = box_key
        self.outbox = Outbox(folder, new_epoch=str(uuid.uuid4()))
        number = iter(range(10**6))
        self.observer = Observer(
            Device("larkfield-lib-07", box_key.public),
            POLICY,
            self.outbox,
            random_bytes=lambda count: next(number).to_bytes(count),
            wake=lambda: None,
            say=self.lines.append,
        )
        self.watcher = Watcher(self.observer, self, lambda now: self.on)
        self.length = 0
        self.go(CHAT)

    def grab(self):
        self.grabs += 1
        return self._page()

    def handle(self, kind, *values, **named):
        self.now += timedelta(seconds=0.1)
        self.watcher.tick(self.now)
        self.watcher.handle(kind(self.now, *values, **named))

    def go(self, place):
        self.place, self.length = place, 0
        self.handle(Focused, place)

    def type(self, text):
        for letter in text:
            self.handle(Inserted, self.place.control, self.length, letter)
            self.length += 1

    def paste(self, text, before=""):
        self.handle(Inserted, self.place.control, self.length, text, before)
        self.length += len(text)

    def erase(self, count=1, all_at_once=False):
        if all_at_once:
            self.length -= count
            self.handle(Deleted, self.place.control, self.length, count)
            return
        for _ in range(count):
            self.length -= 1
            self.handle(Deleted, self.place.control, self.length, 1)

    def wait(self, seconds=10.0):
        self.now += timedelta(seconds=seconds)
        self.watcher.tick(self.now)
        self.watcher.tick(self.now + timedelta(seconds=10))

    @property
    def headers(self):
        found = []
        for waiting in self.outbox.due(START.timestamp(), 100):
            payload = self.outbox.payload(waiting.message_id, with_image=bool(waiting.full_bytes))
            found.append(self._box_key.open(waiting.message_id, payload).header)
        return found

    @property
    def typed(self):
        return [header["typed"] for header in self.headers]


@pytest.fixture
def desk(tmp_path, box_key, page):
    desk = Desk(tmp_path, box_key, page)
    yield desk
    desk.outbox.close()


def test_what_is_typed_is_told_once_after_a_moment_with_all_of_it(desk):
    desk.type("i am scared to go home because of him")
    desk.wait()
    assert desk.typed == ["i am scared to go home because of him"]
    assert desk.grabs == 1
    assert desk.headers[0]["trigger"] == "scared to go home"
    desk.type(" and more")
    desk.wait()
    assert len(desk.typed) == 1


def test_the_last_word_needs_no_space_after_it(desk):
    desk.type("scared to go home")
    assert desk.watcher.next_tick() == desk.now + timedelta(seconds=1)
    desk.wait()
    assert desk.typed == ["scared to go home"]
    assert desk.watcher.next_tick() is None


def test_pasted_text_is_looked_at_at_once(desk):
    desk.paste("x " * 500 + "scared to go home" + " y" * 500)
    desk.wait(2.5)
    assert desk.headers[0]["trigger"] == "scared to go home"


def test_corrected_text_is_told_as_it_ended(desk):
    desk.type("i want to kill mum")
    desk.erase(2)
    desk.type("yself ok")
    desk.wait()
    assert desk.typed == ["i want to kill myself ok"]


def test_words_put_into_the_middle_count(desk):
    desk.type("scared to home")
    desk.wait()
    desk.handle(Inserted, "c1", 10, "go ")
    desk.wait()
    assert desk.typed == ["scared to go home"]


@pytest.mark.parametrize("all_at_once", [True, False])
def test_what_was_deleted_before_it_was_sent_is_told_as_it_stood(desk, all_at_once):
    desk.type("scared to go home")
    desk.erase(17, all_at_once)
    desk.wait()
    assert desk.typed == ["scared to go home"]


def test_a_chat_that_empties_its_line_on_sending_is_told(desk):
    desk.type("you there? ")
    desk.erase(11, all_at_once=True)
    desk.type("scared to go home")
    desk.erase(17, all_at_once=True)
    assert desk.typed == ["scared to go home"]
    assert desk.headers[0]["context"] == ["you there? "]


def test_the_words_after_it_may_make_it_something_else(desk):
    desk.type("i could kill myself laughing at that")
    desk.wait()
    assert desk.typed == [] and desk.grabs == 1
    desk.erase(len(" laughing at that"))
    desk.wait()
    assert [header["trigger"] for header in desk.headers] == ["kill myself"]


def test_the_picture_is_of_the_moment_of_the_find(desk):
    desk.type("scared to go home ")
    assert (desk.grabs, desk.typed) == (1, [])
    desk.go(Place("mia", "Notes", "w2", "Notes", "c9", "text", False))
    assert (desk.grabs, len(desk.typed)) == (1, 1)
    assert desk.headers[0]["application"] == "Chat" and desk.headers[0]["image"]


def test_words_of_two_windows_are_never_joined(desk):
    desk.type("scared to ")
    desk.go(Place("mia", "Chat", "w2", "Other", "c2", "text", False))
    desk.type("go home ")
    desk.wait()
    assert desk.typed == []


def test_what_comes_into_another_control_is_not_what_is_written(desk):
    desk.handle(Inserted, "the chat's log", 0, "scared to go home ")
    desk.wait()
    assert desk.typed == []


@pytest.mark.parametrize("protected", [True, None])
def test_a_place_that_is_or_may_be_protected_is_never_read(desk, protected):
    desk.go(Place("mia", "Chat", "w1", "Year 9", "pw", "password text", protected))
    desk.type("scared to go home ")
    desk.handle(Stroke, "x")
    desk.wait()
    desk.go(CHAT)
    desk.type("scared to go home ")
    desk.wait()
    assert desk.typed == ["scared to go home "] and desk.headers[0]["context"] == []


def test_once_protected_a_control_stays_so_until_its_window_is_gone(desk):
    shown = Place("mia", "Chat", "w1", "Year 9", "pw", "text", False)
    desk.go(Place("mia", "Chat", "w1", "Year 9", "pw", "password text", True))
    desk.go(shown)
    desk.type("scared to go home ")
    desk.wait()
    assert desk.typed == []
    desk.handle(WindowGone, "w1")
    desk.go(CHAT)
    desk.go(shown)
    desk.type("scared to go home ")
    desk.wait()
    assert len(desk.typed) == 1


def test_a_control_that_turns_protected_takes_its_text_along(desk):
    desk.type("scared to go home ")
    desk.go(Place("mia", "Chat", "w1", "Year 9", "c1", "password text", True))
    desk.wait()
    assert desk.typed == []


def test_what_the_policy_excludes_is_left_alone(desk):
    desk.go(Place("mia", "vault", "w3", "Vault", "c3", "text", False))
    desk.type("scared to go home ")
    desk.wait()
    assert (desk.typed, desk.grabs) == ([], 0)


def test_nothing_is_read_while_nobody_is_to_be_read(desk):
    desk.handle(Away)
    desk.type("scared to go home ")
    desk.handle(Away, back=True)
    desk.go(CHAT)
    desk.on = False
    desk.type("scared to go home ")
    desk.on = True
    desk.wait()
    assert desk.typed == []
    desk.type("scared to go home ")
    desk.wait()
    assert desk.typed == ["scared to go home "] and desk.headers[0]["context"] == []


def test_locking_the_screen_tells_what_was_found(desk):
    desk.type("scared to go home")
    desk.handle(Away)
    assert desk.typed == ["scared to go home"]


def test_the_same_words_again_are_held_back_and_counted(desk):
    for _ in range(3):
        desk.type("scared to go home")
        desk.erase(17, all_at_once=True)
    assert len(desk.typed) == 1 and desk.observer.held_back == 2
    desk.now += timedelta(minutes=3)
    desk.type("scared to go home")
    desk.erase(17, all_at_once=True)
    assert len(desk.typed) == 2


def test_no_more_than_a_dozen_a_minute(desk):
    for number in range(20):
        desk.paste(f"scared to go home {number}")
        desk.erase(desk.length, all_at_once=True)
    assert len(desk.typed) == 12 and desk.observer.held_back == 8
    desk.now += timedelta(minutes=2)
    desk.paste("scared to go home at last")
    desk.wait()
    assert len(desk.typed) == 13
    # what was held back stands in the context of what came after it
    assert "scared to go home 19" in desk.headers[12]["context"]


def test_what_stood_there_before_is_not_told_but_completes_what_is_written(desk):
    desk.length = 100
    desk.paste("x", before="scared to go home ")
    desk.wait()
    assert desk.typed == []
    desk.length = 50
    desk.paste("home ", before="i am scared to go ")
    desk.wait()
    assert desk.headers[0]["trigger"] == "scared to go home"


def test_keys_follow_the_caret_where_nothing_better_is_known(desk):
    desk.go(Place("mia", "Old", "w5", "Old", "w5", "keystrokes", False))
    for letter in "soared":
        desk.handle(Stroke, letter)
    for name in ("BackSpace",) * 5:
        desk.handle(Stroke, "", name)
    for letter in "cared to go homee":
        desk.handle(Stroke, letter)
    for name in ("Left", "Delete", "Home", "Delete"):
        desk.handle(Stroke, "", name)
    desk.handle(Stroke, "s")
    desk.handle(Stroke, "", "Return")
    assert desk.typed == ["scared to go home"]


def test_a_click_elsewhere_ends_what_keys_know(desk):
    desk.go(Place("mia", "Old", "w5", "Old", "w5", "keystrokes", False))
    for letter in "scared to ":
        desk.handle(Stroke, letter)
    desk.handle(Stroke, "", "Other")
    for letter in "go home ":
        desk.handle(Stroke, letter)
    desk.wait()
    assert desk.typed == []


def test_a_pupils_own_report_takes_only_what_the_pupil_gave(desk):
    desk.type("private ")
    desk.handle(Asked, "mia", words="please talk to me", picture=False)
    desk.handle(Asked, "mia", words="", picture=True)
    first, second = desk.headers
    assert (first["rule_id"], first["trigger"], first["typed"]) == ("pupil-help", "", "please talk to me")
    assert first["image"] is None and first["context"] == []
    assert second["typed"] == "" and second["image"]


def test_a_policy_that_wants_no_screen_takes_none(desk):
    desk.observer.adopt(parse_policy({**_document(), "screenshot": False}))
    desk.type("scared to go home ")
    desk.wait()
    assert desk.grabs == 0 and desk.headers[0]["image"] is None


def _document():
    rule = {"id": "home", "category": "abuse", "phrases": ["scared to go home"]}
    return {"version": "2", "academy": "Larkfield Academy", "rules": [rule]}


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 60), st.text("abc ", min_size=1, max_size=6)),
        st.tuples(st.just("delete"), st.integers(0, 60), st.integers(1, 8)),
    ),
    max_size=40,
)


@given(EDITS)
def test_the_assembler_always_holds_a_part_of_the_real_text(edits):
    """Whatever is edited where: what the assembler has stands in the control, at the place where it says so."""
    assembler, real = TextAssembler(), ""
    assembler.focus(Focused(START, CHAT))
    for kind, place, what in edits:
        place = min(place, len(real))
        if kind == "insert":
            assembler.insert(Inserted(START, "c1", place, what, real[max(0, place - 5) : place]))
            real = real[:place] + what + real[place:]
        else:
            count = min(what, len(real) - place)
            if not count:
                continue
            assembler.delete(Deleted(START, "c1", place, count))
            real = real[:place] + real[place + count :]
        if assembler.start is not None:
            assert real[assembler.start : assembler.start + len(assembler.text)] == assembler.text
            assert 0 <= assembler.caret <= len(assembler.text)
            assert 0 <= assembler.old <= len(assembler.text)


def test_a_very_long_text_is_kept_around_the_caret():
    assembler = TextAssembler()
    assembler.focus(Focused(START, CHAT))
    assembler.insert(Inserted(START, "c1", 0, "a" * 10_000))
    assembler.insert(Inserted(START, "c1", 10_000, "the end"))
    assert len(assembler.text) == CHARACTERS_AT_MOST and assembler.text.endswith("the end")
