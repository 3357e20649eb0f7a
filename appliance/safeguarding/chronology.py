"""A pupil's record in date order: what a court, a next school or an inquest reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.safeguarding.severity import Category, Severity


class EntryKind(StrEnum):
    """What a line of the chronology is."""

    EVENT = "event"
    CONCERN = "concern"
    ACTION = "action"
    REFERRAL = "referral"
    OUTCOME = "outcome"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ChronologyEntry:
    """One line: when it happened, when it was written if that is later, what, and by whom.

    subject_id: the event's or concern's id that the line leads to.
    """

    at: datetime
    kind: EntryKind
    title: str
    text: str
    by: str
    subject_id: str
    recorded_at: datetime
    level: Severity | None = None
    category: Category | None = None


def in_order(entries: Iterable[ChronologyEntry]) -> list[ChronologyEntry]:
    """Oldest first; what happened at the same moment stays in the order it was recorded."""
    return sorted(entries, key=lambda entry: (entry.at, entry.recorded_at))
