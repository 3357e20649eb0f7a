"""Concerns: opening one, the actions and referrals under it, and closing it."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import BooleanField, DateField, RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from appliance.safeguarding.access import NotAllowedError, Permission, sees_record
from appliance.safeguarding.concern import Closure, NewAction, NewConcern, RecordError
from appliance.safeguarding.referral import AGENCIES, CONSENTS, Agency, Consent, NewReferral
from appliance.safeguarding.severity import Category, Severity
from appliance.store import concerns, events, people, records, referrals, reports
from appliance.web.clock import new_id, now
from appliance.web.event import LEVEL_CHOICES, category_choices
from appliance.web.gate import actor, db, holds, needs
from appliance.web.record import ask_or_refuse
from appliance.workflow import record, refer
from appliance.workflow.look import note_list, note_look

pages = Blueprint("concern", __name__)

_TEXT = Length(max=20_000)


class ConcernForm(FlaskForm):
    """What is written when a concern is opened; facts, the child's words and opinion are kept apart."""

    summary = TextAreaField("Summary", [InputRequired("Write a summary: what was seen, in a sentence or two."), _TEXT])
    facts = TextAreaField("Facts: what was seen or heard", [_TEXT])
    child_words = TextAreaField("The child's own words", [_TEXT])
    opinion = TextAreaField("Opinion: what you make of it", [_TEXT])
    level = RadioField("Level", choices=LEVEL_CHOICES)
    category = SelectField("Category", choices=category_choices)


class ActionForm(FlaskForm):
    """Something done, or to be done by a date."""

    text = TextAreaField("What", [InputRequired("Write what was done or must be done."), _TEXT])
    owner = SelectField("Who", [InputRequired("Say who does it.")])
    due_on = DateField("By when", [Optional()])
    done = BooleanField("Already done")


class ReferralForm(FlaskForm):
    """A referral to an outside agency."""

    agency = SelectField("To", choices=[(agency.value, words) for agency, words in AGENCIES.items()])
    method = SelectField(
        "How", choices=["Telephone", "Online form", "E-mail", "In person"], validators=[InputRequired()]
    )
    spoken_to = StringField("Person spoken to", [Length(max=200)])
    reference = StringField("Their reference", [Length(max=200)])
    reason = TextAreaField("Why it is referred", [InputRequired("Write why the concern is referred."), _TEXT])
    consent = RadioField("Consent", choices=[(consent.value, words) for consent, words in CONSENTS.items()])
    consent_reason = TextAreaField("Why without consent", [_TEXT])


class OutcomeForm(FlaskForm):
    """What came of a referral."""

    outcome = TextAreaField("What came of it", [InputRequired("Write what came of the referral."), _TEXT])


class ClosureForm(FlaskForm):
    """What closing takes."""

    decision = TextAreaField("Decision", [InputRequired("Write what was decided."), _TEXT])
    reason = TextAreaField("Reason for it", [InputRequired("Write the reason for the decision."), _TEXT])
    outcome = TextAreaField("Outcome for the child", [InputRequired("Write what came of it."), _TEXT])


@pages.get("/concerns")
@needs(Permission.CONCERN_VIEW)
def show_concerns() -> str:
    """Open concerns in reach, and the actions that are owed."""
    note_list(db(), actor(), "concerns", now())
    return render_template(
        "concern/concerns.html",
        concerns=concerns.select_open_concerns(db()),
        total=concerns.count_open_concerns(db()),
        actions=concerns.select_open_actions(db()),
    )


@pages.get("/concerns/new")
@needs(Permission.CONCERN_RECORD)
def show_new_concern() -> str:
    """The form for a new concern, filled from an event or a report. That their words were shown is recorded."""
    event, pupil = _subject()
    report = _report(pupil)
    for kind, shown in (("event", event), ("report", report)):
        if shown is not None:
            note_look(db(), actor(), f"{kind}:viewed", f"{kind}:{shown.id}", shown.academy_id, now())
    form = ConcernForm(level=str(int(Severity.CREDIBLE)), facts=report.text if report else "")
    if event is not None:
        form = ConcernForm(
            level=str(int(event.level)), category=event.category, child_words=event.typed, facts=_facts(event)
        )
    return render_template("concern/new.html", form=form, event=event, pupil=pupil, report=report)


