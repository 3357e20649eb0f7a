"""Switching a person's account off and on, and ending their sessions, by who holds every right they hold."""

from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError
from appliance.safeguarding.audit import AuditEntry, Detail
from appliance.safeguarding.notice import NoticeKind
from appliance.store import people, sessions
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.announce import announce_account
from appliance.workflow.invite import may_invite
from appliance.workflow.sign_in import end_all_within


def switch_account(
    db: Database, actor: Actor, staff_id: str, on: bool, now: datetime, new_id: Callable[[], str]
) -> None:
    """Switch a person's account off: they are out at their next click, and no link or directory lets them in. Or on.

    Raises NotAllowedError unless the actor holds every right the person holds.
    """
    with transaction(db):
        _require_reach(db, actor, staff_id, now)
        if not people.set_staff_disabled(db, staff_id, None if on else now):
            return
        detail: Detail = {}
        if not on:
            detail = {"links": sessions.set_invitations_withdrawn(db, staff_id, now)}
            end_all_within(db, staff_id, "account switched off", now, by=actor.staff_id)
        done = "staff:switched_on" if on else "staff:switched_off"
        append_audit(db, AuditEntry(actor.staff_id, done, f"staff:{staff_id}", None, now, detail))
        kind = NoticeKind.SWITCHED_ON if on else NoticeKind.SWITCHED_OFF
        announce_account(db, actor, staff_id, kind, now, new_id)


def end_sessions_of(db: Database, actor: Actor, staff_id: str, now: datetime) -> int:
    """Sign a person out everywhere. Returns how many sessions ended. Raises NotAllowedError, as switch_account does."""
    with transaction(db):
        _require_reach(db, actor, staff_id, now)
        return end_all_within(db, staff_id, "signed out by another", now, by=actor.staff_id)


def _require_reach(db: Database, actor: Actor, staff_id: str, now: datetime) -> None:
    if not may_invite(db, actor, staff_id, now):
        raise NotAllowedError(f"the account of {staff_id}")
