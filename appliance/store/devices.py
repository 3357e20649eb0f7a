"""Devices, what they say of themselves, the policy's rules, and messages that could not be taken in."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.device import Heartbeat
from appliance.safeguarding.enrolment import DeviceKind
from appliance.safeguarding.severity import Category
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class Device:
    """An enrolled device. last_seen_at: its last heartbeat or event. shut_out_at: the broker has it from then on that
    the device is revoked.
    """

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
    kind: DeviceKind = DeviceKind.DESKTOP
    shut_out_at: datetime | None = None


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
    db: Database,
    device_id: str,
    academy_id: str,
    name: str,
    place: str,
    serial: str | None,
    now: datetime,
    kind: DeviceKind = DeviceKind.DESKTOP,
) -> None:
    """Enrol a device; enrolling it again gives it its new certificate's serial number. A browser has none."""
    db.conn.execute(
        "INSERT INTO device (id, academy_id, name, place, enrolled_at, certificate_serial, kind)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET certificate_serial = excluded.certificate_serial, name = excluded.name,"
        " place = excluded.place, enrolled_at = excluded.enrolled_at, revoked_at = NULL, shut_out_at = NULL,"
        " kind = excluded.kind",
        [device_id, academy_id, name, place, to_text(now), serial, kind],
    )


def select_taken_ids(db: Database, ids_like: str) -> set[str]:
    """The ids of devices that begin so, revoked ones too. On a system connection."""
    rows = db.conn.execute("SELECT id FROM device WHERE substr(id, 1, ?) = ?", [len(ids_like), ids_like])
    return {row[0] for row in rows}


def set_device_serial(db: Database, device_id: str, serial: str) -> None:
    """Note the certificate a device was given last."""
    db.conn.execute("UPDATE device SET certificate_serial = ? WHERE id = ?", [serial, device_id])


def get_device_academy(db: Database, device_id: str) -> str | None:
    """The academy of an enrolled device that is not revoked."""
    row = db.conn.execute(
        "SELECT academy_id FROM scoped_device WHERE id = ? AND revoked_at IS NULL", [device_id]
    ).fetchone()
    return str(row[0]) if row else None


def select_academies_of(db: Database, device_ids: Collection[str]) -> dict[str, str]:
    """The academies of those of the devices that are enrolled and not revoked."""
    rows = db.conn.execute(
        "SELECT id, academy_id FROM scoped_device WHERE id IN (SELECT value FROM json_each(?)) AND revoked_at IS NULL",
        [json.dumps(list(device_ids))],
    )
    return dict(rows.fetchall())


def set_device_seen(
    db: Database, device_id: str, now: datetime, queue_depth: int | None = None, agent_version: str | None = None
) -> None:
    """Note that a device was heard from."""
    db.conn.execute(
        "UPDATE device SET last_seen_at = ?, queue_depth = coalesce(?, queue_depth),"
        " agent_version = coalesce(?, agent_version) WHERE id = ?",
        [to_text(now), queue_depth, agent_version, device_id],
    )


_DEVICES = "scoped_device d JOIN academy a ON a.id = d.academy_id"


def select_devices(db: Database) -> list[Device]:
    """Devices in scope, by academy and name."""
    rows = db.query(f"SELECT d.*, a.short_name AS academy_name FROM {_DEVICES} ORDER BY a.name, d.name, d.id")
    return [_device(row) for row in rows]


def get_device(db: Database, device_id: str) -> Device | None:
    """One device in scope."""
    rows = db.query(f"SELECT d.*, a.short_name AS academy_name FROM {_DEVICES} WHERE d.id = ?", [device_id])
    return next((_device(row) for row in rows), None)


