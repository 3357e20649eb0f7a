"""Who reads which entries of the audit trail, and how much of each."""

from appliance.safeguarding.access import Actor, Grant, Role
from appliance.safeguarding.concern import NewConcern
from appliance.safeguarding.severity import Category, Severity
from appliance.store.audit import AuditFilter, AuditRow, check_chain, select_audit
from appliance.store.scoped_views import KEPT_BACK
from appliance.workflow.grant import NewGrant, give_grant
from appliance.workflow.look import note_look, note_search
from appliance.workflow.note import note_refusal
from appliance.workflow.open_record import lock_record, open_record
from appliance.workflow.record import open_concern
from tests.factories import NOW, Box

WHY = "It is about the husband of the DSL."


def read(box: Box, actor: Actor, wanted: AuditFilter | None = None) -> list[AuditRow]:
    """What a person reads, with the rights they have now."""
    return select_audit(box.open_as(box.actor(actor.staff_id)), 500, wanted)


def details(box: Box, actor: Actor, *kinds: str) -> set[str]:
    return {row.detail for row in read(box, actor) if row.kind in kinds}


def test_the_reason_of_a_lock_is_read_by_those_it_names_and_not_by_those_it_shuts_out(box: Box) -> None:
    dsl, deputy = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    second, lead = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.TRUST_LEAD, trust_id="larch")
    dpo, pupil = box.staff(Role.DPO, trust_id="larch"), box.pupil()
    concern = NewConcern("c1", Category.ABUSE, Severity.SERIOUS, "Afraid to go home.")
    open_concern(box.open_as(dsl), dsl, [], [pupil.id], concern, NOW, box.new_id)
    assert {row.kind: row.detail for row in read(box, second)}["concern:opened"] != KEPT_BACK
    lock_record(box.open_as(deputy), deputy, "pupil", pupil.id, [second.staff_id], WHY, NOW, box.new_id)
    kinds = ("record:locked", "concern:opened")
    for person in (lead, dpo):
        assert details(box, person, *kinds) == {KEPT_BACK}
    # who opened the concern knows what they wrote themselves
    assert details(box, dsl, "record:locked") == {KEPT_BACK}
    assert WHY in str(details(box, second, "record:locked")) and KEPT_BACK not in details(box, second, *kinds)
    # that it happened, by whom and when, is told to all of them
    of_pupil = AuditFilter(pupil_id=pupil.id)
    for person in (dsl, second, lead, dpo):
        assert [row.kind for row in read(box, person, of_pupil)] == ["record:locked", "concern:opened"]


def test_a_trust_lead_reads_the_levels_and_reasons_of_opened_records_only(box: Box) -> None:
    lead, other = (box.staff(Role.TRUST_LEAD, trust_id="larch") for _ in range(2))
    dsl, pupil = box.staff(Role.DSL, academy_id="ashby"), box.pupil()
    event_id = box.assessed(account=pupil.id)
    note_look(box.open_as(dsl), dsl, "event:viewed", f"event:{event_id}", "ashby", NOW)
    kinds = ("event:assessed", "event:received")
    assert details(box, lead, *kinds) == {KEPT_BACK} and KEPT_BACK not in details(box, dsl, *kinds)
    open_record(box.open_as(lead), lead, "pupil", pupil.id, "The authority asked for it.", NOW, box.new_id)
    assert KEPT_BACK not in details(box, lead, *kinds) and details(box, other, *kinds) == {KEPT_BACK}
    assert details(box, other, "record:opened_with_reason") == {KEPT_BACK}


def test_the_second_person_who_is_told_of_a_broken_glass_reads_why(box: Box) -> None:
    lead, told = box.staff(Role.TRUST_LEAD, trust_id="larch"), box.staff(Role.TRUST_LEAD, trust_id="larch")
    dsl, deputy = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    pupil = box.pupil()
    lock_record(box.open_as(dsl), dsl, "pupil", pupil.id, [told.staff_id], WHY, NOW, box.new_id)
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-23' WHERE id = ?", [dsl.staff_id])
    open_record(box.open_as(deputy), deputy, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)
    kinds = ("record:break_glass", "record:locked")
    assert "missing today" in str(details(box, told, *kinds)) and WHY in str(details(box, told, *kinds))
    assert details(box, lead, *kinds) == {KEPT_BACK}


def test_what_a_person_does_for_one_trust_is_not_told_to_a_trust_they_left(box: Box) -> None:
    larch, maple = (box.staff(Role.TRUST_LEAD, trust_id=trust) for trust in ("larch", "maple"))
    dpo, person = box.staff(Role.DPO, trust_id="maple"), box.staff(Role.MODERATOR, academy_id="ashby")
    ended = "UPDATE staff_grant SET ends_at = '2026-11-23T09:00:00.000000+00:00' WHERE staff_id = ?"
    box.db.conn.execute(ended, [person.staff_id])
    before = read(box, larch)
    given = NewGrant("g", Grant(Role.MODERATOR, trust_id="maple"), NOW)
    give_grant(box.open_as(maple), maple, person.staff_id, given, NOW, box.new_id)
    note_refusal(box.open_as(person), box.actor(person.staff_id), "GET", "/events/cedar-1", NOW)
    note_look(box.open_as(dpo), dpo, "audit:viewed", f"staff:{person.staff_id}", None, NOW)
    new = {row.kind for row in read(box, maple)} - {row.kind for row in before}
    assert {"access:refused", "audit:viewed"} <= new
    assert read(box, larch) == before


def test_what_a_person_with_roles_in_two_trusts_is_given_in_one_is_told_there_alone(box: Box) -> None:
    larch, maple = (box.staff(Role.TRUST_LEAD, trust_id=trust) for trust in ("larch", "maple"))
    person = box.staff(Role.MODERATOR, academy_id="ashby")
    before = read(box, larch)
    given = NewGrant("g", Grant(Role.DPO, trust_id="maple"), NOW)
    give_grant(box.open_as(maple), maple, person.staff_id, given, NOW, box.new_id)
    assert read(box, larch) == before and read(box, maple)[0].kind == "grant:given"


def test_a_dsl_reads_what_a_deputy_searched_for_and_was_refused_and_no_other_academy_does(box: Box) -> None:
    dsl, deputy = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    far = box.staff(Role.DSL, academy_id="birch")
    note_search(box.open_as(deputy), deputy, 3, NOW)
    note_refusal(box.open_as(deputy), deputy, "GET", "/vault/x", NOW)
    by_deputy = AuditFilter(person_id=deputy.staff_id)
    assert [row.kind for row in read(box, dsl, by_deputy)][:2] == ["access:refused", "record:searched"]
    assert not any(row.academy_id is None for row in read(box, far, by_deputy))
    assert check_chain(box.db) is None


def test_what_belongs_to_a_report_is_among_the_entries_of_its_pupil(box: Box) -> None:
    from appliance.safeguarding.report import NewReport
    from appliance.workflow.report import report_concern

    dsl, staff, pupil = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.STAFF, academy_id="ashby"), box.pupil()
    report = NewReport("r1", "ashby", "Robin", "Came in crying.")
    report_concern(box.open_as(staff), staff, report, NOW, box.new_id)
    concern = NewConcern("c1", Category.ABUSE, Severity.SERIOUS, "Afraid to go home.")
    open_concern(box.open_as(dsl), dsl, [], [pupil.id], concern, NOW, box.new_id, "r1")
    found = [row.kind for row in read(box, dsl, AuditFilter(pupil_id=pupil.id))]
    assert sorted(found) == ["concern:opened", "report:linked", "report:made"]
