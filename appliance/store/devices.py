"""Devices, the policy's rules, and messages that could not be taken in."""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.severity import Category
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class Device:
    """A school machine with an enrolled certificate. last_seen_at: its last heartbeat or event."""

    id: str
    academy_id: str
    academy_name: str
    name: str
    place: str
    enrolled_at: datetime
    revoked_at: datetime | None
    last_seen_at: datetime | None
    queue_depth: int | None
    agent_version: str | None


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message that could not be taken in, kept with its reason."""

    device_id: str
    academy_name: str
    message_id: str | None
    reason: str
    size: int
    received_at: datetime


def insert_device(
    db: Database, device_id: str, academy_id: str, name: str, place: str, serial: str, now: datetime
) -> None:
    """Enrol a device; enrolling it again gives it its new certificate's serial number."""
    db.conn.execute(
        "INSERT INTO device (id, academy_id, name, place, enrolled_at, certificate_serial) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET certificate_serial = excluded.certificate_serial, name = excluded.name,"
        " place = excluded.place, enrolled_at = excluded.enrolled_at, revoked_at = NULL",
        [device_id, academy_id, name, place, to_text(now), serial],
    )


def get_device_academy(db: Database, device_id: str) -> str | None:
    """The academy of an enrolled device that is not revoked."""
    row = db.conn.execute(
        "SELECT academy_id FROM scoped_device WHERE id = ? AND revoked_at IS NULL", [device_id]
    ).fetchone()
    return str(row[0]) if row else None


def set_device_seen(
    db: Database, device_id: str, now: datetime, queue_depth: int | None = None, agent_version: str | None = None
) -> None:
    """Note that a device was heard from."""
    db.conn.execute(
        "UPDATE device SET last_seen_at = ?, queue_depth = coalesce(?, queue_depth),"
        " agent_version = coalesce(?, agent_version) WHERE id = ?",
        [to_text(now), queue_depth, agent_version, device_id],
    )


def select_devices(db: Database) -> list[Device]:
    """Devices in scope, by academy and name."""
    rows = db.query(
        "SELECT d.*, a.short_name AS academy_name FROM scoped_device d JOIN academy a ON a.id = d.academy_id"
        " ORDER BY a.name, d.name"
    )
    return [
        Device(
            row["id"],
            row["academy_id"],
            row["academy_name"],
            row["name"],
            row["place"],
            from_text(row["enrolled_at"]),
            from_text(row["revoked_at"]) if row["revoked_at"] else None,
            from_text(row["last_seen_at"]) if row["last_seen_at"] else None,
            row["queue_depth"],
            row["agent_version"],
        )
        for row in rows
    ]


def set_policy_rules(db: Database, rules: dict[str, Category]) -> None:
    """Replace the box's list of which rule of the policy stands for which category."""
    db.conn.execute("DELETE FROM policy_rule")
    db.conn.executemany("INSERT INTO policy_rule (id, category) VALUES (?, ?)", list(rules.items()))


def get_rule_category(db: Database, rule_id: str) -> Category:
    """The category of a rule; NONE for one the box does not know."""
    row = db.conn.execute("SELECT category FROM policy_rule WHERE id = ?", [rule_id]).fetchone()
    return Category(row[0]) if row else Category.NONE


def insert_rejected_message(
    db: Database,
    rejected_id: str,
    academy_id: str,
    device_id: str,
    message_id: str | None,
    topic: str,
    reason: str,
    payload_sha256: str,
    size: int,
    now: datetime,
) -> bool:
    """Keep the fact of a message that could not be taken in; False when the same bytes were kept before."""
    cursor = db.conn.execute(
        "INSERT INTO rejected_message (id, academy_id, device_id, message_id, topic, reason, payload_sha256, size,"
        " received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [rejected_id, academy_id, device_id, message_id, topic, reason, payload_sha256, size, to_text(now)],
    )
    return cursor.rowcount > 0


def select_rejected_messages(db: Database, limit: int = 50) -> list[RejectedMessage]:
    """Messages in scope that could not be taken in, newest first."""
    rows = db.query(
        "SELECT r.*, a.short_name AS academy_name FROM scoped_rejected_message r JOIN academy a ON a.id = r.academy_id"
        " ORDER BY r.received_at DESC LIMIT ?",
        [limit],
    )
    return [
        RejectedMessage(
            row["device_id"],
            row["academy_name"],
            row["message_id"],
            row["reason"],
            row["size"],
            from_text(row["received_at"]),
        )
        for row in rows
    ]


def select_revoked_device_ids(db: Database) -> list[str]:
    """Devices that may not speak to the box any more."""
    return [row[0] for row in db.conn.execute("SELECT id FROM scoped_device WHERE revoked_at IS NOT NULL ORDER BY id")]


def get_device_serial(db: Database, device_id: str) -> str | None:
    """The serial number (hex) of the certificate a device was last given."""
    row = db.conn.execute("SELECT certificate_serial FROM scoped_device WHERE id = ?", [device_id]).fetchone()
    return str(row[0]) if row and row[0] is not None else None


def set_device_revoked(db: Database, device_id: str, now: datetime) -> None:
    """Note that a device's certificate no longer counts."""
    db.conn.execute("UPDATE scoped_device SET revoked_at = ? WHERE id = ?", [to_text(now), device_id])
