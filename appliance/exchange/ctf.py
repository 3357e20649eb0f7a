"""The DfE's Common Transfer File (XML), read as a stream: pupils with their contacts, flags and attendance totals.

Namespaces and the order of elements do not matter, names are compared without case, and any encoding that XML names is
taken. A document type or an entity of the file's own is refused before anything is made of it. Memory is bounded by one
pupil, whose size is limited. What a version calls its elements is in ``data/ctf_*.json``.

``AttendanceMarks`` are left alone: how codes of two characters are packed is not known here, so only totals are read.
"""

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import BinaryIO
from xml.parsers import expat

from appliance.exchange.codes import data_file, data_names, sen_provision, year_group
from appliance.exchange.fields import parse_date, parse_yes, read_key_upn, tidy, whole_number
from appliance.safeguarding.pupil import AttendanceTotal, BadRow, Contact, FileNote, MisFileError, MisRow, PupilRow

CHUNK = 65_536
MAX_DEPTH = 24
MAX_NODES = 20_000
MAX_TEXT = 2_000_000
"""Limits on one pupil: elements within elements, elements, and characters of text. A full record has some thousand."""

MAX_HEADER_TEXT = 100_000


class Node:
    """One element: its own text, and its children by their names in lower case, in order."""

    __slots__ = ("children", "text")

    def __init__(self) -> None:
        self.text = ""
        self.children: dict[str, list[Node]] = {}

    def all(self, path: str) -> "list[Node]":
        """Every element at a path such as ``BasicDetails/FormerUPN``."""
        found = [self]
        for name in _steps(path):
            found = [child for one in found for child in one.children.get(name, ())]
        return found

    def value(self, *paths: str) -> str:
        """The text of the first element at one of the paths that has any; empty where none has."""
        texts = (tidy(one.text) for path in paths for one in self.all(path))
        return next((text for text in texts if text), "")


@lru_cache(maxsize=500)
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.casefold().split("/"))


class _Tree:
    """Turns expat's calls into one Node a pupil, and one for the header."""

    def __init__(self) -> None:
        self.done: list[tuple[int, str, Node]] = []
        self.root = ""
        self._stack: list[Node] = []
        self._names: list[str] = []
        self._nodes = self._text = self._line = 0
        self.parser = expat.ParserCreate(namespace_separator="\n")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse
        self.parser.UnparsedEntityDeclHandler = self._refuse

    def _refuse(self, *_: object) -> int:
        raise MisFileError("The file declares a document type or entities, which no Common Transfer File does.")

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        name = name.rpartition("\n")[2].casefold()
        self._names.append(name)
        if len(self._names) > MAX_DEPTH:
            raise MisFileError(f"Elements stand {len(self._names)} deep in the file; a CTF's stand half as deep.")
        if len(self._names) == 1:
            self.root = name
            if name != "ctfile":
                raise MisFileError(f"This is no Common Transfer File: its first element is “{name[:40]}”.")
        if self._stack:
            self._nodes += 1
            if self._nodes > MAX_NODES:
                raise MisFileError(f"One pupil near line {self._line} has over {MAX_NODES} elements.")
            child = Node()
            self._stack[-1].children.setdefault(name, []).append(child)
            self._stack.append(child)
        elif name in ("pupil", "header") and len(self._names) <= 3:
            self._stack.append(Node())
            self._nodes = self._text = 0
            self._line = self.parser.CurrentLineNumber

    def _data(self, text: str) -> None:
        if self._stack:
            self._text += len(text)
            if self._text > MAX_TEXT:
                raise MisFileError(f"One pupil near line {self._line} has over {MAX_TEXT} characters.")
            self._stack[-1].text += text

    def _end(self, _name: str) -> None:
        name = self._names.pop()
        if self._stack:
            node = self._stack.pop()
            if not self._stack:
                self.done.append((self._line, name, node))


def read_ctf(file: BinaryIO, on: date) -> Iterator[MisRow]:
    """The pupils of a CTF, with a note where its version is not the current or the one before on this day.

    Yields PupilRow, BadRow and FileNote. Raises MisFileError when the file is none, is damaged or declares entities;
    what came before the damage has been yielded by then.
    """
    tree, version, source = _Tree(), None, ""
    for chunk in iter(lambda: file.read(CHUNK), b""):
        _feed(tree, chunk, False)
        while tree.done:
            line, name, node = tree.done.pop(0)
            if name == "header":
                version, source = _version(node), node.value("SourceSchool/SchoolName")
                yield from _version_notes(version, on)
            else:
                yield _pupil(line, node, _paths(version), source)
    _feed(tree, b"", True)
    if not tree.root:
        raise MisFileError("The file is empty.")


def _feed(tree: _Tree, chunk: bytes, last: bool) -> None:
    try:
        tree.parser.Parse(chunk, last)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, MisFileError):
            raise
        where = f" near line {tree.parser.CurrentLineNumber}"
        raise MisFileError(f"The file is no whole XML{where}: {str(error)[:200]}.") from None


def _version(header: Node) -> float | None:
    try:
        return float(header.value("CTFversion"))
    except ValueError:
        return None


def _known() -> dict[int, str]:
    names = data_names("ctf_")
    return {data_file(name)["version"]: name for name in names}


