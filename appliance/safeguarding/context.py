"""What stands around an event's words, and what each of it may do to the event's level. A DSL may argue with any of it.

The model reads words; these rules read where, when and by whom they were written. Together they move a level by one at
most, each says so in a Reason, and none takes a serious event away from a person:

- level 5 is never lowered, and what was level 4 stays at 3 or above, where a person reads it;
- level 5 is only reached where two rules agree, since it rings people at once;
- nothing is lowered where the words sound like a disclosure, wherever they stand: children tell in essays and games;
- a rule up and a rule down leave the level as it was;
- identity words (faith, sexuality, ethnicity, disability) never raise anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from appliance.safeguarding.context_words import (
    DISCLOSURE,
    GAME,
    HELPLINE,
    IDENTITY,
    LESSON,
    LESSON_PLACE,
    MUSIC_PLACE,
    NEGATION,
    OTHER_PERSON,
    PLAIN_WORDS,
    PLAY_PLACE,
    QUOTED,
    REPORTED_SPEECH,
    SONG,
    SOURCE_NAMED,
    STRANGERS_PLACE,
)
from appliance.safeguarding.event import CategoryScores, Reason
from appliance.safeguarding.severity import CATEGORIES, Category, Severity

CONTEXT = "context"
"""The kind of Reason these rules leave. Its weight is in levels: 1, 0 or -1."""

ACCUMULATION_DAYS = 14
ACCUMULATION_EVENTS = 3
"""So many events of one profile in so many days, this one included, are more than each of them alone."""
NIGHT_FROM, NIGHT_TO = 23, 5
"""Night by the clock of the school: from the first hour, to before the second."""
YOUNG = 11
"""Below this age in years some subjects weigh more."""

_VULNERABLE = frozenset({Category.SELF_HARM, Category.ABUSE, Category.EATING_DISORDER, Category.DRUGS})
_CONTACT = frozenset({Category.GROOMING, Category.SEXUAL, Category.PERSONAL_DATA})
_EVERY = frozenset(Category) - {Category.NONE}

FLAG_WEIGHS: dict[str, tuple[str, frozenset[Category]]] = {
    "cp_plan": ("is on a child protection plan", _VULNERABLE | _CONTACT),
    "child_in_need": ("is a child in need", _VULNERABLE | _CONTACT),
    "looked_after": ("is looked after", _VULNERABLE | _CONTACT),
    "care_leaver": ("is leaving care", _VULNERABLE | _CONTACT),
    "young_carer": ("is a young carer", frozenset({Category.ABUSE, Category.SELF_HARM})),
    "self_harm_history": ("has harmed themselves before", frozenset({Category.SELF_HARM, Category.EATING_DISORDER})),
    "exploitation_risk": ("is known to be at risk of exploitation", _CONTACT | {Category.DRUGS, Category.VIOLENCE}),
    "previous_disclosure": ("has disclosed before", _VULNERABLE | _CONTACT),
}
"""A pupil's marker, what it says, and the categories that weigh more for it. Markers that only say who a child is
(first language, special needs, free meals) are deliberately not here."""


@dataclass(frozen=True, slots=True)
class EarlierEvent:
    """An event of the same pupil that a person has not set aside. level and category: as they stand now."""

    category: Category
    level: Severity
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around an event. occurred_at: an aware datetime in the school's own time zone.

    context: lines typed before, oldest first. age: in whole years, None where it is not known. flags: the pupil's
    markers. earlier: their events of the last weeks, this one not among them.
    """

    typed: str
    occurred_at: datetime
    context: tuple[str, ...] = ()
    application: str = ""
    window_title: str = ""
    address: str = ""
    age: int | None = None
    flags: tuple[str, ...] = ()
    earlier: tuple[EarlierEvent, ...] = ()

    @property
    def place(self) -> str:
        """Application, window and address as one lower-case text."""
        return f"{self.application} | {self.window_title} | {self.address}".lower()

    @property
    def words(self) -> str:
        """What was typed, in lower case with plain apostrophes."""
        return _plain(self.typed)

    @property
    def told(self) -> str:
        """What was typed and the last lines before it, in lower case: where somebody would disclose something."""
        return _plain("\n".join([*self.context[-3:], self.typed]))


