"""One's own account: ways of signing in, recovery codes, password, and where one is signed in."""

from datetime import timedelta

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import PasswordField
from wtforms.validators import EqualTo, InputRequired, Length

from appliance.safeguarding.sign_in import PASSWORD_SHORTEST, SESSION_LIMIT
from appliance.store import credentials, people, sessions
from appliance.web.clock import now
from appliance.web.entry import chance, local_path, may_do_without, not_fresh
from appliance.web.gate import actor, db, needs, own_session
from appliance.workflow.change_password import change_password
from appliance.workflow.credentials import CredentialError, make_recovery_codes, remove_credential
from appliance.workflow.sign_in import end_all_sessions, end_other_session

pages = Blueprint("account", __name__)

LOW_ON_CODES = 3


class PasswordForm(FlaskForm):
    """The password now, and a new one twice."""

    old = PasswordField("Your password now", [InputRequired("Enter your password."), Length(max=200)])
    new = PasswordField("New password", [InputRequired("Choose a new password."), Length(max=1000)])
    again = PasswordField(
        "New password again", [InputRequired("Enter it again."), EqualTo("new", "The two are not the same.")]
    )


@pages.get("/account")
@needs()
def show_account() -> str:
    """Everything about how one signs in."""
    return _page(PasswordForm())


def _page(form: PasswordForm) -> str:
    staff_id = actor().staff_id
    person = people.get_staff(db(), staff_id)
    return render_template(
        "account/account.html",
        form=form,
        whose=person,
        shortest=PASSWORD_SHORTEST,
        has_password=credentials.get_own_password_hash(db(), staff_id) is not None,
        factors=credentials.select_credentials(db(), staff_id),
        needs_factor=not may_do_without(),
        codes_left=credentials.count_recovery_codes(db(), staff_id),
        low_on_codes=LOW_ON_CODES,
        sessions=sessions.select_sessions(db(), staff_id, now() - SESSION_LIMIT),
        own=own_session(),
        session_hours=SESSION_LIMIT // timedelta(hours=1),
    )


@pages.post("/account/password")
@needs()
def submit_password() -> Response | tuple[str, int]:
    """Change one's password; other browsers are signed out."""
    if (first := not_fresh()) is not None:
        return first
    form = PasswordForm()
    if form.validate():
        try:
            change_password(db(), own_session(), form.old.data or "", form.new.data or "", now())
        except CredentialError as error:
            field = form.old if "not your password" in str(error) else form.new
            field.errors = [str(error)]
        else:
            flash("The password is changed. Other browsers you were signed in with are signed out.", "done")
            return redirect(url_for("account.show_account"))
    return _page(form), 422


@pages.get("/account/recovery-codes")
@needs()
def show_recovery_codes() -> str | Response:
    """What recovery codes are for, and the button that makes them."""
    if (first := not_fresh()) is not None:
        return first
    left = credentials.count_recovery_codes(db(), actor().staff_id)
    target = local_path(request.args.get("next"))
    return render_template("account/make_codes.html", left=left, target=target)


@pages.post("/account/recovery-codes")
@needs()
def submit_recovery_codes() -> str | Response:
    """Make new recovery codes and show them this once."""
    if (first := not_fresh()) is not None:
        return first
    codes = make_recovery_codes(db(), actor().staff_id, now(), chance)
    target = local_path(request.form.get("next")) or url_for("account.show_account")
    return render_template("account/codes.html", codes=codes, target=target)


@pages.post("/account/second-factors/<credential_id>/remove")
@needs()
def submit_remove(credential_id: str) -> Response:
    """Remove one of one's second factors, but not the last one where one is needed."""
    if (first := not_fresh()) is not None:
        return first
    try:
        remove_credential(db(), actor().staff_id, credential_id, may_do_without(), now())
        flash("It is removed, and can't be used to sign in any more.", "done")
    except CredentialError as error:
        flash(str(error), "problem")
    return redirect(url_for("account.show_account"))


@pages.post("/account/sessions/<session_id>/end")
@needs()
def submit_end_session(session_id: str) -> Response:
    """Sign out at another browser."""
    end_other_session(db(), actor().staff_id, session_id, now())
    flash("That browser is signed out, at its next click.", "done")
    return redirect(url_for("account.show_account"))


@pages.post("/account/sign-out-everywhere")
@needs()
def submit_sign_out_everywhere() -> Response:
    """End every session one has, this one too."""
    end_all_sessions(db(), actor().staff_id, "signed out everywhere", now())
    session.clear()
    g.actor = None
    flash("You are signed out everywhere.", "done")
    return redirect(url_for("login.show_sign_in"))
