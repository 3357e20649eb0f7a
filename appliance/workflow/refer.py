"""Passing a concern to an outside agency, and recording what came of it."""

from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.concern import RecordError
from appliance.safeguarding.referral import NewReferral, check_referral, response_due_at
from appliance.store import concerns, referrals
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.record import get_open_concern


def make_referral(db: Database, actor: Actor, concern_id: str, referral: NewReferral, now: datetime) -> None:
    """Record that a concern was referred. Raises RecordError, NotAllowedError."""
    check_referral(referral)
    with transaction(db):
        concern = get_open_concern(db, actor, concern_id)
        due = response_due_at(now)
        referrals.insert_referral(db, concern_id, concern.academy_id, referral, actor.staff_id, now, due)
        concerns.set_concern_unindexed(db, concern_id)
        detail = {"concern": concern_id, "agency": referral.agency, "consent": referral.consent}
        entry = AuditEntry(actor.staff_id, "referral:made", f"referral:{referral.id}", concern.academy_id, now, detail)
        append_audit(db, entry)


def record_referral_outcome(db: Database, actor: Actor, referral_id: str, outcome: str, now: datetime) -> str:
    """Record what came of a referral, once. Returns its concern's id. Raises RecordError, NotAllowedError."""
    if not outcome.strip():
        raise RecordError("Write what came of the referral.")
    with transaction(db):
        referral = referrals.get_referral(db, referral_id)
        if referral is None:
            raise NotAllowedError(f"referral {referral_id}")
        concern = get_open_concern(db, actor, referral.concern_id)
        if referral.outcome is not None:
            raise RecordError("This referral already has its outcome. Add what is new as an action.")
        referrals.set_referral_outcome(db, referral_id, outcome, actor.staff_id, now)
        concerns.set_concern_unindexed(db, referral.concern_id)
        entry = AuditEntry(
            actor.staff_id, "referral:outcome_recorded", f"referral:{referral_id}", concern.academy_id, now
        )
        append_audit(db, entry)
    return referral.concern_id
