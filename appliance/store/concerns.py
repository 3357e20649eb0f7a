"""Concerns on pupils' records, with the actions under them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.concern import Closure, ConcernState, NewAction, NewConcern
from appliance.safeguarding.severity import Category, Severity
from appliance.store.connection import from_text, to_text
from appliance.store.referrals import select_referrals


@dataclass(frozen=True, slots=True)
class StoredConcern:
    """A concern as it stands."""

    id: str
    academy_id: str
    academy_name: str
    category: Category
    level: Severity
    summary: str
    facts: str
    child_words: str
    opinion: str
    state: ConcernState
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str | None
    decision: str | None
    reason: str | None
    outcome: str | None
    pupil_names: str


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action under a concern."""

    id: str
    concern_id: str
    text: str
    owner_name: str
    due_on: date | None
    done_at: datetime | None
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event that a concern rests on, with the hash of its capture at the time it was linked."""

    event_id: str
    capture_sha256: str | None


def _time(text: str | None) -> datetime | None:
    return from_text(text) if text else None


def insert_concern(db: Database, academy_id: str, concern: NewConcern, opened_by: str, now: datetime) -> None:
    """Put a concern on the record."""
    db.conn.execute(
        "INSERT INTO scoped_concern (id, academy_id, category, level, summary, facts, child_words, opinion, state,"
        " opened_at, opened_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            concern.id,
            academy_id,
            concern.category,
            concern.level,
            concern.summary.strip(),
            concern.facts.strip(),
            concern.child_words.strip(),
            concern.opinion.strip(),
            ConcernState.OPEN,
            to_text(now),
            opened_by,
        ],
    )


def insert_concern_pupil(db: Database, row_id: str, concern_id: str, pupil_id: str, academy_id: str) -> None:
    """Put a pupil's name to a concern."""
    db.conn.execute(
        "INSERT INTO scoped_concern_pupil (id, concern_id, pupil_id, academy_id) VALUES (?, ?, ?, ?)",
        [row_id, concern_id, pupil_id, academy_id],
    )


def insert_concern_event(
    db: Database, row_id: str, concern_id: str, event_id: str, academy_id: str, capture_sha256: str | None
) -> None:
    """Carry an event over as evidence."""
    db.conn.execute(
        "INSERT INTO scoped_concern_event (id, concern_id, event_id, academy_id, capture_sha256)"
        " VALUES (?, ?, ?, ?, ?)",
        [row_id, concern_id, event_id, academy_id, capture_sha256],
    )


_CONCERN = """
    SELECT c.*, a.short_name AS academy_name, o.name AS opened_name, x.name AS closed_name,
    (SELECT group_concat(p.forename || ' ' || p.surname, ', ') FROM scoped_concern_pupil cp
     JOIN scoped_pupil p ON p.id = cp.pupil_id WHERE cp.concern_id = c.id) AS pupil_names
    FROM scoped_concern c JOIN academy a ON a.id = c.academy_id JOIN staff o ON o.id = c.opened_by
    LEFT JOIN staff x ON x.id = c.closed_by
"""


def _concern(row: dict[str, Any]) -> StoredConcern:
    return StoredConcern(
        row["id"],
        row["academy_id"],
        row["academy_name"],
        Category(row["category"]),
        Severity(row["level"]),
        row["summary"],
        row["facts"],
        row["child_words"],
        row["opinion"],
        ConcernState(row["state"]),
        from_text(row["opened_at"]),
        row["opened_name"],
        _time(row["closed_at"]),
        row["closed_name"],
        row["decision"],
        row["reason"],
        row["outcome"],
        row["pupil_names"] or "No pupil named",
    )


def get_concern(db: Database, concern_id: str) -> StoredConcern | None:
    """A concern in scope."""
    return next((_concern(row) for row in db.query(f"{_CONCERN} WHERE c.id = ?", [concern_id])), None)


def select_concerns_of_pupil(db: Database, pupil_id: str) -> list[StoredConcern]:
    """The concerns that name a pupil, newest first."""
    return [
        _concern(row)
        for row in db.query(
            f"{_CONCERN} WHERE c.id IN (SELECT concern_id FROM scoped_concern_pupil WHERE pupil_id = ?)"
            " ORDER BY c.opened_at DESC",
            [pupil_id],
        )
    ]


def select_open_concerns(db: Database, limit: int = 50) -> list[StoredConcern]:
    """Open concerns in scope, newest first."""
    return [
        _concern(row)
        for row in db.query(f"{_CONCERN} WHERE c.state = 'open' ORDER BY c.opened_at DESC LIMIT ?", [limit])
    ]


def count_open_concerns(db: Database) -> int:
    """How many concerns in scope are open."""
    return int(db.conn.execute("SELECT count(*) FROM scoped_concern WHERE state = 'open'").fetchone()[0])


def select_pupil_ids(db: Database, concern_id: str) -> list[str]:
    """The pupils a concern names."""
    return [
        row[0]
        for row in db.conn.execute("SELECT pupil_id FROM scoped_concern_pupil WHERE concern_id = ?", [concern_id])
    ]


def select_evidence(db: Database, concern_ids: Sequence[str]) -> dict[str, list[Evidence]]:
    """The events that concerns rest on, by concern."""
    found: dict[str, list[Evidence]] = {one: [] for one in concern_ids}
    marks = ", ".join("?" for _ in concern_ids)
    for row in db.query(
        f"SELECT concern_id, event_id, capture_sha256 FROM scoped_concern_event WHERE concern_id IN ({marks})",
        list(concern_ids),
    ):
        found[row["concern_id"]].append(Evidence(row["event_id"], row["capture_sha256"]))
    return found


