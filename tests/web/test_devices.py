"""The pages of devices: what a technician sees and does, and that none of it is a pupil's."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flask import Flask

from appliance.safeguarding.access import Role
from appliance.safeguarding.device import Heartbeat
from appliance.safeguarding.moderation import PUPIL_HELP_RULE
from appliance.safeguarding.severity import Category, Severity
from appliance.store.audit import select_audit
from appliance.store.connection import transaction
from appliance.store.devices import get_device, select_commands, set_devices_shut_out
from appliance.store.enrolment import select_codes
from appliance.workflow.assess import Assessment, assess_event, claim_next_event
from appliance.workflow.hear import hear_heartbeats
from tests.factories import NOW, Box, reading, scores
from tests.web.conftest import Visitor

SignIn = Callable[..., Visitor]


def beat(**changes: object) -> Heartbeat:
    at = datetime.now(UTC)
    plain = Heartbeat(
        "ASH-01", "epoch", 3, None, 0, 0, None, 0, "0.2.0", "2026-09", at, 1, "windows", (), True, None, 0, False
    )
    return replace(plain, **changes)


def heard(box: Box, ago: timedelta = timedelta(0), **changes: object) -> None:
    now = datetime.now(UTC)
    changes.setdefault("sent_at", now - ago)
    hear_heartbeats(box.db, [(beat(**changes), now - ago)], now, box.new_id)


def text(visitor: Visitor, path: str) -> str:
    return re.sub(r"\s+", " ", visitor.get(path).get_data(as_text=True))


def test_a_box_without_devices_says_what_to_do(signed_in: SignIn, box: Box) -> None:
    with transaction(box.db):
        box.db.conn.execute("DELETE FROM device")
    technician = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    assert "No device is enrolled yet." in text(technician, "/devices")
    assert "A technician enrols them" in text(signed_in(box.staff(Role.MODERATOR, "ashby")), "/devices")


def test_a_device_with_nothing_wrong_is_connected(signed_in: SignIn, box: Box) -> None:
    heard(box, highest_sequence=0)
    technician = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    page = text(technician, "/devices")
    assert '<b>1</b> connected, none with a fault, <span class="over">1 silent</span>' in page
    assert "Windows" in page and "policy 1" in page
    page = text(technician, "/devices/ASH-01")
    assert "<b>Connected</b>" in page and "Events missing: 0" in page and "<dd>Right</dd>" in page


def test_each_fault_is_told_in_words(signed_in: SignIn, box: Box) -> None:
    heard(
        box,
        permissions_missing=("screen-recording", "odd-one"),
        disk_full=True,
        dead_letters=2,
        images_dropped=4,
        queue_depth=7,
        oldest_at=datetime.now(UTC) - timedelta(hours=3),
        sent_at=datetime.now(UTC) - timedelta(minutes=12, seconds=5),
        policy_expired=True,
        monitored_now=False,
    )
    technician = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    for path in ("/devices", "/devices/ASH-01"):
        page = text(technician, path)
        for words in (
            "may not take screenshots (screen recording)",
            "lacks odd-one",
            "its disk is full",
            "messages the box refused: 2",
            "screenshots dropped for want of room: 4",
            "events wait to be sent for over an hour",
            "its clock is 12 min behind",
            "works by a policy that has ended",
        ):
            assert words in page, (path, words)
    assert "1 not as they should be" in text(technician, "/devices")
    assert "ASH-01" in text(technician, "/devices?q=disk+is+full") and "BIR-01" not in text(
        technician, "/devices?q=disk"
    )


def test_a_device_not_heard_from_is_silent_and_says_since_when(signed_in: SignIn, box: Box) -> None:
    heard(box, ago=timedelta(minutes=40))
    page = text(signed_in(box.staff(Role.TECHNICIAN, trust_id="larch")), "/devices")
    assert "silent for 40 min" in page and "never heard from" in page


def test_missing_events_are_counted_and_asked_for_again(signed_in: SignIn, box: Box) -> None:
    for sequence in (1, 2, 5):
        report = box.report()
        box.ingest(replace(report, event=replace(report.event, sequence=sequence)))
    heard(box, ago=timedelta(minutes=8), highest_sequence=5)
    technician = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    assert "events missing: 2" in text(technician, "/devices")
    page = text(technician, "/devices/ASH-01")
    assert "Events missing: 2" in page and "2 from event 3 on" in page
    assert technician.post("/devices/ASH-01/resend").status_code == 302
    page = text(technician, "/devices/ASH-01")
    assert "The device is asked" in page and "It goes out when the device is heard from." in page
    commands = select_commands(box.db, "ASH-01", NOW - timedelta(days=999))
    assert {(one.queue_epoch, one.from_sequence) for one in commands} == {("epoch", 3)}
    assert [one.asked_by == "system" for one in commands] == [False, True], "the box asks by itself, too"
    for sequence in (3, 4):
        report = box.report()
        box.ingest(replace(report, event=replace(report.event, sequence=sequence)))
    assert "Events missing: 0" in text(technician, "/devices/ASH-01")
    technician.post("/devices/ASH-01/resend")
    assert "there is nothing to ask for" in text(technician, "/devices/ASH-01")


def test_revoking_asks_first_and_tells_when_the_broker_did_it(signed_in: SignIn, box: Box) -> None:
    technician = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    assert "Revoke ASH-01?" in text(technician, "/devices/ASH-01/revoke")
    assert technician.post("/devices/ASH-01/revoke").status_code == 422
    device = get_device(box.db, "ASH-01")
    assert device is not None and device.revoked_at is None
    assert technician.post("/devices/ASH-01/revoke", sure="yes").status_code == 302
    assert "The broker has not confirmed it yet" in text(technician, "/devices/ASH-01")
    with transaction(box.db):
        set_devices_shut_out(box.db, datetime.now(UTC))
    assert "The broker shut it out at" in text(technician, "/devices/ASH-01")
    assert select_audit(box.db)[0].kind == "device:revoked"


def test_who_only_looks_at_devices_changes_none(signed_in: SignIn, box: Box) -> None:
    moderator = signed_in(box.staff(Role.MODERATOR, "ashby"))
    assert "Revoke" not in text(moderator, "/devices/ASH-01")
    for path in ("/devices/ASH-01/revoke", "/devices/ASH-01/resend", "/enrolment-codes"):
        assert moderator.post(path, sure="yes", academy="ashby").status_code == 404
    elsewhere = signed_in(box.staff(Role.TECHNICIAN, "birch"))
    for path in ("/devices/ASH-01", "/devices/ASH-01/revoke"):
        assert elsewhere.get(path).status_code == 404
    assert elsewhere.post("/devices/ASH-01/revoke", sure="yes").status_code == 404


def test_a_code_is_shown_once_and_can_be_withdrawn(signed_in: SignIn, box: Box) -> None:
    technician = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    technician.get("/enrolment-codes")
    page = technician.post("/enrolment-codes", academy="ashby", place="Library", prefix="").get_data(as_text=True)
    (code,) = set(re.findall(r"[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}", page))
    (kept,) = select_codes(box.db, NOW - timedelta(days=9999))
    listed = text(technician, "/enrolment-codes")
    assert "Open until" in listed and code not in listed and kept.id != code
    assert technician.post(f"/enrolment-codes/{kept.id}/withdraw").status_code == 302
    assert "Withdrawn" in text(technician, "/enrolment-codes")
    assert technician.post("/enrolment-codes", academy="cedar").status_code == 422, "of another trust"
    kinds = [entry.kind for entry in select_audit(box.db)]
    assert kinds[:2] == ["device:code_withdrawn", "device:code_made"]


def test_a_technician_finds_nothing_of_a_pupil_on_these_pages(signed_in: SignIn, box: Box) -> None:
    words = "zebraword i dont want to go home"
    box.assessed(account="zebrakid", typed=words)
    heard(box)
    technician = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    for path in ("/devices", "/devices/ASH-01", "/devices/ASH-01/revoke", "/enrolment-codes"):
        page = technician.get(path).get_data(as_text=True)
        assert "zebra" not in page and "go home" not in page


def test_a_pupil_who_asks_for_help_is_told_so_to_a_person_whatever_the_machine_makes_of_it(
    signed_in: SignIn, box: Box
) -> None:
    report = box.report(typed="")
    report = replace(report, event=replace(report.event, rule_id=PUPIL_HELP_RULE, trigger="", context=()))
    box.ingest(report)
    claimed = claim_next_event(box.db, "test", NOW)
    assert claimed is not None and claimed.level is Severity.SERIOUS
    assessment = Assessment(reading(""), scores(Category.NONE, Severity.NOISE))
    assess_event(box.db, claimed.id, assessment, NOW, box.new_id)
    moderator = signed_in(box.staff(Role.MODERATOR, "ashby"))
    queue = text(moderator, "/queue")
    assert "The pupil asked for help" in queue and "only the button was pressed" in queue
    assert '<span class="level-number">4</span> Serious' in queue
    page = text(moderator, f"/events/{claimed.id}")
    assert "pressed “I need help” on ASH-01 and wrote nothing" in page


def test_the_door_for_devices_answers_in_json(app: Flask, box: Box) -> None:
    client = app.test_client()
    (box.config.keys / "ca.crt").write_bytes(b"-----BEGIN CERTIFICATE")
    authority = client.get("/enrol/ca.pem", base_url="https://localhost")
    assert (authority.status_code, authority.data) == (200, b"-----BEGIN CERTIFICATE")
    answer = client.post("/enrol", json={"version": 1}, base_url="https://localhost")
    assert answer.status_code == 422 and answer.json and "error" in answer.json
    large = client.post("/enrol", data=b"x" * 17_000, content_type="application/json", base_url="https://localhost")
    assert large.status_code == 413 and large.json and "16,000" in large.json["error"]
