"""What the machine makes of an event: claim it, note its reading and scores, and put it where it belongs next."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from sqlite_utils import Database

from appliance.safeguarding.audit import SYSTEM, AuditEntry, Detail
from appliance.safeguarding.context import ACCUMULATION_DAYS, EarlierEvent, Surroundings, age_on
from appliance.safeguarding.escalation import TOLD_BEFORE_MODERATION, owed_at
from appliance.safeguarding.event import CategoryScores, EventState, Reading, may_follow
from appliance.safeguarding.moderation import least_level, state_after_assessment
from appliance.safeguarding.severity import Category, Severity
from appliance.store import assessments, captures, events, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.escalate import raise_escalations

LEASE = timedelta(minutes=2)
"""How long a worker may hold an event before it counts as lost."""

MOST_TRIES = 3
"""After so many failed tries an event goes to a person unread."""

RETRY_AFTER = (timedelta(seconds=20), timedelta(minutes=2))
"""Waits after the first and the second failed try: what failed for want of room on the disk has time to pass."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What came of one try. reading is None when there was no capture or it can't be read; problem says why.

    scores are made from whatever text there is, so a broken image never hides what was typed.
    """

    reading: Reading | None
    scores: CategoryScores
    preview: bytes | None = None
    problem: str | None = None


def claim_next_event(db: Database, worker: str, now: datetime) -> events.StoredEvent | None:
    """Take the oldest waiting event, with a lease. None when nothing waits."""
    if not events.has_claimable(db, now):
        return None
    with transaction(db):
        event_id = events.claim_event(db, worker, now, now + LEASE)
    return events.get_event(db, event_id) if event_id else None


def return_lapsed_events(db: Database, now: datetime) -> int:
    """Put events of lost workers back; those tried MOST_TRIES times go to a person. Returns how many."""
    lapsed = events.select_lapsed(db, now)
    for event_id, _ in lapsed:
        give_back_event(db, event_id, "the worker that held it stopped", now, at_once=True)
    return len(lapsed)


def return_events_of(db: Database, worker: str, now: datetime) -> int:
    """Put back what a worker of this name still holds. For a worker that starts: it was killed and holds nothing.

    Returns how many, so that a killed worker's events wait for no lease.
    """
    held = events.select_held(db, worker)
    for event_id in held:
        give_back_event(db, event_id, "the worker that held it stopped", now, at_once=True)
    return len(held)


def give_back_event(db: Database, event_id: str, problem: str, now: datetime, *, at_once: bool = False) -> EventState:
    """End a failed try: back to RECEIVED, or UNREADABLE after MOST_TRIES. Returns the new state.

    The next try is made after a wait that grows; at_once: without one, as when a worker was stopped.
    """
    with transaction(db):
        event = events.get_event(db, event_id)
        if event is None or event.state is not EventState.ASSESSING:
            return event.state if event else EventState.RECEIVED
        if event.attempts < MOST_TRIES:
            events.set_event_state(db, event_id, EventState.RECEIVED, problem)
            if not at_once:
                wait = RETRY_AFTER[min(max(event.attempts, 1), len(RETRY_AFTER)) - 1]
                events.set_event_retry(db, event_id, now + wait)
            return EventState.RECEIVED
        events.set_event_state(db, event_id, EventState.UNREADABLE, problem)
        detail: Detail = {"tries": event.attempts, "problem": problem}
        append_audit(db, AuditEntry(SYSTEM, "event:unreadable", f"event:{event_id}", event.academy_id, now, detail))
        return EventState.UNREADABLE


_NOT_YET_JUDGED = (EventState.RECEIVED, EventState.ASSESSING, EventState.UNREADABLE)


def gather_surroundings(db: Database, event: events.StoredEvent, zone: tzinfo) -> Surroundings:
    """What stands around an event: the hour by the school's clock, the pupil's age and markers, their last weeks."""
    pupil, earlier = None, []
    if event.pupil_id is not None:
        pupil = people.get_pupil(db, event.pupil_id)
        since = event.occurred_at - timedelta(days=ACCUMULATION_DAYS)
        earlier = [
            EarlierEvent(one.category, one.level, one.occurred_at.astimezone(zone))
            for one in events.select_of_pupil(db, event.pupil_id, since)
            if one.id != event.id and one.state not in (*_NOT_YET_JUDGED, EventState.FALSE_POSITIVE)
        ]
    at = event.occurred_at.astimezone(zone)
    return Surroundings(
        typed=event.typed,
        occurred_at=at,
        context=event.context,
        application=event.application,
        window_title=event.window_title,
        address=event.address,
        age=age_on(pupil.born_on, pupil.year_group, at.date()) if pupil else None,
        flags=event.pupil_flags,
        earlier=tuple(earlier),
    )


def assess_event(
    db: Database, event_id: str, assessment: Assessment, now: datetime, new_id: Callable[[], str]
) -> EventState:
    """Store the machine's view and move the event on; level 5 tells the DSLs at once. Returns the new state."""
    scores = assessment.scores
    with transaction(db):
        event = events.get_event(db, event_id)
        if event is None or event.state is not EventState.ASSESSING:
            # its lease ran out and another worker was quicker: that worker's view stands
            return event.state if event else EventState.RECEIVED
        state = state_after_assessment(scores.category, scores.level, event.rule_category, event.rule_id)
        if assessment.problem is not None and state is not EventState.AWAITING_MODERATION:
            # a screen nobody could read is never set aside by the machine
            state = EventState.UNREADABLE if scores.category is Category.NONE else EventState.AWAITING_MODERATION
        if not may_follow(event.state, state):
            raise ValueError(f"an event can't go from {event.state} to {state}")
        level = scores.level if assessment.problem is None else max(scores.level, Severity.LOW)
        level = max(level, least_level(event.rule_id))
        if assessment.reading is not None:
            assessments.insert_reading(db, new_id(), event_id, event.academy_id, assessment.reading)
        if assessment.preview is not None:
            captures.set_preview(db, event_id, assessment.preview)
        assessments.insert_scores(db, new_id(), event_id, event.academy_id, scores, now)
        owed = owed_at(level, event.received_at)
        events.set_assessment(db, event_id, state, scores.category, level, owed, now, assessment.problem)
        detail: Detail = {"state": state, "category": scores.category, "level": int(level), "model": scores.model}
        append_audit(db, AuditEntry(SYSTEM, "event:assessed", f"event:{event_id}", event.academy_id, now, detail))
        if level >= TOLD_BEFORE_MODERATION:
            raise_escalations(db, event_id, event.academy_id, level, now, new_id)
    return state