def get_concern_of_event(db: Database, event_id: str) -> str | None:
    """The concern that an event is evidence for, if it is in scope."""
    row = db.conn.execute("SELECT concern_id FROM scoped_concern_event WHERE event_id = ?", [event_id]).fetchone()
    return str(row[0]) if row else None


def set_concern_closed(db: Database, concern_id: str, closure: Closure, closed_by: str, now: datetime) -> None:
    """Close a concern."""
    db.conn.execute(
        "UPDATE scoped_concern SET state = 'closed', closed_at = ?, closed_by = ?, decision = ?, reason = ?,"
        " outcome = ?, indexed_at = NULL WHERE id = ?",
        [
            to_text(now),
            closed_by,
            closure.decision.strip(),
            closure.reason.strip(),
            closure.outcome.strip(),
            concern_id,
        ],
    )


def set_concern_unindexed(db: Database, concern_id: str) -> None:
    """Have the search index take in a concern again."""
    db.conn.execute("UPDATE scoped_concern SET indexed_at = NULL WHERE id = ?", [concern_id])


def insert_action(
    db: Database, concern_id: str, academy_id: str, action: NewAction, recorded_by: str, now: datetime
) -> None:
    """Put an action under a concern."""
    db.conn.execute(
        "INSERT INTO scoped_action (id, concern_id, academy_id, text, owner_id, due_on, done_at, recorded_at,"
        " recorded_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            action.id,
            concern_id,
            academy_id,
            action.text.strip(),
            action.owner_id,
            action.due_on.isoformat() if action.due_on else None,
            to_text(action.done_at) if action.done_at else None,
            to_text(now),
            recorded_by,
        ],
    )


def set_action_done(db: Database, action_id: str, now: datetime) -> None:
    """Note that an action is done."""
    db.conn.execute("UPDATE scoped_action SET done_at = ? WHERE id = ?", [to_text(now), action_id])


def get_action(db: Database, action_id: str) -> StoredAction | None:
    """An action in scope."""
    return next(iter(_actions(db, "x.id = ?", [action_id])), None)


def select_actions(db: Database, concern_ids: Sequence[str]) -> list[StoredAction]:
    """The actions under some concerns, oldest first."""
    return _actions(db, f"x.concern_id IN ({', '.join('?' for _ in concern_ids)})", list(concern_ids))


def select_open_actions(db: Database, limit: int = 50) -> list[StoredAction]:
    """Actions in scope that are not done, soonest due first."""
    return _actions(db, f"x.done_at IS NULL ORDER BY x.due_on LIMIT {int(limit)}", [])


def _actions(db: Database, where: str, params: list[str]) -> list[StoredAction]:
    order = "" if "ORDER BY" in where else "ORDER BY x.recorded_at, x.id"
    return [
        StoredAction(
            row["id"],
            row["concern_id"],
            row["text"],
            row["owner_name"],
            date.fromisoformat(row["due_on"]) if row["due_on"] else None,
            _time(row["done_at"]),
            from_text(row["recorded_at"]),
            row["recorder_name"],
        )
        for row in db.query(
            "SELECT x.*, o.name AS owner_name, r.name AS recorder_name FROM scoped_action x"
            f" JOIN staff o ON o.id = x.owner_id JOIN staff r ON r.id = x.recorded_by WHERE {where} {order}",
            params,
        )
    ]


@dataclass(frozen=True, slots=True)
class IndexableConcern:
    """What the search index takes of a concern: everything written under it."""

    id: str
    academy_id: str
    opened_at: datetime
    category: Category
    level: Severity
    text: str


def claim_unindexed_concerns(db: Database, limit: int = 50) -> list[IndexableConcern]:
    """Concerns that the index does not hold as they are now, marked as being taken in; as claim_unindexed_events."""
    found = []
    for row in list(db.query(f"{_CONCERN} WHERE c.indexed_at IS NULL LIMIT ?", [limit])):
        concern = _concern(row)
        parts = [concern.pupil_names, concern.summary, concern.facts, concern.child_words, concern.opinion]
        parts += [concern.decision or "", concern.reason or "", concern.outcome or ""]
        parts += [action.text for action in select_actions(db, [concern.id])]
        for referral in select_referrals(db, [concern.id]):
            parts += [referral.reason, referral.reference, referral.spoken_to, referral.outcome or ""]
        found.append(
            IndexableConcern(
                concern.id, concern.academy_id, concern.opened_at, concern.category, concern.level, "\n".join(parts)
            )
        )
    db.conn.executemany("UPDATE concern SET indexed_at = '' WHERE id = ?", [(concern.id,) for concern in found])
    return found


def set_concerns_indexed(db: Database, concern_ids: Sequence[str], at: datetime) -> None:
    """Note that the index holds these concerns, except those that changed since they were claimed."""
    db.conn.executemany(
        "UPDATE concern SET indexed_at = ? WHERE id = ? AND indexed_at = ''",
        [(to_text(at), one) for one in concern_ids],
    )


def set_all_concerns_unindexed(db: Database, only_unfinished: bool) -> None:
    """Have the index take in every concern again, or only those that an interrupted indexer left half done."""
    db.conn.execute("UPDATE concern SET indexed_at = NULL" + (" WHERE indexed_at = ''" if only_unfinished else ""))
