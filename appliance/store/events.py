"""Events: keeping them, claiming them for assessment, and the lists and pages made of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.event import Event, EventState
from appliance.safeguarding.severity import Category, Severity
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the box keeps it, with the names a person needs beside it."""

    id: str
    message_id: str
    academy_id: str
    academy_name: str
    device_id: str
    pupil_id: str | None
    pupil_name: str | None
    pupil_group: str | None
    pupil_flags: tuple[str, ...]
    account: str
    occurred_at: datetime
    received_at: datetime
    rule_id: str
    rule_category: Category
    trigger: str
    application: str
    window_title: str
    address: str
    typed: str
    context: tuple[str, ...]
    state: EventState
    state_reason: str | None
    category: Category
    level: Severity
    owed_at: datetime
    attempts: int
    assessed_at: datetime | None


_EVENT_COLUMNS = """
    e.id, e.message_id, e.academy_id, a.short_name AS academy_name, e.device_id, e.pupil_id,
    p.forename || ' ' || p.surname AS pupil_name, p.reg_group AS pupil_group, p.flags AS pupil_flags, e.account,
    e.occurred_at, e.received_at, e.rule_id, e.rule_category, e.trigger_words, e.application, e.window_title,
    e.address, e.typed, e.context, e.state, e.state_reason, e.category, e.level, e.owed_at, e.attempts, e.assessed_at
"""
_EVENT_FROM = "scoped_event e JOIN academy a ON a.id = e.academy_id LEFT JOIN scoped_pupil p ON p.id = e.pupil_id"


def _event(row: dict[str, Any]) -> StoredEvent:
    return StoredEvent(
        id=row["id"],
        message_id=row["message_id"],
        academy_id=row["academy_id"],
        academy_name=row["academy_name"],
        device_id=row["device_id"],
        pupil_id=row["pupil_id"],
        pupil_name=row["pupil_name"],
        pupil_group=row["pupil_group"],
        pupil_flags=tuple(json.loads(row["pupil_flags"] or "[]")),
        account=row["account"],
        occurred_at=from_text(row["occurred_at"]),
        received_at=from_text(row["received_at"]),
        rule_id=row["rule_id"],
        rule_category=Category(row["rule_category"]),
        trigger=row["trigger_words"],
        application=row["application"],
        window_title=row["window_title"],
        address=row["address"],
        typed=row["typed"],
        context=tuple(json.loads(row["context"])),
        state=EventState(row["state"]),
        state_reason=row["state_reason"],
        category=Category(row["category"]),
        level=Severity(row["level"]),
        owed_at=from_text(row["owed_at"]),
        attempts=row["attempts"],
        assessed_at=from_text(row["assessed_at"]) if row["assessed_at"] else None,
    )


def _select(db: Database, rest: str, params: dict[str, Any]) -> list[StoredEvent]:
    return [_event(row) for row in db.query(f"SELECT {_EVENT_COLUMNS} FROM {_EVENT_FROM} {rest}", params)]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the box adds to an event when it arrives: its own id, whose it is, and the rule's category."""

    event_id: str
    academy_id: str
    pupil_id: str | None
    rule_category: Category
    queue_epoch: str
    level: Severity
    owed_at: datetime


def is_known(db: Database, message_id: str) -> bool:
    """Whether an event with this message id was kept before."""
    return db.conn.execute("SELECT 1 FROM scoped_event WHERE message_id = ?", [message_id]).fetchone() is not None


def insert_event(db: Database, event: Event, origin: Origin, received_at: datetime) -> bool:
    """Keep an event as RECEIVED. False when its message id is already there: receiving twice is harmless."""
    if is_known(db, event.message_id):
        return False
    db.conn.execute(
        "INSERT INTO event (id, message_id, device_id, academy_id, pupil_id, account, queue_epoch, sequence,"
        " occurred_at, received_at, rule_id, rule_category, trigger_words, application, window_title, address, typed,"
        " context, state, category, level, owed_at, attempts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        [
            origin.event_id,
            event.message_id,
            event.device_id,
            origin.academy_id,
            origin.pupil_id,
            event.account,
            origin.queue_epoch,
            event.sequence,
            to_text(event.occurred_at),
            to_text(received_at),
            event.rule_id,
            origin.rule_category,
            event.trigger,
            event.application,
            event.window_title,
            event.address,
            event.typed,
            json.dumps(event.context, ensure_ascii=False),
            EventState.RECEIVED,
            Category.NONE,
            origin.level,
            to_text(origin.owed_at),
        ],
    )
    return True


