"""What the machine may do with an event, and what a person's verdict does to it.

The machine raises or queues; a person decides. It may set aside (LOGGED) only what it finds harmless, and never a
category that is always read by a person.
"""

from dataclasses import dataclass
from enum import StrEnum

from appliance.safeguarding.event import EventState
from appliance.safeguarding.severity import CATEGORIES, Category, Severity

PUPIL_HELP_RULE = "pupil-help"
"""The rule under which a pupil's own "I need help" comes in. No phrase fires it: the pupil did."""

PUPIL_HELP_LEVEL = Severity.SERIOUS
"""A child who asks for help is never graded lower by the machine."""


def is_pupils_own(rule_id: str) -> bool:
    """Whether the pupil sent this to ask for help. It always goes to a person, whatever the machine makes of it."""
    return rule_id == PUPIL_HELP_RULE


def least_level(rule_id: str) -> Severity:
    """The level below which the machine may not put an event of this rule."""
    return PUPIL_HELP_LEVEL if is_pupils_own(rule_id) else Severity.NOISE


class FalsePositiveReason(StrEnum):
    """Why a moderator says an event is no concern. The value is stored; the words are FALSE_POSITIVE_REASONS."""

    SCHOOLWORK = "schoolwork"
    GAME = "game"
    FIGURE_OF_SPEECH = "figure_of_speech"
    QUOTATION = "quotation"
    OTHER = "other"


FALSE_POSITIVE_REASONS: dict[FalsePositiveReason, str] = {
    FalsePositiveReason.SCHOOLWORK: "Schoolwork or a lesson",
    FalsePositiveReason.GAME: "A game or sport",
    FalsePositiveReason.FIGURE_OF_SPEECH: "A figure of speech, or banter between friends",
    FalsePositiveReason.QUOTATION: "A quotation, a song or fiction",
    FalsePositiveReason.OTHER: "Something else (say what in the note)",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A moderator's decision on one event.

    A false positive has a reason and level NOISE; anything else has a category and a level. The note is for the DSL.
    """

    level: Severity
    category: Category
    note: str = ""
    false_positive: FalsePositiveReason | None = None

    @property
    def state(self) -> EventState:
        """The state this verdict leads to."""
        return EventState.FALSE_POSITIVE if self.false_positive else EventState.CONFIRMED


class VerdictError(ValueError):
    """A verdict that can't stand. The message tells the moderator what is missing."""


def check_verdict(verdict: Verdict) -> None:
    """Raise VerdictError when the verdict is incomplete."""
    if verdict.false_positive is not None:
        if verdict.false_positive is FalsePositiveReason.OTHER and not verdict.note.strip():
            raise VerdictError("Say in the note why this is a false positive.")
        return
    if verdict.category is Category.NONE:
        raise VerdictError("Choose a category, or mark the event as a false positive with its reason.")


def state_after_assessment(
    category: Category, level: Severity, rule_category: Category, rule_id: str = ""
) -> EventState:
    """Where an event goes once it is read and scored. What a pupil sent to ask for help waits for a person, always.

    It waits for a person when the machine sees a concern at LOW or above, or when either the machine or the rule that
    fired names a category that is always read by a person and the score did not clear it entirely.
    """
    if is_pupils_own(rule_id):
        return EventState.AWAITING_MODERATION
    if category is not Category.NONE and (level >= Severity.LOW or CATEGORIES[category].always_read):
        return EventState.AWAITING_MODERATION
    if category is not Category.NONE and CATEGORIES[rule_category].always_read:
        return EventState.AWAITING_MODERATION
    return EventState.LOGGED