@pages.post("/concerns/new")
@needs(Permission.CONCERN_RECORD)
def submit_concern() -> str | Response | tuple[str, int]:
    """Put a concern on the pupil's chronology."""
    event, pupil = _subject()
    report, form = _report(pupil), ConcernForm()
    if form.validate():
        concern = NewConcern(
            new_id(),
            Category(form.category.data),
            Severity(int(form.level.data)),
            form.summary.data or "",
            form.facts.data or "",
            form.child_words.data or "",
            form.opinion.data or "",
        )
        event_ids = [event.id] if event else []
        report_id = report.id if report else None
        if _kept(lambda: record.open_concern(db(), actor(), event_ids, [pupil.id], concern, now(), new_id, report_id)):
            flash("The concern is on the record.", "done")
            return redirect(url_for("concern.show_concern", concern_id=concern.id))
    return render_template("concern/new.html", form=form, event=event, pupil=pupil, report=report), 422


@pages.get("/concerns/<concern_id>")
@needs(Permission.CONCERN_VIEW, Permission.RECORD_OPEN)
def show_concern(concern_id: str) -> str:
    """One concern with everything under it. That it was opened is recorded."""
    concern = _get(concern_id)
    note_look(db(), actor(), "concern:viewed", f"concern:{concern_id}", concern.academy_id, now())
    return _page(concern)


@pages.post("/concerns/<concern_id>/actions")
@needs(Permission.CONCERN_RECORD)
def submit_action(concern_id: str) -> str | Response | tuple[str, int]:
    """Add an action."""
    concern = _get(concern_id)
    form = _action_form(concern)
    if form.validate():
        done_at = now() if form.done.data else None
        action = NewAction(new_id(), form.text.data or "", form.owner.data, form.due_on.data, done_at)
        if _kept(lambda: record.record_action(db(), actor(), concern_id, action, now())):
            flash("The action is on the record.", "done")
            return redirect(url_for("concern.show_concern", concern_id=concern_id, _anchor="actions"))
    return _page(concern, action_form=form), 422


@pages.post("/actions/<action_id>/done")
@needs(Permission.CONCERN_RECORD)
def submit_action_done(action_id: str) -> Response:
    """Mark an action as done."""
    found: list[str] = []
    if not _kept(lambda: found.append(record.complete_action(db(), actor(), action_id, now()))):
        return redirect(url_for("concern.show_concerns"))
    flash("Marked as done.", "done")
    return redirect(url_for("concern.show_concern", concern_id=found[0], _anchor="actions"))


@pages.post("/concerns/<concern_id>/referrals")
@needs(Permission.CONCERN_RECORD)
def submit_referral(concern_id: str) -> str | Response | tuple[str, int]:
    """Refer a concern to an outside agency."""
    concern, form = _get(concern_id), ReferralForm()
    if form.validate():
        referral = NewReferral(
            new_id(),
            Agency(form.agency.data),
            form.method.data,
            form.spoken_to.data or "",
            form.reason.data or "",
            Consent(form.consent.data),
            form.consent_reason.data or "",
            form.reference.data or "",
        )
        if _kept(lambda: refer.make_referral(db(), actor(), concern_id, referral, now())):
            flash("The referral is on the record. Its clock for an answer has started.", "done")
            return redirect(url_for("concern.show_concern", concern_id=concern_id, _anchor="referrals"))
    return _page(concern, referral_form=form), 422


@pages.post("/referrals/<referral_id>/outcome")
@needs(Permission.CONCERN_RECORD)
def submit_referral_outcome(referral_id: str) -> str | Response | tuple[str, int]:
    """Record what came of a referral."""
    referral, form = referrals.get_referral(db(), referral_id), OutcomeForm()
    if referral is None:
        raise NotAllowedError(f"referral {referral_id}")
    if form.validate() and _kept(
        lambda: refer.record_referral_outcome(db(), actor(), referral_id, form.outcome.data or "", now())
    ):
        flash("The outcome is on the record.", "done")
        return redirect(url_for("concern.show_concern", concern_id=referral.concern_id, _anchor="referrals"))
    return _page(_get(referral.concern_id), outcome_form=form, outcome_of=referral_id), 422


