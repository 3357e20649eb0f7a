"""What a pupil's registers say around a day, in the words of the codes in force."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from appliance.exchange.codes import attendance_codes
from appliance.safeguarding.attendance import NO_MARK, Counting, Group, Run, position, school_year
from appliance.store.beside import Register


@dataclass(frozen=True, slots=True)
class StripMark:
    """One session on the strip. code: empty where there is no mark. look: how it is drawn, by what it counts as."""

    code: str
    meaning: str
    look: str


@dataclass(frozen=True, slots=True)
class StripDay:
    """One school day on the strip."""

    day: date
    morning: StripMark
    afternoon: StripMark


_NONE = StripMark("", "No mark", "none")


@cache
def counting() -> Counting:
    """Counts by the codes in force."""
    return Counting(attendance_codes())


@cache
def _mark(sign: str) -> StripMark:
    code = attendance_codes().get(sign)
    if code is None:
        return _NONE
    look = "unexplained" if code.unexplained else code.group.value
    if code.watched and code.group is not Group.UNAUTHORISED:
        look = "watched"
    return StripMark(code.code, code.meaning, look)


def strip(registers: Iterable[Register], begin: date, end: date) -> list[StripDay]:
    """The days from one to another on which a register has a mark, oldest first."""
    by_year: dict[int, list[str]] = {}
    for one in registers:
        by_year.setdefault(one.year, []).append(one.marks)
    found, day = [], begin
    while day <= end:
        for marks in by_year.get(school_year(day), []):
            at = position(day, False)
            morning, afternoon = marks[at], marks[at + 1]
            if (morning, afternoon) != (NO_MARK, NO_MARK):
                found.append(StripDay(day, _mark(morning), _mark(afternoon)))
                break
        day += timedelta(days=1)
    return found


def absence_after(registers: Iterable[Register], day: date) -> date | None:
    """The day on which an absence starts within three school days of this day, or None."""
    starts = (counting().absence_after(one.marks, one.year, day) for one in registers if one.year == school_year(day))
    return next((start for start in starts if start is not None), None)


def unexplained_runs(registers: Iterable[Register], at_least: int = 2) -> list[Run]:
    """Runs of absence without a reason, newest first."""
    runs = [run for one in registers for run in counting().unexplained_runs(one.marks, one.year, at_least)]
    return sorted(runs, key=lambda run: run.begun_on, reverse=True)
