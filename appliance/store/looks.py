"""When a person's look at a list was last written on the audit trail."""

from datetime import datetime

from sqlite_utils import Database

from appliance.store.connection import from_text, to_text


def get_last_look(db: Database, staff_id: str, name: str) -> datetime | None:
    """When a person's look at a list was last noted."""
    query = "SELECT noted_at FROM list_look WHERE staff_id = ? AND name = ?"
    row = db.conn.execute(query, [staff_id, name]).fetchone()
    return from_text(row[0]) if row else None


def set_last_look(db: Database, staff_id: str, name: str, now: datetime) -> None:
    """Keep that a person's look at a list is noted now."""
    db.conn.execute(
        "INSERT INTO list_look (staff_id, name, noted_at) VALUES (:staff, :name, :at)"
        " ON CONFLICT (staff_id, name) DO UPDATE SET noted_at = :at",
        {"staff": staff_id, "name": name, "at": to_text(now)},
    )
