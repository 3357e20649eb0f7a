"""What a person does with an import: send a file, choose its columns, have it carried out or undone, decide who is who.

All of it only moves the import's state on; the box carries it out (``import_mis``).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import BinaryIO, TextIO

from sqlite_utils import Database

from appliance.exchange.csv_out import write_refused
from appliance.exchange.mis_csv import FIELDS, Columns, Head, guess, read_head
from appliance.exchange.mis_file import Format, find_format
from appliance.safeguarding.access import Actor, NotAllowedError, Permission, require
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.pupil import IMPORT_TRANSITIONS, ImportState, MisFileError
from appliance.store import imports, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.store.imports import Import, ImportRow
from appliance.workflow.import_mis import ImportRefusedError

KINDS = {
    "pupils": "Pupils", "contacts": "Contacts", "attendance": "Attendance marks", "behaviour": "Behaviour",
    "accounts": "Device user names",
}  # fmt: skip

__all__ = ["FIELDS", "KINDS", "Columns", "Head", "ImportRefusedError", "Preview"]


@dataclass(frozen=True, slots=True)
class Preview:
    """The head of a CSV, and the columns to begin with: those the academy chose before, or a preset's, or none."""

    head: Head
    columns: Columns | None
    remembered: bool


def columns_text(columns: Columns) -> str:
    """Columns as they are kept."""
    return json.dumps(asdict(columns), ensure_ascii=False)


def columns_from(text: str | None) -> Columns | None:
    """The columns that ``columns_text`` wrote; None for nothing."""
    return Columns(**json.loads(text)) if text else None


def head_key(columns: tuple[str, ...]) -> str:
    """What a file's headings are remembered by."""
    return hashlib.sha256("\n".join(columns).encode()).hexdigest()[:24]


def send_file(
    db: Database, actor: Actor, academy_id: str, name: str, file: BinaryIO, options: Mapping[str, object],
    keep: Callable[[str], BinaryIO], now: datetime, new_id: Callable[[], str],
) -> Import:  # fmt: skip
    """Keep a file and put it into the queue. keep: opens the place for the import of this id.

    A CSV whose columns nobody has chosen yet waits for that. Raises MisFileError, NotAllowedError.
    """
    require(actor, Permission.PUPIL_IMPORT, academy_id)
    kind = find_format(file)
    columns, state = None, ImportState.TO_PLAN
    if kind is Format.CSV:
        preview = preview_file(db, academy_id, file)
        columns = preview.columns
        if columns is None or not preview.remembered:
            state = ImportState.MAPPING
    import_id, digest, size = new_id(), hashlib.sha256(), 0
    file.seek(0)
    with keep(import_id) as to:
        while chunk := file.read(1_000_000):
            digest.update(chunk)
            size += len(chunk)
            to.write(chunk)
    one = Import(
        import_id, academy_id, people.get_trust_of_academy(db, academy_id), kind, name[:200], digest.hexdigest(), size,
        state, actor.staff_id, now, columns_text(columns) if columns else None, dict(options), 0, {}, None, None, None,
    )  # fmt: skip
    with transaction(db):
        imports.insert_import(db, one)
        detail: dict[str, str | int | None] = {"file": one.file_name, "sha256": one.sha256, "size": size}
        append_audit(db, AuditEntry(actor.staff_id, "mis:sent", f"import:{one.id}", academy_id, now, detail))
    return one


def preview_file(db: Database, academy_id: str, file: BinaryIO) -> Preview:
    """The head of a CSV with the columns to begin with. Raises MisFileError."""
    file.seek(0)
    head = read_head(file)
    kept = columns_from(imports.get_mapping(db, academy_id, head_key(head.columns)))
    return Preview(head, kept or guess(head.columns), kept is not None)


def choose_columns(
    db: Database, actor: Actor, one: Import, columns: Columns, headings: tuple[str, ...], now: datetime
) -> None:
    """Set a CSV's columns, remember them for the academy, and have the dry run made. Raises MisFileError."""
    academy_id = _own(actor, one)
    if missing := columns.missing():
        raise MisFileError(f"Choose a column for: {', '.join(missing)}.")
    with transaction(db):
        imports.keep_mapping(db, academy_id, head_key(headings), columns_text(columns), now)
        _move(db, actor, one, ImportState.TO_PLAN, "mis:mapped", now, columns=columns_text(columns), progress=0)


def have_planned(db: Database, actor: Actor, one: Import, now: datetime) -> None:
    """Have the dry run made again: after an undo, a failure, or other columns."""
    _own(actor, one)
    with transaction(db):
        _move(db, actor, one, ImportState.TO_PLAN, "mis:planned", now, progress=0, problem=None)


def have_applied(db: Database, actor: Actor, one: Import, now: datetime) -> None:
    """Have an import carried out whose dry run was looked at."""
    _own(actor, one)
    with transaction(db):
        _move(db, actor, one, ImportState.TO_APPLY, "mis:confirmed", now, progress=0)


