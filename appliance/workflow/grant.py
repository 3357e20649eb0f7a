"""Giving people accounts, passwords and roles."""

from collections.abc import Callable
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlite_utils import Database

from appliance.safeguarding.access import Grant
from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.store import people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id at the cost of OWASP's Password Storage Cheat Sheet (2024: 19 MiB, 2 passes, 1 lane): some 30 ms. The larger
setting of RFC 9106 takes seven times as long, and at 08:45 a hundred people sign in."""

NOBODYS_HASH = _HASHER.hash("nobody has this password")
"""What to check a password against when there is no such account."""


def hash_password(password: str) -> str:
    """The string to keep for a password."""
    return _HASHER.hash(password)


def password_is(stored: str, password: str) -> bool:
    """Whether the password is the one that was hashed."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def add_staff(
    db: Database,
    staff: people.Staff,
    password: str | None,
    grants: list[Grant],
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    """Add a person with their roles. Needs a system connection."""
    with transaction(db):
        people.insert_staff(db, staff, hash_password(password) if password else None)
        append_audit(db, AuditEntry(SYSTEM, "staff:added", f"staff:{staff.id}", None, now))
        for grant in grants:
            people.insert_grant(db, new_id(), staff.id, grant, now)
            detail = {"role": grant.role, "trust": grant.trust_id, "academy": grant.academy_id}
            append_audit(db, AuditEntry(SYSTEM, "grant:given", f"staff:{staff.id}", grant.academy_id, now, detail))
