"""The gate: every view says who may open it, and every request gets a database in that person's name.

A view carries ``@needs(...)`` or ``@public``; ``check_every_view`` refuses to start the portal when one carries
neither. Rights are read fresh at each request, so a grant taken away works at the next click. What a person may not
see answers 404, as if it did not exist.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, Response, abort, current_app, g, redirect, request, session, url_for
from sqlite_utils import Database
from werkzeug.wrappers import Response as BaseResponse

from appliance.config import Config
from appliance.safeguarding.access import Actor, Permission, academies_for
from appliance.store import people
from appliance.store.connection import open_as
from appliance.web.clock import now

View = TypeVar("View", bound=Callable[..., Any])


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


def open_request() -> BaseResponse | None:
    """Find out who asks, whether they may, and open the database in their name as ``g.db``."""
    if request.endpoint is None:
        return None
    config = cast(Config, current_app.config["TRUSTKEEP"])
    required = current_app.view_functions[request.endpoint].needs  # type: ignore[attr-defined]
    g.actor = None
    g.db = open_as(config.database, None)
    staff_id = session.get("staff_id")
    if staff_id is not None:
        g.actor = people.get_actor(g.db, staff_id, now())
    if g.actor is not None:
        g.db.close()
        g.db = open_as(config.database, g.actor)
    if required is None:
        return None
    if g.actor is None:
        session.clear()
        return redirect(url_for("login.show_sign_in", next=request.full_path if request.method == "GET" else None))
    if required and not any(academies_for(g.actor, permission) for permission in required):
        abort(404)
    return None


def close_request(_error: BaseException | None) -> None:
    """Close the request's database."""
    db = g.pop("db", None)
    if db is not None:
        db.close()


def actor() -> Actor:
    """The person who asks. Only in views behind ``@needs``."""
    return cast(Actor, g.actor)


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
