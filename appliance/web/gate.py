"""The gate: every view says who may open it, and every request gets a database in that person's name.

A view carries ``@needs(...)`` or ``@public``; ``check_every_view`` refuses to start the portal when one carries
neither. Rights are read fresh at each request, so a grant taken away works at the next click. What a person may not
see answers 404, as if it did not exist.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from flask import Flask, Response, current_app, g, redirect, render_template, request, session, url_for
from sqlite_utils import Database
from werkzeug.wrappers import Response as BaseResponse

from appliance.config import Config
from appliance.safeguarding.access import (
    Actor,
    NotAllowedError,
    Permission,
    academies_for,
    narrow,
    needs_second_factor,
)
from appliance.safeguarding.sign_in import Session, Step, digest, next_step
from appliance.store import credentials, people, sessions
from appliance.store.connection import open_as
from appliance.web.clock import now
from appliance.workflow.sign_in import end_session, lock_session, note_use

View = TypeVar("View", bound=Callable[..., Any])

_OPEN_ONLY = frozenset({Step.OPEN})
_NOTED_EVERY = timedelta(seconds=20)
"""How often a session's use is written down: a busy page does not write at every request."""


def needs(*permissions: Permission) -> Callable[[View], View]:
    """Open to a person who is signed in and holds one of these permissions at some academy; with none named, to all
    who are signed in."""

    def mark(view: View) -> View:
        view.needs = frozenset(permissions)  # type: ignore[attr-defined]
        return view

    return mark


def public(view: View) -> View:
    """Open to anyone on the network."""
    view.needs = None  # type: ignore[attr-defined]
    return view


def during(*steps: Step) -> Callable[[View], View]:
    """Beside ``@needs()``: open in these steps of a session, instead of only when nothing is owed any more.

    In any but Step.OPEN there is no actor: only ``own_session()`` says whose session it is.
    """

    def mark(view: View) -> View:
        view.steps = frozenset(steps)  # type: ignore[attr-defined]
        return view

    return mark


class UndeclaredViewError(RuntimeError):
    """A view says neither who may open it nor that it is public."""


def check_every_view(app: Flask) -> None:
    """Raise UndeclaredViewError unless every view is declared."""
    for endpoint, view in app.view_functions.items():
        if not hasattr(view, "needs"):
            raise UndeclaredViewError(f"{endpoint} carries neither @needs nor @public")


def init_gate(app: Flask) -> None:
    """Put the gate before every request, and close the request's database after it."""
    app.before_request(open_request)
    app.teardown_request(close_request)


def open_request() -> BaseResponse | tuple[str, int] | None:
    """Find out who asks, whether they may, and open the database in their name as ``g.db``."""
    g.actor, g.session, g.step, g.factors, g.needs_factor = None, None, Step.SIGN_IN, frozenset(), True
    if request.endpoint in (None, "static"):
        return None
    config = cast(Config, current_app.config["TRUSTKEEP"])
    view = current_app.view_functions[request.endpoint]
    g.db = open_as(config.database, None)
    person = _read_session(now())
    if g.step is Step.OPEN and person is not None:
        g.actor = narrow(person, session.get("academy"))
        g.db.close()
        g.db = open_as(config.database, g.actor)
    required = view.needs  # type: ignore[attr-defined]
    if required is None:
        return None
    if g.step not in getattr(view, "steps", _OPEN_ONLY):
        return _send_on()
    if required and not any(academies_for(g.actor, permission) for permission in required):
        raise NotAllowedError(f"the page {request.endpoint}")
    return None


def _read_session(at: datetime) -> Actor | None:
    """Find the session behind the cookie and what it owes; note its use, its lock or its end. Returns its person."""
    token = session.get("token")
    found = sessions.get_session(g.db, digest(token)) if isinstance(token, str) else None
    if found is None or found.ended_at is not None:
        return None
    person = people.get_actor(g.db, found.staff_id, at)
    g.factors = credentials.select_credential_kinds(g.db, found.staff_id)
    if person is not None:
        g.needs_factor = needs_second_factor(person)
        g.step = next_step(found, g.needs_factor, bool(g.factors), at)
    if g.step is Step.SIGN_IN:
        end_session(g.db, found, "account closed" if person is None else "over time", at)
        return None
    g.session = found
    if g.step is Step.UNLOCK:
        if found.locked_at is None:
            lock_session(g.db, found, "idle", at)
    elif at - found.seen_at >= _NOTED_EVERY:
        note_use(g.db, found, at)
    return person


def _send_on() -> BaseResponse | tuple[str, int]:
    """To the page where what the session owes can be given; a change that was asked for meanwhile is not made."""
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    if g.step is Step.SIGN_IN:
        session.clear()
        return redirect(url_for("login.show_sign_in", next=target))
    if g.step is Step.OPEN:
        return redirect(url_for("today.show_today"))
    if request.method != "GET":
        return render_template("login/locked.html"), 401
    page = {Step.SECOND_FACTOR: "show_second_factor", Step.ENROL: "show_set_up", Step.UNLOCK: "show_unlock"}[g.step]
    return redirect(url_for(f"second_factor.{page}", next=target))


def close_request(_error: BaseException | None) -> None:
    """Close the request's database."""
    db = g.pop("db", None)
    if db is not None:
        db.close()


def actor() -> Actor:
    """The person who asks. Only in views behind ``@needs``."""
    return cast(Actor, g.actor)


def own_session() -> Session:
    """The session of this request. Only in views behind ``@needs``."""
    return cast(Session, g.session)


def db() -> Database:
    """The database in that person's name."""
    return cast(Database, g.db)


def holds(permission: Permission, academy_id: str | None = None) -> bool:
    """Whether the person who asks holds a permission at this academy, or at any when none is named.

    For what a page offers, not for what it allows.
    """
    found = academies_for(g.actor, permission) if g.get("actor") is not None else frozenset()
    return bool(found) if academy_id is None else academy_id in found


def no_store(response: Response) -> Response:
    """Keep a page with a child's words out of every cache."""
    response.headers["Cache-Control"] = "no-store"
    return response
