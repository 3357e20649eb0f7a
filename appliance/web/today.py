"""The first page: what waits for this person, and what the box did lately."""

from datetime import timedelta

from flask import Blueprint, render_template

from appliance.safeguarding.access import ROLES, Permission
from appliance.store import alerts, concerns, devices, events, people
from appliance.web.clock import now
from appliance.web.device import SILENT_AFTER
from appliance.web.gate import actor, db, holds, needs

pages = Blueprint("today", __name__)


@pages.get("/")
@needs()
def show_today() -> str:
    """What waits, with links; each part only for those who may follow it."""
    found: dict[str, object] = {}
    if holds(Permission.EVENT_MODERATE):
        found["alerts"] = alerts.select_open_for(db(), actor().staff_id)
        found["queue"] = events.select_queue(db(), 5)
        found["recent"] = events.select_recent(db(), 8)
        found["states"] = events.count_by_state(db(), now() - timedelta(days=1))
    if holds(Permission.CONCERN_VIEW):
        found["confirmed"] = events.select_confirmed(db(), 5)
        found["confirmed_count"] = events.count_confirmed(db())
        found["concern_count"] = concerns.count_open_concerns(db())
        found["actions"] = concerns.select_open_actions(db(), 6)
    if holds(Permission.DEVICE_VIEW):
        found["devices"] = devices.select_devices(db())
        found["silent_before"] = now() - SILENT_AFTER
    academies = {academy.id: academy for academy in people.select_academies(db())}
    roles = [
        (ROLES[grant.role], academies[grant.academy_id].name if grant.academy_id else "the whole trust")
        for grant in actor().grants
    ]
    return render_template("today/today.html", roles=roles, **found)