def have_undone(db: Database, actor: Actor, one: Import, now: datetime) -> None:
    """Have an import undone."""
    _own(actor, one)
    with transaction(db):
        current = imports.get_import(db, one.id)
        if current is None or current.state is not ImportState.APPLIED:
            raise ImportRefusedError("Only an import that was carried out can be undone.")
        options = {**one.options, "undo_by": actor.staff_id}
        imports.set_import_state(db, one.id, ImportState.TO_APPLY, options=options, progress=0)
        entry = AuditEntry(actor.staff_id, "mis:undo_asked", f"import:{one.id}", one.academy_id, now)
        append_audit(db, entry)


def decide_match(
    db: Database, actor: Actor, proposal_id: str, decided: str, now: datetime, new_id: Callable[[], str]
) -> None:
    """Say of a row that looks like a pupil who is here that it is that child ("same"), or another one ("other").

    The box carries it out as an import of one row, so that it can be undone as one. Raises NotAllowedError.
    """
    proposal = imports.get_proposal(db, proposal_id)
    if proposal is None or decided not in ("same", "other"):
        raise NotAllowedError(f"proposal {proposal_id}")
    require(actor, Permission.PUPIL_IMPORT, proposal.academy_id)
    if proposal.decided is not None:
        raise ImportRefusedError("Somebody has decided this already.")
    source = imports.get_import(db, proposal.import_id)
    options: dict[str, object] = {"proposal": proposal_id, "format": source.format if source else "csv"}
    with transaction(db):
        imports.set_proposal(db, proposal_id, decided, actor.staff_id, now)
        words = "The same child" if decided == "same" else "Another child"
        _queue(db, actor, proposal.academy_id, "decision", words, options, now, new_id)
        detail = {"decided": decided, "pupil": proposal.pupil_id}
        entry = AuditEntry(actor.staff_id, "pupil:matched", f"proposal:{proposal_id}", proposal.academy_id, now, detail)
        append_audit(db, entry)


def have_merged(
    db: Database, actor: Actor, keep_id: str, other_id: str, now: datetime, new_id: Callable[[], str]
) -> None:
    """Have two records of one child made one. Both must be the actor's to import for. Raises NotAllowedError."""
    keep, other = people.get_pupil(db, keep_id), people.get_pupil(db, other_id)
    if keep is None or other is None:
        raise NotAllowedError(f"pupil {keep_id} or {other_id}")
    for one in (keep, other):
        require(actor, Permission.PUPIL_IMPORT, one.academy_id)
        if one.id in actor.shut:
            raise NotAllowedError(f"pupil {one.id}")
    if keep_id == other_id or keep.academy_id != other.academy_id:
        raise ImportRefusedError("Choose two records of one academy.")
    with transaction(db):
        options: dict[str, object] = {"keep": keep_id, "other": other_id}
        _queue(db, actor, keep.academy_id, "merge", "One record of two", options, now, new_id)
        entry = AuditEntry(actor.staff_id, "pupil:merge_asked", f"pupil:{keep_id}", keep.academy_id, now,
                           {"other": other_id})  # fmt: skip
        append_audit(db, entry)


def _queue(
    db: Database, actor: Actor, academy_id: str, kind: str, name: str, options: dict[str, object], now: datetime,
    new_id: Callable[[], str],
) -> None:  # fmt: skip
    trust_id = people.get_trust_of_academy(db, academy_id)
    one = Import(
        new_id(), academy_id, trust_id, kind, name, "", 0, ImportState.TO_APPLY, actor.staff_id, now, None, options, 0,
        {}, None, None, None,
    )  # fmt: skip
    imports.insert_import(db, one)


def _own(actor: Actor, one: Import) -> str:
    if one.academy_id is None:
        raise NotAllowedError(f"import {one.id}")
    require(actor, Permission.PUPIL_IMPORT, one.academy_id)
    return one.academy_id


def _move(
    db: Database, actor: Actor, one: Import, state: ImportState, kind: str, now: datetime, **more: object
) -> None:
    # as it is now: the page it was pressed on may be old
    current = imports.get_import(db, one.id)
    if current is None or state not in IMPORT_TRANSITIONS[current.state]:
        raise ImportRefusedError("The import has moved on meanwhile. Look at it again.")
    imports.set_import_state(db, one.id, state, **more)
    append_audit(db, AuditEntry(actor.staff_id, kind, f"import:{one.id}", one.academy_id, now))


def write_refused_rows(rows: list[ImportRow], headings: list[str], to: TextIO) -> None:
    """Rows that were not taken, as a CSV with their line and the reason."""
    write_refused(headings, ((row.line, row.reason, row.raw or (row.who,)) for row in rows), to)
