"""The audit trail in reach."""

from flask import Blueprint, render_template

from appliance.safeguarding.access import Permission
from appliance.store.audit import select_audit
from appliance.web.gate import db, needs

pages = Blueprint("audit", __name__)


@pages.get("/audit")
@needs(Permission.AUDIT_VIEW)
def show_audit() -> str:
    """The newest entries, newest first."""
    return render_template("audit/audit.html", entries=select_audit(db()))
