"""Records opened with a reason, and records locked to some people. The rights only: their reasons are in the audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Lock, Opening, Role
from appliance.store.connection import from_text, to_text

_HOLDERS = (Role.DSL, Role.DEPUTY_DSL)
"""Who at the academy can work with a locked record, beside the trust's lead: a lock none of whose named people is one
of these any more falls to the DSLs."""


@dataclass(frozen=True, slots=True)
class StoredLock:
    """A lock with the names a person needs. kind: "pupil" or "concern". names: of the people it is open to."""

    id: str
    academy_id: str
    kind: str
    subject_id: str
    locked_by: str
    locked_by_name: str
    locked_at: datetime
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordPart:
    """A pupil, an event or a concern by its id alone, as one who may ask for it knows it.

    pupil_ids: the pupils it is of; none for an event that nobody is known for.
    """

    kind: str
    id: str
    academy_id: str
    pupil_ids: tuple[str, ...]


def insert_opening(
    db: Database, opening_id: str, staff_id: str, opening: Opening, opened_at: datetime, ends_at: datetime
) -> None:
    """Open one record to one person until a time."""
    db.conn.execute(
        "INSERT INTO record_opening (id, staff_id, academy_id, subject_id, opened_at, ends_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [opening_id, staff_id, opening.academy_id, opening.subject_id, to_text(opened_at), to_text(ends_at)],
    )


def select_openings(db: Database, staff_id: str, now: datetime) -> tuple[Opening, ...]:
    """The records that are open to a person now because they gave a reason."""
    rows = db.conn.execute(
        "SELECT DISTINCT academy_id, subject_id FROM record_opening WHERE staff_id = ? AND ends_at > ?",
        [staff_id, to_text(now)],
    )
    return tuple(Opening(*row) for row in rows)


def set_openings_ended(db: Database, subject_id: str, names: Sequence[str]) -> None:
    """End what has been opened of a record until now, except to some people: who is to go on must open it anew."""
    db.conn.execute(
        "UPDATE record_opening SET ends_at = opened_at WHERE subject_id = ?"
        f" AND staff_id NOT IN ({', '.join('?' for _ in names)})",
        [subject_id, *names],
    )


def get_opening_end(db: Database, staff_id: str, subject_id: str, now: datetime) -> datetime | None:
    """Until when a record is open to a person, if it is."""
    row = db.conn.execute(
        "SELECT max(ends_at) FROM record_opening WHERE staff_id = ? AND subject_id = ? AND ends_at > ?",
        [staff_id, subject_id, to_text(now)],
    ).fetchone()
    return from_text(row[0]) if row[0] else None


def insert_lock(
    db: Database, lock_id: str, academy_id: str, kind: str, subject_id: str, locked_by: str, now: datetime
) -> None:
    """Lock a pupil's record or a concern."""
    db.conn.execute(
        "INSERT INTO record_lock (id, academy_id, kind, subject_id, locked_by, locked_at) VALUES (?, ?, ?, ?, ?, ?)",
        [lock_id, academy_id, kind, subject_id, locked_by, to_text(now)],
    )


def insert_lock_name(db: Database, lock_id: str, staff_id: str) -> None:
    """Name a person to whom a locked record is open."""
    db.conn.execute(
        "INSERT INTO record_lock_name (lock_id, staff_id) VALUES (?, ?) ON CONFLICT DO NOTHING", [lock_id, staff_id]
    )


def set_unlocked(db: Database, lock_id: str, staff_id: str, now: datetime) -> None:
    """End a lock."""
    db.conn.execute(
        "UPDATE record_lock SET unlocked_by = ?, unlocked_at = ? WHERE id = ?", [staff_id, to_text(now), lock_id]
    )


def select_locks(db: Database, now: datetime) -> tuple[Lock, ...]:
    """Every lock in force on the box, as the rule about them needs it."""
    found: dict[str, tuple[str, str, set[str], bool]] = {}
    for lock_id, academy_id, subject_id, staff_id, held in db.conn.execute(
        "SELECT l.id, l.academy_id, l.subject_id, n.staff_id, EXISTS (SELECT 1 FROM staff_grant g JOIN staff s"
        " ON s.id = g.staff_id WHERE g.staff_id = n.staff_id AND s.disabled_at IS NULL"
        f" AND ((g.academy_id = l.academy_id AND g.role IN ({', '.join('?' for _ in _HOLDERS)}))"
        " OR (g.trust_id = a.trust_id AND g.role = ?))"
        " AND g.starts_at <= ? AND (g.ends_at IS NULL OR g.ends_at > ?))"
        " FROM record_lock l JOIN record_lock_name n ON n.lock_id = l.id JOIN academy a ON a.id = l.academy_id"
        " WHERE l.unlocked_at IS NULL",
        [*_HOLDERS, Role.TRUST_LEAD, to_text(now), to_text(now)],
    ):
        _, _, names, was_held = found.get(lock_id, (academy_id, subject_id, set(), False))
        found[lock_id] = (academy_id, subject_id, names | {staff_id}, was_held or bool(held))
    return tuple(Lock(academy, subject, frozenset(names), held) for academy, subject, names, held in found.values())


def get_lock(db: Database, subject_id: str) -> StoredLock | None:
    """The lock on a pupil's record or a concern, if it is locked."""
    row = db.conn.execute(
        "SELECT l.id, l.academy_id, l.kind, l.subject_id, l.locked_by, s.name, l.locked_at FROM record_lock l"
        " JOIN staff s ON s.id = l.locked_by WHERE l.subject_id = ? AND l.unlocked_at IS NULL",
        [subject_id],
    ).fetchone()
    if row is None:
        return None
    names = db.conn.execute(
        "SELECT s.name FROM record_lock_name n JOIN staff s ON s.id = n.staff_id WHERE n.lock_id = ? ORDER BY s.name",
        [row[0]],
    )
    found_id, academy_id, of_kind, of_id, by_id, by_name, locked_at = row
    return StoredLock(
        found_id, academy_id, of_kind, of_id, by_id, by_name, from_text(locked_at), tuple(name for (name,) in names)
    )


def select_lock_name_ids(db: Database, lock_id: str) -> list[str]:
    """The staff whom a lock names."""
    rows = db.conn.execute("SELECT staff_id FROM record_lock_name WHERE lock_id = ? ORDER BY staff_id", [lock_id])
    return [row[0] for row in rows]


def is_named(db: Database, lock_id: str, staff_id: str) -> bool:
    """Whether a lock names a person."""
    query = "SELECT 1 FROM record_lock_name WHERE lock_id = ? AND staff_id = ?"
    return db.conn.execute(query, [lock_id, staff_id]).fetchone() is not None


def get_part(db: Database, kind: str, part_id: str) -> RecordPart | None:
    """A record by its id alone, where the person may ask for it to be opened."""
    rows = db.conn.execute(
        "SELECT academy_id, pupil_id FROM record_part WHERE kind = ? AND id = ?", [kind, part_id]
    ).fetchall()
    if not rows or kind == "evidence":
        return None
    return RecordPart(kind, part_id, rows[0][0], tuple(row[1] for row in rows if row[1] is not None))


def select_concern_ids(db: Database, event_id: str) -> list[str]:
    """The concerns that an event is evidence of, by id alone, where the person may ask for them to be opened."""
    rows = db.conn.execute("SELECT pupil_id FROM record_part WHERE kind = 'evidence' AND id = ?", [event_id])
    return [row[0] for row in rows]