def get_event(db: Database, event_id: str) -> StoredEvent | None:
    """One event in scope."""
    return next(iter(_select(db, "WHERE e.id = :id", {"id": event_id})), None)


_CLAIMABLE = "state = 'received' AND (retry_at IS NULL OR retry_at <= ?)"


def has_claimable(db: Database, now: datetime) -> bool:
    """Whether an event waits to be assessed. On a system connection."""
    return db.conn.execute(f"SELECT 1 FROM event WHERE {_CLAIMABLE} LIMIT 1", [to_text(now)]).fetchone() is not None


def claim_event(db: Database, worker: str, now: datetime, lease_until: datetime) -> str | None:
    """Take the oldest waiting event for a worker: RECEIVED becomes ASSESSING with a lease. Its id, or None.

    Call inside transaction().
    """
    row = db.conn.execute(
        f"SELECT id FROM event WHERE {_CLAIMABLE} ORDER BY received_at LIMIT 1", [to_text(now)]
    ).fetchone()
    if row is None:
        return None
    db.conn.execute(
        "UPDATE event SET state = 'assessing', worker = ?, lease_until = ?, attempts = attempts + 1 WHERE id = ?",
        [worker, to_text(lease_until), row[0]],
    )
    return str(row[0])


def select_lapsed(db: Database, now: datetime) -> list[tuple[str, int]]:
    """Events whose worker's lease ran out, with the number of tries so far."""
    rows = db.conn.execute(
        "SELECT id, attempts FROM event WHERE state = 'assessing' AND lease_until < ?", [to_text(now)]
    )
    return [(row[0], row[1]) for row in rows]


def select_held(db: Database, worker: str) -> list[str]:
    """Events that a worker has claimed and not finished."""
    rows = db.conn.execute("SELECT id FROM event WHERE state = 'assessing' AND worker = ?", [worker])
    return [row[0] for row in rows]


def set_event_state(db: Database, event_id: str, state: EventState, reason: str | None = None) -> None:
    """Change the state alone. The caller has checked EVENT_TRANSITIONS. The search index takes note."""
    db.conn.execute(
        "UPDATE scoped_event SET state = ?, state_reason = ?, indexed_at = NULL, worker = NULL, lease_until = NULL"
        " WHERE id = ?",
        [state, reason, event_id],
    )


def set_event_retry(db: Database, event_id: str, retry_at: datetime) -> None:
    """Have nobody claim the event before a time."""
    db.conn.execute("UPDATE scoped_event SET retry_at = ? WHERE id = ?", [to_text(retry_at), event_id])


def set_assessment(
    db: Database,
    event_id: str,
    state: EventState,
    category: Category,
    level: Severity,
    owed_at: datetime,
    assessed_at: datetime,
    reason: str | None,
) -> None:
    """Store where the machine leaves an event."""
    db.conn.execute(
        "UPDATE scoped_event SET state = ?, state_reason = ?, category = ?, level = ?, owed_at = ?, assessed_at = ?,"
        " indexed_at = NULL, worker = NULL, lease_until = NULL WHERE id = ?",
        [state, reason, category, level, to_text(owed_at), to_text(assessed_at), event_id],
    )


def set_grade(db: Database, event_id: str, state: EventState, category: Category, level: Severity) -> None:
    """Store what a moderator decided."""
    db.conn.execute(
        "UPDATE scoped_event SET state = ?, category = ?, level = ?, indexed_at = NULL WHERE id = ?",
        [state, category, level, event_id],
    )


def _select_first(db: Database, where: str, order: str, limit: int) -> list[StoredEvent]:
    """The first events in an order. Their ids are found in the list's own index before a row is read.

    SQLite takes the first of each academy in turn from the index; with the rows read first, a person with 90 academies
    waited 1.5 s for a page at a million events.
    """
    first = f"(SELECT id FROM scoped_event WHERE {where} ORDER BY {order} LIMIT :limit)"
    of_event = ", ".join(f"e.{column.strip()}" for column in order.split(","))
    return _select(db, f"WHERE e.id IN {first} ORDER BY {of_event}", {"limit": limit})