def _device(row: dict[str, Any]) -> Device:
    return Device(
        row["id"],
        row["academy_id"],
        row["academy_name"],
        row["name"],
        row["place"],
        from_text(row["enrolled_at"]),
        _time(row["revoked_at"]),
        _time(row["last_seen_at"]),
        row["queue_depth"],
        row["agent_version"],
        DeviceKind(row["kind"]),
        _time(row["shut_out_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return from_text(text) if text else None


# -- heartbeats


def set_heartbeat(db: Database, academy_id: str, beat: Heartbeat, heard_at: datetime) -> None:
    """Keep what a device said of itself last."""
    db.conn.execute(
        "INSERT OR REPLACE INTO heartbeat (device_id, academy_id, heard_at, sent_at, queue_epoch, highest_sequence,"
        " lowest_unreceipted, queue_depth, queue_bytes, oldest_at, dead_letters, agent_version, policy_version,"
        " policy_number, platform, permissions_missing, monitored_now, notice_accepted, images_dropped, disk_full,"
        " policy_expired, held_back) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            beat.device_id,
            academy_id,
            to_text(heard_at),
            to_text(beat.sent_at),
            beat.queue_epoch,
            beat.highest_sequence,
            beat.lowest_unreceipted,
            beat.queue_depth,
            beat.queue_bytes,
            to_text(beat.oldest_at) if beat.oldest_at else None,
            beat.dead_letters,
            beat.agent_version,
            beat.policy_version,
            beat.policy_number,
            beat.platform,
            json.dumps(beat.permissions_missing),
            beat.monitored_now,
            to_text(beat.notice_accepted) if beat.notice_accepted else None,
            beat.images_dropped,
            beat.disk_full,
            beat.policy_expired,
            beat.held_back,
        ],
    )


def select_heartbeats(db: Database, device_id: str | None = None) -> dict[str, tuple[Heartbeat, datetime]]:
    """The last word of each device in scope, or of one, and when it was heard."""
    which = "" if device_id is None else " WHERE device_id = :id"
    rows = db.query(f"SELECT * FROM scoped_heartbeat{which}", {"id": device_id})
    return {row["device_id"]: (_heartbeat(row), from_text(row["heard_at"])) for row in rows}


def _heartbeat(row: dict[str, Any]) -> Heartbeat:
    def flag(name: str) -> bool | None:
        return None if row[name] is None else bool(row[name])

    return Heartbeat(
        row["device_id"],
        row["queue_epoch"],
        row["highest_sequence"],
        row["lowest_unreceipted"],
        row["queue_depth"],
        row["queue_bytes"],
        _time(row["oldest_at"]),
        row["dead_letters"],
        row["agent_version"],
        row["policy_version"],
        from_text(row["sent_at"]),
        row["policy_number"],
        row["platform"],
        tuple(json.loads(row["permissions_missing"])),
        flag("monitored_now"),
        _time(row["notice_accepted"]),
        row["images_dropped"],
        flag("disk_full"),
        flag("policy_expired"),
        row["held_back"],
    )


def select_devices_behind(db: Database, academy_id: str, number: int, heard_after: datetime) -> list[str]:
    """Devices of an academy that were heard lately and work by a lower policy. On a system connection."""
    rows = db.conn.execute(
        "SELECT h.device_id FROM heartbeat h JOIN device d ON d.id = h.device_id WHERE h.academy_id = ?"
        " AND h.policy_number < ? AND h.heard_at > ? AND d.revoked_at IS NULL ORDER BY h.device_id",
        [academy_id, number, to_text(heard_after)],
    )
    return [row[0] for row in rows]


# -- commands


@dataclass(frozen=True, slots=True)
class ResendCommand:
    """The box asking a device to send again what it holds of a queue, from one event on. asked_by: or the box."""

    id: str
    academy_id: str
    device_id: str
    queue_epoch: str
    from_sequence: int
    asked_by: str
    asked_at: datetime
    sent_at: datetime | None = None


def insert_command(db: Database, command: ResendCommand) -> None:
    """Keep a command until the device is there to hear it."""
    db.conn.execute(
        "INSERT INTO scoped_device_command (id, academy_id, device_id, queue_epoch, from_sequence, asked_by, asked_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            command.id,
            command.academy_id,
            command.device_id,
            command.queue_epoch,
            command.from_sequence,
            command.asked_by,
            to_text(command.asked_at),
        ],
    )


def select_commands(db: Database, device_id: str, asked_after: datetime) -> list[ResendCommand]:
    """What a device in scope was asked, the newest first."""
    rows = db.query(
        "SELECT * FROM scoped_device_command WHERE device_id = ? AND asked_at > ? ORDER BY asked_at DESC",
        [device_id, to_text(asked_after)],
    )
    return [_command(row) for row in rows]


def select_commands_to_send(db: Database, heard_after: datetime, asked_after: datetime) -> list[ResendCommand]:
    """Commands not sent yet to devices that were heard lately. Old ones are past their use."""
    rows = db.query(
        "SELECT c.* FROM scoped_device_command c JOIN scoped_heartbeat h ON h.device_id = c.device_id"
        " JOIN scoped_device d ON d.id = c.device_id"
        " WHERE c.sent_at IS NULL AND h.heard_at > ? AND c.asked_at > ? AND d.revoked_at IS NULL ORDER BY c.asked_at",
        [to_text(heard_after), to_text(asked_after)],
    )
    return [_command(row) for row in rows]


def set_commands_sent(db: Database, ids: Collection[str], now: datetime) -> None:
    """Note that commands went out."""
    db.conn.executemany("UPDATE device_command SET sent_at = ? WHERE id = ?", [(to_text(now), one) for one in ids])


def _command(row: dict[str, Any]) -> ResendCommand:
    return ResendCommand(
        row["id"],
        row["academy_id"],
        row["device_id"],
        row["queue_epoch"],
        row["from_sequence"],
        row["asked_by"],
        from_text(row["asked_at"]),
        _time(row["sent_at"]),
    )


# -- rules


def set_policy_rules(db: Database, rules: dict[str, Category]) -> None:
    """Replace the box's list of which rule of the policy stands for which category."""
    db.conn.execute("DELETE FROM policy_rule")
    db.conn.executemany("INSERT INTO policy_rule (id, category) VALUES (?, ?)", list(rules.items()))


def add_policy_rules(db: Database, rules: Mapping[str, Category]) -> None:
    """Learn the categories of a policy's rules. Those of earlier ones stay known: events of them are on their way."""
    db.conn.executemany(
        "INSERT INTO policy_rule (id, category) VALUES (?, ?)"
        " ON CONFLICT (id) DO UPDATE SET category = excluded.category",
        list(rules.items()),
    )


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
    queue_epoch: str | None = None,
    sequence: int | None = None,
) -> bool:
    """Keep the fact of a message that could not be taken in; False when the same bytes were kept before."""
    cursor = db.conn.execute(
        "INSERT INTO rejected_message (id, academy_id, device_id, message_id, topic, reason, payload_sha256, size,"
        " received_at, queue_epoch, sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            rejected_id,
            academy_id,
            device_id,
            message_id,
            topic,
            reason,
            payload_sha256,
            size,
            to_text(now),
            queue_epoch,
            sequence,
        ],
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


def set_devices_shut_out(db: Database, now: datetime) -> None:
    """Note that the broker knows of every revoked device."""
    db.conn.execute(
        "UPDATE device SET shut_out_at = ? WHERE revoked_at IS NOT NULL AND shut_out_at IS NULL", [to_text(now)]
    )


def set_device_revoked(db: Database, device_id: str, now: datetime) -> None:
    """Note that a device's certificate no longer counts."""
    db.conn.execute("UPDATE scoped_device SET revoked_at = ? WHERE id = ?", [to_text(now), device_id])
