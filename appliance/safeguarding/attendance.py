"""A pupil's register: a school year's marks in one line of text, and what can be read from it.

Two sessions a day, from 1 August on: 732 characters, one a session, "." for no mark. A code of two characters has one
sign of its own (the table says which), so that a year of a pupil is one short row and counting is fast.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

NO_MARK = "."
YEAR_LENGTH = 732
EMPTY_YEAR = NO_MARK * YEAR_LENGTH

PERSISTENT = 10.0
"""Per cent of possible sessions missed from which absence is called persistent."""

SEVERE = 50.0
"""Per cent of possible sessions missed from which absence is called severe."""

SCHOOL_DAYS_AFTER = 3
"""An absence that starts this soon after an event is pointed out."""


class Group(StrEnum):
    """How the statistics count a code."""

    PRESENT = "present"
    AUTHORISED = "authorised"
    UNAUTHORISED = "unauthorised"
    NOT_POSSIBLE = "not_possible"


@dataclass(frozen=True, slots=True)
class AttendanceCode:
    """One register code. sign: the one character it is kept as. unexplained: nobody has given a reason.

    watched: a DSL should see it even where it is authorised. private: shown to those who read records only.
    valid_from, valid_until: the first and last day on which it may stand in a register; None: no end.
    """

    code: str
    sign: str
    meaning: str
    group: Group
    unexplained: bool = False
    watched: bool = False
    private: bool = False
    valid_from: date = date(2000, 1, 1)
    valid_until: date | None = None


Codes = Mapping[str, AttendanceCode]
"""The codes by their sign."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Sessions of a register. missed_percent is of the possible ones, 0 where none was possible."""

    possible: int
    attended: int
    authorised: int
    unauthorised: int

    @property
    def missed_percent(self) -> float:
        return 100.0 * (self.authorised + self.unauthorised) / self.possible if self.possible else 0.0

    @property
    def is_persistent(self) -> bool:
        return self.missed_percent >= PERSISTENT

    @property
    def is_severe(self) -> bool:
        return self.missed_percent >= SEVERE


@dataclass(frozen=True, slots=True)
class Run:
    """Sessions of absence without a break. Sessions on which nobody could attend neither break nor lengthen it."""

    begun_on: date
    ended_on: date
    sessions: int


def school_year(day: date) -> int:
    """The year in which the day's school year began, on 1 August."""
    return day.year if day.month >= 8 else day.year - 1


def position(day: date, afternoon: bool) -> int:
    """Where a session's mark stands in its school year."""
    return 2 * (day - date(school_year(day), 8, 1)).days + int(afternoon)


def day_at(year: int, place: int) -> date:
    """The day of the mark at a place."""
    return date(year, 8, 1) + timedelta(days=place // 2)


class Counting:
    """The tables that turn marks into what is counted, made once for a table of codes."""

    def __init__(self, codes: Codes) -> None:
        letters = {Group.PRESENT: "p", Group.AUTHORISED: "a", Group.UNAUTHORISED: "u", Group.NOT_POSSIBLE: NO_MARK}
        self._groups = str.maketrans({sign: letters[one.group] for sign, one in codes.items()})
        unexplained = {sign: "x" if one.unexplained else letters[one.group] for sign, one in codes.items()}
        self._reasons = str.maketrans(unexplained)

    def summary(self, marks: str) -> Summary:
        """The sessions of one register."""
        counted = marks.translate(self._groups)
        attended, authorised, unauthorised = counted.count("p"), counted.count("a"), counted.count("u")
        return Summary(attended + authorised + unauthorised, attended, authorised, unauthorised)

    def unexplained_runs(self, marks: str, year: int, at_least: int = 2) -> list[Run]:
        """Runs of absence without a reason, oldest first."""
        counted = marks.translate(self._reasons)
        found = []
        for hit in re.finditer(rf"x(?:\{NO_MARK}*x)*", counted):
            sessions = hit.group().count("x")
            if sessions >= at_least:
                found.append(Run(day_at(year, hit.start()), day_at(year, hit.end() - 1), sessions))
        return found

    def open_run(self, marks: str, year: int) -> Run | None:
        """The run of absence without a reason that reaches the last mark, or None."""
        counted = marks.translate(self._reasons).rstrip(NO_MARK)
        runs = self.unexplained_runs(counted, year, 1) if counted.endswith("x") else []
        return runs[-1] if runs else None

    def absence_after(self, marks: str, year: int, day: date, school_days: int = SCHOOL_DAYS_AFTER) -> date | None:
        """The day on which an absence starts on this day or within so many school days after it, or None.

        A school day is one on which the pupil could have attended a session. An absence that was under way before
        does not count: the event came after its start.
        """
        counted = marks.translate(self._groups)
        before = counted[: position(day, False)].rstrip(NO_MARK)
        absent = before[-1:] in ("a", "u")
        days: set[date] = set()
        for place, letter in self._possible(counted, position(day, False)):
            on = day_at(year, place)
            # the day itself is none of the days after it
            days |= {on} - {day}
            if len(days) > school_days:
                return None
            if letter in "au" and not absent:
                return on
            absent = letter in "au"
        return None

    @staticmethod
    def _possible(counted: str, start: int) -> Iterator[tuple[int, str]]:
        for place in range(start, len(counted)):
            if counted[place] != NO_MARK:
                yield place, counted[place]
