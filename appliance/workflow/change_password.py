"""Changing one's own password, and ending what it had opened elsewhere."""

from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.sign_in import Session
from appliance.store import credentials, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.credentials import CredentialError, hash_password, password_is, require_good_password
from appliance.workflow.sign_in import end_all_within


def change_password(db: Database, session: Session, old: str, new: str, now: datetime) -> None:
    """Change one's own password in this session, which goes on; all others end with it. Raises CredentialError."""
    staff_id = session.staff_id
    stored, person = credentials.get_own_password_hash(db, staff_id), people.get_staff(db, staff_id)
    if person is None or stored is None:
        raise CredentialError("You sign in without a password here, so there is none to change.")
    if not password_is(stored, old):
        raise CredentialError("That is not your password now. Check it and try again.")
    if new == old:
        raise CredentialError("The new password is the old one. Choose another.")
    require_good_password(new, (person.name, person.email))
    hashed = hash_password(new)
    with transaction(db):
        credentials.set_password_hash(db, staff_id, hashed)
        append_audit(db, AuditEntry(staff_id, "password:changed", f"staff:{staff_id}", None, now))
        end_all_within(db, staff_id, "password changed", now, but=session.id)
