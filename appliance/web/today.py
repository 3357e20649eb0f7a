"""The first page: what waits for this person, and what the box did lately."""

from datetime import timedelta

from flask import Blueprint, render_template

from appliance.safeguarding.access import ROLES, Permission
from appliance.safeguarding.notice import NOTICES
from appliance.store import alerts, concerns, devices, events, notices, people, reports
from appliance.store.figures import select_figures
from appliance.web.clock import now
from appliance.web.device import SILENT_AFTER
from appliance.web.figures import DAYS
from appliance.web.gate import actor, db, holds, needs
from appliance.workflow.look import note_list

pages = Blueprint("today", __name__)


@pages.get("/")
@needs()
def show_today() -> str:
    """What waits, with links; each part only for those who may follow it. A look at names and words is recorded."""
    if holds(Permission.EVENT_MODERATE) or holds(Permission.CONCERN_VIEW):
        note_list(db(), actor(), "today", now())
    found: dict[str, object] = {"notice_words": NOTICES}
    if holds(Permission.ESCALATION_VIEW):
        found["alerts"] = alerts.select_open_for(db(), actor().staff_id)
        found["notices"] = notices.select_unseen(db(), actor().staff_id)
    if holds(Permission.CONCERN_REPORT) and not holds(Permission.CONCERN_VIEW):
        found["mine"] = reports.select_reports_by(db(), actor().staff_id, 5)
    if holds(Permission.EVENT_MODERATE):
        found["queue"] = events.select_queue(db(), 5)
        found["recent"] = events.select_recent(db(), 8)
        found["states"] = events.count_by_state(db(), now() - timedelta(days=1))
    if holds(Permission.CONCERN_VIEW):
        found["confirmed"] = events.select_confirmed(db(), 5)
        found["confirmed_count"] = events.count_confirmed(db())
        found["concern_count"] = concerns.count_open_concerns(db())
        found["actions"] = concerns.select_open_actions(db(), 6)
    if holds(Permission.REPORT_VIEW) and not holds(Permission.EVENT_MODERATE):
        found["figures"] = select_figures(db(), now() - timedelta(days=DAYS), now())
        found["days"] = DAYS
    if holds(Permission.DEVICE_VIEW):
        found["devices"] = devices.select_devices(db())
        found["silent_before"] = now() - SILENT_AFTER
    academies = {academy.id: academy for academy in people.select_academies(db())}
    roles = [
        (ROLES[grant.role], academies[grant.academy_id].name if grant.academy_id else "the whole trust")
        for grant in actor().grants
    ]
    return render_template("today/today.html", roles=roles, **found)