@dataclass(frozen=True, slots=True)
class ContextRule:
    """One rule. step: 1 raises, -1 lowers, 0 only says so. find: what it has to say, empty where it does not hold.

    highest: a level above this is left alone. categories: those it speaks of.
    """

    name: str
    step: int
    find: Callable[[Surroundings, CategoryScores], str]
    categories: frozenset[Category] = _EVERY
    highest: Severity = Severity.SERIOUS


def weigh_context(scores: CategoryScores, around: Surroundings) -> CategoryScores:
    """The scores with the level that the surroundings make of it, and a Reason for every rule that held.

    What no category was found in stays as it is: surroundings alone are never an event.
    """
    if scores.category is Category.NONE:
        return scores
    alone = identity_alone(scores)
    found = [
        (rule, said)
        for rule in CONTEXT_RULES
        if scores.category in rule.categories and not (alone and rule.step > 0) and (said := rule.find(around, scores))
    ]
    if _disclosure(around):
        found = [(rule, said) for rule, said in found if rule.step >= 0]
    reasons = [Reason(CONTEXT, said, scores.category, float(rule.step)) for rule, said in found]
    up = sum(rule.step > 0 and scores.level <= rule.highest for rule, _ in found)
    down = any(rule.step < 0 and scores.level <= rule.highest for rule, _ in found)
    if alone:
        reasons.append(Reason(CONTEXT, "Only words that say who somebody is moved the score", scores.category, -1.0))
        down = True
    level = _move(scores.level, up, down)
    if reasons:
        reasons.append(Reason(CONTEXT, _outcome(scores.level, level, up, down), scores.category, 0.0))
    category: Category = scores.category
    if alone and level is Severity.NOISE:
        category = Category.NONE
    return replace(scores, category=category, level=level, reasons=(*scores.reasons, *reasons))


def identity_alone(scores: CategoryScores) -> bool:
    """Whether nothing but words of faith, sexuality, ethnicity or disability brought the score about."""
    if any(reason.kind == "phrase" for reason in scores.reasons):
        return False
    raising = [reason.text for reason in scores.reasons if reason.kind == "words" and reason.weight > 0]
    words = [word.strip(".,!?;:'\"()").lower() for text in raising for word in text.split()]
    telling = [word for word in words if word and word not in PLAIN_WORDS]
    return bool(telling) and all(word in IDENTITY for word in telling)


def age_on(born_on: date | None, year_group: str | None, day: date) -> int | None:
    """Age in whole years, from the date of birth or else from the year group (its youngest age); None if neither."""
    if born_on is not None:
        return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))
    year = (year_group or "").strip().upper().removeprefix("YEAR").strip()
    if year in {"N", "N1", "N2", "R"}:
        return 4
    return int(year) + 4 if year.isdigit() and 1 <= int(year) <= 14 else None


def _move(level: Severity, up: int, down: bool) -> Severity:
    if up and not down:
        if level is Severity.SERIOUS and up < 2:
            return level
        return Severity(min(level + 1, Severity.IMMEDIATE))
    if down and not up and level < Severity.IMMEDIATE:
        return Severity(max(level - 1, Severity.NOISE))
    return level


def _outcome(before: Severity, after: Severity, up: int, down: bool) -> str:
    if after != before:
        return f"The words alone are level {int(before)}; with what stands around them, level {int(after)}"
    why = "what stands around them changes nothing"
    if up and down:
        why = "the rules speak for more and for less, so it stays"
    elif up and before is Severity.SERIOUS:
        why = "one rule alone does not make level 5"
    elif down and before is Severity.IMMEDIATE:
        why = "level 5 is never lowered"
    return f"The words are level {int(before)}; {why}"


def _disclosure(around: Surroundings) -> bool:
    return DISCLOSURE.search(around.told) is not None


def _plain(text: str) -> str:
    return text.lower().replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"')


def _quotation(around: Surroundings, scores: CategoryScores) -> str:
    """Most of it stands in quotation marks or its source is named; what somebody said to the pupil is no quotation."""
    if REPORTED_SPEECH.search(around.told):
        return ""
    if SOURCE_NAMED.search(around.words):
        return "It names the source it quotes"
    quoted = " ".join(QUOTED.findall(around.words)).split()
    if len(quoted) >= 4 and len(quoted) >= 0.6 * len(around.words.split()):
        return "Most of it stands in quotation marks"
    return ""


