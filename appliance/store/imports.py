"""Imports from the MIS: the queue of files, what was made of each row, and what each import changed, for undoing it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.pupil import ImportState, Outcome
from appliance.store.connection import from_text, to_text

KEYS = {
    "account_claim": "id", "attendance": "id", "attendance_total": "id", "behaviour": "id", "concern_pupil": "id",
    "concern_report": "id", "event": "id", "pupil": "id", "pupil_account": "id", "pupil_contact": "id",
    "pupil_fact": "pupil_id", "pupil_stay": "id",
}  # fmt: skip
"""The tables an import may change, and the key of each."""

Values = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Import:
    """One file on its way in. academy_id: None for a file of a whole trust. progress: per cent of the file read."""

    id: str
    academy_id: str | None
    trust_id: str
    format: str
    file_name: str
    sha256: str
    size: int
    state: ImportState
    made_by: str
    made_at: datetime
    columns: str | None
    options: dict[str, Any]
    progress: int
    counts: dict[str, int]
    problem: str | None
    applied_at: datetime | None
    undone_at: datetime | None
    academy_name: str = ""
    by_name: str = ""


@dataclass(frozen=True, slots=True)
class ImportRow:
    """What was made of one row. raw: its cells, where it was refused."""

    outcome: Outcome
    line: int
    who: str
    reason: str
    raw: tuple[str, ...] = ()


def insert_import(db: Database, one: Import) -> None:
    """Put a file into the queue."""
    db.conn.execute(
        "INSERT INTO scoped_mis_import (id, academy_id, trust_id, format, file_name, sha256, size, state, made_by,"
        " made_at, columns, options, progress, counts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '{}')",
        [one.id, one.academy_id, one.trust_id, one.format, one.file_name, one.sha256, one.size, one.state, one.made_by,
         to_text(one.made_at), one.columns, json.dumps(one.options)],
    )  # fmt: skip


def insert_trust_import(db: Database, one: Import) -> None:
    """Put a whole trust's file into the queue: for the box itself, as no person's scope is a row without an academy."""
    db.conn.execute(
        "INSERT INTO mis_import (id, academy_id, trust_id, format, file_name, sha256, size, state, made_by, made_at,"
        " columns, options, progress, counts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '{}')",
        [one.id, one.academy_id, one.trust_id, one.format, one.file_name, one.sha256, one.size, one.state, one.made_by,
         to_text(one.made_at), one.columns, json.dumps(one.options)],
    )  # fmt: skip


_IMPORT = (
    "SELECT i.*, coalesce(a.short_name, 'Whole trust') AS academy_name, coalesce(s.name, i.made_by) AS by_name"
    " FROM {table} i LEFT JOIN academy a ON a.id = i.academy_id LEFT JOIN staff s ON s.id = i.made_by"
)
_SCOPED = _IMPORT.format(table="scoped_mis_import")
_ALL = _IMPORT.format(table="mis_import")


def _import(row: dict[str, Any]) -> Import:
    return Import(
        row["id"], row["academy_id"], row["trust_id"], row["format"], row["file_name"], row["sha256"], row["size"],
        ImportState(row["state"]), row["made_by"], from_text(row["made_at"]), row["columns"],
        json.loads(row["options"]), row["progress"], json.loads(row["counts"]), row["problem"],
        from_text(row["applied_at"]) if row["applied_at"] else None,
        from_text(row["undone_at"]) if row["undone_at"] else None, row["academy_name"], row["by_name"],
    )  # fmt: skip


def get_import(db: Database, import_id: str) -> Import | None:
    """An import in scope."""
    return next((_import(row) for row in db.query(f"{_SCOPED} WHERE i.id = ?", [import_id])), None)


def get_any_import(db: Database, import_id: str) -> Import | None:
    """An import of any academy or of a whole trust: for the box itself."""
    return next((_import(row) for row in db.query(f"{_ALL} WHERE i.id = ?", [import_id])), None)


def select_imports(db: Database, limit: int = 50) -> list[Import]:
    """The newest imports in scope, newest first. Decisions of people, which go the same way, are left out."""
    rows = db.query(
        f"{_SCOPED} WHERE i.format NOT IN ('decision', 'merge') ORDER BY i.made_at DESC, i.id LIMIT ?", [limit]
    )
    return [_import(row) for row in rows]


def select_decisions(db: Database, limit: int = 50) -> list[Import]:
    """The newest decisions about whose record is whose, newest first."""
    rows = db.query(f"{_SCOPED} WHERE i.format IN ('decision', 'merge') ORDER BY i.made_at DESC LIMIT ?", [limit])
    return [_import(row) for row in rows]


def get_next_import(db: Database) -> Import | None:
    """The import that waits longest for the box to do something with it."""
    query = f"{_ALL} WHERE i.state IN ('to_plan', 'to_apply') ORDER BY i.made_at LIMIT 1"
    return next((_import(row) for row in db.query(query)), None)


def find_same_file(db: Database, sha256: str, academy_id: str | None) -> Import | None:
    """The newest import of the same bytes at this academy that stands, or None: for the box itself."""
    query = f"{_ALL} WHERE i.sha256 = ? AND i.academy_id IS ? AND i.state = 'applied' ORDER BY i.applied_at DESC"
    return next((_import(row) for row in db.query(query, [sha256, academy_id])), None)


def set_import_state(db: Database, import_id: str, state: ImportState, **more: object) -> None:
    """Move an import on. more: columns that change with it; mappings are stored as JSON."""
    values = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in more.items()}
    columns = ", ".join(["state = ?", *(f"{name} = ?" for name in values)])
    parameters = [state, *(to_text(one) if isinstance(one, datetime) else one for one in values.values())]
    db.conn.execute(f"UPDATE scoped_mis_import SET {columns} WHERE id = ?", [*parameters, import_id])


def set_any_import_state(db: Database, import_id: str, state: ImportState, **more: object) -> None:
    """The same, for the box itself."""
    values = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in more.items()}
    columns = ", ".join(["state = ?", *(f"{name} = ?" for name in values)])
    parameters = [state, *(to_text(one) if isinstance(one, datetime) else one for one in values.values())]
    db.conn.execute(f"UPDATE mis_import SET {columns} WHERE id = ?", [*parameters, import_id])


def set_progress(db: Database, import_id: str, per_cent: int) -> None:
    """Note how far an import has come."""
    db.conn.execute("UPDATE mis_import SET progress = ? WHERE id = ?", [per_cent, import_id])


# ---- what was made of each row ----


def replace_import_rows(db: Database, one: Import, rows: Iterable[ImportRow]) -> None:
    """Keep what was made of the rows, in place of what a dry run said before."""
    db.conn.execute("DELETE FROM mis_import_row WHERE import_id = ?", [one.id])
    db.conn.executemany(
        "INSERT INTO mis_import_row (academy_id, import_id, outcome, line, who, reason, raw)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        ((one.academy_id, one.id, row.outcome, row.line, row.who, row.reason, json.dumps(row.raw)) for row in rows),
    )


def select_import_rows(db: Database, import_id: str, outcome: Outcome, limit: int = 200) -> list[ImportRow]:
    """Rows of one outcome, in the order of the file."""
    rows = db.conn.execute(
        "SELECT outcome, line, who, reason, raw FROM scoped_mis_import_row WHERE import_id = ? AND outcome = ?"
        " ORDER BY line, id LIMIT ?",
        [import_id, outcome, limit],
    )
    return [ImportRow(Outcome(row[0]), row[1], row[2], row[3], tuple(json.loads(row[4]))) for row in rows]


# ---- what an import changed ----


def read_row(db: Database, table: str, key: str) -> dict[str, Any] | None:
    """One row of a table of KEYS, or None: for the box itself."""
    # not db.query(), which costs as much again: a trust's file asks this a few hundred thousand times
    found = db.conn.execute(f"SELECT * FROM {table} WHERE {KEYS[table]} = ?", [key])
    row = found.fetchone()
    return dict(zip((column[0] for column in found.description), row, strict=True)) if row else None


def write_row(db: Database, one: Import, table: str, key: str, pupil_id: str, values: Values | None) -> bool:
    """Add, change or (values None) delete a row, and keep what it was before. False where nothing differs.

    values: the columns to set; on a new row those left out are NULL. For the box itself, in a transaction.
    """
    name, before = KEYS[table], read_row(db, table, key)
    if values is None:
        if before is None:
            return False
        db.conn.execute(f"DELETE FROM {table} WHERE {name} = ?", [key])
        _note(db, one, table, key, pupil_id, before)
        return True
    if before is None:
        columns = [name, *values]
        marks = ", ".join("?" * len(columns))
        db.conn.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", [key, *values.values()])
        _note(db, one, table, key, pupil_id, None)
        return True
    changed = {column: value for column, value in values.items() if before[column] != value}
    if not changed:
        return False
    sets = ", ".join(f"{column} = ?" for column in changed)
    db.conn.execute(f"UPDATE {table} SET {sets} WHERE {name} = ?", [*changed.values(), key])
    _note(db, one, table, key, pupil_id, {column: before[column] for column in changed})
    return True


def _note(db: Database, one: Import, table: str, key: str, pupil_id: str, before: Mapping[str, Any] | None) -> None:
    db.conn.execute(
        "INSERT INTO mis_change (academy_id, import_id, table_name, row_id, pupil_id, before)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [one.academy_id, one.id, table, key, pupil_id, None if before is None else json.dumps(before)],
    )


def find_later_import(db: Database, import_id: str) -> tuple[str, datetime] | None:
    """The newest import that changed a row after this one did, with its time: it must be undone first."""
    row = db.conn.execute(
        "SELECT i.file_name, i.applied_at FROM mis_change c JOIN mis_change later ON later.row_id = c.row_id"
        " AND later.table_name = c.table_name AND later.id > c.id AND later.import_id <> c.import_id"
        " JOIN mis_import i ON i.id = later.import_id WHERE c.import_id = ? ORDER BY later.id DESC LIMIT 1",
        [import_id],
    ).fetchone()
    return (row[0], from_text(row[1])) if row else None


def select_pupils_to_keep(db: Database, import_id: str) -> set[str]:
    """Pupils whom this import added and who have a record by now, or data of another import."""
    tests = [
        f"EXISTS (SELECT 1 FROM {table} x WHERE x.{column} = c.row_id)"
        for table, column in (
            ("event", "pupil_id"), ("concern_pupil", "pupil_id"), ("concern_report", "pupil_id"),
            ("record_lock", "subject_id"), ("account_claim", "pupil_id"),
        )
    ]  # fmt: skip
    tests.append("EXISTS (SELECT 1 FROM mis_change o WHERE o.pupil_id = c.row_id AND o.import_id <> c.import_id)")
    rows = db.conn.execute(
        "SELECT c.row_id FROM mis_change c WHERE c.import_id = ? AND c.table_name = 'pupil' AND c.before IS NULL"
        f" AND ({' OR '.join(tests)})",
        [import_id],
    )
    return {row[0] for row in rows}


def undo_changes(db: Database, import_id: str, keep: set[str]) -> int:
    """Put every row back as it was before an import, newest change first; how many. keep: pupils to leave alone."""
    rows = db.conn.execute(
        "SELECT table_name, row_id, pupil_id, before FROM mis_change WHERE import_id = ? ORDER BY id DESC", [import_id]
    )
    count = 0
    for table, key, pupil_id, before in rows.fetchall():
        if pupil_id in keep:
            continue
        name = KEYS[table]
        if before is None:
            db.conn.execute(f"DELETE FROM {table} WHERE {name} = ?", [key])
        else:
            _put_back(db, table, name, key, json.loads(before))
        count += 1
    db.conn.execute("DELETE FROM mis_change WHERE import_id = ?", [import_id])
    return count


def _put_back(db: Database, table: str, name: str, key: str, before: dict[str, Any]) -> None:
    if "spans" in before:
        (marks,) = db.conn.execute("SELECT marks FROM attendance WHERE id = ?", [key]).fetchone()
        for start, text in before.pop("spans"):
            marks = marks[:start] + text + marks[start + len(text) :]
        before["marks"] = marks
    if name in before:
        marks = ", ".join("?" * len(before))
        db.conn.execute(f"INSERT INTO {table} ({', '.join(before)}) VALUES ({marks})", list(before.values()))
        return
    sets = ", ".join(f"{column} = ?" for column in before)
    db.conn.execute(f"UPDATE {table} SET {sets} WHERE {name} = ?", [*before.values(), key])


def forget_old_changes(db: Database, before: datetime) -> None:
    """Drop what imports changed that were applied before a time; they can't be undone any more."""
    db.conn.execute(
        "DELETE FROM mis_change WHERE import_id IN (SELECT id FROM mis_import WHERE applied_at < ?)", [to_text(before)]
    )


