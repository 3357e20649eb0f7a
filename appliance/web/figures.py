"""Figures by academy: counts, with no pupil in them."""

from datetime import timedelta

from flask import Blueprint, render_template

from appliance.safeguarding.access import Permission
from appliance.store.figures import select_figures
from appliance.web.clock import now
from appliance.web.gate import db, needs

pages = Blueprint("figures", __name__)

DAYS = 7


@pages.get("/figures")
@needs(Permission.REPORT_VIEW)
def show_figures() -> str:
    """What came in lately, what waits, and what is open, an academy a line."""
    at = now()
    return render_template(
        "figures/figures.html", figures=select_figures(db(), at - timedelta(days=DAYS), at), days=DAYS
    )
