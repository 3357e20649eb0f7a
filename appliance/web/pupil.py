"""Pupils, and one pupil's chronology."""

from datetime import date, timedelta

from flask import Blueprint, render_template, request

from appliance.safeguarding.access import NotAllowedError, Permission, sees_record
from appliance.store import beside, concerns, events, people, records
from appliance.store.chronology import select_chronology
from appliance.web.clock import now
from appliance.web.gate import actor, db, holds, needs
from appliance.web.record import ask_or_refuse
from appliance.workflow import registers
from appliance.workflow.look import note_list, note_look, note_search

pages = Blueprint("pupil", __name__)


@pages.get("/pupils")
@needs(Permission.CONCERN_VIEW, Permission.RECORD_OPEN)
def show_pupils() -> str:
    """Pupils in reach, by surname; narrowed by the beginning of a name. Looking for a name is a search."""
    name = request.args.get("name", "").strip()
    report = request.args.get("report", "") if holds(Permission.CONCERN_RECORD) else ""
    found = people.select_pupils(db(), name)
    if name:
        note_search(db(), actor(), len(found), now())
    else:
        note_list(db(), actor(), "pupils", now())
    return render_template("pupil/pupils.html", pupils=found, name=name, report=report, shut=actor().shut)


@pages.get("/pupils/<pupil_id>")
@needs(Permission.CONCERN_VIEW, Permission.RECORD_OPEN)
def show_chronology(pupil_id: str) -> str:
    """One pupil's chronology. That it was opened is recorded; where it isn't standing open, a reason is asked first."""
    pupil = people.get_pupil(db(), pupil_id)
    if pupil is None:
        raise NotAllowedError(f"pupil {pupil_id}")
    # an academy that the pupil has left keeps sight of its own part
    places = [pupil.academy_id, *beside.select_former_academies(db(), pupil_id)]
    if not any(sees_record(actor(), Permission.CONCERN_VIEW, place, pupil_id) for place in places):
        ask_or_refuse("pupil", pupil_id)
    note_look(db(), actor(), "pupil:viewed", f"pupil:{pupil_id}", pupil.academy_id, now())
    return render_template(
        "pupil/chronology.html",
        pupil=pupil,
        entries=select_chronology(db(), pupil_id),
        concerns=concerns.select_concerns_of_pupil(db(), pupil_id),
        recent=events.select_of_pupil(db(), pupil_id, now() - timedelta(days=90)),
        may_record=sees_record(actor(), Permission.CONCERN_RECORD, pupil.academy_id, pupil_id),
        may_lock=sees_record(actor(), Permission.RECORD_LOCK, pupil.academy_id, pupil_id),
        lock=records.get_lock(db(), pupil_id),
        open_until=records.get_opening_end(db(), actor().staff_id, pupil_id, now()),
        may_merge=holds(Permission.PUPIL_IMPORT, pupil.academy_id),
        **_beside(pupil_id, now().date()),
    )


def _beside(pupil_id: str, today: date) -> dict[str, object]:
    """What the MIS says of the pupil: contacts, siblings, attendance and behaviour of the last weeks."""
    found = beside.select_registers(db(), pupil_id)
    return {
        "facts": beside.get_facts(db(), pupil_id),
        "contacts": beside.select_contacts(db(), pupil_id),
        "siblings": beside.select_siblings(db(), pupil_id),
        "registers": found,
        "totals": beside.select_totals(db(), pupil_id),
        "days": registers.strip(found, today - timedelta(days=56), today),
        "runs": registers.unexplained_runs(found[:2])[:5],
        "behaviour": beside.select_behaviour(db(), pupil_id, today - timedelta(days=90), today),
    }
