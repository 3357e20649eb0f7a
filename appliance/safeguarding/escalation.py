"""Who is told about an event, when, and by when they owe an answer.

Targets follow the common promise of the field (level 5: a call at once; level 4: within the hour); they are the
trust's own targets, not promises of the box.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.safeguarding.access import Role
from appliance.safeguarding.severity import Severity

MODERATE_WITHIN: dict[Severity, timedelta] = {
    Severity.IMMEDIATE: timedelta(minutes=15),
    Severity.SERIOUS: timedelta(hours=1),
    Severity.CREDIBLE: timedelta(hours=6),
    Severity.LOW: timedelta(days=3),
    Severity.NOISE: timedelta(days=7),
}
"""How long an event of a level may wait for a moderator."""

ACKNOWLEDGE_WITHIN: dict[Severity, timedelta] = {
    Severity.IMMEDIATE: timedelta(minutes=15),
    Severity.SERIOUS: timedelta(hours=1),
    Severity.CREDIBLE: timedelta(hours=6),
}
"""How long a DSL may take to acknowledge an escalation of a level."""

TOLD_BEFORE_MODERATION = Severity.IMMEDIATE
"""From this level on the box tells the DSL at once, before any moderator has read the event."""

TOLD_AFTER_VERDICT = Severity.CREDIBLE
"""From this level on a moderator's verdict is brought to the DSL by message; below it waits in the DSL's list."""

_ROLES_TOLD: dict[Severity, tuple[Role, ...]] = {
    Severity.IMMEDIATE: (Role.DSL, Role.DEPUTY_DSL, Role.TRUST_LEAD),
    Severity.SERIOUS: (Role.DSL, Role.DEPUTY_DSL),
    Severity.CREDIBLE: (Role.DSL,),
}


@dataclass(frozen=True, slots=True)
class Escalation:
    """The box telling one named person about one event within a set time."""

    event_id: str
    academy_id: str
    staff_id: str
    level: Severity
    raised_at: datetime
    due_at: datetime


def roles_told(level: Severity) -> tuple[Role, ...]:
    """The roles at the academy that are told about an event of this level; none below CREDIBLE."""
    return _ROLES_TOLD.get(level, ())


def due_at(level: Severity, raised_at: datetime) -> datetime:
    """When an escalation of this level must be acknowledged."""
    return raised_at + ACKNOWLEDGE_WITHIN[level]


def owed_at(level: Severity, received_at: datetime) -> datetime:
    """When an event of this level should have been read by a moderator."""
    return received_at + MODERATE_WITHIN[level]


RETRY_AFTER = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30))
"""Waits between tries to send a message; the last one repeats."""


def next_try_at(attempts: int, now: datetime) -> datetime:
    """When to try again after ``attempts`` failed sends (at least one)."""
    return now + RETRY_AFTER[min(attempts, len(RETRY_AFTER)) - 1]
