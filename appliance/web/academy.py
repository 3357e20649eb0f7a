"""Academies: the list, adding them by hand or from a GIAS download, and the switcher in the header."""

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from werkzeug.wrappers import Response
from wtforms import HiddenField, SelectField, StringField
from wtforms.validators import InputRequired, Length

from appliance.safeguarding.access import Permission, reachable_academies, trusts_for
from appliance.store import academies, people
from appliance.web.clock import new_id, now
from appliance.web.entry import local_path
from appliance.web.gate import actor, db, needs
from appliance.workflow.academies import (
    AcademyError,
    add_academy,
    import_academies,
    pack,
    plan_import,
    read_download,
    short_name,
    unpack,
)

pages = Blueprint("academy", __name__)

GIAS_LIMIT = 150_000_000
"""Bytes an upload may have: the download of all establishments had 65 MB in 2025."""


class AcademyForm(FlaskForm):
    """An academy, by hand."""

    trust = SelectField("Trust", [InputRequired()])
    name = StringField("Name", [InputRequired("Enter the academy's name."), Length(max=200)])
    short_name = StringField("Short name", [Length(max=40)])
    urn = StringField("URN", [Length(max=6)])
    laestab = StringField("LAESTAB", [Length(max=8)])
    phase = StringField("Phase", [Length(max=60)])


class GiasForm(FlaskForm):
    """A GIAS download, and which trust's academies to take from it."""

    trust = SelectField("Trust", [InputRequired()])
    code = StringField("The trust's code in GIAS", [InputRequired("Enter the code."), Length(max=20)])
    file = FileField("The file", [FileRequired("Choose the file: edubasealldata….csv.")])


class KeepForm(FlaskForm):
    """What the preview showed, sent back to be kept."""

    trust = HiddenField()
    found = HiddenField()


@pages.get("/academies")
@needs(Permission.ACADEMY_MANAGE)
def show_academies() -> str:
    """The academies of one's trusts, and the two ways to add some."""
    return _page(AcademyForm(formdata=None), GiasForm(formdata=None))


@pages.post("/academies")
@needs(Permission.ACADEMY_MANAGE)
def submit_academy() -> Response | tuple[str, int]:
    """Add an academy by hand."""
    form = _choices(AcademyForm())
    if form.validate():
        name = form.name.data or ""
        laestab = (form.laestab.data or "").replace("/", "").strip()
        row = people.Academy(
            new_id(),
            form.trust.data,
            name.strip(),
            (form.short_name.data or "").strip() or short_name(name.strip()),
            (form.urn.data or "").strip() or None,
            laestab or None,
            (form.phase.data or "").strip() or None,
        )
        try:
            add_academy(db(), actor(), row, now())
        except AcademyError as error:
            form.name.errors = [str(error)]
        else:
            flash(f"{row.name} is added.", "done")
            return redirect(url_for("academy.show_academies"))
    return _page(form, GiasForm(formdata=None)), 422


@pages.post("/academies/import")
@needs(Permission.ACADEMY_MANAGE)
def submit_import() -> str | tuple[str, int]:
    """Read a GIAS download and show what would be added and changed. Nothing is kept yet."""
    form = _choices(GiasForm())
    if form.validate():
        try:
            found = read_download(form.file.data.stream, form.code.data or "")
            plan = plan_import(db(), form.trust.data, found)
        except AcademyError as error:
            form.file.errors = [str(error)]
        else:
            keep = KeepForm(formdata=None, trust=form.trust.data, found=pack(found))
            trust = academies.get_trust(db(), form.trust.data)
            return render_template("academy/preview.html", found=found, plan=plan, form=keep, trust=trust)
    return _page(AcademyForm(formdata=None), form), 422


@pages.post("/academies/import/keep")
@needs(Permission.ACADEMY_MANAGE)
def submit_keep() -> Response:
    """Keep what the preview showed."""
    form = KeepForm()
    try:
        plan = import_academies(db(), actor(), form.trust.data or "", unpack(form.found.data or ""), now(), new_id)
    except AcademyError as error:
        flash(str(error), "problem")
    else:
        flash(f"{len(plan.added)} academies were added and {len(plan.changed)} brought up to date.", "done")
    return redirect(url_for("academy.show_academies"))


@pages.post("/academy")
@needs()
def submit_switch() -> Response:
    """Look at one academy, or at all in reach again. It narrows what is shown; it never widens it."""
    chosen = request.form.get("academy", "")
    session.pop("academy", None)
    if chosen and chosen in reachable_academies(actor()):
        session["academy"] = chosen
    return redirect(local_path(request.form.get("next")) or url_for("today.show_today"))


def _choices(form: AcademyForm | GiasForm) -> AcademyForm | GiasForm:
    mine = [academies.get_trust(db(), one) for one in sorted(trusts_for(actor(), Permission.ACADEMY_MANAGE))]
    form.trust.choices = [(trust.id, trust.name) for trust in mine if trust is not None]
    return form


def _page(form: AcademyForm, gias: GiasForm) -> str:
    _choices(form)
    _choices(gias)
    mine = [academies.get_trust(db(), one) for one, _ in form.trust.choices]
    trusts = [(trust, academies.select_academies_of(db(), trust.id)) for trust in mine if trust is not None]
    if gias.code.data is None and len(trusts) == 1:
        gias.code.data = trusts[0][0].gias_code
    return render_template("academy/academies.html", trusts=trusts, form=form, gias=gias)