_ANY_STATE = "state <> ''"
"""True of every event. The index of the newest is made for it, so that SQLite takes it for no other list."""


def select_queue(db: Database, limit: int = 50) -> list[StoredEvent]:
    """Events that wait for a moderator: highest level first, then the one owed soonest."""
    return _select_first(db, "state IN ('awaiting_moderation', 'unreadable')", "level DESC, owed_at, id", limit)


def count_queue(db: Database) -> int:
    """How many events wait for a moderator."""
    return _count(db, "state IN ('awaiting_moderation', 'unreadable')")


def select_confirmed(db: Database, limit: int = 50) -> list[StoredEvent]:
    """Events that a moderator confirmed and no concern holds yet: the DSL's list."""
    return _select_first(db, "state = 'confirmed'", "level DESC, occurred_at DESC, id", limit)


def count_confirmed(db: Database) -> int:
    """How many confirmed events wait for a DSL."""
    return _count(db, "state = 'confirmed'")


def select_recent(db: Database, limit: int = 50) -> list[StoredEvent]:
    """Every event in scope, newest first."""
    return _select_first(db, _ANY_STATE, "received_at DESC, id", limit)


def select_of_pupil(db: Database, pupil_id: str, since: datetime) -> list[StoredEvent]:
    """One pupil's events since a time, newest first."""
    return _select(
        db,
        "WHERE e.pupil_id = :pupil AND e.occurred_at >= :since ORDER BY e.occurred_at DESC",
        {"pupil": pupil_id, "since": to_text(since)},
    )


def count_by_state(db: Database, since: datetime) -> dict[EventState, int]:
    """How many events in scope came since a time, by the state they are in now."""
    rows = db.conn.execute(
        f"SELECT state, count(*) FROM scoped_event WHERE {_ANY_STATE} AND received_at >= ? GROUP BY state",
        [to_text(since)],
    )
    return {EventState(state): count for state, count in rows}


def _count(db: Database, where: str) -> int:
    return int(db.conn.execute(f"SELECT count(*) FROM scoped_event WHERE {where}").fetchone()[0])


@dataclass(frozen=True, slots=True)
class IndexableEvent:
    """What the search index takes of an event."""

    id: str
    academy_id: str
    occurred_at: datetime
    category: Category
    level: Severity
    text: str


def claim_unindexed_events(db: Database, limit: int = 50) -> list[IndexableEvent]:
    """Assessed events that the index does not hold as they are now, marked as being taken in ('').

    A change meanwhile sets the mark back to NULL, so set_events_indexed can't hide it. Call inside transaction(), on
    a system connection, and from one indexer at a time.
    """
    rows = list(
        db.query(
            "SELECT e.id, e.academy_id, e.occurred_at, e.category, e.level, e.typed, e.context,"
            " coalesce(r.text, '') AS read_text, coalesce(p.forename || ' ' || p.surname, '') AS pupil_name"
            " FROM event e LEFT JOIN reading r ON r.event_id = e.id LEFT JOIN pupil p ON p.id = e.pupil_id"
            " WHERE e.indexed_at IS NULL AND e.state NOT IN ('received', 'assessing') LIMIT ?",
            [limit],
        )
    )
    db.conn.executemany("UPDATE event SET indexed_at = '' WHERE id = ?", [(row["id"],) for row in rows])
    return [
        IndexableEvent(
            row["id"],
            row["academy_id"],
            from_text(row["occurred_at"]),
            Category(row["category"]),
            Severity(row["level"]),
            "\n".join([row["pupil_name"], row["typed"], *json.loads(row["context"]), row["read_text"]]),
        )
        for row in rows
    ]


def set_events_indexed(db: Database, event_ids: Sequence[str], at: datetime) -> None:
    """Note that the index holds these events, except those that changed since they were claimed."""
    db.conn.executemany(
        "UPDATE event SET indexed_at = ? WHERE id = ? AND indexed_at = ''", [(to_text(at), one) for one in event_ids]
    )


def set_all_events_unindexed(db: Database, only_unfinished: bool) -> None:
    """Have the index take in every event again, or only those that an interrupted indexer left half done."""
    db.conn.execute("UPDATE event SET indexed_at = NULL" + (" WHERE indexed_at = ''" if only_unfinished else ""))
