"""The lists that change with the year, read from data files beside this module, each with the day it holds from."""

import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from appliance.safeguarding.attendance import AttendanceCode, Group

_DATA = Path(__file__).parent / "data"


@cache
def _read(name: str) -> Any:
    return json.loads((_DATA / f"{name}.json").read_text(encoding="utf-8"))


@cache
def attendance_codes() -> dict[str, AttendanceCode]:
    """Every register code, by the sign it is kept as."""
    found = {}
    for row in _read("attendance_codes")["codes"]:
        until = row.get("until")
        found[row["sign"]] = AttendanceCode(
            row["code"],
            row["sign"],
            row["meaning"],
            Group(row["group"]),
            row.get("unexplained", False),
            row.get("watched", False),
            row.get("private", False),
            date.fromisoformat(row["from"]),
            date.fromisoformat(until) if until else None,
        )
    return found


@cache
def _by_code() -> dict[str, AttendanceCode]:
    return {one.code: one for one in attendance_codes().values()}


@cache
def unmarked() -> frozenset[str]:
    """What an MIS writes where a session has no mark."""
    return frozenset(_read("attendance_codes")["unmarked"])


def find_code(code: str, day: date) -> AttendanceCode | str:
    """The register code that may stand on this day, or in words why it may not."""
    one = _by_code().get(code)
    if one is None:
        return f"“{code[:10]}” is no attendance code. Map the school's own codes to those of the DfE."
    if day < one.valid_from:
        return f"The code {code} is in use from {one.valid_from:%d/%m/%Y}."
    if one.valid_until is not None and day > one.valid_until:
        return f"The code {code} was in use until {one.valid_until:%d/%m/%Y}."
    return one


@cache
def known_authorities() -> frozenset[str]:
    """The numbers of the local authorities of England, three digits each."""
    found = set()
    for part in _read("authorities")["numbers"]:
        first, _, last = part.partition("-")
        found |= {f"{number:03d}" for number in range(int(first), int(last or first) + 1)}
    return frozenset(found)


@cache
def _groups() -> dict[str, str]:
    return {name.casefold(): group for group, names in _read("year_groups")["groups"].items() for name in names}


def year_group(text: str) -> str | None:
    """A national-curriculum year group as the box writes it ("9", "R", "N2"); None for what is none."""
    words = " ".join(text.casefold().replace("-", " ").split())
    for start in ("curriculum year", "national curriculum year", "nc year", "year group", "year", "yr", "y"):
        if words.startswith(start) and words not in _groups():
            words = words[len(start) :].strip()
            break
    return _groups().get(words.lstrip("0") or words)


@cache
def _provisions() -> dict[str, str]:
    rows = _read("sen_codes")["provisions"]
    return {name.casefold(): code for code, row in rows.items() for name in (code, *row["names"])}


def sen_provision(text: str) -> str | None:
    """A code of SEN provision (N, K or E; former ones are brought up to date); None for what is none."""
    code = _provisions().get(" ".join(text.casefold().split()))
    return _read("sen_codes")["provisions"][code].get("now", code) if code else None


def data_file(name: str) -> Any:
    """One of the data files as it stands. name: its path below the folder, without ``.json``."""
    return _read(name)


def data_names(start: str) -> list[str]:
    """The names of the data files that begin so, in order."""
    return sorted(str(path.relative_to(_DATA).with_suffix("")) for path in _DATA.glob(f"{start}*.json"))
