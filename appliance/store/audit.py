"""Appending to the audit trail, and reading it back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.audit import AuditEntry, ChainFault, chain_hash, detail_text, find_fault
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as the audit page shows it."""

    seq: int
    at: datetime
    actor_id: str
    actor_name: str
    kind: str
    subject: str
    academy_id: str | None
    detail: str


def append_audit(db: Database, entry: AuditEntry) -> None:
    """Chain one entry on. Must be called inside transaction(), beside the change it speaks of."""
    if not db.conn.in_transaction:
        raise RuntimeError("an audit entry is written in the transaction of the change it speaks of")
    seq, previous = db.conn.execute("SELECT seq + 1, hash FROM audit_head").fetchone()
    at, detail = to_text(entry.at), detail_text(entry.detail)
    digest = chain_hash(previous, seq, at, entry.actor_id, entry.kind, entry.subject, entry.academy_id, detail)
    db.conn.execute(
        "INSERT INTO audit (seq, at, actor_id, kind, subject, academy_id, detail, previous_hash, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [seq, at, entry.actor_id, entry.kind, entry.subject, entry.academy_id, detail, previous, digest],
    )
    db.conn.execute("UPDATE audit_head SET seq = ?, hash = ?", [seq, digest])


def get_head(db: Database) -> tuple[int, str]:
    """The number and hash of the last entry."""
    seq, digest = db.conn.execute("SELECT seq, hash FROM audit_head").fetchone()
    return seq, digest


def check_chain(db: Database) -> ChainFault | None:
    """The first broken place of the whole chain, or None. Needs a system connection."""
    return find_fault(_rows(db), get_head(db))


def _rows(db: Database) -> Iterator[Mapping[str, object]]:
    yield from db.query("SELECT * FROM audit ORDER BY seq")


def select_audit(db: Database, limit: int = 200, subject: str | None = None) -> list[AuditRow]:
    """The newest entries in scope, newest first; of one subject when given."""
    rows = db.query(
        "SELECT a.*, coalesce(s.name, a.actor_id) AS actor_name FROM scoped_audit a"
        " LEFT JOIN staff s ON s.id = a.actor_id"
        " WHERE :subject IS NULL OR a.subject = :subject ORDER BY a.seq DESC LIMIT :limit",
        {"limit": limit, "subject": subject},
    )
    return [
        AuditRow(
            row["seq"],
            from_text(row["at"]),
            row["actor_id"],
            row["actor_name"],
            row["kind"],
            row["subject"],
            row["academy_id"],
            row["detail"],
        )
        for row in rows
    ]
