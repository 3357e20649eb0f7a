"""Device user names nobody is known for, and what people said about whose they are."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class UnknownAccount:
    """A user name with events of nobody. said: id and name of the pupil whom the MIS names for it since, or None."""

    academy_id: str
    academy_name: str
    account: str
    events: int
    last_at: datetime
    devices: str
    said: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a person said about whose a user name is. events: the ids of those that were attributed by it."""

    id: str
    academy_id: str
    account: str
    pupil_id: str
    pupil_name: str
    events: tuple[str, ...]
    by_name: str
    decided_at: datetime
    undone_at: datetime | None


def select_unknown_accounts(db: Database, limit: int = 100) -> list[UnknownAccount]:
    """User names with events of nobody, the newest first."""
    rows = db.conn.execute(
        "SELECT e.academy_id, a.short_name, e.account, e.count, e.last_at, e.devices, p.id,"
        " p.forename || ' ' || p.surname FROM (SELECT academy_id, account, count(*) AS count,"
        " max(received_at) AS last_at, group_concat(DISTINCT device_id) AS devices FROM scoped_event"
        " WHERE pupil_id IS NULL GROUP BY academy_id, account ORDER BY last_at DESC LIMIT ?) e"
        " JOIN academy a ON a.id = e.academy_id LEFT JOIN scoped_pupil_account u ON u.academy_id = e.academy_id"
        " AND u.account = lower(e.account) AND u.ended_at IS NULL LEFT JOIN scoped_pupil p ON p.id = u.pupil_id"
        " ORDER BY e.last_at DESC",
        [limit],
    )
    return [
        UnknownAccount(row[0], row[1], row[2], row[3], from_text(row[4]), row[5][:200],
                       (row[6], row[7]) if row[6] else None)
        for row in rows
    ]  # fmt: skip


def select_events_of_nobody(db: Database, academy_id: str, account: str) -> list[str]:
    """The ids of the events of a user name that are attributed to nobody."""
    rows = db.conn.execute(
        "SELECT id FROM scoped_event WHERE academy_id = ? AND account = ? AND pupil_id IS NULL", [academy_id, account]
    )
    return [row[0] for row in rows]


def set_events_pupil(db: Database, ids: tuple[str, ...], pupil_id: str | None) -> None:
    """Attribute events to a pupil, or (None) to nobody."""
    for event_id in ids:
        db.conn.execute("UPDATE scoped_event SET pupil_id = ? WHERE id = ?", [pupil_id, event_id])


def is_any_on_record(db: Database, ids: tuple[str, ...]) -> bool:
    """Whether one of these events is part of a concern."""
    query = "SELECT 1 FROM scoped_event WHERE state = 'linked' AND id IN (SELECT value FROM json_each(?))"
    return db.conn.execute(query, [json.dumps(ids)]).fetchone() is not None


def set_account(db: Database, row_id: str, academy_id: str, account: str, pupil_id: str) -> None:
    """Say whose a user name is from now on. row_id: for one that is new."""
    account = account.lower()
    row = db.conn.execute(
        "SELECT id FROM scoped_pupil_account WHERE academy_id = ? AND account = ?", [academy_id, account]
    ).fetchone()
    if row:
        db.conn.execute(
            "UPDATE scoped_pupil_account SET pupil_id = ?, ended_at = NULL WHERE id = ?", [pupil_id, row[0]]
        )
    else:
        db.conn.execute(
            "INSERT INTO scoped_pupil_account (id, academy_id, account, pupil_id) VALUES (?, ?, ?, ?)",
            [row_id, academy_id, account, pupil_id],
        )


def end_account(db: Database, academy_id: str, account: str, now: datetime) -> None:
    """Say that a user name is nobody's from now on."""
    db.conn.execute(
        "UPDATE scoped_pupil_account SET ended_at = ? WHERE academy_id = ? AND account = ?",
        [to_text(now), academy_id, account.lower()],
    )


def insert_claim(db: Database, one: Claim, by: str) -> None:
    """Keep what a person said."""
    db.conn.execute(
        "INSERT INTO scoped_account_claim (id, academy_id, account, pupil_id, events, decided_by, decided_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [one.id, one.academy_id, one.account, one.pupil_id, json.dumps(one.events), by, to_text(one.decided_at)],
    )


_CLAIM = (
    "SELECT c.id, c.academy_id, c.account, c.pupil_id, p.forename || ' ' || p.surname, c.events,"
    " coalesce(s.name, c.decided_by), c.decided_at, c.undone_at FROM scoped_account_claim c"
    " JOIN scoped_pupil p ON p.id = c.pupil_id LEFT JOIN staff s ON s.id = c.decided_by"
)


def _claim(row: tuple[str, ...]) -> Claim:
    events, undone = tuple(json.loads(row[5])), from_text(row[8]) if row[8] else None
    return Claim(row[0], row[1], row[2], row[3], row[4], events, row[6], from_text(row[7]), undone)


def get_claim(db: Database, claim_id: str) -> Claim | None:
    """What a person said once, in scope."""
    row = db.conn.execute(f"{_CLAIM} WHERE c.id = ?", [claim_id]).fetchone()
    return _claim(row) if row else None


def select_claims(db: Database, limit: int = 30) -> list[Claim]:
    """What was said lately and stands, newest first."""
    rows = db.conn.execute(f"{_CLAIM} WHERE c.undone_at IS NULL ORDER BY c.decided_at DESC LIMIT ?", [limit])
    return [_claim(row) for row in rows]


def set_claim_undone(db: Database, claim_id: str, by: str, now: datetime) -> None:
    """Note that it was taken back."""
    db.conn.execute(
        "UPDATE scoped_account_claim SET undone_by = ?, undone_at = ? WHERE id = ?", [by, to_text(now), claim_id]
    )
