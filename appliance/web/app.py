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
from appliance.safeguarding.access import NotAllowedError, Permission, reachable_academies
from appliance.safeguarding.moderation import is_pupils_own
from appliance.safeguarding.severity import CATEGORIES, LEVEL_CRITERIA, Category, Severity, category_label
from appliance.safeguarding.sign_in import IDLE_LIMIT
from appliance.store import alerts, events, notices, people
from appliance.store.captures import CaptureVault, read_key
from appliance.store.connection import open_as
from appliance.store.credentials import SecretSeal
from appliance.store.migrations import require_current
from appliance.web import (
    academy,
    account,
    audit,
    capture,
    concern,
    device,
    directory,
    enrolment,
    event,
    figures,
    gate,
    health,
    invite,
    login,
    mis,
    pupil,
    queue,
    record,
    report,
    search,
    second_factor,
    staff,
    today,
    vault,
    who,
)
from appliance.web.clock import now
from appliance.workflow.note import note_refusal

_PAGES = (
    academy,
    account,
    audit,
    capture,
    concern,
    device,
    directory,
    enrolment,
    event,
    figures,
    health,
    invite,
    login,
    mis,
    pupil,
    queue,
    record,
    report,
    search,
    second_factor,
    staff,
    today,
    vault,
    who,
)

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
    "login.submit_passkey": "signed in",
    "second_factor.submit_second_factor": "signed in",
    "second_factor.submit_unlock": "unlocked their session",
    "second_factor.submit_lock": "locked their session",
    "second_factor.submit_passkey": "proved a passkey",
    "directory.submit_directory": "signed in",
    "device.submit_code": "made an enrolment code",
    "device.submit_revocation": "revoked a device",
    "device.submit_resend": "asked a device to send again",
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
    "record.submit_open": "opened a record with a reason",
    "record.submit_lock": "locked a record",
    "record.submit_unlock": "unlocked a record",
    "report.submit_report": "reported a concern",
    "staff.submit_person": "added a person",
    "staff.submit_grant": "gave a role",
    "staff.submit_grant_end": "ended a role",
    "staff.submit_link": "made a sign-in link",
    "staff.submit_sign_out": "signed a person out",
    "staff.submit_switch": "switched an account off or on",
    "academy.submit_academy": "added an academy",
    "academy.submit_keep": "brought the academies up to date",
    "mis.submit_file": "sent a file from the MIS",
    "mis.submit_apply": "had a file from the MIS taken in",
    "mis.submit_undo": "had an import undone",
    "mis.submit_decision": "decided about a pupil's record",
    "mis.submit_merge": "had two records made one",
    "who.submit_who": "said whose a user name is",
    "who.submit_undo": "took back whose a user name is",
}
"""What a change is called in the portal's progress lines."""


def create_app(
    config: Config, say: Callable[[str], None] = lambda line: None, desk: enrolment.Desk = enrolment.no_desk
) -> Flask:
    """The portal for one box. say: takes one line for each change made through it. desk: takes on devices.

    Raises StoreError on an old schema, UndeclaredViewError on a view without its mark, SettingsError on a directory
    whose settings do not fit together.
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
        # the token is bound to the session, which has an end of its own: a page open for hours must still save
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=1_000_000,
        TRUSTED_HOSTS=[config.host_name, "localhost", "127.0.0.1"],
    )
    key = read_key(config.keys / "capture.key")
    app.extensions["vault"] = CaptureVault(config.captures, key)
    app.extensions["seal"] = SecretSeal(key)
    with_nobody = open_as(config.database, None)
    require_current(with_nobody)
    with_nobody.close()
    directory.init_directories(app, config)
    app.url_value_preprocessor(_allow_upload)
    # the gate comes first: who may not open a page has nothing of what they send read
    gate.init_gate(app)
    app.extensions["desk"] = desk
    # a device brings a code that counts once, and no cookie: there is nothing to forge it with
    CSRFProtect(app).exempt(enrolment.pages)
    gate.public(app.view_functions["static"])
    for page in _PAGES:
        app.register_blueprint(page.pages)
    gate.check_every_view(app)
    app.after_request(_harden)
    app.after_request(partial(_tell, say))
    _add_errors(app)
    _add_words(app, ZoneInfo(config.time_zone))
    return app


_LIMITS = {
    "academy.submit_import": academy.GIAS_LIMIT,
    "enrolment.submit_enrolment": enrolment.REQUEST_AT_MOST,
    "mis.submit_file": mis.FILE_LIMIT,
}


def _allow_upload(endpoint: str | None, _values: object) -> None:
    """Set the limit of pages that take more or less than others. It must stand before the CSRF check reads the form."""
    if endpoint in _LIMITS:
        request.max_content_length = _LIMITS[endpoint]


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
    def not_found(_error: Exception) -> tuple[str, int]:
        return render_template("error.html", title="Not found", code=404), 404

    @app.errorhandler(NotAllowedError)
    def not_theirs(error: Exception) -> tuple[str, int]:
        # to the person it does not exist; that they asked for it is recorded
        if g.get("actor") is not None:
            note_refusal(gate.db(), gate.actor(), request.method, request.path, now())
        return not_found(error)

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

    @app.template_filter("browser")
    def browser(agent: str) -> str:
        return browser_words(agent)

    @app.template_filter("marked")
    def marked(text: str, words: str | tuple[str, ...]) -> Markup:
        return mark(text, words)

    @app.context_processor
    def words() -> dict[str, object]:
        return {
            "Category": Category,
            "asked_for_help": is_pupils_own,
            "Permission": Permission,
            "Severity": Severity,
            "categories": CATEGORIES,
            "category_label": category_label,
            "criteria": LEVEL_CRITERIA,
            "header": _header(),
            "idle_seconds": int(IDLE_LIMIT.total_seconds()),
            "holds": gate.holds,
            **_switcher(),
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
    if gate.holds(Permission.ESCALATION_VIEW):
        counts["alerts"] = len(alerts.select_open_for(gate.db(), gate.actor().staff_id))
        counts["notices"] = notices.count_unseen(gate.db(), gate.actor().staff_id)
    return counts


def _switcher() -> dict[str, object]:
    """The academies that the person may narrow the portal to, where there is a choice, and the one chosen."""
    person = g.get("actor")
    reach = reachable_academies(person) if person is not None else frozenset()
    if len(reach) < 2:
        return {"switcher": [], "narrowed_to": None}
    offered = [one for one in people.select_academies(gate.db()) if one.id in reach]
    chosen = next((one for one in offered if one.id == person.narrowed_to), None)
    return {"switcher": offered, "narrowed_to": chosen}


_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = {"Windows": "Windows", "CrOS": "ChromeOS", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad",
            "Mac OS X": "Mac", "Linux": "Linux"}  # fmt: skip


def browser_words(agent: str) -> str:
    """A browser in two words, from what it says of itself: enough for telling one's own from a stranger's."""
    name = next((words for sign, words in _BROWSERS.items() if f"{sign}/" in agent), "A browser")
    system = next((words for sign, words in _SYSTEMS.items() if sign in agent), "")
    return f"{name} on {system}" if system else name


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
