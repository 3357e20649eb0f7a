"""Making the portal."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from flask import Flask, Response, g, render_template, request
from flask_wtf.csrf import CSRFError, CSRFProtect
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as BaseResponse

from appliance import __version__
from appliance.config import Config
from appliance.safeguarding.access import NotAllowedError, Permission
from appliance.safeguarding.severity import CATEGORIES, LEVEL_CRITERIA, Category, Severity, category_label
from appliance.store import alerts, events
from appliance.store.captures import CaptureVault, read_key
from appliance.store.connection import open_as
from appliance.store.migrations import require_current
from appliance.web import (
    audit,
    capture,
    concern,
    device,
    event,
    gate,
    health,
    login,
    pupil,
    queue,
    search,
    today,
)
from appliance.web.clock import now

_PAGES = (audit, capture, concern, device, event, health, login, pupil, queue, search, today)

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


_DONE = {
    "login.submit_sign_in": "signed in",
    "login.submit_sign_out": "signed out",
    "event.submit_verdict": "graded an event",
    "event.submit_false_positive": "marked an event as a false positive",
    "event.submit_acknowledge": "acknowledged an event",
    "capture.submit_reveal": "revealed a screenshot",
    "concern.submit_concern": "opened a concern",
    "concern.submit_action": "recorded an action",
    "concern.submit_action_done": "completed an action",
    "concern.submit_referral": "made a referral",
    "concern.submit_referral_outcome": "recorded a referral's outcome",
    "concern.submit_closure": "closed a concern",
}
"""What a change is called in the portal's progress lines."""


def create_app(config: Config, say: Callable[[str], None] = lambda line: None) -> Flask:
    """The portal for one box. say: takes one line for each change made through it.

    Raises StoreError on an old schema, UndeclaredViewError on a view without its mark.
    """
    app = Flask(__name__, static_folder="static", template_folder="templates")
    app.config.update(
        TRUSTKEEP=config,
        SECRET_KEY=(config.keys / "session.key").read_bytes(),
        SESSION_COOKIE_NAME="__Host-trustkeep",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=10),
        MAX_CONTENT_LENGTH=1_000_000,
        TRUSTED_HOSTS=[config.host_name, "localhost", "127.0.0.1"],
    )
    app.extensions["vault"] = CaptureVault(config.captures, read_key(config.keys / "capture.key"))
    with_nobody = open_as(config.database, None)
    require_current(with_nobody)
    with_nobody.close()
    CSRFProtect(app)
    gate.public(app.view_functions["static"])
    for page in _PAGES:
        app.register_blueprint(page.pages)
    gate.check_every_view(app)
    gate.init_gate(app)
    app.after_request(_harden)
    app.after_request(partial(_tell, say))
    _add_errors(app)
    _add_words(app, ZoneInfo(config.time_zone))
    return app


def _harden(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "private, max-age=3600"
        return response
    return gate.no_store(response)


def _tell(say: Callable[[str], None], response: Response) -> Response:
    done = _DONE.get(request.endpoint or "")
    if request.method == "POST" and done and response.status_code < 400 and g.get("actor") is not None:
        say(f"{g.actor.name} {done}")
    return response


def _add_errors(app: Flask) -> None:
    @app.errorhandler(404)
    @app.errorhandler(NotAllowedError)
    def not_found(_error: Exception) -> tuple[str, int]:
        return render_template("error.html", title="Not found", code=404), 404

    @app.errorhandler(405)
    def wrong_method(_error: Exception) -> tuple[str, int]:
        return render_template("error.html", title="Not found", code=405), 405

    @app.errorhandler(413)
    def too_large(_error: Exception) -> tuple[str, int]:
        return render_template("error.html", title="Too large", code=413), 413

    @app.errorhandler(CSRFError)
    def stale(_error: CSRFError) -> BaseResponse | tuple[str, int]:
        return render_template("error.html", title="This page had gone stale", code=400), 400

    @app.errorhandler(500)
    def broken(_error: Exception) -> tuple[str, int]:
        # what broke may be the database, which the header's counts would ask again
        g.without_counts = True
        return render_template("error.html", title="Something went wrong on the box", code=500), 500


def _add_words(app: Flask, zone: ZoneInfo) -> None:
    """What every template may use: the field's words, times as a school writes them, and the header's counts."""

    @app.template_filter("clock")
    def clock(at: datetime | None) -> str:
        return at.astimezone(zone).strftime("%-d %b %Y, %H:%M") if at else ""

    @app.template_filter("short")
    def short(at: datetime | None) -> str:
        if at is None:
            return ""
        local, today_ = at.astimezone(zone), now().astimezone(zone).date()
        if local.date() == today_:
            return local.strftime("%H:%M")
        return local.strftime("%-d %b, %H:%M" if local.year == today_.year else "%-d %b %Y, %H:%M")

    @app.template_filter("iso")
    def iso(at: datetime | None) -> str:
        return at.astimezone(zone).isoformat(timespec="seconds") if at else ""

    @app.template_filter("day")
    def day(on: date | None) -> str:
        return on.strftime("%-d %b %Y") if on else ""

    @app.template_filter("ago")
    def ago(at: datetime) -> str:
        return span(now() - at)

    @app.template_filter("span")
    def span(length: timedelta) -> str:
        minutes = int(abs(length.total_seconds()) // 60)
        if minutes < 60:
            return f"{minutes} min"
        if minutes < 48 * 60:
            return f"{minutes // 60} h {minutes % 60:02d} min"
        return f"{minutes // 1440} days"

    @app.template_filter("marked")
    def marked(text: str, words: str | tuple[str, ...]) -> Markup:
        return mark(text, words)

    @app.context_processor
    def words() -> dict[str, object]:
        return {
            "Category": Category,
            "Permission": Permission,
            "Severity": Severity,
            "categories": CATEGORIES,
            "category_label": category_label,
            "criteria": LEVEL_CRITERIA,
            "header": _header(),
            "holds": gate.holds,
            "now": now(),
            "version": __version__,
        }


def _header() -> dict[str, int]:
    """The counts beside the links of the header, each only for those who may follow the link."""
    counts: dict[str, int] = {}
    if g.get("without_counts"):
        return counts
    if gate.holds(Permission.EVENT_MODERATE):
        counts["queue"] = events.count_queue(gate.db())
        counts["alerts"] = len(alerts.select_open_for(gate.db(), gate.actor().staff_id))
    return counts


def mark(text: str, words: str | tuple[str, ...]) -> Markup:
    """The text, escaped, with each place where the words stand wrapped in <mark>; case does not matter.

    words: a phrase, marked wherever it stands, or several, each marked where a word begins with it.
    """
    phrases = [words] if isinstance(words, str) else sorted(words, key=len, reverse=True)
    wanted = "|".join(re.escape(phrase.strip()) for phrase in phrases if phrase.strip())
    if not wanted:
        return escape(text)
    start, found, at = "" if isinstance(words, str) else r"\b", Markup(""), 0
    for hit in re.finditer(f"{start}(?:{wanted})", text, re.IGNORECASE):
        found += escape(text[at : hit.start()]) + Markup("<mark>{}</mark>").format(hit.group())
        at = hit.end()
    return found + escape(text[at:])
