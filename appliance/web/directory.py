"""Signing in through the trust's own directory: its provider's page (OpenID Connect), or a name and password (LDAP).

The directory is the first factor; which steps follow is the session's matter, as after any other sign-in.
"""

import secrets
from datetime import datetime
from typing import cast

from flask import Blueprint, Flask, abort, current_app, redirect, render_template, request, session
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from appliance.config import Config
from appliance.directory.settings import Directories, open_directories
from appliance.safeguarding.directory import REFUSALS, DirectoryRefusedError, Identity, PendingSignIn, Refusal
from appliance.web.clock import new_id, now
from appliance.web.entry import enter, visit, wait_words
from appliance.web.gate import db, public
from appliance.workflow.directory import admit_from_directory, check_directory_password, note_refused
from appliance.workflow.sign_in import TooManyTriesError

pages = Blueprint("directory", __name__)

_ON_THE_FORM = {Refusal.PASSWORD, Refusal.AMBIGUOUS}
_NOT_THE_PERSONS_DOING = {Refusal.UNREACHABLE, Refusal.SETTINGS}


class DirectorySignInForm(FlaskForm):
    """A name and password as the directory knows them."""

    name = StringField("E-mail address or user name", [InputRequired("Enter your name."), Length(max=200)])
    password = PasswordField("Password", [InputRequired("Enter your password."), Length(max=200)])
    next = HiddenField()


def init_directories(app: Flask, config: Config) -> None:
    """Take up the directories of the settings. Raises SettingsError when they do not fit together."""
    directories = open_directories(config)
    app.extensions["directories"] = directories
    app.jinja_env.globals["directories"] = directories


@pages.get("/sign-in/provider")
@public
def show_provider() -> Response | tuple[str, int]:
    """Send the person to the provider's own sign-in page."""
    provider = _directories().provider or abort(404)
    pending = PendingSignIn(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), now())
    try:
        address = provider.begin(pending)
    except DirectoryRefusedError as error:
        return _refuse("oidc", error)
    session["provider"] = {
        "state": pending.state,
        "nonce": pending.nonce,
        "verifier": pending.verifier,
        "begun_at": pending.begun_at.isoformat(),
        "next": request.args.get("next", "")[:500],
    }
    return redirect(address)


@pages.get("/sign-in/provider/back")
@public
def show_provider_back() -> Response | tuple[str, int]:
    """Take the provider's answer. It comes as a GET, made safe by the state that only this browser holds."""
    provider = _directories().provider or abort(404)
    kept = session.pop("provider", None)
    at = now()
    try:
        identity = provider.finish(_pending(kept), request.args, at)
    except DirectoryRefusedError as error:
        return _refuse("oidc", error)
    return _admit(identity, "oidc", str(kept.get("next", "")) if kept else "")


@pages.get("/sign-in/directory")
@public
def show_directory() -> str:
    """The page for a name and password of the directory."""
    if _directories().ldap is None:
        abort(404)
    return render_template("directory/sign_in.html", form=DirectorySignInForm(next=request.args.get("next", "")))


@pages.post("/sign-in/directory")
@public
def submit_directory() -> Response | tuple[str, int]:
    """Ask the directory whether name and password belong together."""
    ldap = _directories().ldap or abort(404)
    form = DirectorySignInForm()
    if form.validate():
        name, password = form.name.data or "", form.password.data or ""
        try:
            identity = check_directory_password(db(), ldap.check_password, name, password, visit(), now(), new_id)
        except TooManyTriesError as error:
            form.password.errors = [wait_words(error)]
            return render_template("directory/sign_in.html", form=form), 429
        except DirectoryRefusedError as error:
            if error.refusal not in _ON_THE_FORM:
                return _page(error)
            words = REFUSALS[error.refusal]
            form.password.errors = [f"{words.reason} {words.advice}"]
        else:
            return _admit(identity, "ldap", form.next.data or "", name)
    return render_template("directory/sign_in.html", form=form), 401


def _directories() -> Directories:
    return cast(Directories, current_app.extensions["directories"])


def _pending(kept: object) -> PendingSignIn | None:
    """The sign-in that was begun in this browser, from its signed cookie."""
    if not isinstance(kept, dict):
        return None
    return PendingSignIn(kept["state"], kept["nonce"], kept["verifier"], datetime.fromisoformat(kept["begun_at"]))


def _admit(identity: Identity, method: str, target: str, name: str = "") -> Response | tuple[str, int]:
    try:
        staff_id = admit_from_directory(db(), identity, method, visit(), now(), new_id, name)
    except DirectoryRefusedError as error:
        return _page(error)
    return enter(staff_id, method, target, identity.second_factor)


def _refuse(method: str, error: DirectoryRefusedError) -> tuple[str, int]:
    note_refused(db(), method, error, visit(), now(), new_id)
    return _page(error)


def _page(error: DirectoryRefusedError) -> tuple[str, int]:
    code = 503 if error.refusal in _NOT_THE_PERSONS_DOING else 403
    words = REFUSALS[error.refusal]
    return render_template("directory/refused.html", words=words, refusal=error.refusal), code