def write_register(
    db: Database, one: Import, key: str, pupil_id: str, values: Values, spans: list[tuple[int, str]] | None
) -> None:
    """Add a register, or change its marks. spans: the marks that were there before, by place; None for a new one.

    Only what changed is kept for undoing: a night's file changes two marks of seven hundred.
    """
    if spans is None:
        write_row(db, one, "attendance", key, pupil_id, values)
        return
    before = read_row(db, "attendance", key)
    assert before is not None
    sets = ", ".join(f"{column} = ?" for column in values)
    db.conn.execute(f"UPDATE attendance SET {sets} WHERE id = ?", [*values.values(), key])
    kept = {column: before[column] for column in values if column != "marks"}
    _note(db, one, "attendance", key, pupil_id, {**kept, "spans": spans})


# ---- columns that an academy chose ----


def get_mapping(db: Database, academy_id: str, key: str) -> str | None:
    """The columns an academy chose before for files with these headings, as text. key: what the headings hash to."""
    row = db.conn.execute(
        "SELECT columns FROM scoped_mis_mapping WHERE id = ?", [f"{academy_id}.{key}"]
    ).fetchone()  # fmt: skip
    return str(row[0]) if row else None


def keep_mapping(db: Database, academy_id: str, key: str, columns: str, now: datetime) -> None:
    """Remember the columns for files with these headings."""
    row_id = f"{academy_id}.{key}"
    if get_mapping(db, academy_id, key) is None:
        db.conn.execute(
            "INSERT INTO scoped_mis_mapping (id, academy_id, columns, kept_at) VALUES (?, ?, ?, ?)",
            [row_id, academy_id, columns, to_text(now)],
        )
    else:
        db.conn.execute(
            "UPDATE scoped_mis_mapping SET columns = ?, kept_at = ? WHERE id = ?", [columns, to_text(now), row_id]
        )


