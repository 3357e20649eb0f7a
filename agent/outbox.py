"""What the device still has to send: sealed, on disk before the network is touched, until the box says it has it.

One SQLite file in WAL mode with synchronous=FULL, so a commit survives the death of the process and of the machine.
Only sealed payloads lie in it: nobody who takes the file can read an event, and there is no key to take with it. What
is receipted stays for a day, in bounds, should the box have to ask for it again.
An `Outbox` belongs to the thread that opened it; the sensor's thread and the publisher each open their own.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.message import SealedEvent, payload_digest
from agent.outbox_file import FILE_NAME, prepare

BYTES_AT_MOST = 500_000_000
DEAD_LETTERS_AT_MOST = 200
RECEIPTED_SECONDS = 24 * 3600.0
RECEIPTED_BYTES_AT_MOST = 200_000_000


class OutboxFullError(Exception):
    """The disk has no room for another event, even without any image."""


@dataclass(frozen=True, slots=True)
class Limits:
    """bytes_at_most: sealed bytes kept, dead letters included; where they pass it images go, oldest first, and never
    text. dead_letters: how many refused events are kept. receipted_bytes and receipted_seconds: how much, and for how
    long, of what the box has already.
    """

    bytes_at_most: int = BYTES_AT_MOST
    dead_letters: int = DEAD_LETTERS_AT_MOST
    receipted_bytes: int = RECEIPTED_BYTES_AT_MOST
    receipted_seconds: float = RECEIPTED_SECONDS


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
    """How the outbox stands. Times are seconds since 1970; the counts of drops run since it was made.

    kept: receipted events still here. disk_full: the last event that was put found no room for all of it.
    """

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
    kept: int
    disk_full: bool


class Outbox:
    """The open file. ``new_epoch`` names it if it is made now; an outbox that exists keeps its own."""

    def __init__(self, folder: Path, *, new_epoch: str, limits: Limits | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._limits = limits or Limits()
        path = folder / FILE_NAME
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            prepare(self._db, new_epoch)
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
                self._drop_receipted(self._total())
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
            if bool(self._about("disk_full")) == keep_image:
                self._set_about("disk_full", int(not keep_image))
            self._keep_to_limit()
        return sequence

    # -- the publisher's side

    def due(self, now: float, at_most: int, besides: Collection[str] = ()) -> list[Waiting]:
        """Events to send now, longest due first, then in their order; those in ``besides`` left out."""
        rows = self._db.execute(
            "SELECT message_id, sequence, attempts, full_bytes, text_bytes FROM event"
            " WHERE state IN ('waiting', 'sent', 'refused') AND (next_due <= ? OR next_due > ?)"
            " ORDER BY next_due, sequence LIMIT ?",
            # due in more than a day: the clock was set back since
            (now, now + 86_400, at_most + len(besides)),
        )
        return [Waiting(*row) for row in rows if row[0] not in besides][:at_most]

    def next_due(self, besides: Collection[str] = ()) -> float | None:
        """When the next event is due, those in ``besides`` left out; None where none is."""
        rows = self._db.execute(
            "SELECT message_id, next_due FROM event WHERE state IN ('waiting', 'sent', 'refused')"
            " ORDER BY next_due, sequence LIMIT ?",
            (len(besides) + 1,),
        )
        return next((due for message_id, due in rows if message_id not in besides), None)

    def payload(self, message_id: str, *, with_image: bool) -> bytes | None:
        """The sealed payload; None where it is gone (receipted, or its image dropped, a moment ago)."""
        row = self._db.execute(
            "SELECT body FROM payload JOIN event USING (message_id) WHERE message_id = ? AND kind = ?"
            " AND state IN ('waiting', 'sent', 'refused')",
            (message_id, "full" if with_image else "text"),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def mark_sent(self, message_id: str, next_due: float) -> None:
        """It is on its way for one more time; without a receipt it is due again at ``next_due``."""
        self._db.execute(
            "UPDATE event SET state = 'sent', attempts = attempts + 1, next_due = ? WHERE message_id = ?"
            " AND state IN ('waiting', 'sent', 'refused')",
            (next_due, message_id),
        )

    def mark_refused(self, message_id: str, next_due: float) -> None:
        """The broker didn't take it: it counts as not sent."""
        self._db.execute(
            "UPDATE event SET state = 'refused', next_due = ? WHERE message_id = ?"
            " AND state IN ('waiting', 'sent', 'refused')",
            (next_due, message_id),
        )

    def make_due(self, *, only_refused: bool = False) -> None:
        """All events are due now: after a new connection, or when a hindrance is gone."""
        self._db.execute(
            "UPDATE event SET state = 'waiting', next_due = 0"
            " WHERE next_due > 0 AND (state = 'refused' OR (state IN ('waiting', 'sent') AND NOT ?))",
            (only_refused,),
        )

    def remove(self, message_id: str, sha256: str, now: float) -> bool:
        """The box has this event: nothing waits of it any more, and it is kept only for a day in which the box may ask.

        False, and nothing done, where the digest isn't the event's.
        """
        with self._transaction():
            done = self._db.execute(
                "UPDATE event SET state = 'receipted', next_due = ?"
                " WHERE message_id = ? AND ? IN (full_sha256, text_sha256)"
                " AND state IN ('waiting', 'sent', 'refused')",
                (now, message_id, sha256),
            ).rowcount
            if done:
                self._add_about("receipted", 1)
                self._set_about("last_receipt_at", now)
                self._forget_receipted(now)
        if done:
            self._give_back_space()
        return bool(done)

    def resend(self, queue_epoch: str, from_sequence: int) -> int:
        """Have every event from this number on sent again, those receipted or refused by the box too; how many.

        0 for the epoch of another outbox: the box speaks of one that is gone.
        """
        if queue_epoch != self.epoch:
            return 0
        with self._transaction():
            receipted = self._db.execute(
                "SELECT count(*) FROM event WHERE sequence >= ? AND state = 'receipted'", (from_sequence,)
            ).fetchone()[0]
            self._add_about("receipted", -receipted)
            return self._db.execute(
                "UPDATE event SET state = 'waiting', next_due = 0, attempts = 0, reason = NULL WHERE sequence >= ?",
                (from_sequence,),
            ).rowcount

    def forget_old(self, now: float) -> None:
        """Delete what was receipted more than a day before ``now``."""
        with self._transaction():
            self._forget_receipted(now)
        self._give_back_space()

    def reject(self, message_id: str, sha256: str, reason: str, now: float) -> bool:
        """Move an event that the box will never take to the dead letters. False where the digest isn't the event's."""
        with self._transaction():
            done = self._db.execute(
                "UPDATE event SET state = 'dead', next_due = ?, reason = ?"
                " WHERE message_id = ? AND ? IN (full_sha256, text_sha256)"
                " AND state IN ('waiting', 'sent', 'refused')",
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
                " WHERE state IN ('waiting', 'sent', 'refused')"
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
                kept=self._count("receipted"),
                disk_full=bool(self._about("disk_full")),
            )

    # -- within

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
        """Drop what can be done without: what the box has already, images, the dead letters' first, then dead letters.

        Text that waits stays.
        """
        over = self._total() - self._limits.bytes_at_most
        if over > 0:
            self._drop_receipted(over)
            over = self._total() - self._limits.bytes_at_most
        if over > 0:
            self._drop_images(over)
        if self._total() > self._limits.bytes_at_most:
            self._drop_dead_letters(self._count("dead"))

    def _total(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(full_bytes + text_bytes), 0) FROM event").fetchone()[0])

    def _forget_receipted(self, now: float) -> None:
        """Keep to the limits of what is receipted: its age, either way should the clock have been set, and its size."""
        self._db.execute(
            "DELETE FROM event WHERE state = 'receipted' AND abs(next_due - ?) > ?",
            (now, self._limits.receipted_seconds),
        )
        size = self._db.execute(
            "SELECT coalesce(sum(full_bytes + text_bytes), 0) FROM event WHERE state = 'receipted'"
        ).fetchone()[0]
        if size > self._limits.receipted_bytes:
            self._drop_receipted(size - self._limits.receipted_bytes)

    def _drop_receipted(self, bytes_wanted: int) -> None:
        """Delete receipted events, oldest first, until that many bytes are free or none is left."""
        rows = self._db.execute(
            "SELECT message_id, full_bytes + text_bytes FROM event WHERE state = 'receipted' ORDER BY sequence"
        ).fetchall()
        freed = 0
        for message_id, size in rows:
            if freed >= bytes_wanted:
                break
            self._db.execute("DELETE FROM event WHERE message_id = ?", (message_id,))
            freed += size

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
        """Return the file's free pages to the disk once nothing but dead letters is left and there are many."""
        if self._db.execute("SELECT 1 FROM event WHERE state != 'dead'").fetchone():
            return
        if self._db.execute("PRAGMA freelist_count").fetchone()[0] > 1000:
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
