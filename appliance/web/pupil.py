"""Pupils, and one pupil's chronology."""

from datetime import timedelta

from flask import Blueprint, render_template, request

from appliance.safeguarding.access import NotAllowedError, Permission
from appliance.store import concerns, events, people
from appliance.store.chronology import select_chronology
from appliance.web.clock import now
from appliance.web.gate import actor, db, holds, needs
from appliance.workflow.look import note_look

pages = Blueprint("pupil", __name__)


@pages.get("/pupils")
@needs(Permission.CONCERN_VIEW)
def show_pupils() -> str:
    """Pupils in reach, by surname; narrowed by the beginning of a name."""
    name = request.args.get("name", "").strip()
    return render_template("pupil/pupils.html", pupils=people.select_pupils(db(), name), name=name)


@pages.get("/pupils/<pupil_id>")
@needs(Permission.CONCERN_VIEW)
def show_chronology(pupil_id: str) -> str:
    """One pupil's chronology. That it was opened is recorded."""
    pupil = people.get_pupil(db(), pupil_id)
    if pupil is None:
        raise NotAllowedError(f"pupil {pupil_id}")
    note_look(db(), actor(), "pupil:viewed", f"pupil:{pupil_id}", pupil.academy_id, now())
    return render_template(
        "pupil/chronology.html",
        pupil=pupil,
        entries=select_chronology(db(), pupil_id),
        concerns=concerns.select_concerns_of_pupil(db(), pupil_id),
        recent=events.select_of_pupil(db(), pupil_id, now() - timedelta(days=90)),
        may_record=holds(Permission.CONCERN_RECORD, pupil.academy_id),
    )
