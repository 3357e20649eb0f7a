"""Taking a file from the MIS in: a dry run that changes nothing, one transaction for the file, and undoing it whole.

Whoever sends a file only puts it into the queue; the box itself reads and writes it. The transaction holds what was
changed, what each row came to, and the audit entry.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.exchange.codes import attendance_codes
from appliance.safeguarding.attendance import Counting
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.pupil import ImportState, MisRow, Outcome, row_from_text
from appliance.store import imports, roll
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.store.imports import Import
from appliance.workflow.changes import merge_marks
from appliance.workflow.match_pupil import Roll
from appliance.workflow.take_rows import Taking

UNDO_DAYS = 60
"""So long an import can be undone; then what it changed is no longer kept twice."""

STEP = 4_000
"""After so many rows it is asked how far the file has been read."""


class ImportRefusedError(ValueError):
    """Something that can't be done with an import. The message is one sentence for the person."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did, or would do. notes: what there is to know of the whole file."""

    counts: dict[str, int]
    notes: tuple[str, ...]


def plan_file(
    db: Database, one: Import, rows: Iterable[MisRow], now: datetime, new_id: Callable[[], str],
    progress: Callable[[], None] = lambda: None,
) -> Result:  # fmt: skip
    """The dry run: what each row would come to is kept, and nothing else changes. Raises MisFileError."""
    taking = _read(db, one, rows, now, new_id, progress)
    try:
        counts = _counts(db, taking, count_registers(db, taking))
        with transaction(db):
            imports.replace_import_rows(db, one, taking.tally.rows)
            _move_on(db, one, ImportState.PLANNED, counts=counts, progress=100, problem=_notes(taking))
        return Result(counts, tuple(taking.notes))
    finally:
        taking.close()


def apply_file(
    db: Database, one: Import, rows: Iterable[MisRow], now: datetime, new_id: Callable[[], str],
    progress: Callable[[], None] = lambda: None,
) -> Result:  # fmt: skip
    """Take the file in, all in one transaction. Raises MisFileError, and nothing is changed then."""
    taking = _read(db, one, rows, now, new_id, progress)
    try:
        return _write(db, one, taking, now)
    finally:
        taking.close()


def apply_decision(db: Database, one: Import, now: datetime, new_id: Callable[[], str]) -> Result:
    """Do what a person decided about a row that looks like a pupil who is here."""
    proposal = imports.get_proposal(db, one.options["proposal"])
    if proposal is None or proposal.decided is None:
        raise ImportRefusedError("The decision was taken back.")
    # what was a transfer file's stays one: the person said who it is, not that it overrules the MIS
    taking = Taking(db, replace(one, format=one.options["format"]), Roll(db, one.trust_id), now, new_id)
    try:
        row = row_from_text(proposal.row)
        if proposal.decided == "other" and taking.has_upn(row.upn):
            raise ImportRefusedError("Two children can't have one UPN. Have it put right in the MIS, and import again.")
        became = taking.take_decided(row, proposal.pupil_id if proposal.decided == "same" else None)
        taking.finish()
        result = _write(db, one, taking, now)
        with transaction(db):
            imports.set_proposal_pupil(db, proposal.id, became)
        return result
    finally:
        taking.close()


_MERGED = ("event", "concern_pupil", "concern_report", "pupil_account", "account_claim", "attendance",
           "attendance_total", "behaviour", "pupil_stay")  # fmt: skip


def apply_merge(db: Database, one: Import, now: datetime) -> Result:
    """Make one record of two, as a person decided: everything of the second goes to the first; undoing parts them."""
    keep, other = one.options["keep"], one.options["other"]
    kept, gone = imports.read_row(db, "pupil", keep), imports.read_row(db, "pupil", other)
    if kept is None or gone is None or kept["merged_into"] or gone["merged_into"]:
        raise ImportRefusedError("One of the two records is no longer there.")
    counts = {"changed": 0}
    with transaction(db):
        for table in _MERGED:
            for key in roll.select_rows_of(db, table, other):
                if not roll.has_its_like(db, table, key, keep):
                    counts["changed"] += imports.write_row(db, one, table, key, keep, {"pupil_id": keep})
        fill = {name: gone[name] for name in ("upn", "former_upn", "mis_id", "born_on", "year_group", "reg_group")}
        flags = sorted(set(json.loads(kept["flags"])) | set(json.loads(gone["flags"])))
        values = {name: value for name, value in fill.items() if kept[name] is None and value is not None}
        imports.write_row(db, one, "pupil", keep, keep, {**values, "flags": json.dumps(flags)})
        imports.write_row(db, one, "pupil", other, other, {"merged_into": keep})
        _move_on(db, one, ImportState.APPLIED, applied_at=now, counts=counts, progress=100)
        detail = {"merged": other, "rows": counts["changed"]}
        append_audit(db, AuditEntry(one.made_by, "pupil:merged", f"pupil:{keep}", one.academy_id, now, detail))
    return Result(counts, ())


