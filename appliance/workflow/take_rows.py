"""Making changes of the rows of a file: read against the roll without a lock, so that only writing holds one.

``Taking`` looks at one row after the other and stages what would change in a temporary file; ``changes`` gives it back
in order. Nothing is written here. Marks are gathered in one register a pupil and year, as a file may have millions.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime

from sqlite_utils import Database

from appliance.safeguarding.pupil import (
    AccountRow,
    BadRow,
    BehaviourRow,
    Contact,
    ContactRow,
    FileNote,
    MarkRow,
    MisRow,
    Outcome,
    PupilRow,
    home_key,
    retain_until,
    row_to_text,
)
from appliance.store import roll
from appliance.store.imports import Import, Proposal, Values, read_row
from appliance.workflow.changes import Change, Tally, is_same, iso, key_cells, reach, row_cells, unknown
from appliance.workflow.marks import Marks
from appliance.workflow.match_pupil import Found, Match, Roll, check_known, proposal_id

_STAGED_IN_MEMORY = 8_000_000
MOST_LEAVERS = 0.2
"""A whole roll that lacks more than this part of the pupils here is taken for a part of one: nobody leaves by it."""


_CONTACT = ("priority", "name", "relationship", "responsibility", "phone", "email", "address", "court_order")


class Taking:
    """One file's rows on their way to changes."""

    def __init__(self, db: Database, one: Import, trust_roll: Roll, now: datetime, new_id: Callable[[], str]) -> None:
        self._db, self._one, self._roll, self._now, self._new_id = db, one, trust_roll, now, new_id
        self._today = now.date()
        self._fill_only = one.format == "ctf"
        self._laestabs = roll.select_laestabs(db, one.trust_id)
        self.tally, self.notes = Tally(), list[str]()
        self.proposals: list[Proposal] = []
        self._marks = Marks(one, trust_roll, self._today, self.tally)
        self._staged = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by close()
            _STAGED_IN_MEMORY, "w+", encoding="utf-8", newline="\n"
        )
        self._lines: dict[str, int] = {}
        self._contacts: dict[str, list[Contact]] = {}
        self._incidents: set[str] = set()
        self._accounts: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        self._staged.close()

    def take(self, row: MisRow) -> None:
        """Look at one row."""
        if isinstance(row, MarkRow):
            self._marks.take(row)
        elif isinstance(row, PupilRow):
            self._pupil(row, None)
        elif isinstance(row, BadRow):
            self.tally.add(Outcome.REFUSED, row.line, "", row.reason, row.raw)
        elif isinstance(row, FileNote):
            self.notes.append(row.text)
        else:
            self._other(row)

    def take_decided(self, row: PupilRow, pupil_id: str | None) -> str:
        """A row of which a person has said who it is: this pupil, or (None) another child. Its pupil's id."""
        match = Match(Found.NEW) if pupil_id is None else Match(Found.KNOWN, pupil_id)
        return self._pupil(row, match) or ""

    def changes(self) -> Iterator[Change]:
        """Everything that was staged, in order."""
        self._staged.seek(0)
        for line in self._staged:
            yield Change(*json.loads(line))

    def finish(self) -> None:
        """After the last row: contacts that came one a row, and who is missing from a whole roll."""
        for pupil_id, contacts in self._contacts.items():
            changed = self._stage_contacts(pupil_id, self._roll.academy_of[pupil_id], tuple(contacts))
            self.tally.counts[Outcome.CHANGED if changed else Outcome.SAME] += 1
        if self._one.options.get("whole_roll") and self._one.academy_id is not None:
            self._leave_missing(self._one.academy_id)

    def _stage(self, table: str, key: str, pupil_id: str, values: Values | None) -> None:
        self._staged.write(json.dumps([table, key, pupil_id, values]) + "\n")

    @property
    def registers(self) -> dict[tuple[str, int], bytearray]:
        """The marks that the file has, by pupil and school year."""
        return self._marks.registers

    def has_upn(self, upn: str | None) -> bool:
        """Whether a pupil here has this UPN."""
        return upn is not None and upn in self._roll.by_upn

    def academy_of(self, pupil_id: str) -> str:
        """The academy a pupil is on roll at."""
        return self._roll.academy_of[pupil_id]

    def register_id(self, pupil_id: str, year: int) -> str:
        """The key of a pupil's register of a school year at the academy they are on roll at."""
        return f"{self._roll.academy_of[pupil_id]}.{pupil_id}.{year}"

    # ---- pupils ----

    def _academy(self, row: PupilRow) -> str | None:
        """The academy a row is for, or None where it is for another or none that is known."""
        named = self._laestabs.get((row.laestab or "").replace("/", "")) if row.laestab else None
        if self._one.academy_id is None:
            return named
        ours = self._one.academy_id
        if row.laestab and named != ours and (named is not None or ours in self._laestabs.values()):
            return None
        return ours

    def _pupil(self, row: PupilRow, decided: Match | None) -> str | None:
        who = f"{row.surname}, {row.forename}"
        academy_id = self._academy(row)
        if academy_id is None:
            why = "The row is of another academy." if row.laestab else "The row does not say which academy it is of."
            self.tally.add(Outcome.REFUSED, row.line, who, why, row_cells(row))
            return None
        if row.born_on is not None and row.born_on > self._today:
            self.tally.add(Outcome.REFUSED, row.line, who, "The date of birth is in the future.", row_cells(row))
            return None
        match = decided or self._roll.find(academy_id, row)
        if match.pupil_id is not None and match.pupil_id in self._lines and decided is None:
            why = f"The pupil stands in the file twice; line {self._lines[match.pupil_id]} was taken."
            self.tally.add(Outcome.REFUSED, row.line, who, why, row_cells(row))
            return None
        if match.found is Found.DOUBTFUL:
            self.tally.add(Outcome.DOUBTFUL, row.line, who, match.reason, row_cells(row))
        elif match.found is Found.PROPOSED:
            self._propose(academy_id, row, match)
        elif match.found is Found.NEW:
            return self._new_pupil(academy_id, row, who)
        else:
            assert match.pupil_id is not None
            self._known_pupil(match.pupil_id, academy_id, row, who, decided is not None)
        return match.pupil_id

    def _propose(self, academy_id: str, row: PupilRow, match: Match) -> None:
        assert match.pupil_id is not None
        self.tally.add(Outcome.DOUBTFUL, row.line, f"{row.surname}, {row.forename}", match.reason, row_cells(row))
        key = proposal_id(academy_id, row)
        self.proposals.append(
            Proposal(key, academy_id, self._one.id, match.pupil_id, row_to_text(row), match.reason, None, None)
        )

    def _new_pupil(self, academy_id: str, row: PupilRow, who: str) -> str:
        pupil_id = self._new_id()
        left = row.left_on if row.left_on is not None and row.left_on <= self._today else None
        self._stage("pupil", pupil_id, pupil_id, {
            "academy_id": academy_id, "upn": row.upn, "former_upn": row.former_upn, "mis_id": row.mis_id,
            "surname": row.surname, "forename": row.forename, "born_on": iso(row.born_on),
            "year_group": row.year_group, "reg_group": row.reg_group, "flags": json.dumps(sorted(row.flags)),
            "left_on": iso(left), "retain_until": iso(retain_until(row.born_on, left)) if left else None,
        })  # fmt: skip
        self._stage("pupil_fact", pupil_id, pupil_id, {"academy_id": academy_id, **self._facts(row)})
        self._roll.take(pupil_id, academy_id, row)
        self._lines[pupil_id] = row.line
        self._beside(pupil_id, academy_id, row)
        self.tally.add(Outcome.ADDED, row.line, who, " ".join(row.warnings))
        return pupil_id

    def _facts(self, row: PupilRow) -> dict[str, str | int | None]:
        facts = {"preferred": row.preferred, "sex": row.sex, "sen": row.sen, "entered_on": iso(row.entered_on)}
        if row.address is not None:
            facts |= {"address": row.address, "home_key": home_key(row.address) or None}
        return {name: value for name, value in facts.items() if value is not None}

    def _known_pupil(self, pupil_id: str, academy_id: str, row: PupilRow, who: str, decided: bool) -> None:
        here = read_row(self._db, "pupil", pupil_id)
        if here is None:
            # added further up in the same file
            self.tally.add(Outcome.REFUSED, row.line, who, "The pupil stands in the file twice.", row_cells(row))
            return
        if not decided and (why := check_known(row, here)) is not None:
            self.tally.add(Outcome.DOUBTFUL, row.line, who, why, row_cells(row))
            return
        self._lines[pupil_id] = row.line
        moves = here["academy_id"] != academy_id
        if moves and not self._may_move(here, row, decided):
            why = "The pupil is on roll at another academy of the trust. Say whether the child has moved."
            self._propose(academy_id, row, Match(Found.PROPOSED, pupil_id, why))
            return
        facts_here = read_row(self._db, "pupil_fact", pupil_id)
        values, facts = self._differences(here, row), self._facts(row)
        left = values.get("left_on")
        if self._fill_only:
            self._compare_only(row, who, here, facts_here or {}, values, facts)
        if moves:
            values |= {"academy_id": academy_id, "left_on": None, "retain_until": None}
            self._move(pupil_id, here, academy_id, row)
        if values:
            self._stage("pupil", pupil_id, pupil_id, values)
        facts = {name: value for name, value in facts.items() if facts_here is None or facts_here[name] != value}
        if facts or facts_here is None or moves:
            self._stage("pupil_fact", pupil_id, pupil_id, {"academy_id": academy_id, **facts})
        changed = self._beside(pupil_id, academy_id, row) or bool(values) or bool(facts) or moves
        outcome = Outcome.LEFT if left else Outcome.CHANGED if changed else Outcome.SAME
        self.tally.add(outcome, row.line, who, " ".join(row.warnings) or ", ".join(sorted({*values, *facts})))

    def _differences(self, here: dict[str, str | None], row: PupilRow) -> dict[str, str | int | None]:
        wanted: dict[str, str | int | None] = {
            "surname": row.surname or None, "forename": row.forename or None, "mis_id": row.mis_id,
            "former_upn": row.former_upn, "born_on": iso(row.born_on), "year_group": row.year_group,
            "reg_group": row.reg_group,
        }  # fmt: skip
        if row.upn is not None and row.upn != here["upn"] and row.upn != here["former_upn"]:
            wanted["upn"] = row.upn
            if here["upn"] is not None:
                wanted["former_upn"] = here["upn"]
        elif row.upn is not None and row.upn == here["former_upn"]:
            wanted["former_upn"] = None
        if row.flags_told:
            flags = (set(json.loads(here["flags"] or "[]")) - set(row.flags_told)) | set(row.flags)
            wanted["flags"] = json.dumps(sorted(flags))
            if flags == set(json.loads(here["flags"] or "[]")):
                del wanted["flags"]
        found: dict[str, str | int | None] = {
            name: value for name, value in wanted.items() if value is not None and here[name] != value
        }
        if row.left_on is not None and row.left_on <= self._today:
            if here["left_on"] != row.left_on.isoformat():
                born = row.born_on or (date.fromisoformat(here["born_on"]) if here["born_on"] else None)
                found |= {"left_on": row.left_on.isoformat(), "retain_until": iso(retain_until(born, row.left_on))}
        elif here["left_on"] is not None and (row.leaving_told or self._one.options.get("whole_roll")):
            found |= {"left_on": None, "retain_until": None}
        return found

    def _compare_only(
        self, row: PupilRow, who: str, here: dict[str, str | None], facts_here: dict[str, str | None],
        values: dict[str, str | int | None], facts: dict[str, str | int | None],
    ) -> None:  # fmt: skip
        """A transfer file comes from another school: it fills what is empty, and what differs is for a person."""
        differs = []
        for known, new in ((here, values), (facts_here, facts)):
            for name in list(new):
                if name == "flags":
                    added = set(json.loads(str(new[name]))) - set(json.loads(here["flags"] or "[]"))
                    new.pop(name)
                    differs += [f"marker “{flag}”" for flag in sorted(added)]
                elif known.get(name) is not None and known[name] != new[name]:
                    differs.append(f"{name}: “{new[name]}” in the file, “{known[name]}” here")
                    new.pop(name)
                elif name in ("left_on", "retain_until", "academy_id"):
                    new.pop(name)
        if differs:
            why = "The transfer file says otherwise, and nothing was overwritten: " + "; ".join(differs) + "."
            self.tally.add(Outcome.DOUBTFUL, row.line, who, why, row_cells(row))

    def _may_move(self, here: dict[str, str | None], row: PupilRow, decided: bool) -> bool:
        """Whether a pupil of another academy has come over: they left there, or began here after that record's start.

        Two lists that both name a child would otherwise take the child from each other every night.
        """
        return decided or here["left_on"] is not None

    def _move(self, pupil_id: str, here: dict[str, str | None], academy_id: str, row: PupilRow) -> None:
        old = here["academy_id"]
        ended = here["left_on"] or iso(row.entered_on) or self._today.isoformat()
        facts = read_row(self._db, "pupil_fact", pupil_id) or {}
        stay = {"academy_id": old, "pupil_id": pupil_id, "began_on": facts.get("entered_on"), "ended_on": ended}
        self._stage("pupil_stay", f"{pupil_id}.{old}.{ended}", pupil_id, stay)
        for contact in roll.select_contacts_of(self._db, pupil_id):
            self._stage("pupil_contact", str(contact[0]), pupil_id, {"academy_id": academy_id})

    def _leave_missing(self, academy_id: str) -> None:
        present = roll.select_present(self._db, academy_id)
        missing = {pupil_id: name for pupil_id, name in present.items() if pupil_id not in self._lines}
        if len(missing) > max(5, MOST_LEAVERS * len(present)):
            why = (
                f"{len(missing)} of {len(present)} pupils are not in the file, so it was not taken for the whole roll."
            )
            self.notes.append(why + " Nobody was marked as having left.")
            return
        for pupil_id, name in missing.items():
            here = read_row(self._db, "pupil", pupil_id)
            born = date.fromisoformat(here["born_on"]) if here and here["born_on"] else None
            until = iso(retain_until(born, self._today))
            self._stage("pupil", pupil_id, pupil_id, {"left_on": self._today.isoformat(), "retain_until": until})
            self.tally.add(Outcome.LEFT, 0, name, "No longer in the file of the whole roll.")

    # ---- what hangs on a pupil ----

    def _beside(self, pupil_id: str, academy_id: str, row: PupilRow) -> bool:
        """Contacts, accounts and former totals; whether any of it changes."""
        changed = False
        if row.contacts is not None and not (self._fill_only and roll.select_contacts_of(self._db, pupil_id)):
            changed |= self._stage_contacts(pupil_id, academy_id, row.contacts)
        for account in row.accounts:
            changed |= self._stage_account(pupil_id, academy_id, account, row.line)
        for total in row.totals:
            key = f"{pupil_id}.{total.year}.{hashlib.sha256(total.school.encode()).hexdigest()[:8]}"
            values: Values = {
                "academy_id": academy_id, "pupil_id": pupil_id, "year": total.year, "school": total.school,
                "possible": total.possible, "attended": total.attended, "authorised": total.authorised,
                "unauthorised": total.unauthorised,
            }  # fmt: skip
            if not is_same(read_row(self._db, "attendance_total", key), values):
                self._stage("attendance_total", key, pupil_id, values)
                changed = True
        return changed

    def _stage_contacts(self, pupil_id: str, academy_id: str, contacts: tuple[Contact, ...]) -> bool:
        here = {str(one[0]): one for one in roll.select_contacts_of(self._db, pupil_id)}
        wanted = {}
        for number, one in enumerate(sorted(set(contacts), key=lambda one: (one.priority, one.name, one.phone))):
            said = None if one.responsibility is None else int(one.responsibility)
            wanted[f"{pupil_id}.{number:02d}"] = (
                one.priority, one.name, one.relationship, said, one.phone, one.email, one.address, one.court_order,
            )  # fmt: skip
        changed = False
        for key, cells in wanted.items():
            if key not in here or here[key][1:] != cells:
                names = (
                    "priority",
                    "name",
                    "relationship",
                    "responsibility",
                    "phone",
                    "email",
                    "address",
                    "court_order",
                )
                values: dict[str, str | int | None] = dict(zip(names, cells, strict=True))
                values |= {
                    "academy_id": academy_id,
                    "pupil_id": pupil_id,
                    "reach": reach(str(cells[5]), str(cells[4])),
                }
                self._stage("pupil_contact", key, pupil_id, values)
                changed = True
        for key in here.keys() - wanted.keys():
            self._stage("pupil_contact", key, pupil_id, None)
            changed = True
        return changed

    def _stage_account(self, pupil_id: str, academy_id: str, account: str, line: int) -> bool:
        account = account.strip().lower()
        holder = self._accounts.get((academy_id, account))
        known = roll.get_account(self._db, academy_id, account)
        if holder is None and known is not None:
            holder = known[1] if known[2] else None
        if holder is not None and holder != pupil_id:
            why = f"The user name “{account}” is another pupil's. It was left with that pupil."
            self.tally.add(Outcome.DOUBTFUL, line, account, why)
            return False
        self._accounts[(academy_id, account)] = pupil_id
        if holder == pupil_id:
            return False
        key = known[0] if known else self._new_id()
        values = {"academy_id": academy_id, "account": account, "pupil_id": pupil_id, "ended_at": None}
        self._stage("pupil_account", key, pupil_id, values)
        return True

    def _other(self, row: ContactRow | BehaviourRow | AccountRow) -> None:
        pupil_id = self._roll.find_by_number(self._one.academy_id or "", row.upn, row.mis_id)
        if pupil_id is None or self._one.academy_id not in (None, self._roll.academy_of[pupil_id]):
            self.tally.add(Outcome.REFUSED, row.line, "", unknown(row.upn, row.mis_id), key_cells(row))
            return
        academy_id = self._roll.academy_of[pupil_id]
        if isinstance(row, ContactRow):
            self._contacts.setdefault(pupil_id, []).append(row.contact)
        elif isinstance(row, AccountRow):
            changed = self._stage_account(pupil_id, academy_id, row.account, row.line)
            self.tally.add(Outcome.ADDED if changed else Outcome.SAME, row.line, row.account)
        else:
            self._behaviour(row, pupil_id, academy_id)

    def _behaviour(self, row: BehaviourRow, pupil_id: str, academy_id: str) -> None:
        parts = (pupil_id, row.at, row.kind, row.description, row.staff)
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
        values: Values = {
            "academy_id": academy_id, "pupil_id": pupil_id, "at": row.at, "kind": row.kind, "level": row.level,
            "points": row.points, "description": row.description, "staff": row.staff,
        }  # fmt: skip
        here = read_row(self._db, "behaviour", key)
        if key in self._incidents or is_same(here, values):
            self.tally.add(Outcome.SAME, row.line, row.kind)
            return
        self._incidents.add(key)
        self._stage("behaviour", key, pupil_id, values)
        self.tally.add(Outcome.ADDED if here is None else Outcome.CHANGED, row.line, row.kind)
