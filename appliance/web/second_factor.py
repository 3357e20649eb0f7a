"""The second factor: giving it after the password or to unlock, and setting up the first one or one more."""

import segno
from flask import Blueprint, g, make_response, redirect, render_template, request, session, url_for
from flask import Response as FlaskResponse
from flask_wtf import FlaskForm
from markupsafe import Markup
from werkzeug.wrappers import Response
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from appliance.safeguarding.access import NotAllowedError
from appliance.safeguarding.sign_in import Step
from appliance.store import credentials, people
from appliance.web.clock import new_id, now
from appliance.web.entry import (
    chance,
    json_answer,
    local_path,
    not_fresh,
    prove,
    prove_first,
    remember_device,
    seal,
    site,
    visit,
    wait_words,
)
from appliance.web.gate import db, during, needs, own_session
from appliance.workflow.credentials import (
    CredentialError,
    begin_authenticator,
    confirm_authenticator,
    make_recovery_codes,
)
from appliance.workflow.passkey import PasskeyError, add_passkey, ask_for_new_passkey, ask_for_passkey, use_passkey
from appliance.workflow.sign_in import (
    TooManyTriesError,
    WrongAnswerError,
    answer_password,
    answer_second_factor,
    lock_session,
    note_wrong_passkey,
    prove_by_enrolling,
    prove_with_passkey,
)

pages = Blueprint("second_factor", __name__)


class CodeForm(FlaskForm):
    """A code of an authenticator app, or a recovery code."""

    code = StringField("Code", [InputRequired("Enter the code your app shows."), Length(max=40)])
    next = HiddenField()


class UnlockForm(FlaskForm):
    """A code, or the password of someone who has no second factor."""

    code = StringField("Code", [Length(max=40)])
    password = PasswordField("Password", [Length(max=200)])
    next = HiddenField()


class AuthenticatorForm(FlaskForm):
    """The first code of an app that is being added."""

    name = StringField("Name", [Length(max=60)])
    code = StringField("Code", [InputRequired("Enter the code your app shows."), Length(max=40)])
    next = HiddenField()


def _target(given: str | None) -> str:
    return local_path(given) or url_for("today.show_today")


# ---- at sign-in ----


@pages.get("/second-factor")
@needs()
@during(Step.SECOND_FACTOR)
def show_second_factor() -> str:
    """Asks for the second factor after the password."""
    return render_template("login/second_factor.html", form=CodeForm(next=request.args.get("next", "")))


@pages.post("/second-factor")
@needs()
@during(Step.SECOND_FACTOR)
def submit_second_factor() -> Response | tuple[str, int]:
    """Check the code and open the session."""
    form, found = CodeForm(), own_session()
    if form.validate():
        try:
            token, _ = answer_second_factor(db(), seal(), found, form.code.data or "", visit(), now(), new_id)
        except WrongAnswerError as error:
            if error.session_over:
                return _over()
            form.code.errors = [str(error)]
        except TooManyTriesError as error:
            form.code.errors = [wait_words(error)]
            return render_template("login/second_factor.html", form=form), 429
        else:
            prove(token, found.staff_id, first=True)
            response = redirect(_target(form.next.data))
            remember_device(response, found.staff_id)
            return response
    return render_template("login/second_factor.html", form=form), 401


def _over() -> tuple[str, int]:
    session.clear()
    return render_template("login/over.html"), 401


# ---- passkeys, at sign-in and to unlock ----


@pages.post("/second-factor/passkey/ask")
@needs()
@during(Step.SECOND_FACTOR, Step.UNLOCK, Step.OPEN)
def submit_passkey_ask() -> Response:
    """What one of the person's own passkeys must sign."""
    session["challenge"] = new_id()
    staff_id = own_session().staff_id
    options = ask_for_passkey(db(), site(), staff_id, visit().address, session["challenge"], chance, now())
    return FlaskResponse(options, mimetype="application/json")


@pages.post("/second-factor/passkey")
@needs()
@during(Step.SECOND_FACTOR, Step.UNLOCK, Step.OPEN)
def submit_passkey() -> Response:
    """Check the passkey, and open or unlock the session."""
    found, at = own_session(), now()
    try:
        use_passkey(db(), site(), found.staff_id, session.pop("challenge", ""), request.form.get("answer", ""), at)
        token = prove_with_passkey(db(), found, at)
    except (PasskeyError, WrongAnswerError) as error:
        if note_wrong_passkey(db(), found, visit(), at, str(error)[:80]):
            session.clear()
            return json_answer(410, error="There were too many wrong tries, so you were signed out. Sign in again.")
        return json_answer(401, error="That did not work. Try it once more, or use a code instead.")
    prove(token, found.staff_id, first=g.step is Step.SECOND_FACTOR)
    response = json_answer(next=_target(request.form.get("next")))
    remember_device(response, found.staff_id)
    return response


# ---- locking and unlocking ----


@pages.get("/unlock")
@needs()
@during(Step.UNLOCK, Step.OPEN)
def show_unlock() -> str | Response:
    """Asks for the second factor again: the session is locked, or something weighty is to be changed."""
    if g.needs_factor and not g.factors:
        return prove_first(request.args.get("next", ""))
    return _unlock_page(UnlockForm(next=request.args.get("next", "")))


def _unlock_page(form: UnlockForm) -> str:
    person = people.get_staff(db(), own_session().staff_id)
    has_password = credentials.get_own_password_hash(db(), own_session().staff_id) is not None
    return render_template("login/unlock.html", form=form, person_name=person.name if person else "", factors=g.factors,
                           has_password=has_password, locked=g.step is Step.UNLOCK)  # fmt: skip


