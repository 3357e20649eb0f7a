"""Saying whose a device user name is: until a person does, its events are attributed to nobody."""

from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, require
from appliance.safeguarding.audit import AuditEntry
from appliance.store import accounts, people
from appliance.store.accounts import Claim
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


class ClaimError(ValueError):
    """Something that can't be said of a user name. The message is one sentence for the person."""


def claim_account(
    db: Database, actor: Actor, academy_id: str, account: str, pupil_id: str, now: datetime, new_id: Callable[[], str]
) -> int:
    """Attribute a user name and the events waiting under it to a pupil; how many events.

    Raises ClaimError, NotAllowedError.
    """
    require(actor, Permission.CONCERN_RECORD, academy_id)
    pupil = people.get_pupil(db, pupil_id)
    if pupil is None or pupil.academy_id != academy_id or pupil_id in actor.shut:
        raise NotAllowedError(f"pupil {pupil_id}")
    with transaction(db):
        ids = tuple(accounts.select_events_of_nobody(db, academy_id, account))
        if not ids:
            raise ClaimError("Nothing waits under this user name any more.")
        accounts.set_events_pupil(db, ids, pupil_id)
        accounts.set_account(db, new_id(), academy_id, account, pupil_id)
        claim = Claim(new_id(), academy_id, account, pupil_id, "", ids, "", now, None)
        accounts.insert_claim(db, claim, actor.staff_id)
        detail: dict[str, str | int | None] = {"account": account, "events": len(ids), "claim": claim.id}
        append_audit(db, AuditEntry(actor.staff_id, "account:claimed", f"pupil:{pupil_id}", academy_id, now, detail))
    return len(ids)


def undo_claim(db: Database, actor: Actor, claim_id: str, now: datetime) -> int:
    """Take back whose a user name was said to be; how many events are nobody's again.

    Raises ClaimError once one of them is on the record, NotAllowedError.
    """
    claim = accounts.get_claim(db, claim_id)
    if claim is None:
        raise NotAllowedError(f"claim {claim_id}")
    require(actor, Permission.CONCERN_RECORD, claim.academy_id)
    with transaction(db):
        if claim.undone_at is not None:
            raise ClaimError("It was taken back already.")
        if accounts.is_any_on_record(db, claim.events):
            raise ClaimError("One of the events is on the pupil's record by now. Close that concern with its reason.")
        accounts.set_events_pupil(db, claim.events, None)
        accounts.end_account(db, claim.academy_id, claim.account, now)
        accounts.set_claim_undone(db, claim_id, actor.staff_id, now)
        detail: dict[str, str | int | None] = {"account": claim.account, "events": len(claim.events), "claim": claim_id}
        entry = AuditEntry(
            actor.staff_id, "account:unclaimed", f"pupil:{claim.pupil_id}", claim.academy_id, now, detail
        )
        append_audit(db, entry)
    return len(claim.events)
