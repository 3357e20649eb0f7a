"""One event: what the device sent, what the machine makes of it, and a person's verdict."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import RadioField, SelectField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from appliance.safeguarding.access import Permission
from appliance.safeguarding.attendance import school_year
from appliance.safeguarding.event import EVENT_TRANSITIONS, EventState
from appliance.safeguarding.moderation import FALSE_POSITIVE_REASONS, FalsePositiveReason, Verdict, VerdictError
from appliance.safeguarding.severity import CATEGORIES, Category, Severity
from appliance.store import alerts, assessments, beside, captures, concerns, events
from appliance.web.clock import new_id, now
from appliance.web.gate import actor, db, needs
from appliance.web.record import ask_or_refuse
from appliance.workflow import registers
from appliance.workflow.escalate import acknowledge_escalations
from appliance.workflow.look import note_look
from appliance.workflow.moderate import moderate_event

pages = Blueprint("event", __name__)

HISTORY = timedelta(days=90)
LEVEL_CHOICES = [(str(int(level)), str(int(level))) for level in reversed(Severity)]


def category_choices() -> dict[str, list[tuple[str, str]]]:
    """The categories under the headings a DSL knows them by, for a select with groups."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for category, info in CATEGORIES.items():
        if category is not Category.NONE:
            groups.setdefault(info.profile, []).append((category.value, info.title))
    return groups


class VerdictForm(FlaskForm):
    """A moderator's grade."""

    level = RadioField("Level", [Optional()], choices=LEVEL_CHOICES)
    category = SelectField("Category", [Optional()], choices=category_choices)
    note = TextAreaField("Note for the DSL", [Length(max=4000)])


class FalsePositiveForm(FlaskForm):
    """Why an event is no concern."""

    reason = SelectField(
        "Why it is no concern",
        [InputRequired("Choose a reason.")],
        choices=[("", "Choose a reason"), *((key.value, words) for key, words in FALSE_POSITIVE_REASONS.items())],
    )
    note = TextAreaField("Note", [Length(max=4000)])


@pages.get("/events/<event_id>")
@needs(Permission.EVENT_VIEW, Permission.RECORD_OPEN)
def show_event(event_id: str) -> str:
    """One event's page. That it was opened is recorded."""
    event = _get(event_id)
    note_look(db(), actor(), "event:viewed", f"event:{event_id}", event.academy_id, now())
    return _page(event, _proposed(event), FalsePositiveForm(formdata=None))


@pages.post("/events/<event_id>/verdict")
@needs(Permission.EVENT_MODERATE)
def submit_verdict(event_id: str) -> str | Response | tuple[str, int]:
    """Grade an event."""
    event, form = _get(event_id), VerdictForm()
    if not form.level.data or not form.category.data:
        flash("Choose a level and a category.", "problem")
    elif form.validate():
        verdict = Verdict(Severity(int(form.level.data)), Category(form.category.data), form.note.data or "")
        if (done := _moderate(event_id, verdict)) is not None:
            return done
    return _page(event, form, FalsePositiveForm(formdata=None)), 422


@pages.post("/events/<event_id>/false-positive")
@needs(Permission.EVENT_MODERATE)
def submit_false_positive(event_id: str) -> str | Response | tuple[str, int]:
    """Mark an event as no concern, with the reason."""
    event, form = _get(event_id), FalsePositiveForm()
    if form.validate():
        reason = FalsePositiveReason(form.reason.data)
        verdict = Verdict(Severity.NOISE, Category.NONE, form.note.data or "", reason)
        if (done := _moderate(event_id, verdict)) is not None:
            return done
    return _page(event, _proposed(event), form), 422


@pages.post("/events/<event_id>/acknowledge")
@needs(Permission.ESCALATION_ACKNOWLEDGE)
def submit_acknowledge(event_id: str) -> Response:
    """Say that an event one was told about has been seen."""
    _get(event_id)
    acknowledge_escalations(db(), actor(), event_id, now())
    flash("Acknowledged.", "done")
    return redirect(url_for("event.show_event", event_id=event_id))


def _get(event_id: str) -> events.StoredEvent:
    event = events.get_event(db(), event_id)
    if event is None:
        ask_or_refuse("event", event_id)
    return event


def _proposed(event: events.StoredEvent) -> VerdictForm:
    """The grade that the form begins with: the event's own, at LOW or above."""
    return VerdictForm(
        formdata=None,
        level=str(int(max(event.level, Severity.LOW))),
        category=event.category if event.category is not Category.NONE else event.rule_category,
    )


def _moderate(event_id: str, verdict: Verdict) -> Response | None:
    try:
        moderate_event(db(), actor(), event_id, verdict, now(), new_id)
    except VerdictError as error:
        flash(str(error), "problem")
        return None
    what = "Marked as a false positive." if verdict.false_positive else "Confirmed."
    following = next(iter(events.select_queue(db(), 1)), None)
    flash(what + (" Here is the next one." if following and request.form.get("then") == "next" else ""), "done")
    if following and request.form.get("then") == "next":
        return redirect(url_for("event.show_event", event_id=following.id))
    return redirect(url_for("event.show_event", event_id=event_id))


def _page(event: events.StoredEvent, form: VerdictForm, false_positive: FalsePositiveForm) -> str:
    earlier = []
    if event.pupil_id is not None:
        since = event.occurred_at - HISTORY
        earlier = [one for one in events.select_of_pupil(db(), event.pupil_id, since) if one.id != event.id]
    open_alerts = [one for one in alerts.select_open_for(db(), actor().staff_id) if one.event_id == event.id]
    return render_template(
        "event/event.html",
        event=event,
        form=form,
        false_positive=false_positive,
        capture=captures.get_capture(db(), event.id),
        reading=assessments.get_reading(db(), event.id),
        scores=assessments.get_scores(db(), event.id),
        verdicts=assessments.select_verdicts(db(), event.id),
        told=alerts.select_of_event(db(), event.id),
        concern_id=concerns.get_concern_of_event(db(), event.id),
        earlier=earlier,
        may_grade=EventState.CONFIRMED in EVENT_TRANSITIONS[event.state],
        must_acknowledge=bool(open_alerts),
        **_beside(event),
    )


def _beside(event: events.StoredEvent) -> dict[str, object]:
    """Attendance and behaviour around the event's day; empty for those who do not read the pupil's record."""
    if event.pupil_id is None:
        return {"days": [], "absence": None, "behaviour": []}
    day = event.occurred_at.date()
    found = beside.select_registers(db(), event.pupil_id)
    return {
        "day": day,
        "days": registers.strip(found, day - timedelta(days=21), day + timedelta(days=14)),
        "absence": registers.absence_after(found, day),
        "registers": [one for one in found if one.year == school_year(day)],
        "behaviour": beside.select_behaviour(db(), event.pupil_id, day - timedelta(days=14), day + timedelta(days=14)),
    }
