"""Signing in with a password or a passkey, and signing out."""

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import EmailField, HiddenField, PasswordField
from wtforms.validators import InputRequired, Length

from appliance.safeguarding.access import NotAllowedError
from appliance.safeguarding.sign_in import Step
from appliance.web.clock import new_id, now
from appliance.web.entry import chance, enter, json_answer, local_path, site, visit, wait_words
from appliance.web.gate import db, during, needs, own_session, public
from appliance.workflow.passkey import PasskeyError, ask_for_passkey, use_passkey
from appliance.workflow.sign_in import TooManyTriesError, check_password, end_session, note_failed_sign_in

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
    form, code = SignInForm(), 401
    if form.validate():
        try:
            staff_id = check_password(db(), form.email.data or "", form.password.data or "", visit(), now(), new_id)
        except TooManyTriesError as error:
            form.password.errors, code = [wait_words(error)], 429
        else:
            if staff_id is not None:
                return enter(staff_id, "password", form.next.data)
            form.password.errors = [
                "That e-mail address and password do not belong together. Check both and try again."
            ]
    return render_template("login/sign_in.html", form=form), code


@pages.post("/sign-in/passkey/ask")
@public
def submit_passkey_ask() -> Response:
    """What a passkey must sign, for somebody not known yet."""
    session["challenge"] = new_id()
    options = ask_for_passkey(db(), site(), None, visit().address, session["challenge"], chance, now())
    return Response(options, mimetype="application/json")


@pages.post("/sign-in/passkey")
@public
def submit_passkey() -> Response:
    """Check a passkey and begin a session; with one nothing more is owed."""
    try:
        answer = request.form.get("answer", "")
        staff_id = use_passkey(db(), site(), None, session.pop("challenge", ""), answer, now())
        response = enter(staff_id, "passkey", request.form.get("next"), second_factor=True)
    except (PasskeyError, NotAllowedError) as error:
        note_failed_sign_in(db(), "passkey", visit(), now(), new_id, why=str(error)[:80])
        return json_answer(
            401, error="The box does not know that passkey. Choose another one, or use your password instead."
        )
    answer_to_script = json_answer(next=local_path(response.headers["Location"]) or "/")
    for cookie in response.headers.getlist("Set-Cookie"):
        answer_to_script.headers.add("Set-Cookie", cookie)
    return answer_to_script


@pages.post("/sign-out")
@needs()
@during(Step.OPEN, Step.UNLOCK, Step.SECOND_FACTOR, Step.ENROL)
def submit_sign_out() -> Response:
    """End the session."""
    end_session(db(), own_session(), "signed out", now())
    session.clear()
    return redirect(url_for("login.show_sign_in"))
