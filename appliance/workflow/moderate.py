"""A person's verdict on an event."""

from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, require
from appliance.safeguarding.audit import AuditEntry, Detail
from appliance.safeguarding.escalation import TOLD_AFTER_VERDICT
from appliance.safeguarding.event import EventState, may_follow
from appliance.safeguarding.moderation import Verdict, VerdictError, check_verdict
from appliance.store import assessments, events
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.escalate import raise_escalations


def moderate_event(
    db: Database, actor: Actor, event_id: str, verdict: Verdict, now: datetime, new_id: Callable[[], str]
) -> EventState:
    """Grade an event or mark it a false positive; from CREDIBLE on, the academy's DSLs are told.

    Raises VerdictError when the verdict is incomplete or comes too late, NotAllowedError when the event is out of the
    actor's reach.
    """
    check_verdict(verdict)
    with transaction(db):
        event = events.get_event(db, event_id)
        if event is None:
            raise NotAllowedError(f"event {event_id}")
        require(actor, Permission.EVENT_MODERATE, event.academy_id)
        if not may_follow(event.state, verdict.state):
            raise VerdictError(
                "This event is already part of a concern on a pupil's record; its grade is kept there."
                if event.state is EventState.LINKED
                else "The box is still reading this event. Try again in a moment."
            )
        assessments.insert_verdict(db, new_id(), event, actor.staff_id, verdict, now)
        events.set_grade(db, event_id, verdict.state, verdict.category, verdict.level)
        detail: Detail = {
            "level": int(verdict.level),
            "category": verdict.category,
            "false_positive": verdict.false_positive,
            "level_before": int(event.level),
            "category_before": event.category,
        }
        entry = AuditEntry(actor.staff_id, "event:moderated", f"event:{event_id}", event.academy_id, now, detail)
        append_audit(db, entry)
        if verdict.false_positive is None and verdict.level >= TOLD_AFTER_VERDICT:
            raise_escalations(db, event_id, event.academy_id, verdict.level, now, new_id)
    return verdict.state
