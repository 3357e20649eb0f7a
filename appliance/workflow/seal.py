"""Sealing a capture for good: what it shows is shown to nobody again, and the audit trail says since when and why."""

from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.store import captures
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


def seal_capture(db: Database, sha256: str, reason: str, now: datetime) -> int:
    """Seal every capture with these bytes, at whatever event. Returns how many were not sealed before."""
    with transaction(db):
        sealed = captures.seal_capture_rows(db, sha256, reason, now)
        for event_id, academy_id in sealed:
            detail = {"reason": reason, "capture": sha256}
            append_audit(db, AuditEntry(SYSTEM, "capture:sealed", f"event:{event_id}", academy_id, now, detail))
    return len(sealed)
