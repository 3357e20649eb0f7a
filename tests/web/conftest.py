"""A browser without a screen: the portal's own client, with cookies, CSRF on, and nobody signed in."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from appliance.safeguarding.access import Actor
from appliance.web.app import create_app
from tests.factories import PASSWORD, Box


class Visitor:
    """A person at a browser."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()
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

    def sign_in(self, actor: Actor) -> TestResponse:
        """Sign in with the password that all of the tests' staff have."""
        self.get("/sign-in")
        response = self.post("/sign-in", email=f"{actor.staff_id}@school.example", password=PASSWORD)
        self.get("/")
        return response


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
