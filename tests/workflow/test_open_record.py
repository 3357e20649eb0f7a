"""Opening with a reason, locking, breaking the glass: who sees what before and after, and who is told."""

from datetime import timedelta

import pytest

from appliance.notify.email import MailServer
from appliance.notify.notice import NoticeMail, build_notice_email
from appliance.safeguarding.access import Actor, NotAllowedError, Role
from appliance.safeguarding.concern import NewConcern, RecordError
from appliance.safeguarding.notice import NoticeKind
from appliance.safeguarding.severity import Category, Severity
from appliance.store import alerts, captures, concerns, events, notices, people, records
from appliance.store.chronology import select_chronology
from appliance.workflow import record
from appliance.workflow.open_record import find_needed, lock_record, open_record, unlock_record
from appliance.workflow.tell import note_seen, pass_on_notices, send_notices
from tests.factories import NOW, Box

WHY = "The local authority asked for this record."


def lead(box: Box) -> Actor:
    return box.staff(Role.TRUST_LEAD, trust_id="larch")


def concern_of(box: Box, dsl: Actor, pupil: people.Pupil, event_ids: list[str], key: str = "c1") -> str:
    concern = NewConcern(key, Category.ABUSE, Severity.SERIOUS, "Afraid to go home.")
    record.open_concern(box.open_as(dsl), dsl, event_ids, [pupil.id], concern, NOW, box.new_id)
    return key


def last_entry(box: Box) -> tuple[str, str, str, str]:
    return box.db.conn.execute("SELECT actor_id, kind, subject, detail FROM audit ORDER BY seq DESC LIMIT 1").fetchone()


def test_trust_lead_sees_names_and_no_record_until_they_give_a_reason(box: Box) -> None:
    pupil, other, dsl, person = box.pupil(), box.pupil(), box.staff(Role.DSL, academy_id="ashby"), lead(box)
    event_id = box.confirmed(box.staff(Role.MODERATOR, academy_id="ashby"), account=pupil.id)
    concern_of(box, dsl, pupil, [event_id])
    before = box.open_as(person)
    assert {one.id for one in people.select_pupils(before)} == {pupil.id, other.id}
    assert all(one.flags == () for one in people.select_pupils(before))
    assert select_chronology(before, pupil.id) == [] and events.get_event(before, event_id) is None
    assert captures.get_capture(before, event_id) is None and concerns.count_open_concerns(before) == 0
    open_record(before, person, "pupil", pupil.id, WHY, NOW, box.new_id)
    assert last_entry(box)[:3] == (person.staff_id, "record:opened_with_reason", f"pupil:{pupil.id}")
    assert WHY in last_entry(box)[3]
    after = box.open_as(box.actor(person.staff_id))
    assert len(select_chronology(after, pupil.id)) == 2 and captures.get_capture(after, event_id) is not None
    assert {one.id: bool(one.flags) for one in people.select_pupils(after)} == {pupil.id: True, other.id: False}
    assert select_chronology(after, other.id) == []


def test_an_opening_lapses_and_is_one_persons_own(box: Box) -> None:
    pupil, person, other = box.pupil(), lead(box), lead(box)
    event_id = box.received(account=pupil.id)
    until = open_record(box.open_as(person), person, "event", event_id, WHY, NOW, box.new_id)
    assert until == NOW + timedelta(hours=8)
    for who, at, seen in ((person, NOW, True), (person, until, False), (other, NOW, False)):
        actor = people.get_actor(box.db, who.staff_id, at)
        assert actor is not None and (events.get_event(box.open_as(actor), event_id) is not None) is seen


@pytest.mark.parametrize("reason", ["", "   ", "x", "because"])
def test_a_reason_nobody_could_answer_for_opens_nothing(box: Box, reason: str) -> None:
    pupil, person = box.pupil(), lead(box)
    with pytest.raises(RecordError):
        open_record(box.open_as(person), person, "pupil", pupil.id, reason, NOW, box.new_id)
    assert box.actor(person.staff_id).openings == ()


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.DPO, Role.TECHNICIAN, Role.REPORTING])
def test_who_has_no_such_role_cannot_open_with_a_reason(box: Box, role: Role) -> None:
    pupil, person = box.pupil(), box.staff(role, trust_id="larch")
    with pytest.raises(NotAllowedError):
        open_record(box.open_as(person), person, "pupil", pupil.id, WHY, NOW, box.new_id)


