"""Appending to the audit trail, and reading it back."""

import json
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
    told = None if entry.academy_id is not None else entry.places or _trusts_of(db, entry)
    places = None if told is None else json.dumps(sorted(told))
    columns = (entry.actor_id, entry.kind, entry.subject, entry.academy_id, detail)
    digest = chain_hash(previous, seq, at, *columns, places)
    db.conn.execute(
        "INSERT INTO audit (seq, at, actor_id, kind, subject, academy_id, detail, places, previous_hash, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [seq, at, *columns, places, previous, digest],
    )
    db.conn.execute("UPDATE audit_head SET seq = ?, hash = ?", [seq, digest])


def _trusts_of(db: Database, entry: AuditEntry) -> list[str]:
    """The trusts that an entry without an academy belongs to: the one it speaks of; else where the one who did it has a
    role at that time; else, for what the box or nobody known did, where the person it was done to has one."""
    if trust := entry.detail.get("trust"):
        return [str(trust)]
    kind, _, subject_id = entry.subject.partition(":")
    if kind == "trust":
        return [subject_id]
    for staff_id in (entry.actor_id, subject_id if kind == "staff" else ""):
        rows = db.conn.execute(
            "SELECT DISTINCT coalesce(g.trust_id, a.trust_id) FROM staff_grant g"
            " LEFT JOIN academy a ON a.id = g.academy_id"
            " WHERE g.staff_id = :staff AND g.starts_at <= :at AND (g.ends_at IS NULL OR g.ends_at > :at)",
            {"staff": staff_id, "at": to_text(entry.at)},
        ).fetchall()
        if rows:
            return [row[0] for row in rows]
    return []


def get_head(db: Database) -> tuple[int, str]:
    """The number and hash of the last entry."""
    seq, digest = db.conn.execute("SELECT seq, hash FROM audit_head").fetchone()
    return seq, digest


def check_chain(db: Database) -> ChainFault | None:
    """The first broken place of the whole chain, or None. Needs a system connection."""
    return find_fault(_rows(db), get_head(db))


def _rows(db: Database) -> Iterator[Mapping[str, object]]:
    yield from db.query("SELECT * FROM audit ORDER BY seq")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries to show. person: who did it, or whom it was done to. pupil_id: everything of one pupil's record.

    begin, end: from when until before when. before: only entries with a smaller number, for the next page.
    """

    person_id: str | None = None
    pupil_id: str | None = None
    begin: datetime | None = None
    end: datetime | None = None
    before: int | None = None


_OF_PUPIL = """
    a.subject IN (SELECT kind || ':' || id FROM scoped_audit_subject WHERE pupil_id = :pupil)
"""


def select_audit(db: Database, limit: int = 200, wanted: AuditFilter | None = None) -> list[AuditRow]:
    """The newest entries in scope that are wanted, newest first."""
    wanted = wanted or AuditFilter()
    tests = {
        "(a.actor_id = :person OR a.subject = 'staff:' || :person)": wanted.person_id,
        _OF_PUPIL: wanted.pupil_id,
        "a.at >= :begin": wanted.begin,
        "a.at < :end": wanted.end,
        "a.seq < :before": wanted.before,
    }
    where = " AND ".join(test for test, value in tests.items() if value is not None) or "1"
    # names are looked up for the page's rows only
    rows = db.query(
        "SELECT f.*, coalesce(s.name, f.actor_id) AS actor_name FROM"
        f" (SELECT a.* FROM scoped_audit a WHERE {where} ORDER BY a.seq DESC LIMIT :limit) f"
        " LEFT JOIN staff s ON s.id = f.actor_id ORDER BY f.seq DESC",
        {
            "limit": limit,
            "person": wanted.person_id,
            "pupil": wanted.pupil_id,
            "begin": to_text(wanted.begin) if wanted.begin else None,
            "end": to_text(wanted.end) if wanted.end else None,
            "before": wanted.before,
        },
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
