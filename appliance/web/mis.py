"""Pupils from the MIS: sending a file, choosing its columns, the dry run, carrying it out, undoing it, who is who."""

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask import Response as FlaskResponse
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from sqlite_utils import Database
from werkzeug.wrappers import Response
from wtforms import BooleanField, SelectField
from wtforms.validators import InputRequired

from appliance.config import Config
from appliance.safeguarding.access import Actor, NotAllowedError, Permission, academies_for
from appliance.safeguarding.attendance import school_year
from appliance.safeguarding.pupil import ImportState, MisFileError, Outcome, row_from_text
from appliance.store import beside, import_files, imports, people
from appliance.store.imports import Import
from appliance.web.clock import new_id, now
from appliance.web.gate import actor, db, needs, no_store
from appliance.workflow.import_mis import ImportRefusedError
from appliance.workflow.send_import import (
    FIELDS,
    KINDS,
    Columns,
    choose_columns,
    columns_from,
    decide_match,
    have_applied,
    have_merged,
    have_planned,
    have_undone,
    preview_file,
    send_file,
    write_refused_rows,
)

pages = Blueprint("mis", __name__)

FILE_LIMIT = 600_000_000
"""Bytes an upload may have: a transfer file of a large trust has 500 MB."""

_RUNNING = frozenset({ImportState.TO_PLAN, ImportState.TO_APPLY})
_SHOWN = (Outcome.DOUBTFUL, Outcome.REFUSED, Outcome.LEFT, Outcome.CHANGED, Outcome.ADDED)


class FileForm(FlaskForm):
    """A file from the MIS."""

    academy = SelectField("Academy", [InputRequired("Choose the academy.")])
    file = FileField("The file", [FileRequired("Choose the file, or drop it here.")])
    whole_roll = BooleanField("The file names every pupil on roll: who is missing from it has left")


@pages.get("/imports")
@needs(Permission.PUPIL_IMPORT)
def show_imports() -> str:
    """The imports in reach, what waits for a decision, and the place to send a file."""
    return _list(FileForm(formdata=None))


@pages.post("/imports")
@needs(Permission.PUPIL_IMPORT)
def submit_file() -> Response | tuple[str, int]:
    """Take a file; the dry run begins at once where its columns are known."""
    form = _choices(FileForm())
    if form.validate():
        options: dict[str, object] = {"whole_roll": True} if form.whole_roll.data else {}
        name = form.file.data.filename or "file"
        try:
            one = send_file(
                db(), actor(), form.academy.data, name.rsplit("/", 1)[-1].rsplit("\\", 1)[-1], form.file.data.stream,
                options, lambda import_id: import_files.open_new(_folder(), import_id), now(), new_id,
            )  # fmt: skip
        except MisFileError as error:
            form.file.errors = [str(error)]
        else:
            return redirect(url_for("mis.show_import", import_id=one.id))
    return _list(form), 422


@pages.get("/imports/<import_id>")
@needs(Permission.PUPIL_IMPORT)
def show_import(import_id: str) -> str | FlaskResponse:
    """One import: its columns, how far it is, or what each row came to."""
    one = _get(import_id)
    if one.state is ImportState.MAPPING or request.args.get("columns"):
        return _columns_page(one)
    rows = {outcome: imports.select_import_rows(db(), one.id, outcome, 100) for outcome in _SHOWN}
    page = render_template("mis/import.html", one=one, rows=rows, running=one.state in _RUNNING)
    if one.state not in _RUNNING:
        return page
    response = FlaskResponse(page)
    # works without a script too
    response.headers["Refresh"] = "2"
    return response


@pages.post("/imports/<import_id>/columns")
@needs(Permission.PUPIL_IMPORT)
def submit_columns(import_id: str) -> str | Response | tuple[str, int]:
    """Set which column holds what, and have the dry run made."""
    one, kind = _get(import_id), request.form.get("kind", "")
    if kind not in FIELDS:
        return _columns_page(one), 422
    chosen = {field: request.form.get(f"column-{field}", "") for field in FIELDS[kind]}
    columns = Columns(kind, {field: heading for field, heading in chosen.items() if heading}, _own_codes())
    try:
        with import_files.open_kept(_folder(), one.id) as file:
            preview = preview_file(db(), one.academy_id or "", file)
        choose_columns(db(), actor(), one, columns, preview.head.columns, now())
    except (MisFileError, ImportRefusedError, OSError) as error:
        flash(_words(error), "problem")
        return _columns_page(one, columns), 422
    return redirect(url_for("mis.show_import", import_id=one.id))


@pages.post("/imports/<import_id>/apply")
@needs(Permission.PUPIL_IMPORT)
def submit_apply(import_id: str) -> Response:
    """Have the import carried out."""
    return _do(_get(import_id), have_applied)


@pages.post("/imports/<import_id>/again")
@needs(Permission.PUPIL_IMPORT)
def submit_again(import_id: str) -> Response:
    """Have the dry run made again."""
    return _do(_get(import_id), have_planned)


