"""What the device still has to send: sealed, on disk before the network is touched, until the box says it has it.

One SQLite file in WAL mode with synchronous=FULL, so a commit survives the death of the process and of the machine.
Only sealed payloads lie in it: nobody who takes the file can read an event, and there is no key to take with it.
An `Outbox` belongs to the thread that opened it; the sensor's thread and the publisher each open their own.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.message import SealedEvent, payload_digest

FILE_NAME = "outbox.sqlite3"
BYTES_AT_MOST = 500_000_000
DEAD_LETTERS_AT_MOST = 200

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
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'refused', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_due REAL NOT NULL DEFAULT 0,
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
PRAGMA user_version = 1;
"""


class OutboxFullError(Exception):
    """The disk has no room for another event, even without any image."""


@dataclass(frozen=True, slots=True)
class Limits:
    """bytes_at_most: sealed bytes kept, dead letters included; where they pass it images go, oldest first, and never
    text. dead_letters: how many refused events are kept.
    """

    bytes_at_most: int = BYTES_AT_MOST
    dead_letters: int = DEAD_LETTERS_AT_MOST


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event to send. full_bytes: size of the sealed payload with its image, 0 where there is none."""

    message_id: str
    sequence: int
    attempts: int
    full_bytes: int
    text_bytes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """How the outbox stands. Times are seconds since 1970; the counts of drops run since it was made."""

    queue_epoch: str
    highest_sequence: int
    lowest_unreceipted: int | None
    queue_depth: int
    queue_bytes: int
    oldest_at: float | None
    dead_letters: int
    images_dropped: int
    dead_letters_dropped: int
    receipted: int
    last_receipt_at: float | None


class Outbox:
    """The open file. ``new_epoch`` names it if it is made now; an outbox that exists keeps its own."""

    def __init__(self, folder: Path, *, new_epoch: str, limits: Limits | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._limits = limits or Limits()
        path = folder / FILE_NAME
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            self._prepare(new_epoch)
        except BaseException:
            self._db.close()
            raise
        self.epoch: str = self._about("queue_epoch")

    def close(self) -> None:
        self._db.close()

    # -- the sensor's side

    def put(self, build: Callable[[int, str], SealedEvent], now: float) -> int:
        """Keep the event that ``build(sequence, queue_epoch)`` makes; on disk when this returns its sequence.

        Number and event are one transaction: no number is ever given twice or left out. Raises OutboxFullError.
        """
        try:
            return self._put(build, now, keep_image=True)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
        # the disk is full: make room from what the text can do without
        try:
            with self._transaction():
                self._drop_images(self._images_bytes() // 2)
            return self._put(build, now, keep_image=False)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise OutboxFullError("the disk has no room for another event") from error

    def _put(self, build: Callable[[int, str], SealedEvent], now: float, *, keep_image: bool) -> int:
        with self._transaction():
            sequence: int = self._about("highest_sequence") + 1
            event = build(sequence, self.epoch)
            full = event.full if keep_image else None
            self._db.execute(
                "INSERT INTO event (message_id, sequence, made_at, full_bytes, full_sha256, text_bytes, text_sha256)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    event.message_id,
                    sequence,
                    now,
                    len(full) if full else 0,
                    payload_digest(full) if full else None,
                    len(event.text),
                    payload_digest(event.text),
                ),
            )
            bodies = [("text", event.text)] + ([("full", full)] if full else [])
            self._db.executemany(
                "INSERT INTO payload VALUES (?, ?, ?)", [(event.message_id, kind, body) for kind, body in bodies]
            )
            self._set_about("highest_sequence", sequence)
            if event.full and not keep_image:
                self._add_about("images_dropped", 1)
            self._keep_to_limit()
        return sequence

    # -- the publisher's side

    def due(self, now: float, at_most: int, besides: Collection[str] = ()) -> list[Waiting]:
        """Events to send now, longest due first, then in their order; those in ``besides`` left out."""
        rows = self._db.execute(
            "SELECT message_id, sequence, attempts, full_bytes, text_bytes FROM event"
            " WHERE state != 'dead' AND (next_due <= ? OR next_due > ?) ORDER BY next_due, sequence LIMIT ?",
            # due in more than a day: the clock was set back since
            (now, now + 86_400, at_most + len(besides)),
        )
        return [Waiting(*row) for row in rows if row[0] not in besides][:at_most]

    def next_due(self, besides: Collection[str] = ()) -> float | None:
        """When the next event is due, those in ``besides`` left out; None where none is."""
        rows = self._db.execute(
            "SELECT message_id, next_due FROM event WHERE state != 'dead' ORDER BY next_due, sequence LIMIT ?",
            (len(besides) + 1,),
        )
        return next((due for message_id, due in rows if message_id not in besides), None)

    def payload(self, message_id: str, *, with_image: bool) -> bytes | None:
        """The sealed payload; None where it is gone (receipted, or its image dropped, a moment ago)."""
        row = self._db.execute(
            "SELECT body FROM payload WHERE message_id = ? AND kind = ?", (message_id, "full" if with_image else "text")
        ).fetchone()
        return None if row is None else bytes(row[0])

    def mark_sent(self, message_id: str, next_due: float) -> None:
        """It is on its way for one more time; without a receipt it is due again at ``next_due``."""
        self._db.execute(
            "UPDATE event SET state = 'sent', attempts = attempts + 1, next_due = ? WHERE message_id = ?"
            " AND state != 'dead'",
            (next_due, message_id),
        )

    def mark_refused(self, message_id: str, next_due: float) -> None:
        """The broker didn't take it: it counts as not sent."""
        self._db.execute(
            "UPDATE event SET state = 'refused', next_due = ? WHERE message_id = ? AND state != 'dead'",
            (next_due, message_id),
        )

    def make_due(self, *, only_refused: bool = False) -> None:
        """All events are due now: after a new connection, or when a hindrance is gone."""
        self._db.execute(
            "UPDATE event SET state = 'waiting', next_due = 0"
            " WHERE next_due > 0 AND (state = 'refused' OR (state != 'dead' AND NOT ?))",
            (only_refused,),
        )

    def remove(self, message_id: str, sha256: str, now: float) -> bool:
        """Delete an event that the box says it has. False, and nothing done, where the digest isn't the event's."""
        with self._transaction():
            done = self._db.execute(
                "DELETE FROM event WHERE message_id = ? AND ? IN (full_sha256, text_sha256) AND state != 'dead'",
                (message_id, sha256),
            ).rowcount
            if done:
                self._add_about("receipted", 1)
                self._set_about("last_receipt_at", now)
        if done and not self._db.execute("SELECT 1 FROM event WHERE state != 'dead'").fetchone():
            self._give_back_space()
        return bool(done)

    def reject(self, message_id: str, sha256: str, reason: str, now: float) -> bool:
        """Move an event that the box will never take to the dead letters. False where the digest isn't the event's."""
        with self._transaction():
            done = self._db.execute(
                "UPDATE event SET state = 'dead', next_due = ?, reason = ?"
                " WHERE message_id = ? AND ? IN (full_sha256, text_sha256) AND state != 'dead'",
                (now, reason, message_id, sha256),
            ).rowcount
            if done:
                self._set_about("last_receipt_at", now)
                extra = self._count("dead") - self._limits.dead_letters
                self._drop_dead_letters(max(0, extra))
        return bool(done)

    # -- how it stands

    def figures(self) -> Figures:
        """The outbox's figures at one moment."""
        with self._transaction("DEFERRED"):
            depth, size, lowest, oldest = self._db.execute(
                "SELECT count(*), coalesce(sum(full_bytes + text_bytes), 0), min(sequence), min(made_at) FROM event"
                " WHERE state != 'dead'"
            ).fetchone()
            return Figures(
                queue_epoch=self.epoch,
                highest_sequence=self._about("highest_sequence"),
                lowest_unreceipted=lowest,
                queue_depth=depth,
                queue_bytes=size,
                oldest_at=oldest,
                dead_letters=self._count("dead"),
                images_dropped=self._about("images_dropped"),
                dead_letters_dropped=self._about("dead_letters_dropped"),
                receipted=self._about("receipted"),
                last_receipt_at=self._about("last_receipt_at"),
            )

    # -- within

    def _prepare(self, new_epoch: str) -> None:
        # auto_vacuum must be set before the first table, secure_delete and synchronous at every opening
        self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA journal_size_limit = 16000000")
        with self._transaction():
            if self._db.execute("PRAGMA user_version").fetchone()[0]:
                return
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.executemany(
                "INSERT INTO about VALUES (?, ?)",
                [
                    ("queue_epoch", new_epoch),
                    ("highest_sequence", 0),
                    ("images_dropped", 0),
                    ("dead_letters_dropped", 0),
                    ("receipted", 0),
                    ("last_receipt_at", None),
                ],
            )

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._db.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself when the disk is full
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _about(self, name: str) -> Any:
        return self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()[0]

    def _set_about(self, name: str, value: float) -> None:
        self._db.execute("UPDATE about SET value = ? WHERE name = ?", (value, name))

    def _add_about(self, name: str, number: int) -> None:
        self._db.execute("UPDATE about SET value = value + ? WHERE name = ?", (number, name))

    def _count(self, state: str) -> int:
        return int(self._db.execute("SELECT count(*) FROM event WHERE state = ?", (state,)).fetchone()[0])

    def _images_bytes(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(full_bytes), 0) FROM event").fetchone()[0])

    def _keep_to_limit(self) -> None:
        """Drop what can be done without: images, the dead letters' first, then dead letters. Text that waits stays."""
        over = self._total() - self._limits.bytes_at_most
        if over > 0:
            self._drop_images(over)
        if self._total() > self._limits.bytes_at_most:
            self._drop_dead_letters(self._count("dead"))

    def _total(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(full_bytes + text_bytes), 0) FROM event").fetchone()[0])

    def _drop_images(self, bytes_wanted: int) -> None:
        rows = self._db.execute(
            "SELECT message_id, full_bytes FROM event WHERE full_bytes > 0 ORDER BY state != 'dead', sequence"
        ).fetchall()
        freed = 0
        for message_id, size in rows:
            if freed >= bytes_wanted:
                break
            self._db.execute("DELETE FROM payload WHERE message_id = ? AND kind = 'full'", (message_id,))
            self._db.execute("UPDATE event SET full_bytes = 0 WHERE message_id = ?", (message_id,))
            self._add_about("images_dropped", 1)
            freed += size

    def _drop_dead_letters(self, number: int) -> None:
        dropped = self._db.execute(
            "DELETE FROM event WHERE message_id IN"
            " (SELECT message_id FROM event WHERE state = 'dead' ORDER BY next_due, sequence LIMIT ?)",
            (number,),
        ).rowcount
        self._add_about("dead_letters_dropped", dropped)

    def _give_back_space(self) -> None:
        """Return the file's free pages to the disk once the queue is empty and there are many."""
        if self._db.execute("PRAGMA freelist_count").fetchone()[0] > 1000:
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


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
