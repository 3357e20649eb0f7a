"""OneRoster CSV archives, versions 1.1 and 1.2, bulk and delta: pupils, their guardians, form groups and user names.

The zip is never unpacked to the disk: each file is read from it as a stream, and what it may hold is limited in number,
size and ratio, counted as it is read and not as the archive claims. Passwords in it are never read. OneRoster knows no
attendance, behaviour or special needs.
"""

import csv
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from io import BufferedReader, RawIOBase, TextIOWrapper
from typing import IO, BinaryIO, TextIO

from appliance.exchange.codes import data_file, year_group
from appliance.exchange.fields import parse_date, read_key_upn, tidy
from appliance.safeguarding.pupil import BadRow, Contact, FileNote, MisFileError, MisRow, PupilRow

MAX_FILES = 60
MAX_BYTES = 1_500_000_000
MAX_RATIO = 200
RATIO_FROM = 1_000_000
"""A file may unpack to this many bytes before its ratio counts: short and repetitive is no bomb."""

MAX_FIELD = 20_000

_STUDENT = "student"
_ID = re.compile(r"\{([^:{}]{1,60}):([^{}]{1,200})\}")
_DEVICE_IDS = ("ad", "sam", "upn_ad", "google", "azure", "entra", "username", "loginid", "ldap")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself. files: "bulk", "delta" or "absent" by file name without ``.csv``."""

    version: str
    files: Mapping[str, str]


class _Limited(RawIOBase):
    """A file of the archive that stops when it unpacks to more than it may."""

    def __init__(self, inner: IO[bytes], packed: int, spent: list[int]) -> None:
        self._inner, self._packed, self._spent, self._read = inner, max(packed, 1), spent, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        try:
            data = self._inner.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise MisFileError(f"The archive is damaged: {str(error)[:120]}.") from None
        self._read += len(data)
        self._spent[0] += len(data)
        if self._spent[0] > MAX_BYTES or (self._read > RATIO_FROM and self._read > MAX_RATIO * self._packed):
            raise MisFileError("The archive unpacks to far more than it should. It was not read.")
        buffer[: len(data)] = data
        return len(data)


class _Archive:
    def __init__(self, file: BinaryIO) -> None:
        try:
            self.zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, zlib.error, ValueError, OSError, NotImplementedError, UnicodeDecodeError) as error:
            raise MisFileError(f"This is no zip archive, or it is damaged: {str(error)[:120]}.") from None
        self.spent = [0]
        self.names: dict[str, zipfile.ZipInfo] = {}
        if len(self.zip.infolist()) > MAX_FILES:
            raise MisFileError(f"The archive holds over {MAX_FILES} files; a OneRoster archive holds some ten.")
        for one in self.zip.infolist():
            self._take(one)

    def _take(self, one: zipfile.ZipInfo) -> None:
        name = one.filename
        if re.search(r"[/\\:\0]", name) or name.startswith("."):
            raise MisFileError("The archive holds folders or paths; OneRoster's files stand at its root.")
        if one.flag_bits & 0x1:
            raise MisFileError("The archive is encrypted. Send it unencrypted, over the encrypted connection.")
        if name in self.names:
            raise MisFileError(f"The archive holds {name[:60]} twice.")
        self.names[name] = one

    def rows(self, name: str) -> Iterator[tuple[int, dict[str, str]]]:
        """Line and cells of ``name.csv``; nothing where there is none."""
        one = self.names.get(f"{name}.csv")
        if one is None:
            return
        try:
            inner = self.zip.open(one)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, ValueError) as error:
            raise MisFileError(f"{name}.csv can't be opened: {str(error)[:120]}.") from None
        text = TextIOWrapper(
            BufferedReader(_Limited(inner, one.compress_size, self.spent)), encoding="utf-8-sig", errors="replace",
            newline="",
        )  # fmt: skip
        reader = csv.reader(_short_lines(text, name))
        try:
            head = [cell.strip() for cell in next(reader, [])]
            for cells in reader:
                if any(cells):
                    yield reader.line_num, dict(zip(head, map(tidy, cells), strict=False))
        except csv.Error as error:
            raise MisFileError(f"{name}.csv can't be read near line {reader.line_num}: {error}.") from None


def _short_lines(text: TextIO, name: str) -> Iterator[str]:
    while line := text.readline(200_000):
        if len(line) >= 200_000:
            raise MisFileError(f"A line of {name}.csv is longer than any of OneRoster's.")
        yield line


def read_manifest(file: BinaryIO) -> Manifest:
    """What the archive says of itself. Raises MisFileError where that doesn't fit what it holds."""
    return _manifest(_Archive(file))


