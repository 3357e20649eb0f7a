"""What the MIS says of a pupil, beside the record: contacts, siblings, registers, behaviour. All of it is in scope."""

from dataclasses import dataclass
from datetime import date

from sqlite_utils import Database

from appliance.safeguarding.attendance import Summary
from appliance.safeguarding.pupil import Contact


@dataclass(frozen=True, slots=True)
class Facts:
    """A pupil's lesser facts."""

    preferred: str | None
    sex: str | None
    sen: str | None
    entered_on: date | None
    address: str | None


@dataclass(frozen=True, slots=True)
class Register:
    """A school year's marks at one academy. year: that in which it began."""

    academy_name: str
    year: int
    marks: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Incident:
    """One behaviour incident. at: ISO date, with the time of day where it is known."""

    at: str
    kind: str
    level: str
    points: int | None
    description: str
    staff: str

    @property
    def day(self) -> date:
        """The day it happened."""
        return date.fromisoformat(self.at[:10])


@dataclass(frozen=True, slots=True)
class Sibling:
    """A pupil who shares a home or a contact. why: which of it, in words."""

    pupil_id: str
    name: str
    year_group: str | None
    why: str


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run of absence without a reason that reaches the last mark."""

    pupil_id: str
    name: str
    year_group: str | None
    reg_group: str | None
    academy_name: str
    begun_on: date
    sessions: int
    summary: Summary


def select_former_academies(db: Database, pupil_id: str) -> list[str]:
    """The ids of the academies in scope that a pupil has left."""
    rows = db.conn.execute("SELECT DISTINCT academy_id FROM scoped_pupil_stay WHERE pupil_id = ?", [pupil_id])
    return [row[0] for row in rows]


def get_facts(db: Database, pupil_id: str) -> Facts | None:
    """The lesser facts of a pupil."""
    row = db.conn.execute(
        "SELECT preferred, sex, sen, entered_on, address FROM scoped_pupil_fact WHERE pupil_id = ?", [pupil_id]
    ).fetchone()
    return Facts(row[0], row[1], row[2], date.fromisoformat(row[3]) if row[3] else None, row[4]) if row else None


def select_contacts(db: Database, pupil_id: str) -> list[Contact]:
    """Who is to be called, in that order; those with parental responsibility before others of the same priority."""
    rows = db.conn.execute(
        "SELECT priority, name, relationship, responsibility, phone, email, address, court_order"
        " FROM scoped_pupil_contact WHERE pupil_id = ? ORDER BY priority, coalesce(responsibility, 0) DESC, name",
        [pupil_id],
    )
    return [
        Contact(row[0], row[1], row[2], None if row[3] is None else bool(row[3]), row[4], row[5], row[6], row[7])
        for row in rows
    ]


def select_siblings(db: Database, pupil_id: str) -> list[Sibling]:
    """Pupils in scope who share the address, or a contact's e-mail address or telephone."""
    rows = db.conn.execute(
        "SELECT p.id, p.forename || ' ' || p.surname, p.year_group, max(f.why) FROM ("
        " SELECT o.pupil_id, 'same address' AS why FROM scoped_pupil_fact f JOIN scoped_pupil_fact o"
        "  ON o.home_key = f.home_key WHERE f.pupil_id = :pupil AND f.home_key IS NOT NULL"
        " UNION SELECT o.pupil_id, 'same contact: ' || c.name FROM scoped_pupil_contact c JOIN scoped_pupil_contact o"
        "  ON o.reach = c.reach WHERE c.pupil_id = :pupil AND c.reach <> '') f"
        " JOIN scoped_pupil p ON p.id = f.pupil_id WHERE f.pupil_id <> :pupil AND p.left_on IS NULL"
        " AND p.merged_into IS NULL GROUP BY p.id ORDER BY p.surname, p.forename LIMIT 20",
        {"pupil": pupil_id},
    )
    return [Sibling(*row) for row in rows]


def select_registers(db: Database, pupil_id: str) -> list[Register]:
    """A pupil's registers, newest first."""
    rows = db.conn.execute(
        "SELECT a.short_name, r.year, r.marks, r.possible, r.attended, r.authorised, r.unauthorised"
        " FROM scoped_attendance r JOIN academy a ON a.id = r.academy_id WHERE r.pupil_id = ? ORDER BY r.year DESC",
        [pupil_id],
    )
    return [Register(row[0], row[1], row[2], Summary(*row[3:])) for row in rows]


def select_totals(db: Database, pupil_id: str) -> list[tuple[int, str, Summary]]:
    """Year, school and sessions of the schools before, newest first."""
    rows = db.conn.execute(
        "SELECT year, school, possible, attended, authorised, unauthorised FROM scoped_attendance_total"
        " WHERE pupil_id = ? ORDER BY year DESC",
        [pupil_id],
    )
    return [(row[0], row[1], Summary(*row[2:])) for row in rows]


def select_behaviour(db: Database, pupil_id: str, begin: date, end: date) -> list[Incident]:
    """Incidents from one day to another, both counted, newest first."""
    rows = db.conn.execute(
        "SELECT at, kind, level, points, description, staff FROM scoped_behaviour"
        " WHERE pupil_id = ? AND at >= ? AND at < ? ORDER BY at DESC LIMIT 200",
        [pupil_id, begin.isoformat(), f"{end.isoformat()}U"],
    )
    return [Incident(*row) for row in rows]


def select_open_runs(db: Database, year: int, at_least: int = 2, limit: int = 200) -> list[OpenRun]:
    """Pupils on roll whose register ends in absence without a reason, the longest first."""
    rows = db.conn.execute(
        "SELECT p.id, p.forename || ' ' || p.surname, p.year_group, p.reg_group, a.short_name, r.run_from,"
        " r.run_sessions, r.possible, r.attended, r.authorised, r.unauthorised"
        " FROM scoped_attendance r JOIN scoped_pupil p ON p.id = r.pupil_id JOIN academy a ON a.id = r.academy_id"
        " WHERE r.year = ? AND r.run_sessions >= 2 AND r.run_sessions >= ? AND p.left_on IS NULL"
        " AND p.merged_into IS NULL ORDER BY r.run_sessions DESC, p.surname LIMIT ?",
        [year, at_least, limit],
    )
    return [
        OpenRun(row[0], row[1], row[2], row[3], row[4], date.fromisoformat(row[5]), row[6], Summary(*row[7:]))
        for row in rows
    ]
