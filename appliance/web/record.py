"""Opening a record with a reason, locking one to named people, and marking what one was told as seen."""

from typing import NoReturn

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import SelectMultipleField, TextAreaField, widgets
from wtforms.validators import InputRequired, Length

from appliance.safeguarding.access import OPENING_LASTS, NotAllowedError, Permission, sees_record
from appliance.safeguarding.concern import RecordError
from appliance.store import concerns, people, records
from appliance.web.clock import new_id, now
from appliance.web.gate import actor, db, needs
from appliance.workflow.open_record import Needed, find_needed, lock_record, open_record, unlock_record
from appliance.workflow.tell import note_seen

pages = Blueprint("record", __name__)

_KINDS = ("pupil", "event", "concern")
_PAGE_OF = {"pupil": "pupil.show_chronology", "event": "event.show_event", "concern": "concern.show_concern"}


class ReasonForm(FlaskForm):
    """Why a record must be opened."""

    reason = TextAreaField("Why you need to open it", [InputRequired("Write why."), Length(max=2000)])


class LockForm(FlaskForm):
    """Who may open a locked record, and why it is locked."""

    names = SelectMultipleField(
        "Open to", option_widget=widgets.CheckboxInput(), widget=widgets.ListWidget(prefix_label=False)
    )
    reason = TextAreaField("Why it is locked", [InputRequired("Write why."), Length(max=2000)])


def ask_or_refuse(kind: str, part_id: str) -> NoReturn:
    """Answer for a record that the person does not see: the page that asks for a reason where there is one to give,
    and otherwise as if it did not exist."""
    if request.method == "GET" and find_needed(db(), actor(), kind, part_id).subjects:
        abort(redirect(url_for("record.show_open", kind=kind, part_id=part_id)))
    raise NotAllowedError(f"{kind} {part_id}")


def record_link(kind: str, part_id: str) -> str:
    """The page of a pupil, an event or a concern."""
    return url_for(_PAGE_OF[kind], **{f"{kind}_id": part_id})


@pages.get("/records/<kind>/<part_id>/open")
@needs(Permission.RECORD_OPEN)
def show_open(kind: str, part_id: str) -> str | Response:
    """The page that asks for a reason before a record is opened."""
    needed = _needed(kind, part_id)
    if not needed.subjects:
        return redirect(record_link(kind, part_id))
    return _open_page(needed, ReasonForm(formdata=None))


@pages.post("/records/<kind>/<part_id>/open")
@needs(Permission.RECORD_OPEN)
def submit_open(kind: str, part_id: str) -> Response | tuple[str, int]:
    """Open a record with a reason. Where it was locked, a second named person is told at once."""
    needed, form = _needed(kind, part_id), ReasonForm()
    if form.validate():
        try:
            open_record(db(), actor(), kind, part_id, form.reason.data or "", now(), new_id)
        except RecordError as error:
            form.reason.errors = [str(error)]
        else:
            return redirect(record_link(kind, part_id))
    return _open_page(needed, form), 422


@pages.get("/records/<kind>/<part_id>/lock")
@needs(Permission.RECORD_LOCK)
def show_lock(kind: str, part_id: str) -> str | Response:
    """The page that locks a record to named people."""
    return _lock_page(kind, part_id, LockForm(formdata=None))


@pages.post("/records/<kind>/<part_id>/lock")
@needs(Permission.RECORD_LOCK)
def submit_lock(kind: str, part_id: str) -> str | Response | tuple[str, int]:
    """Lock a record."""
    form = _lock_form(kind, part_id, LockForm())
    if form.validate():
        try:
            lock_record(db(), actor(), kind, part_id, form.names.data or [], form.reason.data or "", now(), new_id)
        except RecordError as error:
            form.reason.errors = [str(error)]
        else:
            flash("The record is locked. Others must give a reason to open it, and you are told when they do.", "done")
            return redirect(record_link(kind, part_id))
    return _lock_page(kind, part_id, form), 422


@pages.post("/records/<kind>/<part_id>/unlock")
@needs(Permission.RECORD_LOCK)
def submit_unlock(kind: str, part_id: str) -> Response:
    """End a lock."""
    if kind not in ("pupil", "concern"):
        raise NotAllowedError(kind)
    try:
        unlock_record(db(), actor(), kind, part_id, now())
    except RecordError as error:
        flash(str(error), "problem")
    else:
        flash("The record is no longer locked.", "done")
    return redirect(record_link(kind, part_id))


@pages.post("/notices/<notice_id>/seen")
@needs(Permission.ESCALATION_VIEW)
def submit_seen(notice_id: str) -> Response:
    """Say that one has seen what one was told."""
    note_seen(db(), actor(), notice_id, now())
    return redirect(url_for("today.show_today"))


def _needed(kind: str, part_id: str) -> Needed:
    if kind not in _KINDS:
        raise NotAllowedError(kind)
    return find_needed(db(), actor(), kind, part_id)


def _open_page(needed: Needed, form: ReasonForm) -> str:
    pupils = [people.get_pupil(db(), one) for one in needed.part.pupil_ids]
    return render_template(
        "record/open.html",
        needed=needed,
        pupils=[pupil for pupil in pupils if pupil is not None],
        academy=people.get_academy_name(db(), needed.part.academy_id),
        hours=int(OPENING_LASTS.total_seconds() // 3600),
        form=form,
    )


def _lock_form(kind: str, part_id: str, form: LockForm) -> LockForm:
    academy_id, _ = _lockable(kind, part_id)
    keepers = people.select_record_keepers(db(), academy_id, now())
    form.names.choices = [(staff.id, staff.name) for staff in keepers if staff.id != actor().staff_id]
    return form


def _lockable(kind: str, part_id: str) -> tuple[str, str]:
    """Academy and title of a record that the person sees and may lock."""
    if kind == "pupil":
        pupil = people.get_pupil(db(), part_id)
        if pupil is not None and sees_record(actor(), Permission.RECORD_LOCK, pupil.academy_id, part_id):
            return pupil.academy_id, f"the record of {pupil.name}"
    elif kind == "concern":
        concern = concerns.get_concern(db(), part_id)
        if concern is not None:
            return concern.academy_id, f"this concern about {concern.pupil_names}"
    raise NotAllowedError(f"{kind} {part_id}")


def _lock_page(kind: str, part_id: str, form: LockForm) -> str | Response:
    _, title = _lockable(kind, part_id)
    if records.get_lock(db(), part_id) is not None:
        return redirect(record_link(kind, part_id))
    form = _lock_form(kind, part_id, form)
    return render_template("record/lock.html", kind=kind, part_id=part_id, record=title, form=form)
