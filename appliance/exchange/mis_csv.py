"""CSV out of a school's MIS: which column holds what, by presets or by a person's choice, and the rows read so.

Every school's report differs: the columns of a file are a ``Columns`` that can be guessed, shown, put right, kept.
A file may be UTF-8 (with or without a mark), UTF-16 or Windows-1252; cells may be parted by commas, semicolons or tabs.
"""

import codecs
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from appliance.exchange.codes import data_file, data_names, sen_provision, unmarked, year_group
from appliance.exchange.fields import parse_date, parse_moment, parse_yes, read_key_upn, tidy, whole_number
from appliance.safeguarding.pupil import (
    AccountRow,
    BadRow,
    BehaviourRow,
    Contact,
    ContactRow,
    MarkRow,
    MisFileError,
    MisRow,
    PupilRow,
)

MAX_LINE = 200_000
"""Bytes of one line; the longest note of a behaviour incident has a hundredth of it."""

MAX_COLUMNS = 500


class _Reader(Protocol):
    """What ``csv.reader`` gives."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


FIELDS: dict[str, dict[str, str]] = {
    "pupils": {
        "upn": "UPN", "former_upn": "Former UPN", "mis_id": "Number in the MIS", "surname": "Surname",
        "forename": "Forename", "preferred": "Preferred name", "born_on": "Date of birth", "sex": "Sex",
        "year": "Year group", "reg_group": "Registration group", "laestab": "School's LAESTAB", "sen": "SEN provision",
        "free_meals": "Free school meals", "pupil_premium": "Pupil premium", "in_care": "Looked after",
        "protection_plan": "Child protection plan", "entered_on": "Entry date", "left_on": "Leaving date",
        "email": "E-mail address", "account": "Device user name", "address": "Address",
    },
    "contacts": {
        "upn": "UPN", "mis_id": "Number in the MIS", "priority": "Priority", "contact_name": "Contact's name",
        "title": "Contact's title", "contact_forename": "Contact's forename", "contact_surname": "Contact's surname",
        "relation": "Relationship", "responsibility": "Parental responsibility", "phone": "Telephone",
        "contact_email": "Contact's e-mail", "address": "Contact's address", "court_order": "Court order",
    },
    "attendance": {
        "upn": "UPN", "mis_id": "Number in the MIS", "date": "Date", "session": "Session (AM or PM)",
        "code": "Mark", "morning": "Morning mark", "afternoon": "Afternoon mark",
    },
    "behaviour": {
        "upn": "UPN", "mis_id": "Number in the MIS", "at": "Date", "type": "Type", "severity": "Level",
        "points": "Points", "description": "Description", "staff": "Recorded by",
    },
    "accounts": {
        "upn": "UPN", "mis_id": "Number in the MIS", "account": "Device user name", "email": "E-mail address",
    },
}  # fmt: skip
"""What a column can hold, for each kind of file, with the words for it."""

_NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "pupils": (("surname",), ("forename",)),
    "contacts": (("upn", "mis_id"), ("contact_name", "contact_surname")),
    "attendance": (("upn", "mis_id"), ("date",), ("code", "morning", "afternoon")),
    "behaviour": (("upn", "mis_id"), ("at",), ("type",)),
    "accounts": (("upn", "mis_id"), ("account", "email")),
}
_OWN = {"attendance": ("date",), "behaviour": ("at", "type"), "contacts": ("contact_name", "contact_surname")}

_FLAGS = {"free_meals": "fsm", "pupil_premium": "pp", "in_care": "lac", "protection_plan": "cp"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what. kind: a key of FIELDS. columns: headings by field. codes: a school's own marks."""

    kind: str
    columns: Mapping[str, str]
    codes: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """What has no column and must have one, in words."""
        words = FIELDS[self.kind]
        return [
            " or ".join(words[one] for one in any_of)
            for any_of in _NEEDED[self.kind]
            if not any(self.columns.get(one) for one in any_of)
        ]


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file: its column headings and first rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_head(file: BinaryIO, rows: int = 5) -> Head:
    """The headings and the first rows. Raises MisFileError."""
    reader = _reader(file)
    columns = _columns(reader)
    first = []
    try:
        for cells in reader:
            if any(cells):
                first.append(tuple(tidy(cell)[:80] for cell in cells[: len(columns)]))
            if len(first) == rows:
                break
    except csv.Error as error:
        raise MisFileError(f"The file can't be read as CSV near line {reader.line_num}: {error}.") from None
    return Head(columns, tuple(first))


def guess(columns: Iterable[str]) -> Columns | None:
    """The preset that fits the headings best, or None where none says enough. Case and spaces do not count."""
    here = {_plain(column): column for column in columns}
    best: tuple[int, Columns] | None = None
    for name in data_names("presets/"):
        for kind, fields in data_file(name)["kinds"].items():
            found = {
                one: here[_plain(heading)]
                for one, headings in reversed(fields.items())
                for heading in reversed(headings)
                if _plain(heading) in here
            }
            mapping = Columns(kind, found)
            # a file of marks has a pupil's names in it too: what only its kind has counts more
            score = len(set(found.values())) + (10 if any(one in found for one in _OWN.get(kind, ())) else 0)
            if not mapping.missing() and (best is None or score > best[0]):
                best = (score, mapping)
    return best[1] if best else None


