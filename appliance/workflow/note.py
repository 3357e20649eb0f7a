"""Noting what is neither a change nor a look at one thing: a copy taken out of the box, a page that was refused."""

from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, places_of
from appliance.safeguarding.audit import AuditEntry, Detail
from appliance.store.audit import append_audit
from appliance.store.connection import transaction

_LONGEST_PATH = 200


def note_export(
    db: Database, actor: Actor, what: str, rows: int, cut: bool, academy_id: str | None, now: datetime
) -> None:
    """Record that the actor took a copy of something out of the box as a file, how many rows it had, and whether there
    were more than it could hold."""
    with transaction(db):
        detail: Detail = {"what": what, "rows": rows, "cut": int(cut)}
        subject, places = f"export:{what}", places_of(actor)
        append_audit(db, AuditEntry(actor.staff_id, "export:made", subject, academy_id, now, detail, places))


def note_refusal(db: Database, actor: Actor, method: str, path: str, now: datetime) -> None:
    """Record that the actor asked for what is not theirs. path: without its query, which may hold words."""
    with transaction(db):
        detail: Detail = {"asked": f"{method} {path}"[:_LONGEST_PATH]}
        subject, places = f"staff:{actor.staff_id}", places_of(actor)
        append_audit(db, AuditEntry(actor.staff_id, "access:refused", subject, None, now, detail, places))
