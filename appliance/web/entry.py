"""Letting a person in: what every way of signing in ends with, and what is known of the browser they come with."""

import secrets
from typing import cast
from urllib.parse import urlsplit

from flask import Response as FlaskResponse
from flask import current_app, flash, g, jsonify, redirect, request, session, url_for
from werkzeug.wrappers import Response

from appliance.config import Config
from appliance.safeguarding.access import needs_second_factor
from appliance.safeguarding.sign_in import KNOWN_DEVICE_LIFE, is_fresh
from appliance.store import credentials, people
from appliance.web.clock import now
from appliance.web.gate import db, own_session
from appliance.workflow.passkey import Site
from appliance.workflow.sign_in import TooManyTriesError, Visit, begin_session, end_session, new_token, note_device

DEVICE_COOKIE = "__Host-trustkeep-device"


def visit() -> Visit:
    """Where this request comes from."""
    device = request.cookies.get(DEVICE_COOKIE, "")[:100]
    return Visit(request.remote_addr or "", request.user_agent.string, device)


def site() -> Site:
    """The portal as browsers know it; passkeys belong to this name."""
    config = cast(Config, current_app.config["TRUSTKEEP"])
    port = "" if config.portal_port == 443 else f":{config.portal_port}"
    return Site(config.host_name, f"https://{config.host_name}{port}")


def seal() -> credentials.SecretSeal:
    """What opens the secrets of authenticator apps."""
    return cast(credentials.SecretSeal, current_app.extensions["seal"])


def local_path(target: str | None) -> str | None:
    """The path to go to after signing in, if it is one of ours."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    if any(ord(sign) < 32 for sign in target):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc else target


def enter(staff_id: str, method: str, target: str | None, second_factor: bool = False) -> Response:
    """Begin a session for the person, and lead on to the page they asked for; the gate asks for what is still owed.

    method and second_factor: as for begin_session. target: where to, if it is a path of ours.
    """
    if g.session is not None and g.session.ended_at is None:
        end_session(db(), g.session, "signed in anew", now())
    from_where = visit()
    token = begin_session(db(), staff_id, method, from_where.address, from_where.browser, now(), second_factor)
    session.clear()
    session["token"] = token
    response = redirect(local_path(target) or url_for("today.show_today"))
    person = people.get_actor(db(), staff_id, now())
    owes = person is not None and (needs_second_factor(person) or credentials.select_credential_kinds(db(), staff_id))
    if second_factor or not owes:
        g.actor = person
        remember_device(response, staff_id)
    return response


def prove(token: str, staff_id: str, first: bool) -> None:
    """Go on with another token after a step up. first: the session was not proved before; nothing of it is kept."""
    if first:
        session.clear()
    session["token"] = token
    g.actor = people.get_actor(db(), staff_id, now())


def remember_device(response: Response, staff_id: str) -> None:
    """Give the browser its device cookie, so that tries from it are counted apart from everybody else's."""
    device = visit().device or new_token()
    note_device(db(), staff_id, device, now())
    response.set_cookie(
        DEVICE_COOKIE,
        device,
        max_age=int(KNOWN_DEVICE_LIFE.total_seconds()),
        secure=True,
        httponly=True,
        samesite="Lax",
    )


def chance(count: int) -> bytes:
    """So many random bytes."""
    return secrets.token_bytes(count)


def wait_words(error: TooManyTriesError) -> str:
    """What to tell somebody who has to wait."""
    seconds = max(1, int((error.until - now()).total_seconds()))
    span = f"{seconds} seconds" if seconds < 90 else f"{-(-seconds // 60)} minutes"
    return (
        f"Too many wrong tries came from here. Wait {span}, then try again. Nothing is locked: from a computer you"
        " have used before, or with a passkey, you can go on at once."
    )


def not_fresh(then: str = "") -> Response | None:
    """Where to go first, when the person has not proved who they are lately enough to change how they or another sign
    in, or who holds which role. then: the page to come back to after a POST; the person's own account if empty."""
    found = own_session()
    if g.actor is None or is_fresh(found, now()):
        return None
    if request.method == "POST":
        flash("Nothing was changed yet. Prove once more that it is you, then do it again.", "problem")
    target = request.full_path if request.method == "GET" else then or url_for("account.show_account")
    return prove_first(target)


def prove_first(target: str) -> Response:
    """To the page where the person proves once more that it is them. Who has nothing to prove it with here but must
    have (the directory's second factor counted) does it by signing in anew."""
    page = "login.show_sign_in" if g.needs_factor and not g.factors else "second_factor.show_unlock"
    return redirect(url_for(page, next=target))


def may_do_without() -> bool:
    """Whether no role of the person asks for a second factor, at any academy."""
    return not g.needs_factor


def json_answer(code: int = 200, **fields: object) -> FlaskResponse:
    """An answer for a script of ours."""
    response = jsonify(fields)
    response.status_code = code
    return response
