"""Writing CSV: rows that were refused, for the person who sent them, and pupils in the box's own plain columns."""

import csv
from collections.abc import Iterable
from datetime import date
from typing import TextIO

from appliance.safeguarding.pupil import PupilRow


def write_refused(columns: Iterable[str], rows: Iterable[tuple[int, str, tuple[str, ...]]], to: TextIO) -> None:
    """Rows that were not taken, as a CSV with their line and the reason; a spreadsheet runs nothing of it."""
    out = csv.writer(to)
    out.writerow(["line", "reason", *(_inert(one) for one in columns)])
    for line, reason, cells in rows:
        out.writerow([line, _inert(reason), *(_inert(cell) for cell in cells)])


def _inert(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and len(cell) > 1 else cell


def write_pupils(rows: Iterable[PupilRow], to: TextIO) -> None:
    """Pupils in the box's own plain columns, as ``data/presets/plain.json`` names them."""
    out = csv.writer(to)
    out.writerow(["upn", "former_upn", "mis_id", "surname", "forename", "preferred", "dob", "sex", "year", "reg_group",
                  "academy_laestab", "sen", "entry", "leaving"])  # fmt: skip
    for one in rows:
        out.writerow([one.upn, one.former_upn, one.mis_id, one.surname, one.forename, one.preferred, _iso(one.born_on),
                      one.sex, one.year_group, one.reg_group, one.laestab, one.sen, _iso(one.entered_on),
                      _iso(one.left_on)])  # fmt: skip


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""