def test_trust_lead_cannot_open_a_record_of_another_trust(box: Box) -> None:
    pupil, person = box.pupil("cedar"), lead(box)
    with pytest.raises(NotAllowedError):
        open_record(box.open_as(person), person, "pupil", pupil.id, WHY, NOW, box.new_id)


def test_an_event_nobody_is_known_for_is_opened_by_itself(box: Box) -> None:
    person, event_id, other_id = lead(box), box.received(), box.received()
    open_record(box.open_as(person), person, "event", event_id, WHY, NOW, box.new_id)
    db = box.open_as(box.actor(person.staff_id))
    assert [one.id for one in events.select_recent(db)] == [event_id] and events.get_event(db, other_id) is None


def test_trust_lead_can_put_a_concern_only_on_a_record_they_opened(box: Box) -> None:
    pupil, other, person = box.pupil(), box.pupil(), lead(box)
    open_record(box.open_as(person), person, "pupil", pupil.id, WHY, NOW, box.new_id)
    person = box.actor(person.staff_id)
    concern_of(box, person, pupil, [])
    with pytest.raises(Exception, match="outside the scope"):
        concern_of(box, person, other, [], "c2")
    assert box.db.conn.execute("SELECT count(*) FROM concern").fetchone() == (1,)


def test_a_trust_lead_is_told_of_level_five_without_having_opened_anything(box: Box) -> None:
    person = lead(box)
    box.assessed(level=Severity.IMMEDIATE)
    assert len(alerts.select_open_for(box.open_as(person), person.staff_id)) == 1


def locked_world(box: Box) -> tuple[Actor, Actor, people.Pupil, str]:
    pupil, dsl = box.pupil(), box.staff(Role.DSL, academy_id="ashby")
    deputy = box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    event_id = box.confirmed(box.staff(Role.MODERATOR, academy_id="ashby"), account=pupil.id)
    concern_of(box, dsl, pupil, [event_id])
    why = "The deputy is the child's aunt."
    lock_record(box.open_as(dsl), dsl, "pupil", pupil.id, [], why, NOW, box.new_id)
    return box.actor(dsl.staff_id), box.actor(deputy.staff_id), pupil, event_id


def test_a_locked_record_is_shut_to_who_is_not_named(box: Box) -> None:
    dsl, deputy, pupil, event_id = locked_world(box)
    moderator = box.staff(Role.MODERATOR, academy_id="ashby")
    assert len(select_chronology(box.open_as(dsl), pupil.id)) == 2
    for person in (deputy, moderator):
        db = box.open_as(person)
        assert events.get_event(db, event_id) is None and captures.get_capture(db, event_id) is None
        assert select_chronology(db, pupil.id) == [] and concerns.count_open_concerns(db) == 0
        found = people.get_pupil(db, pupil.id)
        assert found is not None and found.flags == ()


def test_breaking_the_glass_opens_it_and_tells_the_one_who_locked_it(box: Box) -> None:
    dsl, deputy, pupil, event_id = locked_world(box)
    open_record(box.open_as(deputy), deputy, "pupil", pupil.id, "She is missing and I am in charge.", NOW, box.new_id)
    assert last_entry(box)[1:3] == ("record:break_glass", f"pupil:{pupil.id}")
    assert events.get_event(box.open_as(box.actor(deputy.staff_id)), event_id) is not None
    (told,) = notices.select_unseen(box.open_as(dsl), dsl.staff_id)
    assert (told.kind, told.by_name, told.academy_id) == (NoticeKind.GLASS_BROKEN, deputy.name, "ashby")
    assert notices.select_unseen(box.open_as(deputy), dsl.staff_id) == []
    sent, failed = send_notices(box.db, lambda notice: None, NOW)
    assert [one.staff_id for one in sent] == [dsl.staff_id] and failed == []
    assert send_notices(box.db, lambda notice: None, NOW) == ([], [])
    note_seen(box.open_as(dsl), dsl, told.id, NOW)
    assert notices.count_unseen(box.open_as(dsl), dsl.staff_id) == 0


