"""What an import stages: the rows to write, the tally of what was made of each row, and marks laid over a register."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from appliance.safeguarding.pupil import AccountRow, BehaviourRow, ContactRow, MarkRow, Outcome, PupilRow
from appliance.store.imports import ImportRow, Values

KEPT_ROWS = 20_000
"""So many rows of one outcome are kept to be shown and downloaded; all are counted."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row to write. values None: delete it."""

    table: str
    key: str
    pupil_id: str
    values: Values | None


@dataclass
class Tally:
    """What was made of the rows: the counts of all, and the rows worth showing."""

    counts: "Counter[str]" = field(default_factory=Counter)
    rows: list[ImportRow] = field(default_factory=list)

    def add(self, outcome: Outcome, line: int, who: str, reason: str = "", raw: tuple[str, ...] = ()) -> None:
        self.counts[outcome] += 1
        if outcome is not Outcome.SAME and self.counts[outcome] <= KEPT_ROWS:
            self.rows.append(ImportRow(outcome, line, who, reason, raw))


def merge_marks(here: str, new: bytes) -> tuple[str, list[tuple[int, str]]]:
    """A register with new marks in it, and what stood where it changed. No mark never takes the place of one."""
    spans, merged = [], here
    for hit in re.finditer(rb"[^.]+", new):
        start, text = hit.start(), hit.group().decode("ascii")
        old = here[start : start + len(text)]
        if old != text:
            spans.append((start, old))
            merged = merged[:start] + text + merged[start + len(text) :]
    return merged, spans


def reach(email: str, phone: str) -> str:
    """What two contacts are compared by, to see whether they are one person."""
    digits = "".join(sign for sign in phone.split(",")[0] if sign.isdigit())
    return email.strip().casefold() or (digits if len(digits) >= 7 else "")


def is_same(here: dict[str, object] | None, values: Values) -> bool:
    """Whether a row stands already as it would be written."""
    return here is not None and all(here[name] == value for name, value in values.items())


def iso(day: date | None) -> str | None:
    """A date as stored."""
    return day.isoformat() if day else None


def unknown(upn: str | None, mis_id: str | None) -> str:
    """Why a row of nobody who is here was refused."""
    return f"No pupil here has the {'UPN ' + upn if upn else 'MIS number ' + str(mis_id)}. Import the pupils first."


def key_cells(row: MarkRow | ContactRow | BehaviourRow | AccountRow) -> tuple[str, ...]:
    """What a row is known by, for the list of refused ones."""
    return (row.upn or "", row.mis_id or "")


def row_cells(row: PupilRow) -> tuple[str, ...]:
    """A pupil's row, for the list of refused ones."""
    return (row.upn or "", row.mis_id or "", row.surname, row.forename, str(row.born_on or ""))
