"""The pupil's record: opening a concern, adding actions, closing it with its reason and outcome."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, require
from appliance.safeguarding.audit import AuditEntry, Detail
from appliance.safeguarding.concern import (
    Closure,
    ConcernState,
    NewAction,
    NewConcern,
    RecordError,
    check_action,
    check_closure,
    check_concern,
)
from appliance.safeguarding.event import EventState, may_follow
from appliance.store import captures, concerns, events, people, referrals
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.report import link_report


def open_concern(
    db: Database,
    actor: Actor,
    event_ids: Sequence[str],
    pupil_ids: Sequence[str],
    concern: NewConcern,
    now: datetime,
    new_id: Callable[[], str],
    report_id: str | None = None,
) -> None:
    """Put a concern on the record of one or several pupils, with events carried over as evidence.

    Each event's capture goes with its SHA-256. All must be of one academy. report_id: the report of a member of staff
    that becomes part of it, which is then of the first pupil. Raises RecordError, NotAllowedError.
    """
    check_concern(concern)
    with transaction(db):
        found = [_event_to_link(db, event_id) for event_id in event_ids]
        pupils = [_pupil(db, pupil_id) for pupil_id in pupil_ids]
        if not pupils:
            raise RecordError("Say which pupil this concern is about.")
        academies = {event.academy_id for event in found} | {pupil.academy_id for pupil in pupils}
        if len(academies) > 1:
            raise RecordError("The events and pupils of one concern belong to one academy.")
        academy_id = academies.pop()
        require(actor, Permission.CONCERN_RECORD, academy_id)
        concerns.insert_concern(db, academy_id, concern, actor.staff_id, now)
        for pupil in pupils:
            concerns.insert_concern_pupil(db, new_id(), concern.id, pupil.id, academy_id)
        for event in found:
            capture = captures.get_capture(db, event.id)
            sha256 = capture.sha256 if capture else None
            concerns.insert_concern_event(db, new_id(), concern.id, event.id, academy_id, sha256)
            events.set_event_state(db, event.id, EventState.LINKED)
        detail: Detail = {
            "category": concern.category,
            "level": int(concern.level),
            "events": ",".join(event_ids),
            "pupils": ",".join(pupil_ids),
        }
        entry = AuditEntry(actor.staff_id, "concern:opened", f"concern:{concern.id}", academy_id, now, detail)
        append_audit(db, entry)
        if report_id is not None:
            link_report(db, actor, report_id, pupils[0].id, concern.id, now)


def _event_to_link(db: Database, event_id: str) -> events.StoredEvent:
    event = events.get_event(db, event_id)
    if event is None:
        raise NotAllowedError(f"event {event_id}")
    if event.state is EventState.LINKED or not may_follow(event.state, EventState.LINKED):
        raise RecordError(
            "This event is already part of a concern."
            if event.state is EventState.LINKED
            else "This event has not been confirmed by a moderator yet. Give it a verdict first."
        )
    return event


def _pupil(db: Database, pupil_id: str) -> people.Pupil:
    pupil = people.get_pupil(db, pupil_id)
    if pupil is None:
        raise NotAllowedError(f"pupil {pupil_id}")
    return pupil


def get_open_concern(db: Database, actor: Actor, concern_id: str) -> concerns.StoredConcern:
    """The concern, when the actor may add to it and it is open. Raises NotAllowedError, RecordError."""
    concern = concerns.get_concern(db, concern_id)
    if concern is None:
        raise NotAllowedError(f"concern {concern_id}")
    require(actor, Permission.CONCERN_RECORD, concern.academy_id)
    if concern.state is not ConcernState.OPEN:
        raise RecordError("This concern is closed. Open a new one if something has come up since.")
    return concern


def record_action(db: Database, actor: Actor, concern_id: str, action: NewAction, now: datetime) -> None:
    """Add an action to an open concern. Raises RecordError, NotAllowedError."""
    check_action(action)
    with transaction(db):
        concern = get_open_concern(db, actor, concern_id)
        if people.get_staff(db, action.owner_id) is None:
            raise RecordError("Say who does it.")
        concerns.insert_action(db, concern_id, concern.academy_id, action, actor.staff_id, now)
        concerns.set_concern_unindexed(db, concern_id)
        detail: Detail = {"concern": concern_id, "owner": action.owner_id}
        entry = AuditEntry(actor.staff_id, "action:recorded", f"action:{action.id}", concern.academy_id, now, detail)
        append_audit(db, entry)


def complete_action(db: Database, actor: Actor, action_id: str, now: datetime) -> str:
    """Mark an action as done. Returns its concern's id. Raises RecordError, NotAllowedError."""
    with transaction(db):
        action = concerns.get_action(db, action_id)
        if action is None:
            raise NotAllowedError(f"action {action_id}")
        concern = get_open_concern(db, actor, action.concern_id)
        if action.done_at is not None:
            return action.concern_id
        concerns.set_action_done(db, action_id, now)
        entry = AuditEntry(actor.staff_id, "action:done", f"action:{action_id}", concern.academy_id, now)
        append_audit(db, entry)
    return action.concern_id


def close_concern(db: Database, actor: Actor, concern_id: str, closure: Closure, now: datetime) -> None:
    """Close a concern with decision, reason and outcome. Referrals still open must have theirs first.

    Raises RecordError, NotAllowedError.
    """
    check_closure(closure)
    with transaction(db):
        concern = get_open_concern(db, actor, concern_id)
        if any(referral.outcome is None for referral in referrals.select_referrals(db, [concern_id])):
            raise RecordError("A referral under this concern has no outcome yet. Record it first.")
        concerns.set_concern_closed(db, concern_id, closure, actor.staff_id, now)
        entry = AuditEntry(actor.staff_id, "concern:closed", f"concern:{concern_id}", concern.academy_id, now)
        append_audit(db, entry)
