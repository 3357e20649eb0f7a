"""A browser without a screen: the portal's own client, with cookies, CSRF on, and nobody signed in."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import IO

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from appliance.safeguarding.access import Actor, Role
from appliance.store.connection import open_system, to_text
from appliance.web.app import create_app
from appliance.workflow.credentials import code_now
from tests.factories import PASSWORD, Box, authenticator_secret, fresh_code


class Visitor:
    """A person at a browser."""

    def __init__(self, app: Flask, address: str = "127.0.0.1") -> None:
        self._client = app.test_client()
        self._client.environ_base["REMOTE_ADDR"] = address
        self._database = app.config["TRUSTKEEP"].database
        self._token = ""

    def get(self, path: str) -> TestResponse:
        """Open a page and remember its CSRF token."""
        response = self._client.get(path, base_url="https://localhost")
        if found := re.search(r'name="csrf_token"[^>]*value="([^"]+)"', response.get_data(as_text=True)):
            self._token = found[1]
        return response

    def post(self, path: str, token: str | None = None, **fields: str) -> TestResponse:
        """Send a form, with the CSRF token of the last page."""
        data = {"csrf_token": self._token if token is None else token, **fields}
        return self._client.post(
            path, data=data, base_url="https://localhost", headers={"Referer": "https://localhost/"}
        )

    def upload(self, path: str, file: IO[bytes], name: str, **fields: str) -> TestResponse:
        """Send a form with a file in it."""
        data = {"csrf_token": self._token, **fields, "file": (file, name)}
        headers = {"Referer": "https://localhost/"}
        return self._client.post(path, data=data, base_url="https://localhost", headers=headers)

    def sign_in(self, actor: Actor) -> TestResponse:
        """Sign in with the password that all of the tests' staff have, and a code of their authenticator app."""
        response = self.give_password(actor)
        landed = self.get("/")
        if landed.headers.get("Location", "").startswith("/second-factor?"):
            self.get("/second-factor")
            response = self.post("/second-factor", code=self.code(actor))
            self.get("/")
        return response

    def give_password(self, actor: Actor, password: str = PASSWORD, **fields: str) -> TestResponse:
        """Send the sign-in form."""
        self.get("/sign-in")
        return self.post("/sign-in", email=f"{actor.staff_id}@school.example", password=password, **fields)

    def take_token(self, token: str) -> None:
        """Take a session's token into the cookie, as signing in would have put it there."""
        with self._client.session_transaction(base_url="https://localhost") as cookie:
            cookie["token"] = token

    def code(self, actor: Actor) -> str:
        """What the person's authenticator app shows."""
        db = open_system(self._database)
        try:
            return fresh_code(db, actor.staff_id, authenticator_secret(actor.staff_id))
        finally:
            db.close()


@pytest.fixture
def app(box: Box) -> Flask:
    """The portal of the box."""
    return create_app(box.config)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    """Nobody, at a browser."""
    return Visitor(app)


@pytest.fixture
def signed_in(app: Flask) -> Callable[[Actor], Visitor]:
    """Makes a browser with a person signed in."""

    def sign_in(actor: Actor) -> Visitor:
        visitor = Visitor(app)
        assert visitor.sign_in(actor).status_code == 302
        return visitor

    return sign_in


@pytest.fixture
def dsl(box: Box) -> Actor:
    """A DSL with an authenticator app."""
    return box.staff(Role.DSL, academy_id="ashby")


def kinds(box: Box, like: str = "%") -> list[str]:
    """The kinds of the audit trail's entries, in order."""
    return [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE ? ORDER BY seq", [like])]


def age_session(box: Box, column: str, by: timedelta) -> None:
    """Make the only session older than it is."""
    at = to_text(datetime.now(UTC) - by)
    assert box.db.conn.execute(f"UPDATE session SET {column} = ? WHERE ended_at IS NULL", [at]).rowcount == 1


def pages_with_pupils(app: Flask) -> list[str]:
    """Every page that is not public and not a step of signing in."""
    return [
        rule.rule.replace("<", "").replace(">", "")
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ())
        and (view := app.view_functions[rule.endpoint]).needs is not None  # type: ignore[attr-defined]
        and not hasattr(view, "steps")
    ]


def set_up(visitor: Visitor, name: str = "") -> str:
    """Add an authenticator app as a person would: read its key off the page, and give the first code."""
    page = visitor.get("/second-factor/set-up").get_data(as_text=True)
    found = re.search(r'class="key">([A-Z2-7 ]+)<', page)
    assert found is not None and "<svg" in page
    secret = found[1].replace(" ", "")
    response = visitor.post("/second-factor/set-up", name=name, code=code_now(secret, datetime.now(UTC)))
    assert response.status_code in (200, 302)
    return response.get_data(as_text=True)