@pages.post("/unlock")
@needs()
@during(Step.UNLOCK, Step.OPEN)
def submit_unlock() -> Response | str | tuple[str, int]:
    """Check the code, or the password where there is no second factor, and unlock."""
    form, found, code = UnlockForm(), own_session(), 401
    if g.needs_factor and not g.factors:
        return prove_first(form.next.data or "")
    field = form.code if g.factors else form.password
    if form.validate() and field.data:
        try:
            token = _answer(field.data)
        except WrongAnswerError as error:
            if error.session_over:
                session.clear()
                return json_answer(410, error=str(error)) if _by_script() else _over()
            field.errors = [str(error)]
        except TooManyTriesError as error:
            field.errors, code = [wait_words(error)], 429
        else:
            prove(token, found.staff_id, first=False)
            return json_answer() if _by_script() else redirect(_target(form.next.data))
    elif not field.data:
        field.errors = ["Enter the code your app shows." if g.factors else "Enter your password."]
    if _by_script():
        return json_answer(code, error=field.errors[0])
    return _unlock_page(form), code


def _answer(given: str) -> str:
    if g.factors:
        return answer_second_factor(db(), seal(), own_session(), given, visit(), now(), new_id)[0]
    return answer_password(db(), own_session(), given, visit(), now(), new_id)


def _by_script() -> bool:
    return request.headers.get("Accept") == "application/json"


@pages.post("/lock")
@needs()
@during(Step.OPEN, Step.UNLOCK)
def submit_lock() -> Response:
    """Lock the session now: the person leaves their desk, or the page saw nobody for a quarter of an hour."""
    by_script = _by_script()
    lock_session(db(), own_session(), "idle" if by_script else "asked", now())
    return FlaskResponse(status=204) if by_script else redirect(url_for("second_factor.show_unlock"))


@pages.post("/awake")
@needs()
def submit_awake() -> Response:
    """Say that the person is at work on a page, so that the session does not lock meanwhile. The gate notes it."""
    return FlaskResponse(status=204)


# ---- setting up ----


@pages.get("/second-factor/set-up")
@needs()
@during(Step.ENROL, Step.OPEN)
def show_set_up() -> str | Response:
    """Offers a passkey and an authenticator app."""
    if (first := not_fresh()) is not None:
        return first
    return _set_up_page(AuthenticatorForm(next=request.args.get("next", "")))


def _set_up_page(form: AuthenticatorForm) -> str:
    secret, address = begin_authenticator(db(), seal(), own_session(), now(), new_id)
    picture = segno.make(address, error="m").svg_inline(scale=4, dark="#000", light="#fff", border=3)
    groups = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    drawn = Markup(picture)  # noqa: S704 it was drawn here, of squares
    return render_template("account/set_up.html", form=form, picture=drawn, secret=groups, first=g.actor is None)


@pages.post("/second-factor/set-up")
@needs()
@during(Step.ENROL, Step.OPEN)
def submit_set_up() -> Response | str | tuple[str, int]:
    """Add the authenticator app, once it makes the right code."""
    if (first := not_fresh()) is not None:
        return first
    form, found = AuthenticatorForm(), own_session()
    if form.validate():
        try:
            confirm_authenticator(db(), seal(), found, form.name.data or "", form.code.data or "", now())
        except CredentialError as error:
            form.code.errors = [str(error)]
        else:
            return _after_adding(_target(form.next.data))
    return _set_up_page(form), 422


def _after_adding(target: str) -> Response:
    """With a first second factor come the recovery codes, and the session is proved by it."""
    found = own_session()
    if g.step is not Step.ENROL:
        return redirect(url_for("account.show_account"))
    codes = make_recovery_codes(db(), found.staff_id, now(), chance)
    _prove_by_enrolling()
    g.actor = None  # this answer is still made with nobody's database
    response = make_response(render_template("account/codes.html", codes=codes, target=target))
    remember_device(response, found.staff_id)
    return response


def _prove_by_enrolling() -> None:
    found = own_session()
    prove(prove_by_enrolling(db(), found, now()), found.staff_id, first=True)


@pages.post("/second-factor/set-up/passkey/ask")
@needs()
@during(Step.ENROL, Step.OPEN)
def submit_new_passkey_ask() -> Response:
    """What the browser needs for making a passkey."""
    if not_fresh() is not None:
        return json_answer(403, error="Load the page again and give your second factor first.")
    session["challenge"] = new_id()
    options = ask_for_new_passkey(db(), site(), own_session().staff_id, session["challenge"], chance, now())
    return FlaskResponse(options, mimetype="application/json")


@pages.post("/second-factor/set-up/passkey")
@needs()
@during(Step.ENROL, Step.OPEN)
def submit_new_passkey() -> Response:
    """Keep the passkey the browser made."""
    if not_fresh() is not None:
        return json_answer(403, error="Load the page again and give your second factor first.")
    found, answer = own_session(), request.form.get("answer", "")
    try:
        challenge = session.pop("challenge", "")
        add_passkey(db(), site(), found.staff_id, challenge, answer, request.form.get("name", ""), now(), new_id)
    except (PasskeyError, NotAllowedError):
        return json_answer(
            422, error="The passkey could not be added. Try once more; if it keeps failing, use an authenticator app."
        )
    if g.step is not Step.ENROL:
        return json_answer(next=url_for("account.show_account"))
    _prove_by_enrolling()
    response = json_answer(next=url_for("account.show_recovery_codes", next=local_path(request.form.get("next"))))
    remember_device(response, found.staff_id)
    return response