def _lesson(around: Surroundings, scores: CategoryScores) -> str:
    if LESSON.search(around.words):
        return "It reads like schoolwork"
    return "It was written where lessons are" if LESSON_PLACE.search(around.place) else ""


def _song(around: Surroundings, scores: CategoryScores) -> str:
    if SONG.search(around.words):
        return "It reads like the words of a song"
    return "It was written where songs are looked up" if MUSIC_PLACE.search(around.place) else ""


def _game(around: Surroundings, scores: CategoryScores) -> str:
    if PLAY_PLACE.search(around.place):
        return "It was written in a game"
    return "It speaks of a game" if GAME.search(around.words) else ""


def _negation(around: Surroundings, scores: CategoryScores) -> str:
    return "It says that this is not so" if NEGATION.search(around.words) else ""


def _other_person(around: Surroundings, scores: CategoryScores) -> str:
    if OTHER_PERSON.search(around.words):
        return "It speaks of somebody else: that person may be the one at risk"
    return ""


def _helpline(around: Surroundings, scores: CategoryScores) -> str:
    if HELPLINE.search(around.place):
        return "It was written to a helpline: the pupil is asking for help already"
    return ""


def _strangers(around: Surroundings, scores: CategoryScores) -> str:
    return "It was written where strangers meet" if STRANGERS_PLACE.search(around.place) else ""


def _night(around: Surroundings, scores: CategoryScores) -> str:
    hour = around.occurred_at.hour
    return f"It was written at night, at {around.occurred_at:%H:%M}" if hour >= NIGHT_FROM or hour < NIGHT_TO else ""


def _young(around: Surroundings, scores: CategoryScores) -> str:
    return f"The pupil is {around.age}" if around.age is not None and around.age < YOUNG else ""


def _flags(around: Surroundings, scores: CategoryScores) -> str:
    known = [FLAG_WEIGHS[flag] for flag in around.flags if flag in FLAG_WEIGHS]
    weighing = [words for words, categories in known if scores.category in categories]
    return f"The pupil {' and '.join(weighing)}" if weighing else ""


def _accumulation(around: Surroundings, scores: CategoryScores) -> str:
    """Three low ones of one profile in two weeks. Those that were serious stand for themselves."""
    since = around.occurred_at - timedelta(days=ACCUMULATION_DAYS)
    profile = CATEGORIES[scores.category].profile
    low = [
        one
        for one in around.earlier
        if since <= one.occurred_at <= around.occurred_at
        and one.category is not Category.NONE
        and CATEGORIES[one.category].profile == profile
        and Severity.LOW <= one.level <= Severity.CREDIBLE
    ]
    if len(low) + 1 < ACCUMULATION_EVENTS:
        return ""
    return f"The {_ordinal(len(low) + 1)} event of this kind ({profile}) in {ACCUMULATION_DAYS} days"


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


CONTEXT_RULES: tuple[ContextRule, ...] = (
    ContextRule("quotation", -1, _quotation, _EVERY - {Category.GROOMING}),
    ContextRule("lesson", -1, _lesson, _EVERY - {Category.GROOMING}),
    ContextRule("song", -1, _song, _EVERY - {Category.GROOMING, Category.ABUSE}),
    ContextRule("game", -1, _game, frozenset({Category.VIOLENCE, Category.BULLYING, Category.PROFANITY,
                                              Category.SELF_HARM, Category.HACKING})),
    ContextRule("negation", -1, _negation, highest=Severity.CREDIBLE),
    ContextRule("other person", 0, _other_person),
    ContextRule("helpline", 0, _helpline),
    ContextRule("strangers", 1, _strangers, _CONTACT | {Category.BULLYING, Category.SELF_HARM}),
    ContextRule("night", 1, _night, _VULNERABLE | _CONTACT),
    ContextRule("young", 1, _young, _VULNERABLE | _CONTACT | {Category.GAMBLING, Category.EXTREMISM}),
    ContextRule("flags", 1, _flags),
    ContextRule("accumulation", 1, _accumulation, highest=Severity.CREDIBLE),
)  # fmt: skip
"""Every rule, in the order in which their reasons are shown. docs/context-rules.md says each in words."""
