"""What the extension holds outlives the worker, the browser and the box; what it is told to do it checks first."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.extension.box import Arrived, SmallBox, policy_document
from tests.extension.browser import Browser, Page
from tests.extension.conftest import enrol
from tests.whole_box import wait_for

LINE = "document.getElementById('line')"


class Desk:
    """A browser that can be ended and begun again on the same profile."""

    def __init__(self, home: Path, unpacked: Path, box: SmallBox, port: int) -> None:
        self._start = lambda: Browser(home / "profile", box.flag, extension=unpacked)
        self.box, self.port = box, port
        self.browser = self._start()
        self.device = enrol(self.browser, box)

    def begin_again(self) -> None:
        self.browser = self._start()

    def type(self, words: str) -> Page:
        """Type on a page of its own."""
        page = self.browser.open(f"http://school.example:{self.port}/plain.html")
        page.focus(LINE)
        page.type(words)
        return page

    def own_page(self) -> Page:
        """A page of the extension."""
        return self.browser.open(f"chrome-extension://{self.browser.extension_id()}/setup.html")

    def status(self) -> dict[str, Any]:
        """What the popup would be told."""
        page = self.own_page()
        told = dict(page.evaluate("chrome.runtime.sendMessage({kind: 'status'})"))
        page.close()
        return told

    def wait_for_waiting(self, count: int) -> None:
        """Wait until so many events wait in the outbox."""
        page = self.own_page()
        page.wait(f"chrome.runtime.sendMessage({{kind: 'status'}}).then((told) => told.waiting === {count})", 60)
        page.close()


@pytest.fixture
def desk(tmp_path: Path, unpacked: Path, box: SmallBox, pages: int) -> Iterator[Desk]:
    made = Desk(tmp_path, unpacked, box, pages)
    yield made
    made.browser.close()


def holding(words: str) -> Callable[[Arrived], bool]:
    return lambda one: words in one.report.event.typed


def test_events_outlive_a_browser_that_is_killed_while_the_box_is_away(desk: Desk) -> None:
    desk.box.stop_broker()
    desk.type("before the end, a purple elephant")
    desk.wait_for_waiting(1)
    desk.browser.kill()
    desk.box.start_broker()
    desk.begin_again()
    event = desk.box.wait_for_event(holding("before the end"), "the event of before").report.event
    assert event.sequence == 1
    desk.wait_for_waiting(0)
    desk.type("after the end, scared to go home")
    assert desk.box.wait_for_event(holding("after the end"), "the next event").report.event.sequence == 2
    assert [one.report.event.sequence for one in desk.box.events if one.report.event.device_id == desk.device] == [1, 2]


def test_a_box_that_comes_back_gets_what_happened_meanwhile(desk: Desk) -> None:
    desk.type("first, a purple elephant")
    desk.box.wait_for_event(holding("first, a purple"), "the first event")
    desk.box.stop_broker()
    for number in range(3):
        desk.type(f"meanwhile {number}, a purple elephant")
    desk.wait_for_waiting(3)
    desk.box.start_broker()
    for number in range(3):
        event = desk.box.wait_for_event(holding(f"meanwhile {number}"), f"event {number}", 150).report.event
        assert event.sequence == number + 2
    beat = desk.box.wait_for_beat(
        lambda one: one["device_id"] == desk.device and one["highest_sequence"] == 4, "a heartbeat"
    )
    assert beat["queue_depth"] >= 0 and beat["dead_letters"] == 0


def test_a_worker_that_was_stopped_is_woken_and_knows_everything(desk: Desk) -> None:
    desk.type("context from before\n")
    desk.browser.stop_worker()
    desk.type("then a purple elephant")
    event = desk.box.wait_for_event(holding("then a purple"), "the event").report.event
    assert "context from before" in event.context
    # stopped while the box withholds its receipts: sent again by the next worker, under the same name
    desk.box.receipts = False
    desk.type("without a receipt, scared to go home")
    first = desk.box.wait_for_event(holding("without a receipt"), "the event")
    desk.browser.stop_worker()
    desk.box.receipts = True
    desk.status()
    wait_for(
        "the event once more", lambda: sum(one.message_id == first.message_id for one in list(desk.box.events)) > 1
    )
    desk.wait_for_waiting(0)


def test_a_worker_that_the_browser_ends_for_idleness_is_woken_by_the_next_word(desk: Desk) -> None:
    # what usually keeps it awake: the alarm, and the connection
    with desk.browser.worker() as evaluate:
        evaluate("chrome.alarms.clearAll()")
    desk.box.stop_broker()
    for target in desk.browser.targets("page", "chrome-extension://"):
        desk.browser.attach(target).close()
    wait_for("the end of the worker", lambda: not desk.browser.targets("service_worker"), 300)
    desk.box.start_broker()
    desk.type("after a long silence, a purple elephant")
    event = desk.box.wait_for_event(holding("after a long silence"), "the event", 150).report.event
    assert event.sequence == 1
    with desk.browser.worker() as evaluate:
        assert evaluate("chrome.alarms.getAll().then((all) => all.length)") == 1


def test_a_receipt_for_other_bytes_deletes_nothing(desk: Desk) -> None:
    desk.box.receipts = False
    desk.type("a wrong receipt, a purple elephant")
    arrived = desk.box.wait_for_event(holding("a wrong receipt"), "the event")
    desk.box.send_receipt(desk.device, arrived.message_id, b"other bytes")
    desk.box.receipts = True
    desk.wait_for_waiting(1)
    desk.box.send_receipt(desk.device, arrived.message_id, arrived.payload)
    desk.wait_for_waiting(0)


def test_the_box_can_ask_for_events_again(desk: Desk) -> None:
    for words in ("one purple elephant", "two, scared to go home"):
        desk.type(words)
        desk.box.wait_for_event(holding(words), words)
    desk.wait_for_waiting(0)
    before = [one for one in desk.box.events if one.report.event.device_id == desk.device]
    epoch = before[0].report.queue_epoch
    desk.box.send("command", desk.device, {"version": 1, "command": "dance"})
    desk.box.send("command", desk.device, {"version": 1, "command": "resend", "queue_epoch": epoch, "from_sequence": 2})
    again = wait_for(
        "the second event again",
        lambda: [one for one in desk.box.events if one.report.event.device_id == desk.device][2:],
    )
    assert [one.message_id for one in again] == [before[1].message_id]
    assert again[0].payload == before[1].payload
    desk.wait_for_waiting(0)


def test_policies_from_the_box_are_checked(desk: Desk) -> None:
    box = desk.box
    words = [{"id": "giraffe", "category": "abuse", "phrases": ["green giraffe"]}]
    box.send("policy", desk.device, box.policy_key.sign(policy_document(number=3, version="test-3", rules=words)))
    box.wait_for_beat(lambda one: one["device_id"] == desk.device and one["policy_number"] == 3, "policy 3 in use")
    desk.type("now a green giraffe")
    box.wait_for_event(holding("now a green giraffe"), "the new rule")

    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    refused = {
        "the policy is not signed": policy_document(number=9),
        "the policy is older than the one in use": box.policy_key.sign(policy_document(number=2)),
        "the policy is past its time": box.policy_key.sign(policy_document(number=9, expires_at=past)),
        "the policy's signature is wrong": {**box.policy_key.sign(policy_document(number=9)), "signature": "AAAA"},
    }
    for reason, envelope in refused.items():
        box.send("policy", desk.device, envelope)
        wait_for(reason, lambda reason=reason: desk.status()["policyRefused"] == reason)
    assert desk.status()["policyNumber"] == 3
    # also after a start from storage
    desk.browser.stop_worker()
    assert desk.status()["policyNumber"] == 3
    desk.type("still a green giraffe here")
    box.wait_for_event(holding("still a green giraffe"), "the rule of policy 3")


def test_outside_the_hours_nothing_is_read_and_the_badge_says_off(desk: Desk) -> None:
    box = desk.box
    never = {"time_zone": "Europe/London", "weekly": [], "holidays": [], "take_home": False, "outside": "off"}
    box.send("policy", desk.device, box.policy_key.sign(policy_document(number=2, hours=never)))
    box.wait_for_beat(lambda one: one["device_id"] == desk.device and not one["monitored_now"], "not monitored")
    with desk.browser.worker() as evaluate:
        wait_for("the badge", lambda: evaluate("chrome.action.getBadgeText({})") == "OFF")
    page = desk.type("in the evening, a purple elephant")
    always = {**never, "take_home": True, "outside": "monitored"}
    box.send("policy", desk.device, box.policy_key.sign(policy_document(number=4, hours=always)))
    with desk.browser.worker() as evaluate:
        wait_for("the badge", lambda: evaluate("chrome.action.getBadgeText({})") == "ON")
    page.close()
    desk.type("in the morning, scared to go home")
    event = box.wait_for_event(holding("in the morning"), "the event").report.event
    assert event.sequence == 1 and event.context == ()
    assert not [one for one in box.events if "in the evening" in one.report.event.typed]


def test_a_code_that_is_refused_is_said_and_not_tried_again(tmp_path: Path, unpacked: Path, box: SmallBox) -> None:
    browser = Browser(tmp_path / "profile", box.flag, extension=unpacked)
    page = browser.open(f"chrome-extension://{browser.extension_id()}/setup.html")
    page.wait("!document.getElementById('connect').hidden")
    for field, text in (("box", box.url), ("code", "WXYZ-WXYZ-WXYZ")):
        page.focus(f"document.getElementById('{field}')")
        page.type(text)
    page.type("\n")
    page.wait("/used already/.test(document.getElementById('said').textContent)")
    tries = len(box.requests)
    browser.stop_worker()
    told = page.evaluate("chrome.runtime.sendMessage({kind: 'status'})")
    assert told["enrolled"] is False and told["error"] == "This code is not known, or was used already."
    assert len(box.requests) == tries
    # no box with another certificate is spoken to
    other = Browser(tmp_path / "other", extension=unpacked)
    page = other.open(f"chrome-extension://{other.extension_id()}/setup.html")
    page.wait("!document.getElementById('connect').hidden")
    page.evaluate(f"chrome.runtime.sendMessage({json.dumps({'kind': 'enrol', 'box': box.url, 'code': box.code})})")
    page.wait("chrome.runtime.sendMessage({kind: 'status'}).then((told) => /can't be reached/.test(told.error))")
    assert len(box.requests) == tries
    browser.close()
    other.close()


def test_the_browsers_key_and_proof_are_its_own(desk: Desk) -> None:
    request = desk.box.requests[-1]
    assert request["name"] == "Year 8 laptop" and len(base64.b64decode(request["proof"])) == 64
    page = desk.own_page()
    kept = page.evaluate("""new Promise((resolve) => { indexedDB.open('keys').onsuccess = (event) =>
        event.target.result.transaction('key').objectStore('key').get('own').onsuccess = (found) =>
            resolve([found.target.result.privateKey.extractable, found.target.result.privateKey.type]); })""")
    assert kept == [False, "private"]
