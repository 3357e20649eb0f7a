"""Telling people what a notice says, by message, and noting that they saw it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, Role, may
from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.safeguarding.escalation import next_try_at
from appliance.safeguarding.notice import Notice, NoticeKind
from appliance.store import notices, people, records
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


def find_second_people(
    db: Database, academy_id: str, named: Sequence[Sequence[str]], by_id: str, now: datetime
) -> list[str]:
    """Who is told that somebody opened a locked record: the first of these in which there is anybody: people named
    beforehand, in their order; the trust's leads; the academy's DSLs and head. Never the one who did it."""

    def at(role: Role) -> list[str]:
        return [one.id for one in people.select_staff_with_role(db, role, academy_id, now)]

    for tier in (*named, at(Role.TRUST_LEAD), [*at(Role.DSL), *at(Role.HEAD)]):
        if found := [one for one in tier if one != by_id and _can_be_told(db, one, academy_id, now)]:
            return found
    return []


def _can_be_told(db: Database, staff_id: str, academy_id: str, now: datetime) -> bool:
    person = people.get_actor(db, staff_id, now)
    return person is not None and may(person, Permission.ESCALATION_VIEW, academy_id)


def pass_on_notices(db: Database, now: datetime, new_id: Callable[[], str]) -> None:
    """Have another person told of a broken glass where the one who was to be told may see it no more.

    Where there is nobody else yet, it waits for somebody to be given the role.
    """
    for notice in notices.select_unsent_notices(db, now):
        if notice.kind is not NoticeKind.GLASS_BROKEN or _can_be_told(db, notice.staff_id, notice.academy_id, now):
            continue
        with transaction(db):
            lock = records.get_lock(db, notice.subject.partition(":")[2])
            named = [[lock.locked_by], records.select_lock_name_ids(db, lock.id)] if lock else []
            told = find_second_people(db, notice.academy_id, named, notice.by_id, now)
            if not told:
                continue
            for staff_id in told:
                again = Notice(notice.academy_id, staff_id, notice.kind, notice.subject, notice.by_id, notice.raised_at)
                notices.insert_notice(db, new_id(), again)
            notices.set_notice_passed_on(db, notice.id, now)
            detail = {"staff": notice.staff_id, "of": notice.subject, "to": ",".join(told)}
            entry = AuditEntry(SYSTEM, "notice:passed_on", f"notice:{notice.id}", notice.academy_id, now, detail)
            append_audit(db, entry)


def send_notices(
    db: Database, send: Callable[[notices.StoredNotice], None], now: datetime
) -> tuple[list[notices.StoredNotice], list[notices.StoredNotice]]:
    """Send what is due; a person whose right ended meanwhile is not told. Returns those sent and those that failed.

    send: raises OSError when the message did not go out; it is tried again later.
    """
    sent, failed = [], []
    for notice in notices.select_unsent_notices(db, now):
        problem = ""
        if not _can_be_told(db, notice.staff_id, notice.academy_id, now):
            problem = "this person's right to see it has ended"
        else:
            try:
                send(notice)
            except OSError as error:
                problem = f"{type(error).__name__}: {error}"
        with transaction(db):
            subject, detail = f"notice:{notice.id}", {"staff": notice.staff_id, "of": notice.subject}
            if problem:
                notices.set_notice_failed(db, notice.id, problem, next_try_at(notice.attempts + 1, now))
                if notice.failure != problem:
                    detail["problem"] = problem
                    append_audit(db, AuditEntry(SYSTEM, "notice:failed", subject, notice.academy_id, now, detail))
                failed.append(notice)
            else:
                notices.set_notice_sent(db, notice.id, now)
                append_audit(db, AuditEntry(SYSTEM, "notice:sent", subject, notice.academy_id, now, detail))
                sent.append(notice)
    return sent, failed


def note_seen(db: Database, actor: Actor, notice_id: str, now: datetime) -> None:
    """Note that the actor has seen what they were told. Raises NotAllowedError for a notice to another."""
    with transaction(db):
        notice = notices.get_notice(db, notice_id)
        if notice is None:
            raise NotAllowedError(f"notice {notice_id}")
        notices.set_notice_seen(db, notice_id, now)
        append_audit(db, AuditEntry(actor.staff_id, "notice:seen", f"notice:{notice_id}", notice.academy_id, now))