def _manifest(archive: _Archive) -> Manifest:
    if "manifest.csv" not in archive.names:
        raise MisFileError("This is no OneRoster archive: it has no manifest.csv at its root.")
    said = {row.get("propertyName", ""): row.get("value", "") for _, row in archive.rows("manifest")}
    version = said.get("oneroster.version", "")
    if version not in data_file("oneroster")["versions"]:
        raise MisFileError(f"The archive is of version {version[:20] or 'unknown'} of OneRoster; 1.1 and 1.2 are read.")
    files = {name[5:]: kind.casefold() for name, kind in said.items() if name.startswith("file.")}
    for name, kind in files.items():
        here = f"{name}.csv" in archive.names
        if kind not in ("absent", "bulk", "delta"):
            raise MisFileError(f"The manifest calls {name[:40]}.csv “{kind[:20]}”, which OneRoster does not know.")
        if here != (kind != "absent"):
            words = "is there, and the manifest calls it absent" if here else "is missing, which the manifest promises"
            raise MisFileError(f"{name[:40]}.csv {words}.")
    if files.get("users", "absent") == "absent":
        raise MisFileError("The archive has no users.csv, so there are no pupils in it.")
    return Manifest(version, files)


def read_oneroster(file: BinaryIO, on: date) -> Iterator[MisRow]:
    """The pupils of an archive. Raises MisFileError. on: the leaving date of a pupil whom a delta deletes undated.

    Yields PupilRow, BadRow and FileNote.
    """
    archive = _Archive(file)
    manifest = _manifest(archive)
    for name in sorted(set(archive.names) - {f"{one}.csv" for one in manifest.files} - {"manifest.csv"}):
        yield FileNote(f"{name[:60]} is not named in the manifest and was left alone.")
    schools = {row.get("sourcedId", ""): row for _, row in archive.rows("orgs")}
    pupils = _Pupils(archive, manifest, {key: _laestab(row) for key, row in schools.items()}, on)
    for line, row in archive.rows("users"):
        if pupils.role_of(row) == _STUDENT:
            try:
                yield pupils.make(line, row)
            except ValueError as error:
                yield BadRow(line, str(error), tuple(row.get(name, "") for name in ("sourcedId", *_SHOWN)))


_SHOWN = ("givenName", "familyName", "identifier")


def _laestab(org: Mapping[str, str]) -> str:
    number = org.get("identifier", "").replace("/", "").strip()
    return number if re.fullmatch(r"[0-9]{7}", number) else ""


