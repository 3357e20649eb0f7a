"""Carrying out imports that wait, the watched folder of nightly files, and the verb ``import-mis``."""

import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from sqlite_utils import Database

from appliance.config import Config
from appliance.exchange.mis_csv import Columns, guess, read_head
from appliance.exchange.mis_file import Format, find_format, read_mis_file
from appliance.safeguarding.audit import SYSTEM
from appliance.safeguarding.pupil import ImportState, MisFileError, Outcome
from appliance.store import academies, imports, people
from appliance.store.connection import open_system, transaction
from appliance.store.import_files import open_kept, open_new
from appliance.store.imports import Import
from appliance.store.migrations import require_current
from appliance.workflow.import_mis import (
    ImportRefusedError,
    Result,
    apply_decision,
    apply_file,
    apply_merge,
    fail_import,
    plan_file,
    undo_import,
)
from appliance.workflow.send_import import columns_from, columns_text, head_key

Say = Callable[[str], None]

SETTLED = timedelta(seconds=60)
"""A file in the watched folder is taken when it has not been written to for so long."""


def new_id() -> str:
    """An id nobody can guess."""
    return secrets.token_urlsafe(15)


def run_waiting(config: Config, db: Database, now: datetime, say: Say) -> bool:
    """Carry out one import that waits. False when none does. What can't be done is noted at the import."""
    one = imports.get_next_import(db)
    if one is None:
        return False
    try:
        result = carry_out(config, db, one, now)
    except (MisFileError, ImportRefusedError, OSError) as error:
        problem = str(error) if not isinstance(error, OSError) else f"The file can't be read ({error.strerror})."
        if "undo_by" in one.options:
            _undo_refused(db, one, problem)
        else:
            fail_import(db, one, problem, now)
        say(f"import {one.id} of {one.academy_name}: not done")
        return True
    say(f"import {one.id} of {one.academy_name}: {counts_words(result.counts)}")
    return True


def _undo_refused(db: Database, one: Import, problem: str) -> None:
    options = {name: value for name, value in one.options.items() if name != "undo_by"}
    with transaction(db):
        imports.set_any_import_state(db, one.id, ImportState.APPLIED, options=options, problem=problem)


def carry_out(config: Config, db: Database, one: Import, now: datetime) -> Result:
    """Do what an import waits for. Raises MisFileError, ImportRefusedError, OSError."""
    if "undo_by" in one.options:
        by = one.options["undo_by"]
        options = {name: value for name, value in one.options.items() if name != "undo_by"}
        with transaction(db):
            imports.set_any_import_state(db, one.id, ImportState.APPLIED, options=options)
        again = imports.get_any_import(db, one.id)
        assert again is not None
        kept = undo_import(db, again, by, now)
        return Result({"kept": kept} if kept else {}, ())
    if one.format == "decision":
        return apply_decision(db, one, now, new_id)
    if one.format == "merge":
        return apply_merge(db, one, now)
    with open_kept(config.imports, one.id) as file:
        rows = read_mis_file(file, one.file_name, columns_from(one.columns), now.date())
        act = plan_file if one.state is ImportState.TO_PLAN else apply_file
        return act(db, one, rows, now, new_id, _progress(db, one, file))


def _progress(db: Database, one: Import, file: BinaryIO) -> Callable[[], None]:
    last = [0]

    def note() -> None:
        # rows are made and written after the whole file is read, so reading is most but not all of it
        per_cent = min(95, int(95 * file.tell() / max(one.size, 1)))
        if per_cent > last[0]:
            last[0] = per_cent
            with transaction(db):
                imports.set_progress(db, one.id, per_cent)

    return note


# ---- the watched folder ----


def watch_folder(config: Config, db: Database, now: datetime, say: Say) -> int:
    """Take in the files that have settled in the watched folder; how many.

    Each academy has a folder in it, named by its id, its LAESTAB or its URN. A file is moved away as it is taken, so
    that it is taken once; what can't be read is an import that failed, with the reason.
    """
    if not config.mis_folder:
        return 0
    root, count = Path(config.mis_folder), 0
    names = {}
    for trust_id, _ in people.select_trusts(db):
        for one in academies.select_academies_of(db, trust_id):
            names |= {name: one.id for name in (one.id, one.laestab, one.urn) if name}
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        academy_id = names.get(folder.name)
        if academy_id is None or not folder.is_dir() or folder.is_symlink():
            continue
        for path in sorted(folder.iterdir()):
            if _is_settled(path, now):
                take_file(config, db, path, academy_id, {}, now, move=True)
                say(f"a file for {folder.name} was taken from the watched folder")
                count += 1
    return count


def _is_settled(path: Path, now: datetime) -> bool:
    if path.name.startswith(".") or path.is_symlink() or not path.is_file():
        return False
    return now.timestamp() - path.stat().st_mtime >= SETTLED.total_seconds()