def test_the_message_about_a_broken_glass_names_no_child(box: Box) -> None:
    dsl, deputy, pupil, _ = locked_world(box)
    reason = "Kim is missing and I am in charge."
    open_record(box.open_as(deputy), deputy, "pupil", pupil.id, reason, NOW, box.new_id)
    (told,) = notices.select_unseen(box.open_as(dsl), dsl.staff_id)
    mail = NoticeMail(told.id, told.kind, told.staff_name, told.staff_email, told.academy_name, told.by_name)
    server = MailServer("localhost", 25, "box@school.example", "box.school.example")
    message = build_notice_email(server, mail, "https://box.school.example/#notices", NOW).as_string()
    assert deputy.name in message and "Ashby" in message
    assert not any(word in message for word in (pupil.forename, pupil.surname, pupil.id, reason))


def test_when_the_one_who_locked_it_has_gone_the_trust_lead_is_told(box: Box) -> None:
    dsl, deputy, pupil, _ = locked_world(box)
    second = box.staff(Role.DSL, academy_id="ashby")
    person = lead(box)
    lock = records.get_lock(box.db, pupil.id)
    assert lock is not None
    box.db.conn.execute("INSERT INTO record_lock_name VALUES (?, ?)", [lock.id, second.staff_id])
    for gone in (dsl, second):
        box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-23' WHERE id = ?", [gone.staff_id])
    deputy = box.actor(deputy.staff_id)
    open_record(box.open_as(deputy), deputy, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)
    assert notices.count_unseen(box.open_as(person), person.staff_id) == 1


def test_when_the_one_who_was_to_be_told_goes_first_another_is_told(box: Box) -> None:
    dsl, deputy, pupil, _ = locked_world(box)
    open_record(box.open_as(deputy), deputy, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)
    box.db.conn.execute("UPDATE staff_grant SET ends_at = '2026-11-23' WHERE staff_id = ?", [dsl.staff_id])
    # nobody is left, but for the one who broke it: it waits until somebody has the role
    pass_on_notices(box.db, NOW, box.new_id)
    assert send_notices(box.db, lambda notice: None, NOW)[0] == []
    later, person = NOW + timedelta(days=1), lead(box)
    pass_on_notices(box.db, later, box.new_id)
    sent, failed = send_notices(box.db, lambda notice: None, later)
    assert [one.staff_id for one in sent] == [person.staff_id] and failed == []
    assert notices.count_unseen(box.open_as(person), person.staff_id) == 1
    pass_on_notices(box.db, later, box.new_id)
    assert send_notices(box.db, lambda notice: None, later) == ([], [])
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE 'notice:%' ORDER BY seq")]
    assert kinds == ["notice:failed", "notice:passed_on", "notice:sent"]


def test_a_lock_set_while_one_writes_the_reason_is_heard_to_break(box: Box) -> None:
    dsl, deputy, pupil = (
        box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.DEPUTY_DSL, academy_id="ashby"), box.pupil(),
    )  # fmt: skip
    db = box.open_as(deputy)
    lock_record(box.open_as(dsl), dsl, "pupil", pupil.id, [], "The deputy is her aunt.", NOW, box.new_id)
    open_record(db, deputy, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)
    assert last_entry(box)[1] == "record:break_glass" and notices.count_unseen(box.open_as(dsl), dsl.staff_id) == 1


def test_a_glass_that_nobody_would_hear_break_stays_whole(box: Box) -> None:
    dsl, deputy, pupil, _ = locked_world(box)
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-23' WHERE id = ?", [dsl.staff_id])
    deputy = box.actor(deputy.staff_id)
    with pytest.raises(RecordError, match="nobody else"):
        open_record(box.open_as(deputy), deputy, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)


def test_a_lock_whose_people_have_all_left_falls_to_the_new_dsl(box: Box) -> None:
    dsl, deputy, pupil, _ = locked_world(box)
    box.db.conn.execute("UPDATE staff_grant SET ends_at = '2026-11-23' WHERE staff_id = ?", [dsl.staff_id])
    successor = box.staff(Role.DSL, academy_id="ashby")
    assert len(select_chronology(box.open_as(successor), pupil.id)) == 2
    assert select_chronology(box.open_as(box.actor(deputy.staff_id)), pupil.id) == []


