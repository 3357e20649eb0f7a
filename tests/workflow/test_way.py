"""An event's way through the workflow: who can do what to it, in which state, and what is written of it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from appliance.safeguarding.access import Actor, NotAllowedError, Role
from appliance.safeguarding.concern import Closure, NewAction, NewConcern, RecordError
from appliance.safeguarding.event import EventState
from appliance.safeguarding.moderation import FalsePositiveReason, Verdict, VerdictError
from appliance.safeguarding.referral import Agency, Consent, NewReferral
from appliance.safeguarding.report import NewReport
from appliance.safeguarding.severity import Category, Severity
from appliance.store import alerts, assessments, concerns, events
from appliance.store.audit import check_chain
from appliance.store.chronology import select_chronology
from appliance.workflow import record, refer
from appliance.workflow.assess import (
    MOST_TRIES,
    RETRY_AFTER,
    Assessment,
    assess_event,
    claim_next_event,
    give_back_event,
    return_lapsed_events,
)
from appliance.workflow.escalate import acknowledge_escalations, send_escalations
from appliance.workflow.ingest import Receipt, UnknownDeviceError
from appliance.workflow.look import reveal_capture
from appliance.workflow.moderate import moderate_event
from appliance.workflow.report import report_concern
from tests.factories import NOW, Box, reading, scores

CONCERN = NewConcern("c1", Category.ABUSE, Severity.SERIOUS, "Afraid to go home.")
REFERRAL = NewReferral("r1", Agency.LOCAL_AUTHORITY, "Telephone", "Duty worker", "A disclosure", Consent.GIVEN)


def kinds(box: Box) -> list[str]:
    return [row[0] for row in box.db.conn.execute("SELECT kind FROM audit ORDER BY seq")]


def moderator(box: Box, academy: str = "ashby") -> Actor:
    return box.staff(Role.MODERATOR, academy_id=academy)


def test_receiving_twice_is_harmless(box: Box) -> None:
    report = box.report()
    assert [box.ingest(report), box.ingest(report)] == [Receipt.STORED, Receipt.DUPLICATE]
    assert box.db.conn.execute("SELECT count(*) FROM event").fetchone() == (1,)
    assert kinds(box) == ["event:received"]


def test_an_unknown_device_is_not_heard(box: Box) -> None:
    with pytest.raises(UnknownDeviceError):
        box.ingest(box.report("XYZ-99"))


def test_account_of_another_academy_names_nobody(box: Box) -> None:
    pupil = box.pupil("birch")
    own = events.get_event(box.db, box.received("BIR-01", pupil.id))
    other = events.get_event(box.db, box.received("ASH-01", pupil.id))
    assert own is not None and own.pupil_id == pupil.id
    assert other is not None and other.pupil_id is None


def test_an_event_is_claimed_by_one_worker_and_comes_back_when_that_one_dies(box: Box) -> None:
    event_id = box.received()
    claimed = claim_next_event(box.db, "a", NOW)
    assert claimed is not None and claimed.id == event_id
    assert claim_next_event(box.db, "b", NOW) is None
    assert return_lapsed_events(box.db, NOW + timedelta(minutes=1)) == 0
    assert return_lapsed_events(box.db, NOW + timedelta(minutes=3)) == 1
    assert claim_next_event(box.db, "b", NOW) is not None


def test_an_event_nobody_can_assess_goes_to_a_person(box: Box) -> None:
    event_id = box.received()
    states = []
    now = NOW
    for tries in range(MOST_TRIES):
        assert claim_next_event(box.db, "a", now) is not None
        states.append(give_back_event(box.db, event_id, "the reader stopped", now))
        assert claim_next_event(box.db, "a", now) is None, "not before its wait is over"
        now += RETRY_AFTER[min(tries, len(RETRY_AFTER) - 1)]
    assert states == [EventState.RECEIVED, EventState.RECEIVED, EventState.UNREADABLE]
    assert claim_next_event(box.db, "a", NOW) is None
    assert [event.id for event in events.select_queue(box.db)] == [event_id]


def test_a_late_worker_does_not_overwrite_a_quicker_one(box: Box) -> None:
    event_id = box.received()
    claim_next_event(box.db, "slow", NOW)
    return_lapsed_events(box.db, NOW + timedelta(minutes=3))
    claim_next_event(box.db, "quick", NOW)
    assess_event(box.db, event_id, Assessment(reading(), scores(Category.ABUSE, Severity.SERIOUS)), NOW, box.new_id)
    late = Assessment(reading(), scores(Category.NONE, Severity.NOISE))
    assert assess_event(box.db, event_id, late, NOW, box.new_id) is EventState.AWAITING_MODERATION


@pytest.mark.parametrize(
    ("category", "level", "problem", "state"),
    [
        (Category.NONE, Severity.NOISE, None, EventState.LOGGED),
        (Category.BULLYING, Severity.NOISE, None, EventState.AWAITING_MODERATION),
        (Category.BULLYING, Severity.LOW, None, EventState.AWAITING_MODERATION),
        (Category.GROOMING, Severity.NOISE, None, EventState.AWAITING_MODERATION),
        (Category.ABUSE, Severity.IMMEDIATE, None, EventState.AWAITING_MODERATION),
        (Category.NONE, Severity.NOISE, "the image is cut off", EventState.UNREADABLE),
        (Category.ABUSE, Severity.SERIOUS, "the image is cut off", EventState.AWAITING_MODERATION),
    ],
)
def test_where_the_machine_leaves_an_event(
    box: Box, category: Category, level: Severity, problem: str | None, state: EventState
) -> None:
    event_id = box.received()
    claim_next_event(box.db, "a", NOW)
    assessment = Assessment(None if problem else reading(), scores(category, level), None, problem)
    assert assess_event(box.db, event_id, assessment, NOW, box.new_id) is state


def test_level_five_is_told_at_once_and_before_any_moderator(box: Box) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    box.staff(Role.DSL, academy_id="birch")
    lead = box.staff(Role.TRUST_LEAD, trust_id="larch")
    event_id = box.assessed(level=Severity.IMMEDIATE)
    assert {one.staff_id for one in alerts.select_of_event(box.db, event_id)} == {dsl.staff_id, lead.staff_id}
    assert all(one.due_at == NOW + timedelta(minutes=15) for one in alerts.select_of_event(box.db, event_id))


def test_moderator_confirms_and_the_dsl_is_told(box: Box) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    event_id = box.confirmed(moderator(box))
    waiting = alerts.select_open_for(box.open_as(dsl), dsl.staff_id)
    assert [(one.event_id, one.level) for one in waiting] == [(event_id, Severity.SERIOUS)]
    acknowledge_escalations(box.open_as(dsl), dsl, event_id, NOW)
    assert alerts.select_open_for(box.open_as(dsl), dsl.staff_id) == []
    assert kinds(box)[-1] == "escalation:acknowledged"


def test_moderator_of_another_academy_cannot_grade_the_event(box: Box) -> None:
    event_id = box.assessed("BIR-01")
    other = moderator(box)
    with pytest.raises(NotAllowedError):
        verdict = Verdict(Severity.LOW, Category.BULLYING)
        moderate_event(box.open_as(other), other, event_id, verdict, NOW, box.new_id)


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(Severity.SERIOUS, Category.NONE),
        Verdict(Severity.NOISE, Category.NONE, "", FalsePositiveReason.OTHER),
    ],
)
def test_an_incomplete_verdict_is_refused_and_leaves_nothing(box: Box, verdict: Verdict) -> None:
    event_id, person = box.assessed(), moderator(box)
    before = kinds(box)
    with pytest.raises(VerdictError):
        moderate_event(box.open_as(person), person, event_id, verdict, NOW, box.new_id)
    assert kinds(box) == before and assessments.select_verdicts(box.db, event_id) == []


def test_a_wrong_false_positive_can_be_put_right_and_keeps_the_old_value(box: Box) -> None:
    event_id, person = box.assessed(), moderator(box)
    wrong = Verdict(Severity.NOISE, Category.NONE, "", FalsePositiveReason.GAME)
    right = Verdict(Severity.CREDIBLE, Category.ABUSE, "I was too quick.")
    db = box.open_as(person)
    assert moderate_event(db, person, event_id, wrong, NOW, box.new_id) is EventState.FALSE_POSITIVE
    assert moderate_event(db, person, event_id, right, NOW, box.new_id) is EventState.CONFIRMED
    first, second = assessments.select_verdicts(db, event_id)
    assert (first.level_before, second.level_before) == (Severity.SERIOUS, Severity.NOISE)


def test_the_whole_way_to_a_closed_concern(box: Box) -> None:
    pupil, dsl = box.pupil(), box.staff(Role.DSL, academy_id="ashby")
    event_id = box.confirmed(moderator(box), account=pupil.id)
    db = box.open_as(dsl)
    record.open_concern(db, dsl, [event_id], [pupil.id], CONCERN, NOW, box.new_id)
    record.record_action(db, dsl, "c1", NewAction("a1", "Spoke with Robin", dsl.staff_id, date(2026, 11, 24)), NOW)
    refer.make_referral(db, dsl, "c1", REFERRAL, NOW + timedelta(minutes=1))
    with pytest.raises(RecordError, match="no outcome"):
        record.close_concern(db, dsl, "c1", Closure("d", "r", "o"), NOW)
    refer.record_referral_outcome(db, dsl, "r1", "Assessment begun", NOW + timedelta(minutes=2))
    assert record.complete_action(db, dsl, "a1", NOW + timedelta(minutes=3)) == "c1"
    record.close_concern(db, dsl, "c1", Closure("Support plan", "Agreed", "Safe"), NOW + timedelta(minutes=4))
    entries = select_chronology(db, pupil.id)
    assert [entry.kind for entry in entries] == ["event", "concern", "referral", "outcome", "action", "closed"]
    event = events.get_event(db, event_id)
    assert event is not None and event.state is EventState.LINKED
    report_hash = concerns.select_evidence(db, ["c1"])["c1"][0].capture_sha256
    assert report_hash == box.db.conn.execute("SELECT sha256 FROM capture").fetchone()[0]
    assert check_chain(box.db) is None
    assert {"concern:opened", "action:recorded", "referral:made", "referral:outcome_recorded", "concern:closed"} <= set(
        kinds(box)
    )


def test_a_closed_concern_takes_no_more(box: Box) -> None:
    pupil, dsl = box.pupil(), box.staff(Role.DSL, academy_id="ashby")
    db = box.open_as(dsl)
    record.open_concern(db, dsl, [], [pupil.id], CONCERN, NOW, box.new_id)
    with pytest.raises(RecordError):
        record.close_concern(db, dsl, "c1", Closure("done", " ", "fine"), NOW)
    record.close_concern(db, dsl, "c1", Closure("done", "because", "fine"), NOW)
    with pytest.raises(RecordError, match="closed"):
        record.record_action(db, dsl, "c1", NewAction("a1", "More", dsl.staff_id, date(2026, 11, 24)), NOW)


def test_an_event_no_moderator_confirmed_cannot_go_on_a_record(box: Box) -> None:
    pupil, dsl = box.pupil(), box.staff(Role.DSL, academy_id="ashby")
    event_id = box.assessed(account=pupil.id)
    with pytest.raises(RecordError, match="confirmed"):
        record.open_concern(box.open_as(dsl), dsl, [event_id], [pupil.id], CONCERN, NOW, box.new_id)


def test_moderator_cannot_open_a_concern(box: Box) -> None:
    pupil, person = box.pupil(), moderator(box)
    event_id = box.confirmed(person, account=pupil.id)
    with pytest.raises(NotAllowedError):
        record.open_concern(box.open_as(person), person, [event_id], [pupil.id], CONCERN, NOW, box.new_id)


def test_events_of_two_academies_cannot_share_a_concern(box: Box) -> None:
    lead = box.staff(Role.DSL, academy_id="ashby")
    box.db.conn.execute(
        "UPDATE staff_grant SET academy_id = NULL, trust_id = 'larch' WHERE staff_id = ?", [lead.staff_id]
    )
    lead = box.actor(lead.staff_id)
    here, there = box.pupil("ashby"), box.pupil("birch")
    with pytest.raises(RecordError, match="one academy"):
        record.open_concern(box.open_as(lead), lead, [], [here.id, there.id], CONCERN, NOW, box.new_id)


def test_a_message_that_fails_is_tried_again_and_one_whose_right_ended_is_not_sent(box: Box) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    gone = box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    box.confirmed(moderator(box))
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-23' WHERE id = ?", [gone.staff_id])

    def refuse(_escalation: alerts.StoredEscalation) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    sent, failed = send_escalations(box.db, refuse, NOW)
    assert not sent and {one.staff_id for one in failed} == {dsl.staff_id, gone.staff_id}
    assert send_escalations(box.db, refuse, NOW) == ([], [])
    delivered: list[str] = []
    later = NOW + timedelta(seconds=31)
    sent, failed = send_escalations(box.db, lambda one: delivered.append(one.staff_email), later)
    assert delivered == [f"{dsl.staff_id}@school.example"]
    assert [one.staff_id for one in failed] == [gone.staff_id]


def test_revealing_a_screenshot_is_on_the_audit_trail(box: Box) -> None:
    event_id, person = box.assessed(), moderator(box)
    _, image = reveal_capture(box.open_as(person), box.vault, person, event_id, NOW)
    assert image.startswith(b"image")
    row = box.db.conn.execute("SELECT actor_id, kind, subject FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    assert row == (person.staff_id, "capture:revealed", f"event:{event_id}")


def test_technician_cannot_reveal_a_screenshot(box: Box) -> None:
    event_id, technician = box.assessed(), box.staff(Role.TECHNICIAN, trust_id="larch")
    with pytest.raises(NotAllowedError):
        reveal_capture(box.open_as(technician), box.vault, technician, event_id, NOW)


def test_a_report_that_is_part_of_a_concern_already_opens_no_second_one(box: Box) -> None:
    dsl, staff, pupil = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.STAFF, academy_id="ashby"), box.pupil()
    report_concern(box.open_as(staff), staff, NewReport("r1", "ashby", "Robin", "Came in crying."), NOW, box.new_id)
    record.open_concern(box.open_as(dsl), dsl, [], [pupil.id], CONCERN, NOW, box.new_id, "r1")
    before = kinds(box)
    with pytest.raises(RecordError, match="already part"):
        record.open_concern(box.open_as(dsl), dsl, [], [pupil.id], replace(CONCERN, id="c2"), NOW, box.new_id, "r1")
    assert kinds(box) == before and concerns.count_open_concerns(box.db) == 1