def _plain(heading: str) -> str:
    return "".join(sign for sign in heading.casefold() if sign.isalnum())


def read_csv(file: BinaryIO, mapping: Columns) -> Iterator[MisRow]:
    """The rows of a file. Raises MisFileError when it is no CSV or lacks a column; bad rows come out as BadRow."""
    reader = _reader(file)
    columns = _columns(reader)
    for heading in mapping.columns.values():
        if heading and heading not in columns:
            raise MisFileError(f"The file has no column “{heading[:60]}”. Choose the columns again.")
    if missing := mapping.missing():
        raise MisFileError(f"No column is chosen for: {', '.join(missing)}.")
    places = {one: columns.index(heading) for one, heading in mapping.columns.items() if heading}
    if mapping.kind == "attendance":
        yield from _marks(reader, places, mapping.codes, len(columns))
        return
    makers: dict[str, Callable[[int, Mapping[str, str], Mapping[str, int]], MisRow]] = {
        "pupils": _pupil, "contacts": _contact, "behaviour": _behaviour, "accounts": _account,
    }  # fmt: skip
    make = makers[mapping.kind]
    try:
        for cells in reader:
            if not any(cells):
                continue
            line = reader.line_num
            get = {one: tidy(cells[at]) if at < len(cells) else "" for one, at in places.items()}
            if len(cells) > len(columns) and any(cells[len(columns) :]):
                yield BadRow(line, "The row has more cells than the file has columns.", _raw(cells))
                continue
            try:
                yield make(line, get, places)
            except ValueError as error:
                yield BadRow(line, str(error), _raw(cells))
    except csv.Error as error:
        raise MisFileError(f"The file can't be read as CSV near line {reader.line_num}: {error}.") from None


def _raw(cells: list[str]) -> tuple[str, ...]:
    return tuple(cell[:500] for cell in cells[:MAX_COLUMNS])


def _key(get: Mapping[str, str], needed: bool = True) -> tuple[str | None, str | None, tuple[str, ...]]:
    upn, warnings = read_key_upn(get.get("upn", ""))
    if get.get("upn") and upn is None:
        raise ValueError(warnings[0])
    mis_id = get.get("mis_id", "")[:60] or None
    if needed and upn is None and mis_id is None:
        raise ValueError("The row says of no pupil: it has neither a UPN nor a number.")
    return upn, mis_id, warnings


def _pupil(line: int, get: Mapping[str, str], places: Mapping[str, int]) -> PupilRow:
    upn, mis_id, warnings = _key(get, needed=False)
    if not get.get("surname") or not get.get("forename"):
        raise ValueError("The pupil has no surname or no forename.")
    year = year_group(get["year"]) if get.get("year") else None
    if get.get("year") and year is None:
        warnings = (*warnings, f"“{get['year'][:20]}” is no year group that the box knows; it is left out.")
    former, _ = read_key_upn(get.get("former_upn", ""))
    flags, told, sen = _flags(get)
    return PupilRow(
        line, get["surname"][:100], get["forename"][:100], upn, former, mis_id, get.get("laestab") or None,
        parse_date(get.get("born_on", "")), get.get("preferred", "")[:100] or None,
        get.get("sex", "")[:1].upper() or None, year, get.get("reg_group", "")[:40] or None, sen,
        parse_date(get.get("entered_on", "")), parse_date(get.get("left_on", "")), "left_on" in places,
        get.get("address", "")[:500] or None, flags, told,
        tuple(one[:200] for one in (get.get("account", ""), get.get("email", "")) if one), warnings=warnings,
    )  # fmt: skip


