"""One thing an agent reported: the event, its capture, the machine's reading and scores, and its states."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from appliance.safeguarding.severity import Category, Severity


class EventState(StrEnum):
    """Where an event is on its way. The column is the queue: see EVENT_TRANSITIONS for what may follow."""

    RECEIVED = "received"
    ASSESSING = "assessing"
    LOGGED = "logged"
    AWAITING_MODERATION = "awaiting_moderation"
    FALSE_POSITIVE = "false_positive"
    CONFIRMED = "confirmed"
    LINKED = "linked"
    UNREADABLE = "unreadable"


EVENT_TRANSITIONS: dict[EventState, frozenset[EventState]] = {
    EventState.RECEIVED: frozenset({EventState.ASSESSING}),
    # a lease that ran out returns to RECEIVED; the third failed try goes to a person as UNREADABLE
    EventState.ASSESSING: frozenset(
        {EventState.RECEIVED, EventState.LOGGED, EventState.AWAITING_MODERATION, EventState.UNREADABLE}
    ),
    EventState.LOGGED: frozenset({EventState.AWAITING_MODERATION, EventState.CONFIRMED, EventState.FALSE_POSITIVE}),
    EventState.AWAITING_MODERATION: frozenset({EventState.CONFIRMED, EventState.FALSE_POSITIVE}),
    EventState.UNREADABLE: frozenset({EventState.CONFIRMED, EventState.FALSE_POSITIVE}),
    # a wrong mark can be put right, by a person and with its reason
    EventState.FALSE_POSITIVE: frozenset({EventState.CONFIRMED, EventState.FALSE_POSITIVE}),
    EventState.CONFIRMED: frozenset({EventState.CONFIRMED, EventState.FALSE_POSITIVE, EventState.LINKED}),
    EventState.LINKED: frozenset({EventState.LINKED}),
}

QUEUE_STATES = (EventState.AWAITING_MODERATION, EventState.UNREADABLE)
"""The states in which an event waits for a moderator."""


def may_follow(state: EventState, following: EventState) -> bool:
    """Whether an event may go from ``state`` to ``following``."""
    return following in EVENT_TRANSITIONS[state]


@dataclass(frozen=True, slots=True)
class Word:
    """One word read from a capture. box: x, y, width, height in pixels of the capture. confidence: 0 to 100."""

    text: str
    box: tuple[int, int, int, int]
    confidence: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The text read from a capture, in reading order, one screen line a text line. seconds: time it took."""

    text: str
    words: tuple[Word, ...]
    seconds: float
    engine: str


class UnreadableImageError(ValueError):
    """A capture that can't be read. The message is one sentence for a person: what is wrong with the image."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a score is what it is.

    kind: "words" (moved the model), "phrase" (lexicon), "rule" (where the text stood), "context" (a context rule),
    "image" (found in the picture). weight: how far this moved the score, -1 to 1 (negative lowered it); for a context
    rule, by how many levels it speaks.
    """

    kind: str
    text: str
    category: Category
    weight: float


@dataclass(frozen=True, slots=True)
class CategoryScores:
    """The machine's view of one text.

    scores: one calibrated 0..1 score for every category but NONE. category: the one to show, NONE where no score
    passes its threshold. level: the severity proposed, NOISE where category is NONE.
    """

    category: Category
    level: Severity
    scores: dict[Category, float]
    reasons: tuple[Reason, ...]
    model: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Event:
    """What a device reported, before anything is made of it. Times are aware datetimes in UTC.

    account: the name the person was signed in with on the device. trigger: the words that fired the rule.
    typed: the text in which it fired. context: what was typed before, oldest first.
    """

    message_id: str
    device_id: str
    sequence: int
    account: str
    occurred_at: datetime
    rule_id: str
    trigger: str
    application: str
    window_title: str
    address: str
    typed: str
    context: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Capture:
    """The screenshot that belongs to an event. sha256: hex digest of the image bytes as the device took them.

    sealed: why it is never shown again, None where it may be shown.
    """

    sha256: str
    media_type: str
    width: int
    height: int
    size: int
    sealed: str | None = None
