"""Whether the portal is up, for the program that supervises it."""

from flask import Blueprint

from appliance.web.gate import public

pages = Blueprint("health", __name__)


@pages.get("/healthz")
@public
def show_health() -> str:
    """One word, with nothing of anybody in it."""
    return "ok\n"
