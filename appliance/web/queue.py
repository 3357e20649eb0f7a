"""The moderation queue, and the DSL's list of confirmed events."""

from flask import Blueprint, render_template

from appliance.safeguarding.access import Permission
from appliance.store import events
from appliance.web.clock import now
from appliance.web.gate import actor, db, needs
from appliance.workflow.look import note_list

pages = Blueprint("queue", __name__)

PAGE = 50


@pages.get("/queue")
@needs(Permission.EVENT_MODERATE)
def show_queue() -> str:
    """Events that wait for a moderator."""
    note_list(db(), actor(), "queue", now())
    return render_template("queue/queue.html", events=events.select_queue(db(), PAGE), total=events.count_queue(db()))


@pages.get("/confirmed")
@needs(Permission.CONCERN_VIEW)
def show_confirmed() -> str:
    """Events that a moderator confirmed and no concern holds yet."""
    note_list(db(), actor(), "confirmed", now())
    return render_template(
        "queue/confirmed.html", events=events.select_confirmed(db(), PAGE), total=events.count_confirmed(db())
    )


@pages.get("/events")
@needs(Permission.EVENT_VIEW)
def show_events() -> str:
    """Everything devices reported lately, set aside or not."""
    note_list(db(), actor(), "events", now())
    return render_template("queue/events.html", events=events.select_recent(db(), 2 * PAGE))
