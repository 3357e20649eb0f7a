"""Search over events and chronologies in reach."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from flask import Blueprint, current_app, render_template, request

from appliance.safeguarding.access import Permission, academies_for, standing_academies_for
from appliance.safeguarding.severity import Category, Severity
from appliance.search import query
from appliance.store import assessments, concerns, events, referrals
from appliance.web.clock import now
from appliance.web.gate import actor, db, needs
from appliance.workflow.look import note_search

pages = Blueprint("search", __name__)

_MOST_SHOWN, _MOST_HITS = 50, 500
_AROUND = 90
"""How much text to show on each side of the first place found."""


@dataclass(frozen=True, slots=True)
class Found:
    """One result, made of the row as it is now and as this person may see it."""

    kind: str
    id: str
    title: str
    at: datetime
    category: Category
    level: Severity
    excerpt: str


@pages.get("/search")
@needs(Permission.CONCERN_VIEW)
def show_search() -> str:
    """Results for the words in the address. The index gives ids only; what is shown is re-read in scope."""
    words = request.args.get("q", "").strip()[:200]
    found: list[Found] = []
    problem, terms = None, ()
    if words:
        config = current_app.config["TRUSTKEEP"]
        scope = academies_for(actor(), Permission.CONCERN_VIEW)
        # the index knows academies, not records: who sees only some of these must look further down the hits
        partly = actor().shut or scope != standing_academies_for(actor(), Permission.CONCERN_VIEW)
        answer = query.find(config.index, scope, words, _MOST_HITS if partly else _MOST_SHOWN)
        problem, terms = answer.problem, answer.terms
        seen = (one for hit in answer.hits if (one := _found(hit, answer.terms)) is not None)
        found = list(islice(seen, _MOST_SHOWN))
        note_search(db(), actor(), len(found), now())
    return render_template("search/search.html", words=words, found=found, problem=problem, terms=terms)


def _found(hit: query.Hit, terms: tuple[str, ...]) -> Found | None:
    if hit.kind == "event":
        event = events.get_event(db(), hit.id)
        if event is None:
            return None
        reading = assessments.get_reading(db(), event.id)
        text = "\n".join([event.typed, *event.context, reading.text if reading else ""])
        title = f"{event.pupil_name or event.account} in {event.application}"
        return Found("event", event.id, title, event.occurred_at, event.category, event.level, _excerpt(text, terms))
    concern = concerns.get_concern(db(), hit.id)
    if concern is None:
        return None
    text = "\n".join(
        [concern.summary, concern.facts, concern.child_words, concern.opinion]
        + [action.text for action in concerns.select_actions(db(), [concern.id])]
        + [f"{one.reason}\n{one.outcome or ''}" for one in referrals.select_referrals(db(), [concern.id])]
        + [concern.decision or "", concern.reason or "", concern.outcome or ""]
    )
    title = f"Concern: {concern.pupil_names}"
    return Found(
        "concern", concern.id, title, concern.opened_at, concern.category, concern.level, _excerpt(text, terms)
    )


def _excerpt(text: str, terms: tuple[str, ...]) -> str:
    lowered = text.lower()
    first = min((at for term in terms if (at := lowered.find(term.lower())) >= 0), default=0)
    start, end = max(0, first - _AROUND), first + _AROUND
    return ("…" if start else "") + " ".join(text[start:end].split()) + ("…" if end < len(text) else "")
