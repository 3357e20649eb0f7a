"""JSON as Wonde's interface gives it, saved to a file: students with contacts, session attendance, behaviours.

The box never asks Wonde itself. The file is one object with a ``data`` list, or the list alone; it is read an element
at a time, so that memory is bounded by one of them.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from appliance.exchange.codes import sen_provision, unmarked, year_group
from appliance.exchange.fields import parse_date, parse_moment, parse_yes, read_key_upn, tidy, whole_number
from appliance.safeguarding.pupil import BadRow, BehaviourRow, Contact, MarkRow, MisFileError, MisRow, PupilRow

CHUNK = 65_536
MAX_ELEMENT = 2_000_000
"""Characters of one element: a student with every include asked for has some twenty thousand."""

MAX_HEAD = 1_000_000
_SPACE = re.compile(r"[\s,]*")
_LIST = re.compile(r'"data"\s*:\s*\[')


def read_wonde(file: BinaryIO) -> Iterator[MisRow]:
    """The rows of a saved answer. Yields PupilRow, MarkRow, BehaviourRow and BadRow. Raises MisFileError."""
    for number, element in enumerate(_elements(file), start=1):
        if not isinstance(element, dict):
            yield BadRow(number, "The element is no object.", (str(element)[:200],))
            continue
        try:
            yield from _rows(number, element)
        except (ValueError, TypeError, AttributeError) as error:
            reason = str(error) if isinstance(error, ValueError) else "The element is not built as Wonde builds it."
            yield BadRow(number, reason, (_text(element, "id"), _text(element, "mis_id"), _text(element, "surname")))


def _elements(file: BinaryIO) -> Iterator[Any]:
    decoder, text, at = json.JSONDecoder(), _Text(file), 0
    at = _begin(text)
    while True:
        hit = _SPACE.match(text.kept, at)
        at = hit.end() if hit else at
        if at >= len(text.kept):
            if not text.more():
                raise MisFileError("The file ends in the middle.")
            continue
        if text.kept[at] == "]":
            return
        try:
            element, end = decoder.raw_decode(text.kept, at)
        except json.JSONDecodeError as error:
            if len(text.kept) - at > MAX_ELEMENT:
                raise MisFileError("The file is no JSON of Wonde's, or one element is far too large.") from None
            if not text.more():
                raise MisFileError(f"The file is no whole JSON: {error.msg}.") from None
            continue
        except RecursionError:
            raise MisFileError("The file's elements stand too deep within each other.") from None
        yield element
        text.drop(end)
        at = 0


def _begin(text: "_Text") -> int:
    """The place after the bracket that opens the list."""
    while True:
        if text.kept.lstrip().startswith("["):
            return text.kept.index("[") + 1
        hit = _LIST.search(text.kept)
        if hit:
            return hit.end()
        if text.kept.strip() and not text.kept.lstrip().startswith("{"):
            raise MisFileError("This is no JSON.")
        if len(text.kept) > MAX_HEAD or not text.more():
            raise MisFileError("The file has no “data” list, as Wonde's answers have.")


class _Text:
    """What of the file has been read and not yet used."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.kept = ""
        self._ended = False
        self._ask = CHUNK

    def more(self) -> bool:
        """Read on; False at the end."""
        if self._ended:
            return False
        # asks for more each time, so that one large element is not tried over and over
        data = self._file.read(self._ask)
        self._ask = min(2 * self._ask, MAX_ELEMENT)
        self._ended = not data
        try:
            self.kept += self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError:
            raise MisFileError("The file is not in UTF-8, as JSON is.") from None
        return not self._ended

    def drop(self, end: int) -> None:
        """Forget what was used; the rest is moved only now and then, as moving it costs its length."""
        self.kept = self.kept[end:] if end > 0 else self.kept
        self._ask = CHUNK


def _rows(number: int, element: Mapping[str, Any]) -> Iterator[MisRow]:
    if "attendance_code" in element or "attendance_code_id" in element:
        mark = _mark(number, element)
        if mark is not None:
            yield mark
    elif "surname" in element or "legal_surname" in element:
        yield _pupil(number, element)
    elif any(name in element for name in ("incident_date", "behaviour_date", "points")):
        yield from _behaviours(number, element)
    else:
        yield BadRow(number, "The element is no student, mark or behaviour.", (_text(element, "id"),))