def take_file(
    config: Config, db: Database, path: Path, academy_id: str | None, options: dict[str, object], now: datetime,
    move: bool = False, trust_id: str = "", columns: Columns | None = None, state: ImportState = ImportState.TO_APPLY,
) -> Import:  # fmt: skip
    """Put a file of the box's own disk into the queue, to be carried out without a dry run unless state says so."""
    import_id = new_id()
    with path.open("rb") as file, open_new(config.imports, import_id) as to:
        shutil.copyfileobj(file, to, 1_000_000)
    with open_kept(config.imports, import_id) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        kind, columns = _look(db, file, academy_id, columns)
    one = Import(
        import_id, academy_id, trust_id or people.get_trust_of_academy(db, academy_id or ""), kind, path.name[:200],
        digest, size, state, SYSTEM, now, columns_text(columns) if columns else None, options, 0, {}, None, None, None,
    )  # fmt: skip
    with transaction(db):
        imports.insert_trust_import(db, one)
    if move:
        path.unlink()
    return one


def _look(db: Database, file: BinaryIO, academy_id: str | None, columns: Columns | None) -> tuple[str, Columns | None]:
    """The format, and for a CSV the columns: those given, those the academy chose in the portal, or a preset's."""
    file.seek(0)
    try:
        kind = find_format(file)
        if kind is not Format.CSV or columns is not None:
            return kind, columns
        headings = read_head(file).columns
    except MisFileError:
        # what is wrong with it is said when it is carried out
        return Format.CSV, None
    kept = imports.get_mapping(db, academy_id, head_key(headings)) if academy_id else None
    return kind, columns_from(kept) or guess(headings)


# ---- the command line ----


def import_mis(
    config: Config, file: Path, academy: str | None, trust: str | None, dry_run: bool, whole_roll: bool, now: datetime,
    say: Say,
) -> int:  # fmt: skip
    """Take a file in from the command line. Returns the exit code: 0 done, 1 it could not be."""
    with _open(config) as db:
        academy_id, trust_id = _where(db, academy, trust)
        if not trust_id:
            say("appliance: name the academy the file is of (--academy ID, LAESTAB or URN), or the trust (--trust ID).")
            return 1
        state = ImportState.TO_PLAN if dry_run else ImportState.TO_APPLY
        options: dict[str, object] = {"whole_roll": True} if whole_roll else {}
        one = take_file(config, db, file, academy_id, options, now, trust_id=trust_id, state=state)
        try:
            result = carry_out(config, db, one, now)
        except (MisFileError, ImportRefusedError) as error:
            fail_import(db, one, str(error), now)
            say(f"appliance: {error}")
            return 1
        for note in result.notes:
            say(note)
        _say_rows(db, one.id, say)
        say(f"{'It would be' if dry_run else 'Done'}: {counts_words(result.counts)}.")
        if not dry_run:
            say(f"To undo it: appliance import-mis --undo {one.id}")
    return 0


def undo(config: Config, import_id: str, now: datetime, say: Say) -> int:
    """Undo an import from the command line. Returns the exit code."""
    with _open(config) as db:
        one = imports.get_any_import(db, import_id)
        if one is None:
            say(f"appliance: there is no import {import_id!r} on this box.")
            return 1
        try:
            kept = undo_import(db, one, SYSTEM, now)
        except ImportRefusedError as error:
            say(f"appliance: {error}")
            return 1
        say(f"{one.file_name} is undone{f'; {kept} pupils with a record by now stay' if kept else ''}.")
    return 0


def counts_words(counts: dict[str, int]) -> str:
    """What an import came to, in words."""
    names = {"same": "the same", "kept": "kept"}
    return ", ".join(f"{number} {names.get(name, name)}" for name, number in counts.items()) or "nothing to do"


def _say_rows(db: Database, import_id: str, say: Say) -> None:
    for outcome in (Outcome.REFUSED, Outcome.DOUBTFUL):
        for row in imports.select_import_rows(db, import_id, outcome, 20):
            # no name: what is printed may be kept in a terminal's history
            say(f"  line {row.line}: {outcome}: {row.reason}")


def _where(db: Database, academy: str | None, trust: str | None) -> tuple[str | None, str]:
    for trust_id, _ in people.select_trusts(db):
        if academy is None and trust == trust_id:
            return None, trust_id
        for one in academies.select_academies_of(db, trust_id):
            if academy is not None and academy in (one.id, one.laestab, one.urn):
                return one.id, trust_id
    return None, ""


@contextlib.contextmanager
def _open(config: Config) -> Iterator[Database]:
    with contextlib.closing(open_system(config.database)) as db:
        require_current(db)
        yield db
