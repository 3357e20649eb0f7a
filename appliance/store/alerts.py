"""Escalations: who was told about which event, whether the message went out, and who answered."""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.escalation import Escalation
from appliance.safeguarding.severity import Severity
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class StoredEscalation:
    """An escalation with the names a person needs."""

    id: str
    event_id: str
    academy_id: str
    academy_name: str
    staff_id: str
    staff_name: str
    staff_email: str
    level: Severity
    raised_at: datetime
    due_at: datetime
    sent_at: datetime | None
    attempts: int
    failure: str | None
    acknowledged_at: datetime | None


_COLUMNS = """
    SELECT x.*, a.short_name AS academy_name, s.name AS staff_name, s.email AS staff_email FROM scoped_escalation x
    JOIN academy a ON a.id = x.academy_id JOIN staff s ON s.id = x.staff_id
"""


def _select(db: Database, rest: str, params: dict[str, object]) -> list[StoredEscalation]:
    return [
        StoredEscalation(
            row["id"],
            row["event_id"],
            row["academy_id"],
            row["academy_name"],
            row["staff_id"],
            row["staff_name"],
            row["staff_email"],
            Severity(row["level"]),
            from_text(row["raised_at"]),
            from_text(row["due_at"]),
            from_text(row["sent_at"]) if row["sent_at"] else None,
            row["attempts"],
            row["failure"],
            from_text(row["acknowledged_at"]) if row["acknowledged_at"] else None,
        )
        for row in db.query(f"{_COLUMNS} {rest}", params)
    ]


def insert_escalation(db: Database, escalation_id: str, escalation: Escalation) -> bool:
    """Raise an escalation; False when this person was already told about this event at this level."""
    known = db.conn.execute(
        "SELECT 1 FROM scoped_escalation WHERE event_id = ? AND staff_id = ? AND level = ?",
        [escalation.event_id, escalation.staff_id, escalation.level],
    ).fetchone()
    if known:
        return False
    raised = to_text(escalation.raised_at)
    db.conn.execute(
        "INSERT INTO scoped_escalation (id, event_id, academy_id, staff_id, level, raised_at, due_at, attempts,"
        " next_try_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
        [
            escalation_id,
            escalation.event_id,
            escalation.academy_id,
            escalation.staff_id,
            escalation.level,
            raised,
            to_text(escalation.due_at),
            raised,
        ],
    )
    return True


def select_unsent(db: Database, now: datetime, limit: int = 20) -> list[StoredEscalation]:
    """Escalations whose message is due to be sent, most serious first. System connections only."""
    return _select(
        db,
        "WHERE x.sent_at IS NULL AND x.next_try_at <= :now ORDER BY x.level DESC, x.raised_at LIMIT :limit",
        {"now": to_text(now), "limit": limit},
    )


def set_sent(db: Database, escalation_id: str, now: datetime) -> None:
    """Note that the message went out."""
    db.conn.execute(
        "UPDATE escalation SET sent_at = ?, attempts = attempts + 1, failure = NULL WHERE id = ?",
        [to_text(now), escalation_id],
    )


def set_failed(db: Database, escalation_id: str, failure: str, next_try_at: datetime) -> None:
    """Note that a try to send failed, why, and when to try again."""
    db.conn.execute(
        "UPDATE escalation SET attempts = attempts + 1, failure = ?, next_try_at = ? WHERE id = ?",
        [failure, to_text(next_try_at), escalation_id],
    )


def set_acknowledged(db: Database, event_id: str, staff_id: str, now: datetime) -> None:
    """Note that a person has seen an event they were told about."""
    db.conn.execute(
        "UPDATE scoped_escalation SET acknowledged_at = ?"
        " WHERE event_id = ? AND staff_id = ? AND acknowledged_at IS NULL",
        [to_text(now), event_id, staff_id],
    )


def select_open_for(db: Database, staff_id: str) -> list[StoredEscalation]:
    """What one person was told and has not acknowledged, soonest due first."""
    return _select(db, "WHERE x.staff_id = :staff AND x.acknowledged_at IS NULL ORDER BY x.due_at", {"staff": staff_id})


def select_of_event(db: Database, event_id: str) -> list[StoredEscalation]:
    """Everyone who was told about an event."""
    return _select(db, "WHERE x.event_id = :event ORDER BY x.raised_at, s.name", {"event": event_id})