def test_who_broke_the_glass_cannot_take_the_lock_off(box: Box) -> None:
    dsl, deputy, pupil, _ = locked_world(box)
    open_record(box.open_as(deputy), deputy, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)
    deputy = box.actor(deputy.staff_id)
    with pytest.raises(RecordError, match="names"):
        unlock_record(box.open_as(deputy), deputy, "pupil", pupil.id, NOW)
    unlock_record(box.open_as(dsl), dsl, "pupil", pupil.id, NOW)
    assert box.actor(box.staff(Role.DEPUTY_DSL, academy_id="ashby").staff_id).shut == frozenset()


def test_a_lock_shuts_out_who_had_opened_the_record_before_it(box: Box) -> None:
    dsl, person, other, pupil = box.staff(Role.DSL, academy_id="ashby"), lead(box), lead(box), box.pupil()
    event_id = box.confirmed(box.staff(Role.MODERATOR, academy_id="ashby"), account=pupil.id)
    for one in (person, other):
        open_record(box.open_as(one), one, "pupil", pupil.id, WHY, NOW, box.new_id)
    why = "It concerns the lead's own family."
    lock_record(box.open_as(dsl), dsl, "pupil", pupil.id, [other.staff_id], why, NOW, box.new_id)
    for one, sees in ((person, False), (other, True)):
        assert (events.get_event(box.open_as(box.actor(one.staff_id)), event_id) is not None) is sees
    person = box.actor(person.staff_id)
    open_record(box.open_as(person), person, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)
    assert last_entry(box)[1] == "record:break_glass" and notices.count_unseen(box.open_as(dsl), dsl.staff_id) == 1
    assert events.get_event(box.open_as(box.actor(person.staff_id)), event_id) is not None


def test_a_glass_broken_once_does_not_open_the_next_lock(box: Box) -> None:
    dsl, deputy, pupil, event_id = locked_world(box)
    open_record(box.open_as(deputy), deputy, "pupil", pupil.id, "She is missing today.", NOW, box.new_id)
    unlock_record(box.open_as(dsl), dsl, "pupil", pupil.id, NOW)
    lock_record(box.open_as(dsl), dsl, "pupil", pupil.id, [], "The deputy is her aunt.", NOW, box.new_id)
    assert events.get_event(box.open_as(box.actor(deputy.staff_id)), event_id) is None


def test_a_lead_can_lock_a_record_to_themselves_until_they_lead_no_more(box: Box) -> None:
    dsl, person, pupil = box.staff(Role.DSL, academy_id="ashby"), lead(box), box.pupil()
    event_id = box.confirmed(box.staff(Role.MODERATOR, academy_id="ashby"), account=pupil.id)
    open_record(box.open_as(person), person, "pupil", pupil.id, WHY, NOW, box.new_id)
    person = box.actor(person.staff_id)
    why = "An allegation about the DSL."
    lock_record(box.open_as(person), person, "pupil", pupil.id, [], why, NOW, box.new_id)
    for who, sees in ((dsl, False), (person, True)):
        assert (events.get_event(box.open_as(box.actor(who.staff_id)), event_id) is not None) is sees
    box.db.conn.execute("UPDATE staff_grant SET ends_at = '2026-11-23' WHERE staff_id = ?", [person.staff_id])
    assert events.get_event(box.open_as(box.actor(dsl.staff_id)), event_id) is not None


def test_a_locked_concern_hides_its_evidence_and_leaves_the_rest(box: Box) -> None:
    pupil, dsl = box.pupil(), box.staff(Role.DSL, academy_id="ashby")
    deputy, moderator = box.staff(Role.DEPUTY_DSL, academy_id="ashby"), box.staff(Role.MODERATOR, academy_id="ashby")
    first, second = (box.confirmed(moderator, account=pupil.id) for _ in range(2))
    concern_of(box, dsl, pupil, [first], "c1")
    concern_of(box, dsl, pupil, [second], "c2")
    lock_record(box.open_as(dsl), dsl, "concern", "c1", [], "It is about a colleague of hers.", NOW, box.new_id)
    deputy = box.actor(deputy.staff_id)
    db = box.open_as(deputy)
    assert [one.id for one in concerns.select_open_concerns(db)] == ["c2"]
    assert [one.id for one in events.select_recent(db)] == [second]
    assert find_needed(db, deputy, "event", first).subjects == ("c1",)
    open_record(db, deputy, "event", first, "The court asks for it this morning.", NOW, box.new_id)
    assert len(concerns.select_open_concerns(box.open_as(box.actor(deputy.staff_id)))) == 2