# ---- rows that look like somebody who is here already ----


@dataclass(frozen=True, slots=True)
class Proposal:
    """A row that may be a pupil who is here. row: as ``row_to_text`` writes it. decided: "same", "other" or None."""

    id: str
    academy_id: str
    import_id: str
    pupil_id: str
    row: str
    reason: str
    decided: str | None
    decided_pupil_id: str | None


_PROPOSAL = "SELECT id, academy_id, import_id, pupil_id, row, reason, decided, decided_pupil_id FROM"


def insert_proposal(db: Database, one: Proposal) -> None:
    """Keep a proposal; one that was made before stays as it is, decided or not."""
    db.conn.execute(
        "INSERT OR IGNORE INTO mis_proposal (id, academy_id, import_id, pupil_id, row, reason)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [one.id, one.academy_id, one.import_id, one.pupil_id, one.row, one.reason],
    )


def select_open_proposals(db: Database, limit: int = 100) -> list[Proposal]:
    """Proposals in scope that nobody has decided."""
    query = f"{_PROPOSAL} scoped_mis_proposal WHERE decided IS NULL ORDER BY id LIMIT ?"
    return [Proposal(*row) for row in db.conn.execute(query, [limit])]


def get_proposal(db: Database, proposal_id: str) -> Proposal | None:
    """A proposal in scope."""
    row = db.conn.execute(f"{_PROPOSAL} scoped_mis_proposal WHERE id = ?", [proposal_id]).fetchone()
    return Proposal(*row) if row else None


def select_decided_proposals(db: Database, academies: Iterable[str]) -> dict[str, str]:
    """Whom rows were decided to be, by the proposal's id: for the box itself."""
    found: dict[str, str] = {}
    for academy_id in academies:
        query = "SELECT id, decided_pupil_id FROM mis_proposal WHERE academy_id = ? AND decided_pupil_id IS NOT NULL"
        found.update(db.conn.execute(query, [academy_id]).fetchall())
    return found


def set_proposal(db: Database, proposal_id: str, decided: str | None, by: str | None, now: datetime | None) -> None:
    """Note what a person decided, or that it was taken back. Whom the row became is set when the box has done it."""
    at = to_text(now) if now else None
    db.conn.execute(
        "UPDATE scoped_mis_proposal SET decided = ?, decided_by = ?, decided_at = ?, decided_pupil_id = NULL"
        " WHERE id = ?",
        [decided, by, at, proposal_id],
    )


def set_proposal_pupil(db: Database, proposal_id: str, pupil_id: str) -> None:
    """Note whom the row of a proposal became."""
    db.conn.execute("UPDATE mis_proposal SET decided_pupil_id = ? WHERE id = ?", [pupil_id, proposal_id])