def _flags(get: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    flags, told = [], []
    for one, flag in _FLAGS.items():
        said = parse_yes(get.get(one, ""))
        if said is not None:
            told.append(flag)
            flags += [flag] if said else []
    sen = sen_provision(get["sen"]) if get.get("sen") else None
    if sen is not None:
        told += ["send", "ehcp"]
        flags += {"K": ["send"], "E": ["send", "ehcp"]}.get(sen, [])
    return tuple(flags), tuple(told), sen


def _contact(line: int, get: Mapping[str, str], _places: Mapping[str, int]) -> ContactRow:
    upn, mis_id, _ = _key(get)
    parts = (get.get("title"), get.get("contact_forename"), get.get("contact_surname"))
    name = get.get("contact_name") or " ".join(part for part in parts if part)
    if not name:
        raise ValueError("The contact has no name.")
    contact = Contact(
        max(1, min(99, whole_number(get.get("priority", ""), 99))), name[:200], get.get("relation", "")[:60],
        parse_yes(get.get("responsibility", "")), get.get("phone", "")[:200], get.get("contact_email", "")[:200],
        get.get("address", "")[:500], get.get("court_order", "")[:500],
    )  # fmt: skip
    return ContactRow(line, upn, mis_id, contact)


def _behaviour(line: int, get: Mapping[str, str], _places: Mapping[str, int]) -> BehaviourRow:
    upn, mis_id, _ = _key(get)
    if not get["type"]:
        raise ValueError("The incident has no type.")
    points = get.get("points", "")
    return BehaviourRow(
        line, upn, mis_id, parse_moment(get["at"]), get["type"][:100], get.get("severity", "")[:60],
        whole_number(points, 0) if points else None, get.get("description", "")[:4000], get.get("staff", "")[:100],
    )  # fmt: skip


def _account(line: int, get: Mapping[str, str], _places: Mapping[str, int]) -> AccountRow:
    upn, mis_id, _ = _key(get)
    account = get.get("account") or get.get("email") or ""
    if not account:
        raise ValueError("The row has no user name.")
    return AccountRow(line, upn, mis_id, account[:200])


_SESSIONS = {"am": False, "a": False, "morning": False, "1": False, "pm": True, "p": True, "afternoon": True, "2": True}


def _marks(
    reader: _Reader, places: Mapping[str, int], own_codes: Mapping[str, str], columns: int
) -> Iterator[MarkRow | BadRow]:
    """Marks by the million, so that each cell is looked at once and what repeats is remembered."""
    upn_at, id_at, date_at = places.get("upn"), places.get("mis_id"), places["date"]
    session_at, code_at = places.get("session"), places.get("code")
    both = [(at, pm) for name, pm in (("morning", False), ("afternoon", True)) if (at := places.get(name)) is not None]
    none, line = unmarked(), 0
    # one is remembered, as files are ordered by pupil or by day
    last_upn, upn = "", None
    try:
        for cells in reader:
            if not any(cells):
                continue
            line = reader.line_num
            try:
                if upn_at is not None and cells[upn_at] != last_upn:
                    upn, why = read_key_upn(cells[upn_at])
                    last_upn = cells[upn_at]
                    if upn is None and why:
                        last_upn = ""
                        raise ValueError(why[0])
                mis_id = cells[id_at].strip() or None if id_at is not None else None
                if upn is None and mis_id is None:
                    raise ValueError("The row says of no pupil: it has neither a UPN nor a number.")
                day = parse_date(cells[date_at])
                if day is None:
                    raise ValueError("There is no date.")
                if code_at is not None:
                    code = cells[code_at].strip()
                    afternoon = _afternoon(cells[session_at] if session_at is not None else "", code)
                    found: tuple[tuple[str, bool], ...] = ((code, afternoon),)
                else:
                    found = tuple((cells[at].strip(), pm) for at, pm in both)
            except IndexError:
                yield BadRow(line, f"The row has {len(cells)} cells, and the file {columns} columns.", _raw(cells))
                continue
            except ValueError as error:
                yield BadRow(line, str(error), _raw(cells))
                continue
            for code, afternoon in found:
                if code not in none:
                    yield MarkRow(line, upn, mis_id, day, afternoon, own_codes.get(code, code))
    except csv.Error as error:
        raise MisFileError(f"The file can't be read as CSV near line {line}: {error}.") from None


def _afternoon(session: str, code: str) -> bool:
    known = _SESSIONS.get(session.strip().casefold())
    if known is not None:
        return known
    # without a session, the two marks of presence tell it themselves
    if not session.strip() and code in ("/", "\\"):
        return code == "\\"
    raise ValueError(f"“{session[:20]}” is no session: AM or PM.")


def _columns(reader: _Reader) -> tuple[str, ...]:
    try:
        first: list[str] = next(reader, [])
    except csv.Error as error:
        raise MisFileError(f"The file can't be read as CSV near its beginning: {error}.") from None
    columns = tuple(tidy(cell)[:100] for cell in first)
    if len(columns) < 2 or not all(columns[:1]):
        raise MisFileError("This is no CSV with a line of column headings.")
    if len(columns) > MAX_COLUMNS:
        raise MisFileError(f"The file has {len(columns)} columns.")
    return columns


def _reader(file: BinaryIO) -> _Reader:
    lines = _lines(file)
    first = next(lines, "")
    head = first.split('"')[0] or first
    delimiter = max(",;\t", key=head.count)
    return csv.reader(_again(first, lines), delimiter=delimiter)


def _again(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines as text. Windows-1252 is taken line by line where a line is no UTF-8: exports are joined of both."""
    start = file.read(4)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield from _wide_lines(start, file)
        return
    if b"\0" in start:
        raise MisFileError("This is no CSV: its beginning is not text.")
    rest = start.removeprefix(codecs.BOM_UTF8)
    while line := rest + file.readline(MAX_LINE):
        rest = b""
        if len(line) >= MAX_LINE:
            raise MisFileError(f"A line of the file has over {MAX_LINE} characters.")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            yield line.decode("cp1252", errors="replace")


def _wide_lines(start: bytes, file: BinaryIO) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    text = decoder.decode(start)
    while chunk := file.read(65_536):
        text += decoder.decode(chunk)
        *whole, text = text.splitlines(keepends=True) or [""]
        yield from whole
        if len(text) > MAX_LINE:
            raise MisFileError(f"A line of the file has over {MAX_LINE} characters.")
    if text:
        yield text
