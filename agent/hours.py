"""When a device is monitored: the hours of the week, the holidays, and whether it goes home with its pupil.

    {"time_zone": "Europe/London", "weekly": [{"days": [1, 2, 3, 4, 5], "from": "08:00", "to": "18:00"}],
     "holidays": [{"from": "2025-12-22", "to": "2026-01-02", "name": "Christmas"}], "take_home": true,
     "outside": "monitored"}

Within the hours of a day that is no holiday a device is monitored. At any other time it is monitored only where it is
one that pupils take home and ``outside`` says "monitored". Days are ISO: 1 is Monday. A span begins with its first
minute and ends before "to" ("24:00" is the end of the day); a holiday includes both its dates.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.checks import MISSING, Checks

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of certain days of the week. days: ISO weekdays; start, end: minutes after midnight, end excluded."""

    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Holiday:
    """Days without school; both dates belong to it."""

    first: date
    last: date
    name: str


@dataclass(frozen=True, slots=True)
class Hours:
    """The times of one academy. monitored_outside: what holds outside them for a device that pupils take home."""

    zone: ZoneInfo
    weekly: tuple[Span, ...]
    holidays: tuple[Holiday, ...]
    take_home: bool
    monitored_outside: bool

    def monitored_at(self, now: datetime) -> bool:
        """Whether a device is monitored at ``now`` (aware)."""
        return self.within(now) or (self.take_home and self.monitored_outside)

    def within(self, now: datetime) -> bool:
        """Whether ``now`` (aware) lies in the week's hours and in no holiday, by the academy's own clocks."""
        local = now.astimezone(self.zone)
        if any(holiday.first <= local.date() <= holiday.last for holiday in self.holidays):
            return False
        minute = local.hour * 60 + local.minute
        return any(local.isoweekday() in span.days and span.start <= minute < span.end for span in self.weekly)

    def next_change(self, now: datetime) -> datetime:
        """A time in the next day by which to ask again: the next minute at which the answer may be another one."""
        local = now.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        edges = sorted({DAY_MINUTES, *(edge for span in self.weekly for edge in (span.start, span.end))})
        ahead = next(edge for edge in edges if edge > minute) - minute
        # a clock change makes this early or late by an hour, so nobody waits longer than a quarter of one
        return now + min(timedelta(minutes=ahead) - timedelta(seconds=local.second), timedelta(minutes=15))


def read_hours(check: Checks, value: Any, where: str) -> Hours | None:
    """The hours in a part of a document; faults go to ``check``, and None comes where there is no time zone."""
    fields = check.mapping(value, where, {"time_zone", "weekly", "take_home", "outside"}, {"holidays"})
    name = check.text(fields.get("time_zone", MISSING), f"{where}.time_zone")
    weekly = check.list(fields.get("weekly", MISSING), f"{where}.weekly", "spans")
    spans = tuple(_read_span(check, entry, f"{where}.weekly[{index}]") for index, entry in enumerate(weekly))
    free = check.list(fields.get("holidays", []), f"{where}.holidays", "holidays")
    holidays = tuple(_read_holiday(check, entry, f"{where}.holidays[{index}]") for index, entry in enumerate(free))
    take_home = check.flag(fields.get("take_home", MISSING), f"{where}.take_home")
    outside = check.one_of(fields.get("outside", MISSING), f"{where}.outside", ("off", "monitored"))
    try:
        zone = ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = None
        check.fault(f"{where}.time_zone", "is not a time zone this device knows")
    return None if zone is None else Hours(zone, spans, holidays, take_home, outside == "monitored")


def _read_span(check: Checks, value: Any, where: str) -> Span:
    fields = check.mapping(value, where, {"days", "from", "to"}, set())
    entries = check.list(fields.get("days", MISSING), f"{where}.days", "days")
    days = frozenset(check.whole(day, f"{where}.days[{index}]", 1, 7) for index, day in enumerate(entries))
    start, end = (_read_minutes(check, fields.get(name, MISSING), f"{where}.{name}") for name in ("from", "to"))
    if start >= end and not check.faults:
        check.fault(where, "must end after it begins")
    return Span(days, start, end)


def _read_minutes(check: Checks, value: Any, where: str) -> int:
    if isinstance(value, str) and _TIME.fullmatch(value):
        hour, _, minute = value.partition(":")
        return int(hour) * 60 + int(minute)
    if value is not MISSING:
        check.fault(where, 'must be a time such as "08:00"')
    return 0


def _read_holiday(check: Checks, value: Any, where: str) -> Holiday:
    fields = check.mapping(value, where, {"from", "to"}, {"name"})
    first, last = (check.day(fields.get(name, MISSING), f"{where}.{name}") for name in ("from", "to"))
    if last < first and not check.faults:
        check.fault(where, "must not end before it begins")
    name = fields.get("name", "")
    if not isinstance(name, str):
        check.fault(f"{where}.name", "must be text")
    return Holiday(first, last, str(name))
