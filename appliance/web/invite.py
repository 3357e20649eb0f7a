"""Making one's account from an invitation link, and the box's first account from its set-up link."""

from flask import Blueprint, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import EmailField, PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length, Regexp

from appliance.safeguarding.sign_in import PASSWORD_SHORTEST
from appliance.store import academies, people
from appliance.web.clock import new_id, now
from appliance.web.entry import enter
from appliance.web.gate import db, public
from appliance.workflow.credentials import CredentialError
from appliance.workflow.invite import (
    FirstLead,
    InvitationError,
    accept_first_link,
    accept_invitation,
    look_up_invitation,
)

pages = Blueprint("invite", __name__)


class NewPasswordForm(FlaskForm):
    """A password, twice."""

    password = PasswordField("Password", [InputRequired("Choose a password."), Length(max=1000)])
    again = PasswordField(
        "Password again", [InputRequired("Enter it again."), EqualTo("password", "The two are not the same.")]
    )


class FirstLeadForm(NewPasswordForm):
    """Who the first trust safeguarding lead is."""

    trust = StringField("Name of your trust", [Length(max=200)])
    name = StringField("Your name", [InputRequired("Enter your name."), Length(max=200)])
    email = EmailField(
        "Your e-mail address",
        [
            InputRequired("Enter your e-mail address."),
            Length(max=200),
            Regexp(r"^[^@\s]+@[^@\s]+$", message="Enter an e-mail address, such as name@trust.example."),
        ],
    )


@pages.get("/invitation/<token>")
@public
def show_invitation(token: str) -> str | tuple[str, int]:
    """The page that an invitation link opens."""
    try:
        return _page(token, NewPasswordForm())
    except InvitationError as error:
        return _cannot(error)


def _page(token: str, form: NewPasswordForm) -> str:
    invitation = look_up_invitation(db(), token, now())
    person = people.get_staff(db(), invitation.staff_id) if invitation.staff_id else None
    if person is None:
        raise InvitationError("unknown")
    return render_template("invite/invitation.html", form=form, whose=person, token=token, shortest=PASSWORD_SHORTEST)


@pages.post("/invitation/<token>")
@public
def submit_invitation(token: str) -> str | Response | tuple[str, int]:
    """Set the password, use the link up, and lead on to the second factor."""
    form = NewPasswordForm()
    try:
        if form.validate():
            try:
                staff_id = accept_invitation(db(), token, form.password.data or "", now())
                return enter(staff_id, "invitation", url_for("today.show_today"))
            except CredentialError as error:
                form.password.errors = [str(error)]
        return _page(token, form), 422
    except InvitationError as error:
        return _cannot(error)


@pages.get("/set-up/<token>")
@public
def show_first_link(token: str) -> str | tuple[str, int]:
    """The page that the box's first link opens."""
    try:
        return _first_page(token, FirstLeadForm())
    except InvitationError as error:
        return _cannot(error, first=True)


def _first_page(token: str, form: FirstLeadForm) -> str:
    invitation = look_up_invitation(db(), token, now())
    if invitation.staff_id is not None:
        raise InvitationError("unknown")
    trust = academies.get_trust(db(), invitation.trust_id) if invitation.trust_id else None
    return render_template(
        "invite/first.html", form=form, token=token, shortest=PASSWORD_SHORTEST, trust=trust.name if trust else None
    )


@pages.post("/set-up/<token>")
@public
def submit_first_link(token: str) -> str | Response | tuple[str, int]:
    """Make the trust and its first safeguarding lead."""
    form = FirstLeadForm()
    try:
        if form.validate():
            lead = FirstLead(form.name.data or "", form.email.data or "", form.trust.data or "")
            try:
                staff_id = accept_first_link(db(), token, lead, form.password.data or "", now(), new_id)
                return enter(staff_id, "invitation", url_for("today.show_today"))
            except CredentialError as error:
                words = str(error)
                field = form.trust if "trust" in words else form.email if "e-mail" in words else form.password
                field.errors = [str(error)]
        return _first_page(token, form), 422
    except InvitationError as error:
        return _cannot(error, first=True)


def _cannot(error: InvitationError, first: bool = False) -> tuple[str, int]:
    code = 404 if error.why == "unknown" else 410
    return render_template("invite/cannot.html", why=error.why, first=first), code
