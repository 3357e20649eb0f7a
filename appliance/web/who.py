"""Who is this? Device user names with events that are attributed to nobody, until a person says whose they are."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from appliance.safeguarding.access import Permission
from appliance.store import accounts, people
from appliance.web.clock import new_id, now
from appliance.web.gate import actor, db, needs
from appliance.workflow.claim_account import ClaimError, claim_account, undo_claim

pages = Blueprint("who", __name__)


@pages.get("/who")
@needs(Permission.CONCERN_RECORD)
def show_who() -> str:
    """The user names that wait, whom the MIS names for each, and what was said lately."""
    name = request.args.get("name", "").strip()
    return render_template(
        "who/who.html",
        unknown=accounts.select_unknown_accounts(db()),
        claims=accounts.select_claims(db()),
        account=request.args.get("account", ""),
        academy=request.args.get("academy", ""),
        name=name,
        found=people.select_pupils(db(), name, 30) if name else [],
    )


@pages.post("/who")
@needs(Permission.CONCERN_RECORD)
def submit_who() -> Response:
    """Say whose a user name is."""
    form = request.form
    try:
        count = claim_account(
            db(), actor(), form.get("academy", ""), form.get("account", ""), form.get("pupil", ""), now(), new_id
        )
    except ClaimError as error:
        flash(str(error), "problem")
    else:
        flash(f"{count} {'event is' if count == 1 else 'events are'} attributed now, and those to come.", "done")
    return redirect(url_for("who.show_who"))


@pages.post("/who/<claim_id>/undo")
@needs(Permission.CONCERN_RECORD)
def submit_undo(claim_id: str) -> Response:
    """Take it back."""
    try:
        count = undo_claim(db(), actor(), claim_id, now())
    except ClaimError as error:
        flash(str(error), "problem")
    else:
        flash(f"Taken back: {count} {'event is' if count == 1 else 'events are'} nobody's again.", "done")
    return redirect(url_for("who.show_who"))
