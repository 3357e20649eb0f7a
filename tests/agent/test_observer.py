"""From typed text to an event on disk: what is read, what is left alone, and what comes along."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from agent.observer import Device, Observer, plain_name
from agent.outbox import Outbox
from agent.policy import parse_policy
from agent.sensors.ports import TextEvent

START = datetime(2025, 9, 8, 10, 0, tzinfo=UTC)
POLICY = parse_policy(
    {
        "version": "1",
        "academy": "Larkfield Academy",
        "context_minutes": 5,
        "excluded_applications": ["Vault"],
        "excluded_addresses": ["childline.example"],
        "rules": [
            {"id": "home", "category": "abuse", "phrases": ["scared to go home"]},
            {"id": "mean", "category": "bullying", "phrases": ["nobody likes you"]},
        ],
    }
)


class Watched:
    """An observer on a real outbox, with a screen that counts how often it is taken."""

    def __init__(self, folder, box_key, page):
        self.outbox = Outbox(folder, new_epoch=str(uuid.uuid4()))
        self.lines: list[str] = []
        self.grabs = 0
        self.woken = 0
        self._page = page
        self._box_key = box_key
        self._observer = Observer(
            Device("larkfield-lib-07", box_key.public),
            POLICY,
            self.outbox,
            random_bytes=bytes,
            wake=self._wake,
            say=self.lines.append,
        )

    def _wake(self):
        self.woken += 1

    def grab(self):
        self.grabs += 1
        return self._page()

    def type(self, text, *, at=0.0, **fields):
        event = TextEvent(
            **{
                "account": "mia",
                "application": "Chat",
                "window_title": "Year 9",
                "address": "https://chat.example",
                "role": "text",
                "protected": False,
                "text": text,
                "at": START + timedelta(seconds=at),
                **fields,
            }
        )
        return self._observer.observe(event, self)

    def headers(self):
        found = []
        for waiting in self.outbox.due(START.timestamp(), 100):
            payload = self.outbox.payload(waiting.message_id, with_image=bool(waiting.full_bytes))
            found.append(self._box_key.open(waiting.message_id, payload).header)
        return found


@pytest.fixture
def watched(tmp_path, box_key, page):
    watched = Watched(tmp_path, box_key, page)
    yield watched
    watched.outbox.close()


def test_a_rule_that_fires_makes_one_event_with_its_context_and_screen(watched):
    watched.type("you ok", at=0)
    watched.type("not really", at=20)
    assert watched.type("im scared to go home", at=30) == 1
    (header,) = watched.headers()
    assert header["trigger"] == "scared to go home"
    assert header["context"] == ["you ok", "not really"]
    assert header["occurred_at"] == "2025-09-08T10:00:30.000000+00:00"
    assert header["image"]["width"] == 640
    assert watched.lines == ["rule home fired in Chat; event 1 queued"]
    assert watched.woken == 1


def test_the_screen_is_taken_only_when_a_rule_fires(watched):
    watched.type("my maths homework")
    assert (watched.grabs, watched.lines, watched.headers()) == (0, [], [])
    watched.type("scared to go home")
    assert watched.grabs == 1


@pytest.mark.parametrize("protected", [True, None])
def test_a_control_that_is_or_may_be_protected_is_never_read(watched, protected):
    watched.type("scared to go home", protected=protected)
    watched.type("scared to go home", at=1)
    (header,) = watched.headers()
    assert header["context"] == []


@pytest.mark.parametrize("place", [{"application": "Vault"}, {"address": "https://www.childline.example/chat"}])
def test_what_the_policy_excludes_is_never_read(watched, place):
    watched.type("scared to go home", **place)
    watched.type("nobody likes you", at=1)
    (header,) = watched.headers()
    assert header["context"] == [] and header["rule_id"] == "mean"


def test_context_is_of_the_same_application_and_the_last_minutes(watched):
    watched.type("too old", at=0)
    watched.type("elsewhere", at=400, application="Notes")
    watched.type("recent", at=401)
    watched.type("scared to go home", at=402)
    assert watched.headers()[0]["context"] == ["recent"]


def test_one_pupils_words_are_never_another_pupils_context(watched):
    watched.type("written by mia")
    watched.type("scared to go home", at=1, account="theo")
    watched.type("scared to go home", at=2, account="mia")
    assert [header["context"] for header in watched.headers()] == [[], []]


def test_lines_that_stood_there_before_are_context_and_fire_nothing(watched):
    watched.type("see you tomorrow", earlier=("nobody likes you",))
    assert watched.headers() == []
    watched.type("scared to go home", at=1)
    assert watched.headers()[0]["context"] == ["nobody likes you", "see you tomorrow"]


def test_where_two_rules_fire_the_policys_first_is_reported(watched):
    watched.type("nobody likes you and im scared to go home")
    assert [header["rule_id"] for header in watched.headers()] == ["home"]


def test_a_screen_that_fails_does_not_cost_the_words(watched):
    def fail(*_):
        raise OSError("the screen is locked")

    watched._page = fail
    assert watched.type("scared to go home") == 1
    assert watched.headers()[0]["image"] is None
    assert watched.lines == [
        "no image: the screen couldn't be taken (OSError)",
        "rule home fired in Chat; event 1 queued",
    ]


def test_an_applications_name_cannot_write_lines_of_its_own():
    assert plain_name("Chat\nrule x fired\x1b[31m") == "Chat rule x fired [31m"
    assert len(plain_name("x" * 500)) == 40
    assert plain_name("") == "an application"