class _Pupils:
    """What other files of the archive say of each pupil, kept small: ids and short texts."""

    def __init__(self, archive: _Archive, manifest: Manifest, schools: Mapping[str, str], on: date) -> None:
        self._schools, self._on, self._delta = schools, on, manifest.files.get("users") == "delta"
        self._roles: dict[str, tuple[str, str]] | None = None
        if manifest.version == "1.2" and "roles.csv" in archive.names:
            self._roles = {}
            for _, row in archive.rows("roles"):
                if row.get("status", "").casefold() != "tobedeleted":
                    user, first = row.get("userSourcedId", ""), row.get("roleType", "primary") == "primary"
                    if first or user not in self._roles:
                        self._roles[user] = (row.get("role", "").casefold(), row.get("orgSourcedId", ""))
        self._born = {row["sourcedId"]: (row.get("birthDate", ""), row.get("sex", "")[:1].upper())
                      for _, row in archive.rows("demographics") if row.get("sourcedId")}  # fmt: skip
        homerooms = {row["sourcedId"]: row.get("title", "")[:40] for _, row in archive.rows("classes")
                     if row.get("classType") == "homeroom" and row.get("sourcedId")}  # fmt: skip
        self._forms = {row.get("userSourcedId", ""): homerooms[row["classSourcedId"]]
                       for _, row in archive.rows("enrollments") if row.get("classSourcedId") in homerooms
                       and row.get("role") == _STUDENT}  # fmt: skip
        self._guardians: dict[str, Contact] = {}
        for _, row in archive.rows("users"):
            role = self.role_of(row)
            if role in ("guardian", "parent", "relative") and row.get("status", "").casefold() != "tobedeleted":
                name = f"{row.get('givenName', '')} {row.get('familyName', '')}".strip()
                phone = ", ".join(one for one in (row.get("phone", ""), row.get("sms", "")) if one)
                self._guardians[row.get("sourcedId", "")] = Contact(
                    99, name[:200] or "No name given", role, None, phone[:200], row.get("email", "")[:200]
                )

    def role_of(self, row: Mapping[str, str]) -> str:
        if self._roles is not None:
            return self._roles.get(row.get("sourcedId", ""), ("", ""))[0]
        return row.get("role", "").casefold()

    def make(self, line: int, row: Mapping[str, str]) -> PupilRow:
        """One pupil. Raises ValueError with the reason."""
        source = row.get("sourcedId", "")
        if not source:
            raise ValueError("The user has no sourcedId.")
        surname = row.get("preferredFamilyName") or row.get("familyName", "")
        if not row.get("givenName") or not row.get("familyName"):
            raise ValueError("The pupil has no given or family name.")
        status = row.get("status", "").casefold()
        if self._delta and status not in ("active", "tobedeleted"):
            raise ValueError(f"A delta says “active” or “tobedeleted” of each row, not “{status[:20]}”.")
        born, sex = self._born.get(source, ("", ""))
        upn, accounts, warnings = self._ids(row)
        preferred = f"{row.get('preferredGivenName', '')} {surname if row.get('preferredFamilyName') else ''}".strip()
        grades = [one for part in row.get("grades", "").split(",") if (one := year_group(_grade(part)))]
        left = status == "tobedeleted"
        agents = [one.strip() for one in row.get("agentSourcedIds", "").split(",") if one.strip()]
        contacts = tuple(
            Contact(n, one.name, one.relationship, None, one.phone, one.email)
            for n, one in enumerate((self._guardians[key] for key in agents if key in self._guardians), start=1)
        )
        return PupilRow(
            line, row["familyName"][:100], row["givenName"][:100], upn, None, source[:60], self._laestab_of(row),
            parse_date(born), preferred[:100] or None, sex or None, grades[0] if grades else None,
            self._forms.get(source) or None, left_on=(_modified(row) or self._on) if left else None,
            leaving_told=self._delta, accounts=accounts, contacts=contacts or None, warnings=warnings,
        )  # fmt: skip

    def _laestab_of(self, row: Mapping[str, str]) -> str | None:
        org = row.get("primaryOrgSourcedId") or row.get("orgSourcedIds", "").split(",")[0].strip()
        if self._roles is not None:
            org = org or self._roles.get(row.get("sourcedId", ""), ("", ""))[1]
        return self._schools.get(org) or None

    def _ids(self, row: Mapping[str, str]) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
        upn: str | None = None
        warnings: tuple[str, ...] = ()
        accounts = [row.get("username", ""), row.get("email", "")]
        for kind, value in user_ids(row.get("userIds", "")):
            if kind.casefold() == "upn" and "@" not in value:
                upn, warnings = read_key_upn(value)
            elif kind.casefold() in _DEVICE_IDS or "@" in value:
                accounts.append(value)
        if upn is None and re.fullmatch(r"[A-Za-z][0-9]{11}[0-9A-Za-z]", row.get("identifier", "")):
            upn, _ = read_key_upn(row["identifier"])
        return upn, tuple(dict.fromkeys(one[:200] for one in accounts if one)), warnings


def user_ids(text: str) -> list[tuple[str, str]]:
    """The pairs of a ``userIds`` cell: ``{UPN:…},{AD:…}``, or JSON as some write it. What is neither is left out."""
    if text.startswith("[") and len(text) < MAX_FIELD:
        try:
            rows = json.loads(text)
        except (ValueError, RecursionError):
            return []
        return [(str(one.get("type", "")), str(one.get("identifier", ""))) for one in rows if isinstance(one, dict)]
    return [(kind.strip(), value.strip()) for kind, value in _ID.findall(text[:MAX_FIELD])]


def _grade(text: str) -> str:
    # grades are often written with a leading nought
    return text.strip().lstrip("0") or text.strip()


def _modified(row: Mapping[str, str]) -> date | None:
    try:
        return parse_date(row.get("dateLastModified", ""))
    except ValueError:
        return None


def headers(version: str) -> dict[str, list[str]]:
    """The columns of each file of a version, in the order the specification gives them."""
    found: dict[str, list[str]] = data_file("oneroster")["versions"][version]
    return found


def write_archive(version: str, kind: str, files: Mapping[str, Iterable[Mapping[str, str]]], to: BinaryIO) -> None:
    """An archive with these rows, by file name without ``.csv``. kind: "bulk" or "delta"."""
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as made:
        manifest = [("manifest.version", "1.0"), ("oneroster.version", version)]
        manifest += [(f"file.{name}", kind if name in files else "absent") for name in headers(version)]
        with made.open("manifest.csv", "w") as file, TextIOWrapper(file, encoding="utf-8", newline="") as text:
            csv.writer(text).writerows([("propertyName", "value"), *manifest])
        for name, rows in files.items():
            with made.open(f"{name}.csv", "w") as file, TextIOWrapper(file, encoding="utf-8", newline="") as text:
                out = csv.DictWriter(text, headers(version)[name], restval="")
                out.writeheader()
                out.writerows(rows)
