"""Looking, which is recorded too: a record opened, a screenshot revealed, a search made, a sign-in."""

from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, require
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.event import Capture
from appliance.store import captures, events, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


def note_look(db: Database, actor: Actor, kind: str, subject: str, academy_id: str | None, now: datetime) -> None:
    """Record that the actor looked at something ("pupil:viewed", "pupil:…")."""
    with transaction(db):
        append_audit(db, AuditEntry(actor.staff_id, kind, subject, academy_id, now))


def note_search(db: Database, actor: Actor, results: int, now: datetime) -> None:
    """Record that the actor searched, and how much was found. The words are not kept: they may name a pupil."""
    with transaction(db):
        append_audit(db, AuditEntry(actor.staff_id, "record:searched", "search", None, now, {"results": results}))


def reveal_capture(
    db: Database, vault: captures.CaptureVault, actor: Actor, event_id: str, now: datetime
) -> tuple[Capture, bytes]:
    """The capture of an event, opened for the actor, on the audit trail before it is shown.

    Raises NotAllowedError when there is none in reach, CaptureDamagedError when its file does not open.
    """
    event = events.get_event(db, event_id)
    capture = captures.get_capture(db, event_id)
    if event is None or capture is None:
        raise NotAllowedError(f"capture of event {event_id}")
    require(actor, Permission.CAPTURE_REVEAL, event.academy_id)
    image = vault.open(capture.sha256)
    with transaction(db):
        entry = AuditEntry(actor.staff_id, "capture:revealed", f"event:{event_id}", event.academy_id, now)
        append_audit(db, entry)
    return capture, image


def note_sign_in(db: Database, staff_id: str | None, now: datetime) -> None:
    """Record a sign-in, or a failed one (no staff id: who tried is not known)."""
    with transaction(db):
        if staff_id is None:
            append_audit(db, AuditEntry("nobody", "staff:sign_in_failed", "sign-in", None, now))
        else:
            append_audit(db, AuditEntry(staff_id, "staff:signed_in", f"staff:{staff_id}", None, now))


def note_sign_out(db: Database, actor: Actor, now: datetime) -> None:
    """Record a sign-out."""
    if people.get_staff(db, actor.staff_id) is not None:
        with transaction(db):
            entry = AuditEntry(actor.staff_id, "staff:signed_out", f"staff:{actor.staff_id}", None, now)
            append_audit(db, entry)
