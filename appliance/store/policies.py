"""Issued policies, each with its number and the envelope that devices get."""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.policy import Policy
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class IssuedPolicy:
    """A policy as it was issued, without its words."""

    academy_id: str
    number: int
    version: str
    issued_at: datetime
    expires_at: datetime


def insert_policy(db: Database, policy_id: str, policy: Policy, envelope: str, issued_by: str) -> None:
    """Keep an issued policy. envelope: JSON text, signed."""
    db.conn.execute(
        "INSERT INTO policy (id, academy_id, number, version, envelope, issued_at, expires_at, issued_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            policy_id,
            policy.academy_id,
            policy.number,
            policy.version,
            envelope,
            to_text(policy.issued_at),
            to_text(policy.expires_at),
            issued_by,
        ],
    )


def get_policy_number(db: Database, academy_id: str) -> int:
    """The number of the policy in force; 0 before the first."""
    row = db.conn.execute("SELECT max(number) FROM scoped_policy WHERE academy_id = ?", [academy_id]).fetchone()
    return int(row[0] or 0)


def get_policy_envelope(db: Database, academy_id: str) -> tuple[int, str] | None:
    """Number and envelope of the policy in force; None where there is none yet."""
    row = db.conn.execute(
        "SELECT number, envelope FROM scoped_policy WHERE academy_id = ? ORDER BY number DESC LIMIT 1", [academy_id]
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else None


def select_policies(db: Database, issued_before: datetime | None = None) -> dict[str, IssuedPolicy]:
    """The policy in force at each academy in scope; or the one that was, at an earlier time."""
    rows = db.conn.execute(
        "SELECT academy_id, max(number), version, issued_at, expires_at FROM scoped_policy"
        " WHERE ? IS NULL OR issued_at <= ? GROUP BY academy_id",
        [to_text(issued_before) if issued_before else None] * 2,
    )
    return {row[0]: IssuedPolicy(row[0], row[1], row[2], from_text(row[3]), from_text(row[4])) for row in rows}
