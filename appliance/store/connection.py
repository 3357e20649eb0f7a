"""Opening the database: for the box itself, or in the name of one person who then sees only their academies.

``open_as`` hands SQLite the person's rights: a ``scope(permission)`` function that the ``scoped_…`` views call, and an
authorizer that refuses every other way to a scoped table. A query that forgets its scope fails; it can't leak.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Permission, academies_for

SCOPED_TABLES: dict[str, Permission] = {
    "action": Permission.CONCERN_VIEW,
    "audit": Permission.AUDIT_VIEW,
    "capture": Permission.EVENT_VIEW,
    "concern": Permission.CONCERN_VIEW,
    "concern_event": Permission.CONCERN_VIEW,
    "concern_pupil": Permission.CONCERN_VIEW,
    "device": Permission.DEVICE_VIEW,
    "escalation": Permission.EVENT_VIEW,
    "event": Permission.EVENT_VIEW,
    "pupil": Permission.PUPIL_VIEW,
    "pupil_account": Permission.PUPIL_VIEW,
    "reading": Permission.EVENT_VIEW,
    "referral": Permission.CONCERN_VIEW,
    "rejected_message": Permission.DEVICE_VIEW,
    "score": Permission.EVENT_VIEW,
    "verdict": Permission.EVENT_VIEW,
}
"""Tables whose rows belong to an academy, and the permission that opens them. Each has an academy_id column."""

APPEND_ONLY = frozenset({"audit"})
"""Scoped tables that anyone may add to but nobody may read, change or delete outside their view."""

_VIEWS = frozenset(f"scoped_{table}" for table in SCOPED_TABLES)
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
    return db


def open_as(path: Path, actor: Actor | None) -> Database:
    """Open the database in the name of a person; with no actor every scoped view fails.

    Reads and changes reach a scoped table only through its ``scoped_…`` view; sqlite3.DatabaseError otherwise.
    """
    db = _open(path)

    def scope(permission: str) -> str:
        if actor is None:
            raise PermissionError("nobody is signed in")
        return json.dumps(sorted(academies_for(actor, Permission(permission))))

    db.conn.create_function("scope", 1, scope, deterministic=True)
    db.conn.set_authorizer(partial(_authorize, actor is not None))
    return db


def _open(path: Path) -> Database:
    conn = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
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
