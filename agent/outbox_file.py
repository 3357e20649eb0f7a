"""The outbox's file: its tables, how an older one is brought up to date, and who holds its folder."""

import sqlite3
from pathlib import Path

FILE_NAME = "outbox.sqlite3"

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    message_id TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL UNIQUE,
    made_at REAL NOT NULL,                      -- seconds since 1970, as every time here
    full_bytes INTEGER NOT NULL,                -- 0: no image, or it had to be dropped
    full_sha256 TEXT,                           -- kept when the image goes: its receipt may still be on the way
    text_bytes INTEGER NOT NULL,
    text_sha256 TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sent', 'refused', 'receipted', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_due REAL NOT NULL DEFAULT 0,           -- of one that is receipted or dead: since when
    reason TEXT
) STRICT;
CREATE INDEX event_due ON event (state, next_due, sequence);
-- payloads stand apart, so that marking an event doesn't rewrite 300 kB
CREATE TABLE payload (
    message_id TEXT NOT NULL REFERENCES event ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('full', 'text')),
    body BLOB NOT NULL,
    PRIMARY KEY (message_id, kind)
) STRICT;
PRAGMA user_version = 2;
"""


def prepare(db: sqlite3.Connection, new_epoch: str) -> None:
    """Set the connection up, make the tables where there are none, and bring those of an older version up to date."""
    # auto_vacuum must be set before the first table, secure_delete and synchronous at every opening
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA journal_size_limit = 16000000")
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            _make(db, new_epoch)
        elif version == 1:
            _bring_from_1(db)
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    db.execute("PRAGMA foreign_keys = ON")


def _make(db: sqlite3.Connection, new_epoch: str) -> None:
    for statement in _SCHEMA.split(";\n"):
        db.execute(statement)
    db.executemany(
        "INSERT INTO about VALUES (?, ?)",
        [
            ("queue_epoch", new_epoch),
            ("highest_sequence", 0),
            ("images_dropped", 0),
            ("dead_letters_dropped", 0),
            ("receipted", 0),
            ("last_receipt_at", None),
            ("disk_full", 0),
        ],
    )


def _bring_from_1(db: sqlite3.Connection) -> None:
    """Version 1 knew no receipted events; a check can only be changed by making the table anew."""
    statements = {statement.split("(")[0].strip(): statement for statement in _SCHEMA.split(";\n")}
    db.execute(statements["CREATE TABLE event"].replace("CREATE TABLE event", "CREATE TABLE event_anew", 1))
    db.execute("INSERT INTO event_anew SELECT * FROM event")
    db.execute("DROP TABLE event")
    db.execute("ALTER TABLE event_anew RENAME TO event")
    db.execute(statements["CREATE INDEX event_due ON event"])
    db.execute("INSERT INTO about VALUES ('disk_full', 0)")
    db.execute("PRAGMA user_version = 2")


def set_aside_damaged(folder: Path, suffix: str) -> None:
    """Rename an outbox that SQLite can't open, so that the device can go on with a new one and nothing is deleted."""
    for name in (FILE_NAME, FILE_NAME + "-wal", FILE_NAME + "-shm"):
        if (folder / name).exists():
            (folder / name).rename(folder / f"{name}.damaged-{suffix}")


def hold_folder(folder: Path) -> sqlite3.Connection:
    """Claim ``folder`` for one process: the lock lasts as long as the connection, and goes with the process.

    Raises FolderInUseError where another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = sqlite3.connect(folder / "agent.lock", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        raise FolderInUseError("another agent runs on this data folder") from error
    return lock


class FolderInUseError(Exception):
    """Another process holds the data folder."""
