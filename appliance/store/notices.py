"""Notices: a named person told of something other than an event, such as that a locked record was opened."""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.notice import Notice, NoticeKind
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice with the names a person needs. by_name: who did what it tells of. about_name: the member of staff
    whose account it is about; empty where it is about none."""

    id: str
    academy_id: str
    academy_name: str
    staff_id: str
    staff_name: str
    staff_email: str
    kind: NoticeKind
    subject: str
    by_id: str
    by_name: str
    raised_at: datetime
    attempts: int
    failure: str | None
    about_name: str


def insert_notice(db: Database, notice_id: str, notice: Notice) -> None:
    """Note that a person is to be told."""
    raised = to_text(notice.raised_at)
    db.conn.execute(
        "INSERT INTO scoped_notice (id, academy_id, staff_id, kind, subject, by_id, raised_at, attempts, next_try_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)",
        [
            notice_id,
            notice.academy_id,
            notice.staff_id,
            notice.kind,
            notice.subject,
            notice.by_id,
            raised,
            raised,
        ],
    )


def _select(db: Database, rest: str, params: dict[str, object]) -> list[StoredNotice]:
    return [
        StoredNotice(
            row["id"],
            row["academy_id"],
            row["academy_name"],
            row["staff_id"],
            row["staff_name"],
            row["staff_email"],
            NoticeKind(row["kind"]),
            row["subject"],
            row["by_id"],
            row["by_name"],
            from_text(row["raised_at"]),
            row["attempts"],
            row["failure"],
            row["about_name"],
        )
        for row in db.query(
            "SELECT n.*, a.short_name AS academy_name, s.name AS staff_name, s.email AS staff_email, b.name AS by_name,"
            " coalesce(w.name, '') AS about_name"
            " FROM scoped_notice n JOIN academy a ON a.id = n.academy_id JOIN staff s ON s.id = n.staff_id"
            f" JOIN staff b ON b.id = n.by_id LEFT JOIN staff w ON 'staff:' || w.id = n.subject {rest}",
            params,
        )
    ]


def select_unseen(db: Database, staff_id: str) -> list[StoredNotice]:
    """What a person was told and has not marked as seen, newest first."""
    return _select(db, "WHERE n.staff_id = :staff AND n.seen_at IS NULL ORDER BY n.raised_at DESC", {"staff": staff_id})


def count_unseen(db: Database, staff_id: str) -> int:
    """How many notices a person has not marked as seen."""
    query = "SELECT count(*) FROM scoped_notice WHERE staff_id = ? AND seen_at IS NULL"
    return int(db.conn.execute(query, [staff_id]).fetchone()[0])


def get_notice(db: Database, notice_id: str) -> StoredNotice | None:
    """A notice to the person who asks."""
    return next(iter(_select(db, "WHERE n.id = :id", {"id": notice_id})), None)


def set_notice_seen(db: Database, notice_id: str, now: datetime) -> None:
    """Note that the person has seen it."""
    db.conn.execute("UPDATE scoped_notice SET seen_at = ? WHERE id = ?", [to_text(now), notice_id])


def select_unsent_notices(db: Database, now: datetime, limit: int = 20) -> list[StoredNotice]:
    """Notices whose message is due to be sent, oldest first. System connections only."""
    return _select(
        db,
        "WHERE n.sent_at IS NULL AND n.passed_on_at IS NULL AND n.next_try_at <= :now"
        " ORDER BY n.raised_at LIMIT :limit",
        {"now": to_text(now), "limit": limit},
    )


def set_notice_sent(db: Database, notice_id: str, now: datetime) -> None:
    """Note that the message went out."""
    db.conn.execute(
        "UPDATE notice SET sent_at = ?, attempts = attempts + 1, failure = NULL WHERE id = ?", [to_text(now), notice_id]
    )


def set_notice_passed_on(db: Database, notice_id: str, now: datetime) -> None:
    """Note that others are told instead; this one is sent no more."""
    db.conn.execute("UPDATE notice SET passed_on_at = ? WHERE id = ?", [to_text(now), notice_id])


def set_notice_failed(db: Database, notice_id: str, failure: str, next_try_at: datetime) -> None:
    """Note that a try to send failed, why, and when to try again."""
    db.conn.execute(
        "UPDATE notice SET attempts = attempts + 1, failure = ?, next_try_at = ? WHERE id = ?",
        [failure, to_text(next_try_at), notice_id],
    )