def _pupil(number: int, element: Mapping[str, Any]) -> PupilRow:
    education, extended = _inner(element, "education_details"), _inner(element, "extended_details")
    details = _inner(element, "contact_details")
    surname = _text(element, "legal_surname") or _text(element, "surname")
    forename = _text(element, "legal_forename") or _text(element, "forename")
    if not surname or not forename:
        raise ValueError("The pupil has no surname or no forename.")
    written = _text(education, "upn") or _text(element, "upn")
    upn, warnings = read_key_upn(written)
    if written and upn is None:
        raise ValueError(warnings[0])
    former, _ = read_key_upn(_text(education, "former_upn"))
    flags, told = [], []
    for name, flag in (("in_lea_care", "lac"), ("free_school_meals", "fsm"), ("premium_pupil_indicator", "pp")):
        said = parse_yes(_text(extended, name))
        if said is not None:
            told.append(flag)
            flags += [flag] if said else []
    sen = sen_provision(_text(extended, "sen_status") or _text(extended, "sen_provision"))
    if sen is not None:
        told += ["send", "ehcp"]
        flags += {"K": ["send"], "E": ["send", "ehcp"]}.get(sen, [])
    contacts = [_contact(n, one) for n, one in enumerate(_list(element, "contacts"), start=1)]
    contacts.sort(key=lambda one: one.priority)
    preferred = _text(element, "forename")
    emails = _inner(details, "emails")
    email = _text(emails, "email") or _text(emails, "primary")
    return PupilRow(
        number, surname[:100], forename[:100], upn, former,
        _text(element, "mis_id")[:60] or _text(element, "id")[:60] or None,
        born_on=_date(element, "date_of_birth"), preferred=preferred[:100] if preferred != forename else None,
        sex=_text(element, "gender")[:1].upper() or None,
        year_group=year_group(_text(_inner(element, "year"), "code") or _text(education, "current_nc_year")),
        reg_group=(_text(_inner(element, "registration"), "name") or _text(_inner(element, "form"), "name"))[:40]
        or None, sen=sen, entered_on=_date(education, "admission_date"), left_on=_date(education, "leaving_date"),
        leaving_told="leaving_date" in education,
        address=_address(_inner(details, "addresses")) or None, flags=tuple(flags),
        flags_told=tuple(told), accounts=(email[:200],) if email else (), contacts=tuple(contacts) or None,
        warnings=warnings,
    )  # fmt: skip


def _contact(order: int, element: Mapping[str, Any]) -> Contact:
    relation = _inner(element, "relationship")
    details = _inner(element, "contact_details")
    names = (_text(element, "title"), _text(element, "forename"), _text(element, "surname"))
    phones, emails = _inner(details, "phones"), _inner(details, "emails")
    numbers = [tidy(str(one)) for one in phones.values() if isinstance(one, str | int) and one]
    return Contact(
        max(1, min(99, whole_number(_text(relation, "priority") or _text(element, "priority"), order))),
        " ".join(name for name in names if name)[:200] or "No name given",
        _text(relation, "relationship")[:60],
        parse_yes(_text(relation, "parental_responsibility")),
        ", ".join(dict.fromkeys(numbers))[:200],
        (_text(emails, "email") or _text(emails, "primary"))[:200],
        _address(_inner(details, "addresses")),
        "Court order" if parse_yes(_text(relation, "court_order")) else "",
    )


def _mark(number: int, element: Mapping[str, Any]) -> MarkRow | None:
    code = _inner(element, "attendance_code")
    written = _text(code, "code") or _text(element, "attendance_code") or _text(element, "code")
    if written in unmarked():
        return None
    student = _inner(element, "student")
    mis_id = _text(student, "mis_id") or _text(element, "student_mis_id") or _text(element, "student_id")
    upn, _ = read_key_upn(_text(_inner(student, "education_details"), "upn") or _text(element, "upn"))
    if not mis_id and upn is None:
        raise ValueError("The mark says of no pupil.")
    day, session = _date(element, "date"), _text(element, "session").casefold()
    if day is None or session not in ("am", "pm"):
        raise ValueError("The mark has no date, or its session is not AM or PM.")
    return MarkRow(number, upn, mis_id[:60] or None, day, session == "pm", written)


def _behaviours(number: int, element: Mapping[str, Any]) -> Iterator[BehaviourRow | BadRow]:
    at = parse_moment(_when(element.get("incident_date") or element.get("behaviour_date") or element.get("date")))
    students = _list(element, "students") or ([element["student"]] if isinstance(element.get("student"), dict) else [])
    if not students:
        yield BadRow(number, "The incident names no student.", (_text(element, "id"),))
    for one in students:
        one = one.get("data", one) if isinstance(one.get("data", one), dict) else one
        upn, _ = read_key_upn(_text(_inner(one, "education_details"), "upn"))
        points = _text(one, "points") or _text(element, "points")
        yield BehaviourRow(
            number, upn, (_text(one, "mis_id") or _text(one, "id"))[:60] or None, at,
            _text(element, "type")[:100] or "Behaviour", _text(element, "status")[:60],
            whole_number(points, 0) if points else None, _text(element, "comment")[:4000],
            _text(_inner(element, "employee"), "surname")[:100],
        )  # fmt: skip


def _address(addresses: Mapping[str, Any]) -> str:
    home = addresses.get("home") if isinstance(addresses.get("home"), dict) else addresses
    names = ("house_number", "house_name", "apartment", "street", "district", "town", "county", "postcode")
    return ", ".join(part for name in names if (part := _text(home or {}, name)))[:500]


def _text(element: Mapping[str, Any], name: str) -> str:
    value = element.get(name)
    return tidy(str(value)) if isinstance(value, str | int | float) and value is not None else ""


def _inner(element: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object that Wonde wraps in ``data``; empty where there is none."""
    value = element.get(name)
    if isinstance(value, dict) and isinstance(value.get("data"), dict | list):
        value = value["data"]
    if isinstance(value, list):
        value = value[0] if value else {}
    return value if isinstance(value, dict) else {}


def _list(element: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = element.get(name)
    if isinstance(value, dict):
        value = value.get("data")
    rows: list[Any] = value if isinstance(value, list) else []
    found: list[Mapping[str, Any]] = [one for one in rows if isinstance(one, dict)]
    return found[:200]


def _when(value: object) -> str:
    return tidy(str(value.get("date", ""))) if isinstance(value, dict) else tidy(str(value or ""))


def _date(element: Mapping[str, Any], name: str) -> Any:
    return parse_date(_when(element.get(name)))
