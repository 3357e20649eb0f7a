"""The academies of one trust out of a GIAS download (``edubasealldata*.csv``: 65 MB, Windows-1252, all of England).

Read as a stream, a line at a time; only one trust's lines are kept. Columns are those of the download of
get-information-schools.service.gov.uk as of 2024-26.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_URN = "URN"
_LA = "LA (code)"
_NUMBER = "EstablishmentNumber"
_NAME = "EstablishmentName"
_TRUST = "Trusts (code)"
_TRUST_NAME = "Trusts (name)"
_PHASE = "PhaseOfEducation (name)"
_STATUS = "EstablishmentStatus (name)"
COLUMNS = (_URN, _LA, _NUMBER, _NAME, _TRUST, _TRUST_NAME, _PHASE, _STATUS)

_OPEN = ("Open", "Open, but proposed to close")
"""Statuses of a school with pupils in it; closed and proposed ones are counted and left out."""

_LONGEST_SHORT_NAME = 28


class GiasError(ValueError):
    """A file that isn't a GIAS download, or holds nothing of the trust. The message says what to do."""


@dataclass(frozen=True, slots=True)
class GiasAcademy:
    """One academy. urn: 6 digits. laestab: 7 digits, local authority and establishment number, or empty."""

    urn: str
    laestab: str
    name: str
    phase: str

    @property
    def short_name(self) -> str:
        """The name cut at a word, for narrow places."""
        return cut_short(self.name)


@dataclass(frozen=True, slots=True)
class GiasTrust:
    """One trust and its open academies by name. closed: how many of its lines were of schools that aren't open."""

    code: str
    name: str
    academies: tuple[GiasAcademy, ...]
    closed: int


def cut_short(name: str) -> str:
    """A school's name cut at a word."""
    if len(name) <= _LONGEST_SHORT_NAME:
        return name
    words = name[: _LONGEST_SHORT_NAME + 1].rsplit(" ", 1)[0].rstrip(" ,-")
    return words or name[:_LONGEST_SHORT_NAME]


def read_trust(file: BinaryIO, code: str) -> GiasTrust:
    """The trust with this code (GIAS's group UID, "Trusts (code)"). Raises GiasError."""
    code = code.strip()
    if not code:
        raise GiasError("Give the trust's code: the “Trusts (code)” of its schools in GIAS.")
    found: dict[str, GiasAcademy] = {}
    name, closed = "", 0
    for row in _rows(file):
        if (row[_TRUST] or "").strip() != code:
            continue
        name = (row[_TRUST_NAME] or "").strip() or name
        if (row[_STATUS] or "").strip() not in _OPEN:
            closed += 1
            continue
        academy = _academy(row)
        found[academy.urn] = academy
    if not found:
        more = f" ({closed} of its schools are in the file, and none is open)" if closed else ""
        raise GiasError(f"The file holds no open school of a trust with the code {code}{more}.")
    return GiasTrust(code, name or code, tuple(sorted(found.values(), key=lambda one: one.name)), closed)


def _rows(file: BinaryIO) -> Iterator[dict[str, str | None]]:
    # GIAS writes Windows-1252; the few bytes that mean nothing in it must not keep a trust from being read
    text = io.TextIOWrapper(file, encoding="cp1252", errors="replace", newline="")
    try:
        reader = csv.DictReader(text)
        names = [(name or "").strip().removeprefix("ï»¿").strip('"') for name in reader.fieldnames or []]
        missing = [column for column in COLUMNS if column not in names]
        if missing:
            raise GiasError(
                "This is not a GIAS download of establishments (edubasealldata….csv): it has no column"
                f" “{missing[0]}”. Download “All establishment data” and send that file."
            )
        reader.fieldnames = names
        yield from reader
    except csv.Error as error:
        raise GiasError(f"The file can't be read as CSV near line {reader.line_num}: {error}.") from None
    finally:
        text.detach()


def _academy(row: dict[str, str | None]) -> GiasAcademy:
    urn, authority, number = ((row[column] or "").strip() for column in (_URN, _LA, _NUMBER))
    if not urn.isdigit():
        raise GiasError(f"A school of the trust has no URN that is a number: “{urn[:20]}”.")
    laestab = f"{authority:0>3}{number:0>4}" if authority.isdigit() and number.isdigit() else ""
    phase = (row[_PHASE] or "").strip()
    return GiasAcademy(urn, laestab, " ".join((row[_NAME] or "").split()), "" if phase == "Not applicable" else phase)
