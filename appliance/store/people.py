"""Trusts, academies, staff and their grants, and pupils."""

import json
from dataclasses import dataclass
from datetime import date, datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Grant, Role
from appliance.store.connection import to_text


@dataclass(frozen=True, slots=True)
class Academy:
    """A school of a trust."""

    id: str
    trust_id: str
    name: str
    short_name: str


@dataclass(frozen=True, slots=True)
class Staff:
    """A person who signs in."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Pupil:
    """A child on roll at an academy. flags: vulnerability markers such as "young_carer"."""

    id: str
    academy_id: str
    academy_name: str
    upn: str | None
    surname: str
    forename: str
    born_on: date | None
    year_group: str | None
    reg_group: str | None
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        """Forename and surname."""
        return f"{self.forename} {self.surname}"


def insert_trust(db: Database, trust_id: str, name: str) -> None:
    """Add a trust."""
    db.conn.execute("INSERT INTO trust (id, name) VALUES (?, ?)", [trust_id, name])


def insert_academy(db: Database, academy: Academy, laestab: str | None = None, phase: str | None = None) -> None:
    """Add an academy to its trust."""
    db.conn.execute(
        "INSERT INTO academy (id, trust_id, name, short_name, laestab, phase) VALUES (?, ?, ?, ?, ?, ?)",
        [academy.id, academy.trust_id, academy.name, academy.short_name, laestab, phase],
    )


def select_academies(db: Database) -> list[Academy]:
    """Every academy on the box, by name. Names of schools are no secret; what happens in them is."""
    return [
        Academy(row["id"], row["trust_id"], row["name"], row["short_name"])
        for row in db.query("SELECT * FROM academy ORDER BY name")
    ]


def insert_staff(db: Database, staff: Staff, password_hash: str | None) -> None:
    """Add a member of staff."""
    db.conn.execute(
        "INSERT INTO staff (id, name, email, password_hash) VALUES (?, ?, ?, ?)",
        [staff.id, staff.name, staff.email.lower(), password_hash],
    )


def insert_grant(db: Database, grant_id: str, staff_id: str, grant: Grant, starts_at: datetime) -> None:
    """Give a person a role from a time on."""
    db.conn.execute(
        "INSERT INTO staff_grant (id, staff_id, role, trust_id, academy_id, starts_at) VALUES (?, ?, ?, ?, ?, ?)",
        [grant_id, staff_id, grant.role, grant.trust_id, grant.academy_id, to_text(starts_at)],
    )


def get_password_hash(db: Database, email: str) -> tuple[str, str | None] | None:
    """Staff id and password hash for an e-mail address, unless the account is disabled."""
    row = db.conn.execute(
        "SELECT id, password_hash FROM staff WHERE email = ? AND disabled_at IS NULL", [email.strip().lower()]
    ).fetchone()
    return (row[0], row[1]) if row else None


def get_staff(db: Database, staff_id: str) -> Staff | None:
    """A member of staff by id."""
    row = db.conn.execute("SELECT id, name, email FROM staff WHERE id = ?", [staff_id]).fetchone()
    return Staff(*row) if row else None


def get_actor(db: Database, staff_id: str, now: datetime) -> Actor | None:
    """The person with the grants in force now, or None when the account is gone or disabled."""
    row = db.conn.execute("SELECT name FROM staff WHERE id = ? AND disabled_at IS NULL", [staff_id]).fetchone()
    if row is None:
        return None
    grants = db.conn.execute(
        "SELECT role, trust_id, academy_id FROM staff_grant"
        " WHERE staff_id = :staff AND starts_at <= :now AND (ends_at IS NULL OR ends_at > :now)",
        {"staff": staff_id, "now": to_text(now)},
    ).fetchall()
    trusts: dict[str, set[str]] = {}
    for academy_id, trust_id in db.conn.execute("SELECT id, trust_id FROM academy"):
        trusts.setdefault(trust_id, set()).add(academy_id)
    return Actor(
        staff_id,
        row[0],
        tuple(Grant(Role(role), trust_id, academy_id) for role, trust_id, academy_id in grants),
        {trust_id: frozenset(ids) for trust_id, ids in trusts.items()},
    )


def select_staff_with_role(db: Database, role: Role, academy_id: str, now: datetime) -> list[Staff]:
    """The people who hold a role at an academy now, through a grant there or at its trust."""
    rows = db.conn.execute(
        "SELECT DISTINCT s.id, s.name, s.email FROM staff_grant g JOIN staff s ON s.id = g.staff_id"
        " JOIN academy a ON a.id = :academy"
        " WHERE g.role = :role AND (g.academy_id = a.id OR g.trust_id = a.trust_id) AND s.disabled_at IS NULL"
        " AND g.starts_at <= :now AND (g.ends_at IS NULL OR g.ends_at > :now) ORDER BY s.name",
        {"role": role, "academy": academy_id, "now": to_text(now)},
    )
    return [Staff(*row) for row in rows]


_RECORD_ROLES = (Role.DSL, Role.DEPUTY_DSL, Role.HEAD, Role.STAFF, Role.TRUST_LEAD)


def select_action_owners(db: Database, academy_id: str, now: datetime) -> list[Staff]:
    """The people at an academy who may be asked to do something about a concern, by name."""
    found = {staff.id: staff for role in _RECORD_ROLES for staff in select_staff_with_role(db, role, academy_id, now)}
    return sorted(found.values(), key=lambda staff: staff.name)


def insert_pupil(db: Database, pupil: Pupil) -> None:
    """Add a pupil."""
    db.conn.execute(
        "INSERT INTO scoped_pupil (id, academy_id, upn, surname, forename, born_on, year_group, reg_group, flags)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            pupil.id,
            pupil.academy_id,
            pupil.upn,
            pupil.surname,
            pupil.forename,
            pupil.born_on.isoformat() if pupil.born_on else None,
            pupil.year_group,
            pupil.reg_group,
            json.dumps(pupil.flags),
        ],
    )


def insert_pupil_account(db: Database, row_id: str, pupil: Pupil, account: str) -> None:
    """Add a name that a pupil signs in to devices with."""
    db.conn.execute(
        "INSERT INTO scoped_pupil_account (id, academy_id, account, pupil_id) VALUES (?, ?, ?, ?)",
        [row_id, pupil.academy_id, account.lower(), pupil.id],
    )


def get_pupil_id_of_account(db: Database, academy_id: str, account: str) -> str | None:
    """Whose account this is at the academy, or None: such an event is attributed to nobody."""
    row = db.conn.execute(
        "SELECT pupil_id FROM scoped_pupil_account WHERE academy_id = ? AND account = ?", [academy_id, account.lower()]
    ).fetchone()
    return str(row[0]) if row else None


_PUPIL = "SELECT p.*, a.short_name AS academy_name FROM scoped_pupil p JOIN academy a ON a.id = p.academy_id"


def _pupil(row: dict[str, str]) -> Pupil:
    return Pupil(
        row["id"],
        row["academy_id"],
        row["academy_name"],
        row["upn"],
        row["surname"],
        row["forename"],
        date.fromisoformat(row["born_on"]) if row["born_on"] else None,
        row["year_group"],
        row["reg_group"],
        tuple(json.loads(row["flags"])),
    )


def get_pupil(db: Database, pupil_id: str) -> Pupil | None:
    """A pupil in scope."""
    return next((_pupil(row) for row in db.query(f"{_PUPIL} WHERE p.id = ?", [pupil_id])), None)


def select_pupils(db: Database, name: str = "", limit: int = 200) -> list[Pupil]:
    """Pupils in scope whose forename or surname begins with what was typed, by surname."""
    like = name.strip().replace("\\", "").replace("%", "").replace("_", "") + "%"
    return [
        _pupil(row)
        for row in db.query(
            f"{_PUPIL} WHERE p.surname LIKE :like OR p.forename LIKE :like OR p.forename || ' ' || p.surname LIKE :like"
            " ORDER BY p.surname, p.forename LIMIT :limit",
            {"like": like, "limit": limit},
        )
    ]
