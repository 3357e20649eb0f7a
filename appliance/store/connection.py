"""Opening the database: for the box itself, or in the name of one person who then sees only their academies.

``open_as`` hands SQLite the person's rights: a ``scope(permission)`` function, and some beside it, that the
``scoped_…`` views call, and an authorizer that refuses every other way to a scoped table. A query that forgets its
scope fails; it can't leak.
"""

import contextlib
import fcntl
import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Permission, academies_for, standing_academies_for, trusts_for

SCOPED_TABLES: dict[str, Permission] = {
    "account_claim": Permission.CONCERN_VIEW,
    "action": Permission.CONCERN_VIEW,
    "attendance": Permission.CONCERN_VIEW,
    "attendance_total": Permission.CONCERN_VIEW,
    "audit": Permission.AUDIT_VIEW,
    "behaviour": Permission.CONCERN_VIEW,
    "capture": Permission.EVENT_VIEW,
    "concern": Permission.CONCERN_VIEW,
    "concern_event": Permission.CONCERN_VIEW,
    "concern_pupil": Permission.CONCERN_VIEW,
    "concern_report": Permission.CONCERN_VIEW,
    "device": Permission.DEVICE_VIEW,
    "device_certificate": Permission.DEVICE_VIEW,
    "device_command": Permission.DEVICE_VIEW,
    "device_token": Permission.DEVICE_MANAGE,
    "enrolment_code": Permission.DEVICE_MANAGE,
    "escalation": Permission.ESCALATION_VIEW,
    "event": Permission.EVENT_VIEW,
    "event_gap": Permission.DEVICE_VIEW,
    "heartbeat": Permission.DEVICE_VIEW,
    "mis_change": Permission.PUPIL_IMPORT,
    "mis_import": Permission.PUPIL_IMPORT,
    "mis_import_row": Permission.PUPIL_IMPORT,
    "mis_mapping": Permission.PUPIL_IMPORT,
    "mis_proposal": Permission.PUPIL_IMPORT,
    "notice": Permission.ESCALATION_VIEW,
    "policy": Permission.DEVICE_VIEW,
    "pupil": Permission.PUPIL_VIEW,
    "pupil_account": Permission.PUPIL_VIEW,
    "pupil_contact": Permission.CONCERN_VIEW,
    "pupil_fact": Permission.CONCERN_VIEW,
    "pupil_stay": Permission.PUPIL_VIEW,
    "reading": Permission.EVENT_VIEW,
    "referral": Permission.CONCERN_VIEW,
    "rejected_message": Permission.DEVICE_VIEW,
    "score": Permission.EVENT_VIEW,
    "sequence_mark": Permission.DEVICE_VIEW,
    "vault_entry": Permission.VAULT_VIEW,
    "vault_note": Permission.VAULT_VIEW,
    "verdict": Permission.EVENT_VIEW,
}
"""Tables whose rows belong to an academy, and the permission that opens them. Each has an academy_id column.

What a view asks for beside the academy (a record opened with a reason, a lock, a person's own rows) is in
``scoped_views.py``.
"""

MORE_VIEWS = frozenset({"counted_concern", "counted_event", "record_part", "scoped_audit_subject"})
"""Views over scoped tables that show less than a row: what can be counted, and which ids belong together."""

APPEND_ONLY = frozenset({"audit"})
"""Scoped tables that anyone may add to but nobody may read, change or delete outside their view."""

_VIEWS = frozenset(f"scoped_{table}" for table in SCOPED_TABLES) | MORE_VIEWS
_TRIGGERS = frozenset(f"scoped_{table}_{verb}" for table in SCOPED_TABLES for verb in ("insert", "update"))

_PORTAL_MAY = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_RECURSIVE,
    }
)


_CTE = re.compile(r"\bwith\b", re.IGNORECASE)
"""Where SQL could give a query a name of its own. SQLite tells the authorizer that name as if it were a view's, so a
query that calls itself like a view would read as the view does. No SQL of ours needs it; the word is refused wherever
it stands, in a text too, as reading SQL closer than that is SQLite's own affair."""


def _refuse_names(sql: str) -> str:
    if _CTE.search(sql):
        raise sqlite3.DatabaseError("not authorized: a query may not give names to others here")
    return sql


class _PersonsCursor(sqlite3.Cursor):
    def execute(self, sql: str, values: Any = (), /) -> Self:
        return super().execute(_refuse_names(sql), values)

    def executemany(self, sql: str, values: Any, /) -> Self:
        return super().executemany(_refuse_names(sql), values)

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        return super().executescript(_refuse_names(sql))