def _version_notes(version: float | None, on: date) -> Iterator[FileNote]:
    known = _known()
    accepted = sorted(one for one, name in known.items() if date.fromisoformat(data_file(name)["from"]) <= on)[-2:]
    words = " or ".join(str(one) for one in accepted)
    if version is None:
        yield FileNote(f"The file does not say which version of the CTF it is; it was read as {max(known)}.")
    elif int(version) not in accepted:
        yield FileNote(f"This is version {version:g} of the CTF, where {words} is expected. It was read all the same.")


@lru_cache(maxsize=50)
def _paths(version: float | None) -> dict[str, list[str]]:
    known = _known()
    nearest = min(known, key=lambda one: (abs(one - (version or max(known))), -one))
    paths = dict(data_file(known[nearest])["paths"])
    # other versions' names for the same thing are read too: a file is often not quite what its header says
    for name in known.values():
        for field, more in data_file(name)["paths"].items():
            paths[field] = paths.get(field, []) + [one for one in more if one not in paths.get(field, [])]
    return paths


def _pupil(line: int, node: Node, paths: dict[str, list[str]], source: str) -> PupilRow | BadRow:
    def value(field: str) -> str:
        return node.value(*paths[field])

    surname, forename, born = value("surname"), value("forename"), value("born_on")
    raw = (value("upn"), surname, forename, born)
    if not surname or not forename:
        return BadRow(line, "The pupil has no surname or no forename.", raw)
    upn, warnings = read_key_upn(value("upn"))
    if value("upn") and upn is None:
        return BadRow(line, warnings[0], raw)
    former, more = read_key_upn(value("former_upn"))
    try:
        born_on = parse_date(born)
        contacts = tuple(_contact(one, order, node) for order, one in enumerate(_all(node, paths["contacts"]), start=1))
        totals = tuple(one for year in _all(node, paths["years"]) if (one := _total(year, source)) is not None)
        left_on = max(
            (day for one in _all(node, paths["schools"]) if (day := parse_date(one.value("LeavingDate")))), default=None
        )
    except ValueError as error:
        return BadRow(line, str(error), raw)
    flags, told, sen = _flags(node, paths)
    preferred = f"{value('preferred_forename')} {value('preferred_surname')}".strip()
    if left_on is not None:
        more = (*more, f"Left {source or 'the last school'} on {left_on:%d/%m/%Y}.")
    return PupilRow(
        line, surname, forename, upn, former, None, None, born_on,
        preferred=preferred or None, sex=value("sex")[:1].upper() or None, year_group=year_group(value("year_group")),
        sen=sen, address=_address(node.all(paths["address"][0])) or None, flags=flags, flags_told=told,
        accounts=(email,) if "@" in (email := value("email").casefold()) else (),
        contacts=contacts or None, totals=totals, warnings=(*warnings, *more),
    )  # fmt: skip


def _all(node: Node, paths: list[str]) -> list[Node]:
    return [one for path in paths for one in node.all(path)]


def _flags(node: Node, paths: dict[str, list[str]]) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    flags, told = [], []
    provisions = [code for one in _all(node, paths["sen"]) if (code := sen_provision(tidy(one.text)))]
    sen = provisions[-1] if provisions else None
    if sen is not None:
        told += ["send", "ehcp"]
        flags += {"K": ["send"], "E": ["send", "ehcp"]}.get(sen, [])
    care = parse_yes(node.value(*paths["in_care"]))
    if care is not None:
        told.append("lac")
        flags += ["lac"] if care else []
    meals = _all(node, paths["free_meals"])
    if meals:
        told.append("fsm")
        flags += ["fsm"] if any(not one.value("FSMendDate") for one in meals) else []
    return tuple(flags), tuple(told), sen


def _contact(node: Node, order: int, pupil: Node) -> Contact:
    name = " ".join(part for part in (node.value("Title"), node.value("Forename"), node.value("Surname")) if part)
    same = parse_yes(node.value("AddressAsPupil"))
    address = _address(pupil.all("Address")) if same else _address(node.all("Address"))
    phones = [number for one in node.all("Phones/Phone") if (number := one.value("PhoneNo"))]
    return Contact(
        whole_number(node.value("Order"), order) or order,
        name[:200] or "No name given",
        node.value("Relationship")[:60],
        parse_yes(node.value("Responsibility")),
        ", ".join(dict.fromkeys(phones))[:200],
        node.value("Email")[:200],
        address,
    )


_STREET = ("SAON", "PAON", "Street", "Locality", "Town", "PostTown", "AdministrativeArea", "PostCode")


def _address(nodes: list[Node]) -> str:
    parts: list[str] = []
    for one in nodes[:1]:
        for inner in one.all("BS7666Address") or one.all("AddressLines") or [one]:
            parts += [inner.value(name) for name in _STREET[:7]]
            parts += [inner.value(f"AddressLine{number}") for number in range(1, 6)]
            parts.append(inner.value("PostCode"))
        parts.append(one.value("PostCode"))
    return ", ".join(dict.fromkeys(part for part in parts if part))[:500]


def _total(node: Node, source: str) -> AttendanceTotal | None:
    names = ("SessionsPossible", "SessionsAttended", "SessionsAuthorised", "SessionsUnauthorised")
    year = whole_number(node.value("Year"), 0)
    if not 2000 <= year <= 2100 or not node.value(names[0]):
        return None
    counts = [whole_number(node.value(name), 0) for name in names]
    return AttendanceTotal(year, node.value("SchoolName") or source, *counts)
