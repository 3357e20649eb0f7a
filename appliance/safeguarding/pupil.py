"""What a school's MIS says of its pupils: the rows that files are read into, and what an import makes of each."""

import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum

KEEP_YEARS = 25
"""A safeguarding record is kept until this long after the child's birth, and then reviewed."""

KEEP_YEARS_UNKNOWN_BIRTH = 25
"""Counted from the leaving date where no date of birth is known: never shorter than from a birth."""


class MisFileError(ValueError):
    """A file that can't be read as a whole. The message is one sentence for the person who sent it."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person to be called about a pupil. priority: 1 comes first. responsibility: None where the file is silent."""

    priority: int
    name: str
    relationship: str = ""
    responsibility: bool | None = None
    phone: str = ""
    email: str = ""
    address: str = ""
    court_order: str = ""


@dataclass(frozen=True, slots=True)
class AttendanceTotal:
    """A year's sessions (half days) at one school, as the school counted them. year: that in which it began."""

    year: int
    school: str
    possible: int
    attended: int
    authorised: int
    unauthorised: int


@dataclass(frozen=True, slots=True)
class PupilRow:
    """A pupil as a file gives them. None, or an empty name: the file doesn't say. line: where it stands in the file.

    flags: markers that hold; flags_told: all those the file speaks of, so that the others are left alone.
    leaving_told: the file says of every pupil whether they have left.
    """

    line: int
    surname: str = ""
    forename: str = ""
    upn: str | None = None
    former_upn: str | None = None
    mis_id: str | None = None
    laestab: str | None = None
    born_on: date | None = None
    preferred: str | None = None
    sex: str | None = None
    year_group: str | None = None
    reg_group: str | None = None
    sen: str | None = None
    entered_on: date | None = None
    left_on: date | None = None
    leaving_told: bool = False
    address: str | None = None
    flags: tuple[str, ...] = ()
    flags_told: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    contacts: tuple[Contact, ...] | None = None
    totals: tuple[AttendanceTotal, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContactRow:
    """One contact of a pupil, from a file of contacts."""

    line: int
    upn: str | None
    mis_id: str | None
    contact: Contact


@dataclass(frozen=True, slots=True)
class MarkRow:
    """One session's mark. afternoon: the second session of the day. code: as the file writes it."""

    line: int
    upn: str | None
    mis_id: str | None
    day: date
    afternoon: bool
    code: str


@dataclass(frozen=True, slots=True)
class BehaviourRow:
    """One behaviour incident. at: ISO date, or date and time as the school's clock showed it."""

    line: int
    upn: str | None
    mis_id: str | None
    at: str
    kind: str
    level: str = ""
    points: int | None = None
    description: str = ""
    staff: str = ""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A name that a pupil signs in to devices with."""

    line: int
    upn: str | None
    mis_id: str | None
    account: str


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be taken. reason: one sentence for a person. raw: its cells, or what was read of it."""

    line: int
    reason: str
    raw: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileNote:
    """Something to know about the whole file; nothing of it is left out for it."""

    text: str


MisRow = PupilRow | ContactRow | MarkRow | BehaviourRow | AccountRow | BadRow | FileNote


class Outcome(StrEnum):
    """What an import makes, or would make, of one row."""

    ADDED = "added"
    CHANGED = "changed"
    SAME = "same"
    LEFT = "left"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"


class ImportState(StrEnum):
    """Where an import is on its way. The column is the queue: what the box is to do next stands in it."""

    MAPPING = "mapping"
    TO_PLAN = "to_plan"
    PLANNED = "planned"
    TO_APPLY = "to_apply"
    APPLIED = "applied"
    UNDONE = "undone"
    FAILED = "failed"


IMPORT_TRANSITIONS: dict[ImportState, frozenset[ImportState]] = {
    ImportState.MAPPING: frozenset({ImportState.TO_PLAN, ImportState.FAILED}),
    ImportState.TO_PLAN: frozenset({ImportState.PLANNED, ImportState.FAILED}),
    # other columns may be chosen after the dry run showed what they would do
    ImportState.PLANNED: frozenset({ImportState.TO_PLAN, ImportState.TO_APPLY}),
    ImportState.TO_APPLY: frozenset({ImportState.APPLIED, ImportState.FAILED}),
    ImportState.APPLIED: frozenset({ImportState.UNDONE}),
    ImportState.UNDONE: frozenset({ImportState.TO_PLAN}),
    ImportState.FAILED: frozenset({ImportState.TO_PLAN}),
}


def retain_until(born_on: date | None, left_on: date) -> date:
    """The day on which a leaver's record is to be reviewed: 25 years after birth, or after leaving."""
    start, years = (born_on, KEEP_YEARS) if born_on else (left_on, KEEP_YEARS_UNKNOWN_BIRTH)
    try:
        return start.replace(year=start.year + years)
    except ValueError:  # born on 29 February
        return start.replace(year=start.year + years, month=3, day=1)


_NO_LETTER = re.compile(r"[\W_]+")


def name_key(surname: str, forename: str) -> str:
    """What two names are compared by: case, hyphens, apostrophes and spaces do not count."""
    return f"{_NO_LETTER.sub('', surname.casefold())}|{_NO_LETTER.sub('', forename.casefold())}"


def home_key(address: str) -> str:
    """What two addresses are compared by; empty where too little is known to say that two are the same."""
    key = _NO_LETTER.sub("", address.casefold())
    return key if len(key) >= 10 and any(sign.isdigit() for sign in key) else ""


def row_to_text(row: PupilRow) -> str:
    """A pupil's row as text, to be kept until a person decides about it."""

    def plain(value: object) -> str:
        assert isinstance(value, date)
        return value.isoformat()

    return json.dumps(asdict(row), default=plain, ensure_ascii=False)


def row_from_text(text: str) -> PupilRow:
    """The row that ``row_to_text`` wrote."""
    data = json.loads(text)
    for name in ("born_on", "entered_on", "left_on"):
        data[name] = date.fromisoformat(data[name]) if data[name] else None
    if data["contacts"] is not None:
        data["contacts"] = tuple(Contact(**one) for one in data["contacts"])
    data["totals"] = tuple(AttendanceTotal(**one) for one in data["totals"])
    for name in ("flags", "flags_told", "accounts", "warnings"):
        data[name] = tuple(data[name])
    return PupilRow(**data)
