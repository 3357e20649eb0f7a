"""Grants: who holds which role where, and since and until when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.access import Grant, Role
from appliance.store.connection import from_text, to_text
from appliance.store.people import Staff


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant with the names a person needs. place: the academy's or the trust's name."""

    id: str
    staff_id: str
    grant: Grant
    place: str
    starts_at: datetime
    ends_at: datetime | None

    def is_over(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.ends_at is not None and self.ends_at <= now

    def in_force(self, now: datetime) -> bool:
        """Whether it counts now."""
        return self.starts_at <= now and not self.is_over(now)


_REACHED = """
    (g.academy_id IN (SELECT value FROM json_each(scope('staff:view')))
     OR g.trust_id IN (SELECT trust_id FROM academy WHERE id IN (SELECT value FROM json_each(scope('staff:view')))))
"""
_GRANT = """
    SELECT g.*, coalesce(a.name, t.name) AS place FROM staff_grant g
    LEFT JOIN academy a ON a.id = g.academy_id LEFT JOIN trust t ON t.id = g.trust_id
"""


def _grant(row: dict[str, Any]) -> StoredGrant:
    return StoredGrant(
        row["id"],
        row["staff_id"],
        Grant(Role(row["role"]), row["trust_id"], row["academy_id"]),
        row["place"],
        from_text(row["starts_at"]),
        from_text(row["ends_at"]) if row["ends_at"] else None,
    )


def select_staff_in_reach(db: Database) -> list[Staff]:
    """The people who hold or held a role at an academy in scope, or at its trust, by name; switched off or not."""
    rows = db.conn.execute(
        "SELECT s.id, s.name, s.email, s.disabled_at IS NOT NULL FROM staff s WHERE EXISTS"
        f" (SELECT 1 FROM staff_grant g WHERE g.staff_id = s.id AND {_REACHED}) ORDER BY s.name, s.id"
    )
    return [Staff(row[0], row[1], row[2], bool(row[3])) for row in rows]


def select_grants_in_reach(db: Database, staff_id: str | None = None) -> list[StoredGrant]:
    """The grants at academies in scope, or at their trusts, newest first; of one person when given."""
    rows = db.query(
        f"{_GRANT} WHERE {_REACHED} AND (:staff IS NULL OR g.staff_id = :staff) ORDER BY g.starts_at DESC, g.id",
        {"staff": staff_id},
    )
    return [_grant(row) for row in rows]


def select_grants_of(db: Database, staff_id: str) -> list[StoredGrant]:
    """All of a person's grants, wherever they are: for deciding, not for showing."""
    return [_grant(row) for row in db.query(f"{_GRANT} WHERE g.staff_id = ?", [staff_id])]


def get_grant(db: Database, grant_id: str) -> StoredGrant | None:
    """A grant by its id."""
    return next((_grant(row) for row in db.query(f"{_GRANT} WHERE g.id = ?", [grant_id])), None)


def insert_grant(
    db: Database, grant_id: str, staff_id: str, grant: Grant, starts_at: datetime, ends_at: datetime | None = None
) -> None:
    """Give a person a role from one time on, or until another."""
    db.conn.execute(
        "INSERT INTO staff_grant (id, staff_id, role, trust_id, academy_id, starts_at, ends_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            grant_id,
            staff_id,
            grant.role,
            grant.trust_id,
            grant.academy_id,
            to_text(starts_at),
            to_text(ends_at) if ends_at else None,
        ],
    )


def has_lead(db: Database, trust_id: str, now: datetime) -> bool:
    """Whether somebody whose account is not switched off is, or will be, a trust's safeguarding lead."""
    row = db.conn.execute(
        "SELECT 1 FROM staff_grant g JOIN staff s ON s.id = g.staff_id WHERE g.trust_id = ? AND g.role = ?"
        " AND s.disabled_at IS NULL AND (g.ends_at IS NULL OR g.ends_at > ?)",
        [trust_id, Role.TRUST_LEAD, to_text(now)],
    ).fetchone()
    return row is not None


def set_grant_ended(db: Database, grant_id: str, now: datetime) -> None:
    """End a grant now; one that has not begun never does."""
    db.conn.execute(
        "UPDATE staff_grant SET ends_at = ?, starts_at = min(starts_at, ?) WHERE id = ?",
        [to_text(now), to_text(now), grant_id],
    )
