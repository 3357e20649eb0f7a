"""Finding which pupil a row of a file speaks of. Numbers decide; a name with a date of birth only ever proposes."""

import hashlib
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.pupil import PupilRow, name_key
from appliance.store import roll


class Found(StrEnum):
    """How sure it is."""

    KNOWN = "known"
    PROPOSED = "proposed"
    NEW = "new"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class Match:
    """Whom a row speaks of. pupil_id: None for Found.NEW. reason: for a person, where one has to decide."""

    found: Found
    pupil_id: str | None = None
    reason: str = ""


class Roll:
    """The pupils of one trust by all that finds them, kept small: a trust may have a hundred thousand."""

    def __init__(self, db: Database, trust_id: str) -> None:
        self.by_upn: dict[str, str] = {}
        self.by_former: dict[str, str] = {}
        self.by_mis: dict[tuple[str, str], str] = {}
        self.academy_of: dict[str, str] = {}
        self._by_name: dict[str, str] = {}
        academies: set[str] = set()
        for one in roll.select_roll(db, trust_id):
            academies.add(one.academy_id)
            self.add(
                one.pupil_id, one.academy_id, one.upn, one.former_upn, one.mis_id,
                _name(one.academy_id, one.surname, one.forename, one.born_on),
            )  # fmt: skip
        self.decided = roll.select_decided(db, trust_id)

    def add(
        self, pupil_id: str, academy_id: str, upn: str | None, former: str | None, mis_id: str | None, name: str
    ) -> None:
        """Take a pupil on."""
        self.academy_of[pupil_id] = academy_id
        if upn:
            self.by_upn[upn] = pupil_id
        if former:
            self.by_former.setdefault(former, pupil_id)
        if mis_id:
            self.by_mis[(academy_id, mis_id)] = pupil_id
        if name:
            self._by_name[name] = pupil_id

    def take(self, pupil_id: str, academy_id: str, row: PupilRow) -> None:
        """Take a pupil on whom the file adds."""
        name = _name(academy_id, row.surname, row.forename, row.born_on.isoformat() if row.born_on else None)
        self.add(pupil_id, academy_id, row.upn, row.former_upn, row.mis_id, name)

    def find_by_number(self, academy_id: str, upn: str | None, mis_id: str | None) -> str | None:
        """The pupil of a mark, a contact or an incident, or None."""
        if upn is not None:
            found = self.by_upn.get(upn) or self.by_former.get(upn)
            if found is not None:
                return found
        return self.by_mis.get((academy_id, mis_id)) if mis_id is not None else None

    def find(self, academy_id: str, row: PupilRow) -> Match:
        """Whom a pupil's row speaks of."""
        decided = self.decided.get(proposal_id(academy_id, row))
        if decided is not None and decided in self.academy_of:
            return Match(Found.KNOWN, decided)
        by_upn = None
        if row.upn is not None:
            by_upn = self.by_upn.get(row.upn) or self.by_former.get(row.upn)
        if by_upn is None and row.former_upn is not None:
            by_upn = self.by_upn.get(row.former_upn)
        by_mis = self.by_mis.get((academy_id, row.mis_id)) if row.mis_id is not None else None
        if by_upn is not None and by_mis is not None and by_upn != by_mis:
            why = "The UPN is that of one pupil here, and the MIS number that of another. Nothing was changed."
            return Match(Found.DOUBTFUL, None, why)
        known = by_upn or by_mis
        if known is not None:
            return Match(Found.KNOWN, known)
        name = _name(academy_id, row.surname, row.forename, row.born_on.isoformat() if row.born_on else None)
        alike = self._by_name.get(name) if name else None
        if alike is not None:
            why = "A pupil of this name and date of birth is here with other numbers. Say whether it is the same child."
            return Match(Found.PROPOSED, alike, why)
        return Match(Found.NEW)


def check_known(row: PupilRow, here: dict[str, Any]) -> str | None:
    """Why a row that a number ties to a pupil is not believed, or None: both surname and date of birth differ."""
    if row.born_on is None or here["born_on"] is None or row.born_on == date.fromisoformat(here["born_on"]):
        return None
    if name_key(row.surname, "") == name_key(here["surname"], ""):
        return None
    return "The number is that of a pupil here with another surname and another date of birth. Nothing was changed."


def proposal_id(academy_id: str, row: PupilRow) -> str:
    """What a row is known by when a person has decided about it: the same row asks nobody twice."""
    parts = [academy_id, row.upn or "", row.mis_id or "", name_key(row.surname, row.forename), str(row.born_on)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


def _name(academy_id: str, surname: str, forename: str, born_on: str | None) -> str:
    return f"{academy_id}|{name_key(surname, forename)}|{born_on}" if born_on else ""
