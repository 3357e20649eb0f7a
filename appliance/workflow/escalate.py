"""Telling the right people about an event, and noting that they answered."""

from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Permission, academies_for
from appliance.safeguarding.audit import SYSTEM, AuditEntry, Detail
from appliance.safeguarding.escalation import Escalation, due_at, next_try_at, roles_told
from appliance.safeguarding.severity import Severity
from appliance.store import alerts, events, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


def raise_escalations(
    db: Database, event_id: str, academy_id: str, level: Severity, now: datetime, new_id: Callable[[], str]
) -> int:
    """Note that everyone who must know of an event of this level is to be told. Inside the caller's transaction.

    Returns how many people are newly told. The worker sends the messages.
    """
    told: set[str] = set()
    for role in roles_told(level):
        for staff in people.select_staff_with_role(db, role, academy_id, now):
            if staff.id in told:
                continue
            escalation = Escalation(event_id, academy_id, staff.id, level, now, due_at(level, now))
            escalation_id = new_id()
            if alerts.insert_escalation(db, escalation_id, escalation):
                told.add(staff.id)
                detail: Detail = {"event": event_id, "staff": staff.id, "level": int(level)}
                entry = AuditEntry(SYSTEM, "escalation:raised", f"escalation:{escalation_id}", academy_id, now, detail)
                append_audit(db, entry)
    return len(told)


def send_escalations(
    db: Database, send: Callable[[alerts.StoredEscalation], None], now: datetime
) -> tuple[list[alerts.StoredEscalation], list[alerts.StoredEscalation]]:
    """Send what is due. A person whose right ended meanwhile is not told. Returns those sent and those that failed.

    send: raises OSError when the message did not go out; it is tried again later.
    """
    sent, failed = [], []
    for escalation in alerts.select_unsent(db, now):
        actor = people.get_actor(db, escalation.staff_id, now)
        allowed = actor is not None and escalation.academy_id in academies_for(actor, Permission.ESCALATION_VIEW)
        problem = "" if allowed else "this person's right to see it has ended"
        if allowed:
            try:
                send(escalation)
            except OSError as error:
                problem = f"{type(error).__name__}: {error}"
        with transaction(db):
            subject = f"escalation:{escalation.id}"
            if problem:
                alerts.set_failed(db, escalation.id, problem, next_try_at(escalation.attempts + 1, now))
                if escalation.failure != problem:
                    entry = AuditEntry(
                        SYSTEM, "escalation:failed", subject, escalation.academy_id, now, {"problem": problem}
                    )
                    append_audit(db, entry)
                failed.append(escalation)
            else:
                alerts.set_sent(db, escalation.id, now)
                entry = AuditEntry(
                    SYSTEM, "escalation:sent", subject, escalation.academy_id, now, {"staff": escalation.staff_id}
                )
                append_audit(db, entry)
                sent.append(escalation)
    return sent, failed


def acknowledge_escalations(db: Database, actor: Actor, event_id: str, now: datetime) -> None:
    """Note that the actor has seen an event they were told about. Does nothing when they were not."""
    waiting = [one for one in alerts.select_open_for(db, actor.staff_id) if one.event_id == event_id]
    event = events.get_event(db, event_id)
    if not waiting or event is None:
        return
    with transaction(db):
        alerts.set_acknowledged(db, event_id, actor.staff_id, now)
        entry = AuditEntry(actor.staff_id, "escalation:acknowledged", f"event:{event_id}", event.academy_id, now)
        append_audit(db, entry)
