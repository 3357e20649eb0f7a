"""A concern on a pupil's record, and the actions under it.

What a record must hold is KCSIE's: a clear summary, how the concern was followed up and resolved, and the action
taken, decisions reached *with their reasons*, and the outcome (KCSIE, Part two, "Record keeping"; 2023-25 editions).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from appliance.safeguarding.severity import Category, Severity


class ConcernState(StrEnum):
    """Open until it is closed with a decision, its reason and an outcome."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class NewConcern:
    """What a DSL writes when opening a concern. facts, opinion and child_words are kept apart."""

    id: str
    category: Category
    level: Severity
    summary: str
    facts: str = ""
    child_words: str = ""
    opinion: str = ""


@dataclass(frozen=True, slots=True)
class Closure:
    """What closing a concern takes: what was decided, why, and what came of it."""

    decision: str
    reason: str
    outcome: str


@dataclass(frozen=True, slots=True)
class NewAction:
    """Something a named person did or must do. due_on is None for something already done."""

    id: str
    text: str
    owner_id: str
    due_on: date | None = None
    done_at: datetime | None = None


class RecordError(ValueError):
    """An entry that can't go on the record. The message tells the DSL what is missing."""


def check_concern(concern: NewConcern) -> None:
    """Raise RecordError when the concern lacks a summary or a category."""
    if not concern.summary.strip():
        raise RecordError("Write a summary: what was seen, in a sentence or two.")
    if concern.category is Category.NONE:
        raise RecordError("Choose a category.")


def check_closure(closure: Closure) -> None:
    """Raise RecordError unless decision, reason and outcome are all given."""
    if not (closure.decision.strip() and closure.reason.strip() and closure.outcome.strip()):
        raise RecordError("A concern is closed with a decision, the reason for it, and the outcome. One is missing.")


def check_action(action: NewAction) -> None:
    """Raise RecordError when the action says nothing, or has neither a due date nor a time it was done."""
    if not action.text.strip():
        raise RecordError("Write what was done or must be done.")
    if action.due_on is None and action.done_at is None:
        raise RecordError("Give the date by which it must be done, or mark it as done.")
