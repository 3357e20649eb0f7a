"""Which account of the trust's directory belongs to whom, and which sign-ins through it were finished."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.store.connection import from_text, to_text
from appliance.store.people import Staff, get_staff


@dataclass(frozen=True, slots=True)
class DirectoryLink:
    """A tie between a member of staff and one account of a directory."""

    issuer: str
    subject: str
    staff_id: str
    linked_at: datetime
    used_at: datetime


def get_linked_staff(db: Database, issuer: str, subject: str) -> Staff | None:
    """Whom an account of a directory belongs to."""
    row = db.conn.execute(
        "SELECT staff_id FROM directory_link WHERE issuer = ? AND subject = ?", [issuer, subject]
    ).fetchone()
    return get_staff(db, row[0]) if row else None


def select_links(db: Database, staff_id: str) -> list[DirectoryLink]:
    """The directories' accounts that belong to a person."""
    return [
        DirectoryLink(
            row["issuer"], row["subject"], row["staff_id"], from_text(row["linked_at"]), from_text(row["used_at"])
        )
        for row in db.query("SELECT * FROM directory_link WHERE staff_id = ? ORDER BY linked_at", [staff_id])
    ]


def insert_link(db: Database, link: DirectoryLink) -> None:
    """Tie an account of a directory to a person. sqlite3.IntegrityError when either has such a tie already."""
    db.conn.execute(
        "INSERT INTO directory_link (issuer, subject, staff_id, linked_at, used_at) VALUES (?, ?, ?, ?, ?)",
        [link.issuer, link.subject, link.staff_id, to_text(link.linked_at), to_text(link.used_at)],
    )


def set_link_used(db: Database, issuer: str, subject: str, now: datetime) -> None:
    """Note that the account was signed in with."""
    db.conn.execute(
        "UPDATE directory_link SET used_at = ? WHERE issuer = ? AND subject = ?", [to_text(now), issuer, subject]
    )


def get_named_staff_id(db: Database, name: str) -> str | None:
    """Who signed in last through the directory by this name. name: its hash."""
    row = db.conn.execute("SELECT staff_id FROM directory_name WHERE id = ?", [name]).fetchone()
    return str(row[0]) if row else None


def set_name_used(db: Database, name: str, staff_id: str, now: datetime) -> None:
    """Remember by which name a person signed in through the directory. name: its hash."""
    db.conn.execute(
        "INSERT INTO directory_name (id, staff_id, used_at) VALUES (:id, :staff, :now)"
        " ON CONFLICT (id) DO UPDATE SET staff_id = :staff, used_at = :now",
        {"id": name, "staff": staff_id, "now": to_text(now)},
    )


def delete_links(db: Database, staff_id: str) -> int:
    """Loosen a person from every directory. Returns how many ties there were."""
    db.conn.execute("DELETE FROM directory_name WHERE staff_id = ?", [staff_id])
    return int(db.conn.execute("DELETE FROM directory_link WHERE staff_id = ?", [staff_id]).rowcount)


def insert_finished(db: Database, once: str, now: datetime, forget_before: datetime) -> bool:
    """Note that the sign-in this value belongs to was finished; False when it had been before."""
    db.conn.execute("DELETE FROM directory_finished WHERE finished_at < ?", [to_text(forget_before)])
    digest = hashlib.sha256(once.encode()).hexdigest()
    done = db.conn.execute(
        "INSERT INTO directory_finished (id, finished_at) VALUES (?, ?) ON CONFLICT DO NOTHING", [digest, to_text(now)]
    )
    return done.rowcount == 1
