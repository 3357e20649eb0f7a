"""The vault of records about staff. Its views show an entry to the vault's roles, and never to the one it is about."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.vault import NewVaultEntry, VaultKind
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """A record about a member of staff."""

    id: str
    academy_id: str
    academy_name: str
    kind: VaultKind
    about_name: str
    text: str
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class VaultNote:
    """Something added to it later."""

    text: str
    recorded_by: str
    recorded_at: datetime


def insert_vault_entry(db: Database, entry: NewVaultEntry, recorded_by: str, now: datetime) -> None:
    """Keep a record about a member of staff."""
    db.conn.execute(
        "INSERT INTO scoped_vault_entry (id, academy_id, kind, about_id, about_name, text, recorded_by, recorded_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            entry.id,
            entry.academy_id,
            entry.kind,
            entry.about_id,
            entry.about_name.strip(),
            entry.text.strip(),
            recorded_by,
            to_text(now),
        ],
    )


def insert_vault_note(
    db: Database, note_id: str, entry: VaultEntry, text: str, recorded_by: str, now: datetime
) -> None:
    """Add to a record."""
    db.conn.execute(
        "INSERT INTO scoped_vault_note (id, entry_id, academy_id, text, recorded_by, recorded_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [note_id, entry.id, entry.academy_id, text.strip(), recorded_by, to_text(now)],
    )


def _entry(row: dict[str, Any]) -> VaultEntry:
    return VaultEntry(
        row["id"],
        row["academy_id"],
        row["academy_name"],
        VaultKind(row["kind"]),
        row["about_name"],
        row["text"],
        row["recorder_name"],
        from_text(row["recorded_at"]),
    )


_ENTRY = """
    SELECT v.*, a.short_name AS academy_name, s.name AS recorder_name FROM scoped_vault_entry v
    JOIN academy a ON a.id = v.academy_id JOIN staff s ON s.id = v.recorded_by
"""


def get_vault_entry(db: Database, entry_id: str) -> VaultEntry | None:
    """A record in reach."""
    return next((_entry(row) for row in db.query(f"{_ENTRY} WHERE v.id = ?", [entry_id])), None)


def select_vault_entries(db: Database, limit: int = 200) -> list[VaultEntry]:
    """The records in reach, newest first."""
    return [_entry(row) for row in db.query(f"{_ENTRY} ORDER BY v.recorded_at DESC LIMIT ?", [limit])]


def select_vault_notes(db: Database, entry_id: str) -> list[VaultNote]:
    """What was added to a record, oldest first."""
    rows = db.query(
        "SELECT n.text, s.name, n.recorded_at FROM scoped_vault_note n JOIN staff s ON s.id = n.recorded_by"
        " WHERE n.entry_id = ? ORDER BY n.recorded_at",
        [entry_id],
    )
    return [VaultNote(row["text"], row["name"], from_text(row["recorded_at"])) for row in rows]
