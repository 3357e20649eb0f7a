"""Reporting a concern, seeing what became of one's own, and the DSL's list of what staff reported."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from appliance.safeguarding.access import NotAllowedError, Permission, academies_for
from appliance.safeguarding.concern import RecordError
from appliance.safeguarding.report import NewReport, ReportState
from appliance.store import people, reports
from appliance.web.clock import new_id, now
from appliance.web.gate import actor, db, holds, needs
from appliance.workflow.look import note_list, note_look
from appliance.workflow.report import note_report_read, report_concern

pages = Blueprint("report", __name__)

STATE_WORDS = {
    ReportState.RECEIVED: "Received",
    ReportState.READ: "Read by a safeguarding lead",
    ReportState.IN_HAND: "In hand",
}


class ReportForm(FlaskForm):
    """What a member of staff saw or heard."""

    academy = SelectField("Academy", [InputRequired()])
    about = StringField("About whom", [InputRequired("Say who it is about."), Length(max=200)])
    text = TextAreaField("What you saw or heard", [InputRequired("Write what you saw or heard."), Length(max=20_000)])


@pages.get("/reports")
@needs(Permission.CONCERN_REPORT)
def show_reports() -> str:
    """What one reported oneself, and how far each has come."""
    mine = reports.select_reports_by(db(), actor().staff_id)
    return render_template("report/mine.html", reports=mine, state_words=STATE_WORDS)


@pages.get("/reports/new")
@needs(Permission.CONCERN_REPORT)
def show_new_report() -> str:
    """The form to report a concern with."""
    return render_template("report/new.html", form=_form(ReportForm(formdata=None)))


@pages.post("/reports/new")
@needs(Permission.CONCERN_REPORT)
def submit_report() -> Response | tuple[str, int]:
    """Report a concern. The academy's DSL and deputies are told at once."""
    form = _form(ReportForm())
    if form.validate():
        report = NewReport(new_id(), form.academy.data, form.about.data or "", form.text.data or "")
        try:
            told = report_concern(db(), actor(), report, now(), new_id)
        except RecordError as error:
            form.text.errors = [str(error)]
        else:
            whom = "The safeguarding lead is told." if told else "Nobody is named as safeguarding lead here: tell one."
            flash(f"Your report is kept. {whom}", "done" if told else "problem")
            return redirect(url_for("report.show_reports"))
    return render_template("report/new.html", form=form), 422


@pages.get("/reports/received")
@needs(Permission.CONCERN_VIEW)
def show_received() -> str:
    """What staff reported, unread first."""
    note_list(db(), actor(), "reports", now())
    return render_template("report/received.html", reports=reports.select_reports(db()), state_words=STATE_WORDS)


@pages.get("/reports/<report_id>")
@needs(Permission.CONCERN_REPORT, Permission.CONCERN_VIEW)
def show_report(report_id: str) -> str:
    """One report, for the one who made it and for those who keep the records. That it was opened is recorded."""
    report = reports.get_report(db(), report_id)
    if report is None:
        raise NotAllowedError(f"report {report_id}")
    note_look(db(), actor(), "report:viewed", f"report:{report_id}", report.academy_id, now())
    keeps = holds(Permission.CONCERN_RECORD, report.academy_id)
    return render_template("report/report.html", report=report, state_words=STATE_WORDS, keeps=keeps)


@pages.post("/reports/<report_id>/read")
@needs(Permission.CONCERN_RECORD)
def submit_read(report_id: str) -> Response:
    """Say that one has read a report; the one who made it sees so."""
    note_report_read(db(), actor(), report_id, now())
    flash("Marked as read. The person who reported it sees that you have.", "done")
    return redirect(url_for("report.show_report", report_id=report_id))


def _form(form: ReportForm) -> ReportForm:
    mine = academies_for(actor(), Permission.CONCERN_REPORT)
    form.academy.choices = [(one.id, one.name) for one in people.select_academies(db()) if one.id in mine]
    return form