def undo_import(db: Database, one: Import, by: str, now: datetime) -> int:
    """Put back all that an import changed; how many pupils stay, as they have a record by now.

    Raises ImportRefusedError while a later import, or the time, stands against it. For the box itself.
    """
    if one.state is not ImportState.APPLIED:
        raise ImportRefusedError("Only an import that was carried out can be undone.")
    if one.applied_at is not None and now - one.applied_at > timedelta(days=UNDO_DAYS):
        raise ImportRefusedError(f"An import can be undone for {UNDO_DAYS} days.")
    with transaction(db):
        later = imports.find_later_import(db, one.id)
        if later is not None:
            name, at = later
            raise ImportRefusedError(f"“{name}” of {at:%d/%m/%Y} changed the same pupils afterwards. Undo it first.")
        keep = imports.select_pupils_to_keep(db, one.id)
        count = imports.undo_changes(db, one.id, keep)
        _move_on(db, one, ImportState.UNDONE, undone_at=now)
        detail = {"rows": count, "kept": len(keep)}
        append_audit(db, AuditEntry(by, "mis:undone", f"import:{one.id}", one.academy_id, now, detail))
        if one.format == "decision":
            imports.set_proposal(db, one.options["proposal"], None, None, None)
    return len(keep)


def fail_import(db: Database, one: Import, problem: str, now: datetime) -> None:
    """Note why a file could not be taken in."""
    with transaction(db):
        _move_on(db, one, ImportState.FAILED, problem=problem, progress=0)
        if one.format == "decision":
            imports.set_proposal(db, one.options["proposal"], None, None, None)
        entry = AuditEntry(one.made_by, "mis:failed", f"import:{one.id}", one.academy_id, now, {"problem": problem})
        append_audit(db, entry)


def _read(
    db: Database, one: Import, rows: Iterable[MisRow], now: datetime, new_id: Callable[[], str],
    progress: Callable[[], None],
) -> Taking:  # fmt: skip
    taking = Taking(db, one, Roll(db, one.trust_id), now, new_id)
    try:
        for number, row in enumerate(rows):
            taking.take(row)
            if number % STEP == 0:
                progress()
        taking.finish()
    except BaseException:
        taking.close()
        raise
    return taking


def count_registers(db: Database, taking: Taking) -> dict[Outcome, int]:
    """What would become of the registers."""
    counts = dict.fromkeys((Outcome.ADDED, Outcome.CHANGED, Outcome.SAME), 0)
    for (pupil_id, year), marks in taking.registers.items():
        here = roll.get_marks(db, taking.register_id(pupil_id, year))
        if here is None:
            counts[Outcome.ADDED] += 1
        else:
            counts[Outcome.CHANGED if merge_marks(here, bytes(marks))[1] else Outcome.SAME] += 1
    return counts


def _counts(db: Database, taking: Taking, registers: dict[Outcome, int]) -> dict[str, int]:
    counts = {str(name): number for name, number in taking.tally.counts.items()}
    for outcome, number in registers.items():
        counts[outcome] = counts.get(outcome, 0) + number
    return {name: number for name, number in counts.items() if number}


def _write(db: Database, one: Import, taking: Taking, now: datetime) -> Result:
    with transaction(db):
        for change in taking.changes():
            imports.write_row(db, one, change.table, change.key, change.pupil_id, change.values)
        counts = _counts(db, taking, _write_registers(db, one, taking))
        for proposal in taking.proposals:
            imports.insert_proposal(db, proposal)
        imports.replace_import_rows(db, one, taking.tally.rows)
        imports.forget_old_changes(db, now - timedelta(days=UNDO_DAYS))
        _move_on(db, one, ImportState.APPLIED, applied_at=now, counts=counts, progress=100, problem=_notes(taking))
        detail: dict[str, str | int | None] = {
            "file": one.file_name,
            "sha256": one.sha256,
            "format": one.format,
            **counts,
        }
        append_audit(db, AuditEntry(one.made_by, "mis:imported", f"import:{one.id}", one.academy_id, now, detail))
    return Result(counts, tuple(taking.notes))


def _write_registers(db: Database, one: Import, taking: Taking) -> dict[Outcome, int]:
    counting = Counting(attendance_codes())
    counts = dict.fromkeys((Outcome.ADDED, Outcome.CHANGED, Outcome.SAME), 0)
    for (pupil_id, year), new in taking.registers.items():
        key = taking.register_id(pupil_id, year)
        here = roll.get_marks(db, key)
        marks, spans = (new.decode("ascii"), None) if here is None else merge_marks(here, bytes(new))
        if spans is not None and not spans:
            counts[Outcome.SAME] += 1
            continue
        summary, run = counting.summary(marks), counting.open_run(marks, year)
        values: dict[str, str | int | None] = {
            "marks": marks, "possible": summary.possible, "attended": summary.attended,
            "authorised": summary.authorised, "unauthorised": summary.unauthorised,
            "run_from": run.begun_on.isoformat() if run else None, "run_sessions": run.sessions if run else 0,
        }  # fmt: skip
        if here is None:
            values |= {"academy_id": taking.academy_of(pupil_id), "pupil_id": pupil_id, "year": year}
        imports.write_register(db, one, key, pupil_id, values, spans)
        counts[Outcome.ADDED if here is None else Outcome.CHANGED] += 1
    return counts


def _notes(taking: Taking) -> str | None:
    return " ".join(taking.notes)[:2000] or None


def _move_on(db: Database, one: Import, state: ImportState, **more: object) -> None:
    imports.set_any_import_state(db, one.id, state, **more)
