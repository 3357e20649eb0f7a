"""Enrolment codes, the certificates and tokens that devices were given, and what the broker must be told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.enrolment import EnrolmentCode
from appliance.store.connection import from_text, to_text

# -- codes


def insert_code(db: Database, code: EnrolmentCode) -> None:
    """Keep a new code."""
    db.conn.execute(
        "INSERT INTO scoped_enrolment_code (id, academy_id, place, prefix, made_by, made_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            code.id,
            code.academy_id,
            code.place,
            code.prefix,
            code.made_by,
            to_text(code.made_at),
            to_text(code.expires_at),
        ],
    )


def get_code(db: Database, code_id: str) -> EnrolmentCode | None:
    """A code in scope, used or not."""
    return next((_code(row) for row in db.query("SELECT * FROM scoped_enrolment_code WHERE id = ?", [code_id])), None)


def select_codes(db: Database, made_after: datetime) -> list[EnrolmentCode]:
    """Codes in scope, the newest first."""
    rows = db.query(
        "SELECT * FROM scoped_enrolment_code WHERE made_at > ? ORDER BY made_at DESC LIMIT 200", [to_text(made_after)]
    )
    return [_code(row) for row in rows]


def set_code_used(db: Database, code_id: str, device_id: str, now: datetime) -> bool:
    """Use a code up. Returns whether it could still be used."""
    done = db.conn.execute(
        "UPDATE enrolment_code SET used_at = :now, device_id = :device"
        " WHERE id = :id AND used_at IS NULL AND withdrawn_at IS NULL AND expires_at > :now",
        {"now": to_text(now), "id": code_id, "device": device_id},
    )
    return done.rowcount == 1


def set_code_withdrawn(db: Database, code_id: str, now: datetime) -> None:
    """No device may use the code any more."""
    db.conn.execute("UPDATE scoped_enrolment_code SET withdrawn_at = ? WHERE id = ?", [to_text(now), code_id])


def _code(row: dict[str, Any]) -> EnrolmentCode:
    def time(name: str) -> datetime | None:
        return from_text(row[name]) if row[name] else None

    return EnrolmentCode(
        row["id"],
        row["academy_id"],
        row["place"],
        row["prefix"],
        row["made_by"],
        from_text(row["made_at"]),
        from_text(row["expires_at"]),
        time("used_at"),
        row["device_id"],
        time("withdrawn_at"),
    )


# -- certificates and tokens


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as the box signed it. serial: hex."""

    serial: str
    ends_at: datetime


def insert_certificate(db: Database, device_id: str, academy_id: str, certificate: Certificate, now: datetime) -> None:
    """Note that a device was given a certificate."""
    db.conn.execute(
        "INSERT INTO device_certificate (serial, academy_id, device_id, made_at, ends_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [certificate.serial, academy_id, device_id, to_text(now), to_text(certificate.ends_at)],
    )


def count_certificates(db: Database, device_id: str, since: datetime) -> int:
    """How many certificates a device was given since a time."""
    row = db.conn.execute(
        "SELECT count(*) FROM scoped_device_certificate WHERE device_id = ? AND made_at > ?",
        [device_id, to_text(since)],
    ).fetchone()
    return int(row[0])


def select_certificate_ends(db: Database) -> dict[str, datetime]:
    """When the newest certificate of each device in scope ends."""
    rows = db.conn.execute(
        "SELECT device_id, max(ends_at) FROM scoped_device_certificate WHERE revoked_at IS NULL GROUP BY device_id"
    )
    return {row[0]: from_text(row[1]) for row in rows}


def set_certificates_revoked(db: Database, device_id: str, now: datetime) -> list[str]:
    """Mark every certificate of a device as revoked; the serial numbers."""
    rows = db.conn.execute(
        "SELECT serial FROM scoped_device_certificate WHERE device_id = ? AND revoked_at IS NULL", [device_id]
    ).fetchall()
    db.conn.execute(
        "UPDATE scoped_device_certificate SET revoked_at = ? WHERE device_id = ? AND revoked_at IS NULL",
        [to_text(now), device_id],
    )
    return [row[0] for row in rows]


def select_revoked_serials(db: Database) -> list[str]:
    """Serial numbers (hex) of the certificates that no longer count."""
    rows = db.conn.execute("SELECT serial FROM scoped_device_certificate WHERE revoked_at IS NOT NULL ORDER BY serial")
    return [row[0] for row in rows]


def insert_token(db: Database, device_id: str, academy_id: str, token_hash: str, now: datetime) -> None:
    """Keep the hash of a browser's token, as the broker's file of passwords has it."""
    db.conn.execute(
        "INSERT INTO device_token (device_id, academy_id, hash, made_at) VALUES (?, ?, ?, ?)",
        [device_id, academy_id, token_hash, to_text(now)],
    )


def select_token_hashes(db: Database) -> dict[str, str]:
    """The hashes of the tokens that count, by device."""
    rows = db.conn.execute(
        "SELECT t.device_id, t.hash FROM device_token t JOIN device d ON d.id = t.device_id"
        " WHERE d.revoked_at IS NULL ORDER BY t.device_id"
    )
    return dict(rows.fetchall())


# -- what the broker must be told


def get_broker_change(db: Database) -> int:
    """A number that grows whenever the broker's files must be written anew."""
    return int(db.conn.execute("SELECT number FROM broker_change").fetchone()[0])


def note_broker_change(db: Database) -> None:
    """Have the broker's files written anew, within a second or two."""
    db.conn.execute("UPDATE broker_change SET number = number + 1")