@pages.post("/imports/<import_id>/undo")
@needs(Permission.PUPIL_IMPORT)
def submit_undo(import_id: str) -> Response:
    """Have all that the import changed put back."""
    return _do(_get(import_id), have_undone)


@pages.get("/imports/<import_id>/refused.csv")
@needs(Permission.PUPIL_IMPORT)
def show_refused(import_id: str) -> FlaskResponse:
    """The rows that were refused or are doubtful, with the reason of each."""
    one = _get(import_id)
    rows = [row for outcome in (Outcome.REFUSED, Outcome.DOUBTFUL)
            for row in imports.select_import_rows(db(), one.id, outcome, 50_000)]  # fmt: skip
    made = io.StringIO(newline="")
    write_refused_rows(rows, _headings(one), made)
    response = FlaskResponse(made.getvalue().encode("utf-8-sig"), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="refused.csv"'
    return no_store(response)


@pages.post("/imports/decisions/<proposal_id>")
@needs(Permission.PUPIL_IMPORT)
def submit_decision(proposal_id: str) -> Response:
    """Say whether a row is a pupil who is here, or another child."""
    try:
        decide_match(db(), actor(), proposal_id, request.form.get("decided", ""), now(), new_id)
    except ImportRefusedError as error:
        flash(str(error), "problem")
    else:
        flash("The box carries it out now. It can be undone below.", "done")
    return redirect(url_for("mis.show_imports"))


@pages.post("/pupils/<pupil_id>/merge")
@needs(Permission.PUPIL_IMPORT)
def submit_merge(pupil_id: str) -> Response:
    """Have another record of the same child made part of this one."""
    try:
        have_merged(db(), actor(), pupil_id, request.form.get("other", "").strip().rsplit("/", 1)[-1], now(), new_id)
    except ImportRefusedError as error:
        flash(str(error), "problem")
    else:
        flash("The box makes one record of the two now. It can be undone on the page of imports.", "done")
    return redirect(url_for("pupil.show_chronology", pupil_id=pupil_id))


@pages.get("/absence")
@needs(Permission.CONCERN_VIEW)
def show_absence() -> str:
    """Pupils whose register ends in absence for which nobody has given a reason."""
    year = school_year(now().date())
    return render_template("mis/absence.html", runs=beside.select_open_runs(db(), year), year=year)


def _get(import_id: str) -> Import:
    one = imports.get_import(db(), import_id)
    if one is None:
        raise NotAllowedError(f"import {import_id}")
    return one


def _do(one: Import, act: Callable[[Database, Actor, Import, datetime], None]) -> Response:
    try:
        act(db(), actor(), one, now())
    except ImportRefusedError as error:
        flash(str(error), "problem")
    back = "mis.show_imports" if one.format in ("decision", "merge") else "mis.show_import"
    return redirect(url_for(back, **({} if back == "mis.show_imports" else {"import_id": one.id})))


def _folder() -> Path:
    config: Config = current_app.config["TRUSTKEEP"]
    return config.imports


def _words(error: Exception) -> str:
    return "The file is no longer kept. Send it again." if isinstance(error, OSError) else str(error)


def _headings(one: Import) -> list[str]:
    if one.format != "csv":
        return []
    try:
        with import_files.open_kept(_folder(), one.id) as file:
            return list(preview_file(db(), one.academy_id or "", file).head.columns)
    except (MisFileError, OSError):
        return []


def _own_codes() -> dict[str, str]:
    """A school's own marks, a pair a line: "IH = I"."""
    pairs = (line.partition("=") for line in request.form.get("codes", "").splitlines())
    return {own.strip(): code.strip() for own, _, code in pairs if own.strip() and code.strip()}


def _columns_page(one: Import, chosen: Columns | None = None) -> str:
    head, columns = None, chosen or columns_from(one.columns)
    try:
        with import_files.open_kept(_folder(), one.id) as file:
            preview = preview_file(db(), one.academy_id or "", file)
        head, columns = preview.head, columns or preview.columns
    except (MisFileError, OSError) as error:
        flash(_words(error), "problem")
    asked = request.values.get("kind", "")
    kind = asked if asked in FIELDS else columns.kind if columns else "pupils"
    if columns is not None and columns.kind != kind:
        columns = None
    return render_template("mis/columns.html", one=one, head=head, columns=columns, kind=kind, kinds=KINDS,
                           fields=FIELDS[kind])  # fmt: skip


def _choices(form: FileForm) -> FileForm:
    mine = academies_for(actor(), Permission.PUPIL_IMPORT)
    found = [(one.id, one.name) for one in people.select_academies(db()) if one.id in mine]
    form.academy.choices = found if len(found) == 1 else [("", "Choose an academy"), *found]
    return form


def _list(form: FileForm) -> str:
    proposals = [
        (one, row_from_text(one.row), people.get_pupil(db(), one.pupil_id))
        for one in imports.select_open_proposals(db())
    ]
    decisions = [one for one in imports.select_decisions(db(), 20) if now() - one.made_at < timedelta(days=60)]
    return render_template(
        "mis/imports.html", form=_choices(form), imports=imports.select_imports(db()), proposals=proposals,
        decisions=decisions,
    )  # fmt: skip
