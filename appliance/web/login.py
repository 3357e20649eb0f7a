"""Signing in and out."""

from urllib.parse import urlsplit

from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import EmailField, HiddenField, PasswordField
from wtforms.validators import InputRequired, Length

from appliance.store import people
from appliance.web.clock import now
from appliance.web.gate import actor, db, needs, public
from appliance.workflow import look
from appliance.workflow.grant import NOBODYS_HASH, password_is

pages = Blueprint("login", __name__)


class SignInForm(FlaskForm):
    """E-mail address and password."""

    email = EmailField("E-mail address", [InputRequired("Enter your e-mail address."), Length(max=200)])
    password = PasswordField("Password", [InputRequired("Enter your password."), Length(max=200)])
    next = HiddenField()


@pages.get("/sign-in")
@public
def show_sign_in() -> str | Response:
    """The sign-in page."""
    form = SignInForm(next=request.args.get("next", ""))
    return render_template("login/sign_in.html", form=form)


@pages.post("/sign-in")
@public
def submit_sign_in() -> str | Response | tuple[str, int]:
    """Check the password and begin a session."""
    form = SignInForm()
    if form.validate():
        staff_id = _check(form.email.data or "", form.password.data or "")
        look.note_sign_in(db(), staff_id, now())
        if staff_id is not None:
            session.clear()
            session["staff_id"] = staff_id
            session.permanent = True
            g.actor = people.get_actor(db(), staff_id, now())
            return redirect(_local(form.next.data) or url_for("today.show_today"))
        form.password.errors = ["That e-mail address and password do not belong together. Check both and try again."]
    return render_template("login/sign_in.html", form=form), 401


@pages.post("/sign-out")
@needs()
def submit_sign_out() -> Response:
    """End the session."""
    look.note_sign_out(db(), actor(), now())
    session.clear()
    return redirect(url_for("login.show_sign_in"))


def _check(email: str, password: str) -> str | None:
    found = people.get_password_hash(db(), email)
    staff_id, stored = found if found else (None, None)
    # an unknown address is checked against nobody's hash, so that the answer takes as long as for a known one
    right = password_is(stored or NOBODYS_HASH, password)
    return staff_id if right and stored else None


def _local(target: str | None) -> str | None:
    """The path to go to after signing in, if it is one of ours."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target