@pages.post("/concerns/<concern_id>/close")
@needs(Permission.CONCERN_RECORD)
def submit_closure(concern_id: str) -> str | Response | tuple[str, int]:
    """Close a concern with decision, reason and outcome."""
    concern, form = _get(concern_id), ClosureForm()
    if form.validate():
        closure = Closure(form.decision.data or "", form.reason.data or "", form.outcome.data or "")
        if _kept(lambda: record.close_concern(db(), actor(), concern_id, closure, now())):
            flash("The concern is closed.", "done")
            return redirect(url_for("concern.show_concern", concern_id=concern_id))
    return _page(concern, closure_form=form), 422


def _kept(change: Callable[[], object]) -> bool:
    """Make the change; where the rules refuse it, say why on the page."""
    try:
        change()
    except RecordError as error:
        flash(str(error), "problem")
        return False
    return True


def _get(concern_id: str) -> concerns.StoredConcern:
    concern = concerns.get_concern(db(), concern_id)
    if concern is None:
        ask_or_refuse("concern", concern_id)
    return concern


def _subject() -> tuple[events.StoredEvent | None, people.Pupil]:
    """The event and pupil that a new concern is about, from the address."""
    event_id, pupil_id = request.args.get("event"), request.args.get("pupil")
    event = events.get_event(db(), event_id) if event_id else None
    if event_id and event is None:
        raise NotAllowedError(f"event {event_id}")
    pupil_id = event.pupil_id if event else pupil_id
    pupil = people.get_pupil(db(), pupil_id) if pupil_id else None
    if pupil is None:
        raise NotAllowedError("a concern without a pupil")
    if not sees_record(actor(), Permission.CONCERN_RECORD, pupil.academy_id, pupil.id):
        ask_or_refuse("pupil", pupil.id)
    return event, pupil


def _report(pupil: people.Pupil) -> reports.StoredReport | None:
    """The report of a member of staff that the new concern begins with, from the address."""
    report_id = request.args.get("report")
    report = reports.get_report(db(), report_id) if report_id else None
    if report_id and (report is None or report.academy_id != pupil.academy_id):
        raise NotAllowedError(f"report {report_id}")
    return report


def _facts(event: events.StoredEvent) -> str:
    zone = ZoneInfo(current_app.config["TRUSTKEEP"].time_zone)
    at: datetime = event.occurred_at.astimezone(zone)
    return f"Typed in {event.application} on {event.device_id}, signed in as {event.account}, {at:%d/%m/%Y at %H:%M}."


def _action_form(concern: concerns.StoredConcern, blank: bool = False) -> ActionForm:
    form = ActionForm(formdata=None, due_on=now().date()) if blank else ActionForm()
    owners = people.select_action_owners(db(), concern.academy_id, now())
    form.owner.choices = [(staff.id, staff.name) for staff in owners]
    if blank:
        form.owner.data = actor().staff_id
    return form


def _page(
    concern: concerns.StoredConcern,
    action_form: ActionForm | None = None,
    referral_form: ReferralForm | None = None,
    outcome_form: OutcomeForm | None = None,
    outcome_of: str | None = None,
    closure_form: ClosureForm | None = None,
) -> str:
    evidence = concerns.select_evidence(db(), [concern.id])[concern.id]
    return render_template(
        "concern/concern.html",
        concern=concern,
        pupils=[people.get_pupil(db(), pupil_id) for pupil_id in concerns.select_pupil_ids(db(), concern.id)],
        evidence=[(events.get_event(db(), one.event_id), one.capture_sha256) for one in evidence],
        actions=concerns.select_actions(db(), [concern.id]),
        referrals=referrals.select_referrals(db(), [concern.id]),
        action_form=action_form or _action_form(concern, blank=True),
        referral_form=referral_form or ReferralForm(formdata=None, consent=Consent.GIVEN),
        outcome_form=outcome_form or OutcomeForm(formdata=None),
        outcome_of=outcome_of,
        closure_form=closure_form or ClosureForm(formdata=None),
        opened_form="action" if action_form else "referral" if referral_form else "close" if closure_form else None,
        agencies=AGENCIES,
        consents=CONSENTS,
        may_record=holds(Permission.CONCERN_RECORD, concern.academy_id),
        may_lock=holds(Permission.RECORD_LOCK, concern.academy_id),
        lock=records.get_lock(db(), concern.id),
    )