class _PersonsConnection(sqlite3.Connection):
    """A connection in a person's name: whatever way SQL comes in by, it can't name a query like a view."""

    def cursor(self, *_: Any, **__: Any) -> _PersonsCursor:  # type: ignore[override]  # of no other kind
        return super().cursor(_PersonsCursor)

    def execute(self, sql: str, values: Any = (), /) -> _PersonsCursor:
        return self.cursor().execute(sql, values)

    def executemany(self, sql: str, values: Any, /) -> _PersonsCursor:
        return self.cursor().executemany(sql, values)

    def executescript(self, sql: str, /) -> sqlite3.Cursor:
        return self.cursor().executescript(sql)


class StoreError(Exception):
    """The database can't be used as it is. The message says what to do."""


def to_text(at: datetime) -> str:
    """A time as stored: UTC, ISO 8601 with microseconds, so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    """The time that ``to_text`` wrote."""
    return datetime.fromisoformat(text)


def open_system(path: Path) -> Database:
    """Open the database without a person behind it: for ingest, worker and the command line only."""
    db = _open(path)
    # academies may be added while ingest and worker run, and a function may not query the connection that calls it
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def every_academy(_permission: str) -> str:
        return json.dumps([row[0] for row in reader.execute("SELECT id FROM academy")])

    db.conn.create_function("scope", 1, every_academy)
    # the box itself stands behind no reason and before no lock
    for name, arguments, value in (("partly", 1, "[]"), ("opened", 0, "[]"), ("shut", 0, "[]"), ("me", 0, "")):
        db.conn.create_function(name, arguments, lambda *_, value=value: value, deterministic=True)
    every_trust = "SELECT json_group_array(id) FROM trust"
    db.conn.create_function("trusts", 1, lambda _: reader.execute(every_trust).fetchone()[0])
    return db


def open_as(path: Path, actor: Actor | None) -> Database:
    """Open the database in the name of a person; with no actor every scoped view fails.

    Reads and changes reach a scoped table only through its ``scoped_…`` view; sqlite3.DatabaseError otherwise.
    """
    db = _open(path, _PersonsConnection)

    def person() -> Actor:
        if actor is None:
            raise PermissionError("nobody is signed in")
        return actor

    def partly(permission: str) -> str:
        one = Permission(permission)
        return _array(academies_for(person(), one) - standing_academies_for(person(), one))

    # deterministic: the rights of a connection never change, and SQLite asks once a statement
    for name, arguments, answer in (
        ("scope", 1, lambda permission: _array(academies_for(person(), Permission(permission)))),
        ("partly", 1, partly),
        ("opened", 0, lambda: _array({opening.subject_id for opening in person().openings})),
        ("shut", 0, lambda: _array(person().shut)),
        ("me", 0, lambda: person().staff_id),
        ("trusts", 1, lambda permission: _array(trusts_for(person(), Permission(permission)))),
    ):
        db.conn.create_function(name, arguments, answer, deterministic=True)
    db.conn.set_authorizer(partial(_authorize, actor is not None))
    return db


def _array(ids: Iterable[str]) -> str:
    return json.dumps(sorted(ids))


def _open(path: Path, kind: type[sqlite3.Connection] = sqlite3.Connection) -> Database:
    conn = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False, factory=kind)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "busy_timeout=10000"):
        conn.execute(f"PRAGMA {pragma}")
    conn.execute("PRAGMA mmap_size=268435456")
    # lets transaction() find its lock file on a connection that may not run pragmas
    conn.create_function("home_path", 0, lambda: str(path), deterministic=True)
    return Database(conn, execute_plugins=False)


def _authorize(
    signed_in: bool, action: int, arg1: str | None, arg2: str | None, _db: str | None, source: str | None
) -> int:
    if action not in _PORTAL_MAY:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and arg2 == "load_extension":
        return sqlite3.SQLITE_DENY
    if arg1 in SCOPED_TABLES and action != sqlite3.SQLITE_SELECT:
        if action == sqlite3.SQLITE_INSERT and arg1 in APPEND_ONLY:
            return sqlite3.SQLITE_OK
        if not signed_in or (source not in _VIEWS and source not in _TRIGGERS):
            return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


@contextlib.contextmanager
def transaction(db: Database) -> Iterator[None]:
    """One write transaction: BEGIN IMMEDIATE, committed at the end, rolled back on any error.

    A lock file beside the database is held for as long, because SQLite's own busy wait is unfair: with four busy
    writers one waited over five seconds for its turn; with the lock the longest wait was 82 ms.
    """
    with _turn(db):
        db.conn.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.conn.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors (a full disk), and a failed commit leaves it open
            if db.conn.in_transaction:
                db.conn.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def _turn(db: Database) -> Iterator[None]:
    path = db.conn.execute("SELECT home_path()").fetchone()[0]
    lock = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
