"""Which events of a device never came: a mark for each queue of a device, and the gaps below it.

An event in its order moves the mark by one and touches no other row, so that this costs next to nothing; only what
comes out of order makes or closes a gap.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.device import SETTLED_AFTER
from appliance.store.connection import from_text, to_text

SHOWN_AT_MOST = 1_000_000
"""More missing than this is a device that counts wrongly, and the number says nothing."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing of one queue of a device. first: the lowest sequence that never came."""

    device_id: str
    queue_epoch: str
    count: int
    first: int
    noticed_at: datetime | None


def note_sequence(
    db: Database, device_id: str, academy_id: str, queue_epoch: str, sequence: int, now: datetime
) -> None:
    """Note that the box has this event of the device, or has refused it with its reason. Twice is harmless.

    On a system connection, inside the transaction that keeps the event.
    """
    row = db.conn.execute(
        "SELECT highest FROM sequence_mark WHERE device_id = ? AND queue_epoch = ?", [device_id, queue_epoch]
    ).fetchone()
    highest = row[0] if row else 0
    if row is None:
        _insert_mark(db, device_id, academy_id, queue_epoch, sequence)
    elif sequence > highest:
        db.conn.execute(
            "UPDATE sequence_mark SET highest = ? WHERE device_id = ? AND queue_epoch = ?",
            [sequence, device_id, queue_epoch],
        )
    if sequence <= highest:
        _close_gap(db, device_id, queue_epoch, sequence)
    elif sequence > highest + 1:
        _insert_gap(db, device_id, academy_id, queue_epoch, highest + 1, sequence - 1, to_text(now))


def note_claim(
    db: Database,
    device_id: str,
    academy_id: str,
    queue_epoch: str,
    highest_sequence: int,
    lowest_unreceipted: int | None,
    now: datetime,
) -> None:
    """Note how far a device says it has counted, and from where on it still holds what the box has not receipted."""
    row = db.conn.execute(
        "SELECT claimed, claimed_at FROM sequence_mark WHERE device_id = ? AND queue_epoch = ?",
        [device_id, queue_epoch],
    ).fetchone()
    if row is None:
        _insert_mark(db, device_id, academy_id, queue_epoch, 0)
        row = (0, None)
    claimed, claimed_at = row
    if claimed_at is None or from_text(claimed_at) <= now - SETTLED_AFTER:
        db.conn.execute(
            "UPDATE sequence_mark SET settled = max(settled, claimed), claimed = ?, claimed_at = ?, held_from = ?"
            " WHERE device_id = ? AND queue_epoch = ?",
            [max(claimed, highest_sequence), to_text(now), lowest_unreceipted, device_id, queue_epoch],
        )
    else:
        db.conn.execute(
            "UPDATE sequence_mark SET held_from = ? WHERE device_id = ? AND queue_epoch = ?",
            [lowest_unreceipted, device_id, queue_epoch],
        )


def select_missing(db: Database, now: datetime, device_id: str | None = None) -> list[Missing]:
    """What is missing in scope, a queue a line: never came, claimed for some minutes, and not waiting on the device."""
    # with "OR" the index would not be taken, and this runs at every heartbeat
    which = "device_id = :device" if device_id is not None else "1"
    # written twice where a name would do: a person's connection takes no query that names another
    mark = f"""(SELECT *, min(CASE WHEN claimed_at <= :settled THEN max(settled, claimed) ELSE settled END,
        coalesce(held_from - 1, claimed)) AS until FROM scoped_sequence_mark WHERE {which})"""
    rows = db.conn.execute(
        f"""
        SELECT device_id, queue_epoch, total(last - first + 1), min(first), min(noticed_at) FROM (
            SELECT m.device_id, m.queue_epoch, g.first, min(g.last, m.until) AS last, g.noticed_at
            FROM {mark} m JOIN scoped_event_gap g ON g.device_id = m.device_id AND g.queue_epoch = m.queue_epoch
            WHERE g.first <= m.until
            UNION ALL
            SELECT device_id, queue_epoch, highest + 1, until, claimed_at FROM {mark} WHERE until > highest)
        GROUP BY device_id, queue_epoch ORDER BY device_id, min(noticed_at)
        """,
        {"settled": to_text(now - SETTLED_AFTER), "device": device_id},
    )
    return [
        Missing(device, epoch, int(min(count, SHOWN_AT_MOST)), first, from_text(noticed) if noticed else None)
        for device, epoch, count, first, noticed in rows
    ]


def _insert_mark(db: Database, device_id: str, academy_id: str, queue_epoch: str, highest: int) -> None:
    db.conn.execute(
        "INSERT INTO sequence_mark (id, academy_id, device_id, queue_epoch, highest, claimed, settled)"
        " VALUES (?, ?, ?, ?, ?, 0, 0)",
        [f"{device_id} {queue_epoch}", academy_id, device_id, queue_epoch, highest],
    )


def _insert_gap(
    db: Database, device_id: str, academy_id: str, queue_epoch: str, first: int, last: int, noticed_at: str
) -> None:
    db.conn.execute(
        "INSERT INTO event_gap (academy_id, device_id, queue_epoch, first, last, noticed_at) VALUES (?, ?, ?, ?, ?, ?)",
        [academy_id, device_id, queue_epoch, first, last, noticed_at],
    )


def _close_gap(db: Database, device_id: str, queue_epoch: str, sequence: int) -> None:
    row = db.conn.execute(
        "SELECT id, academy_id, first, last, noticed_at FROM event_gap"
        " WHERE device_id = ? AND queue_epoch = ? AND last >= ? ORDER BY last LIMIT 1",
        [device_id, queue_epoch, sequence],
    ).fetchone()
    if row is None or row[2] > sequence:
        return  # another message under a number that came before
    gap_id, academy_id, first, last, noticed_at = row
    db.conn.execute("DELETE FROM event_gap WHERE id = ?", [gap_id])
    if first < sequence:
        _insert_gap(db, device_id, academy_id, queue_epoch, first, sequence - 1, noticed_at)
    if sequence < last:
        _insert_gap(db, device_id, academy_id, queue_epoch, sequence + 1, last, noticed_at)
