"""Trusts, academies, staff and their grants, and pupils."""

import json
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Grant, Role, shut_records
from appliance.store.connection import to_text
from appliance.store.records import select_locks, select_openings


@dataclass(frozen=True, slots=True)
class Academy:
    """A school of a trust. urn and laestab: its numbers in GIAS."""

    id: str
    trust_id: str
    name: str
    short_name: str
    urn: str | None = None
    laestab: str | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Staff:
    """A person who signs in. disabled: whether the account is switched off."""

    id: str
    name: str
    email: str
    disabled: bool = False


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


def select_trusts(db: Database) -> list[tuple[str, str]]:
    """Id and name of every trust on the box, by name."""
    return [(row[0], row[1]) for row in db.conn.execute("SELECT id, name FROM trust ORDER BY name, id")]


def select_academies(db: Database) -> list[Academy]:
    """Every academy on the box, by name. Names of schools are no secret; what happens in them is."""
    return [
        Academy(row["id"], row["trust_id"], row["name"], row["short_name"], row["urn"], row["laestab"], row["phase"])
        for row in db.query("SELECT * FROM academy ORDER BY name")
    ]


def insert_staff(db: Database, staff: Staff, password_hash: str | None) -> None:
    """Add a member of staff."""
    db.conn.execute(
        "INSERT INTO staff (id, name, email, password_hash) VALUES (?, ?, ?, ?)",
        [staff.id, staff.name, staff.email.lower(), password_hash],
    )


def get_password_hash(db: Database, email: str) -> tuple[str, str | None] | None:
    """Staff id and password hash for an e-mail address, unless the account is disabled."""
    row = db.conn.execute(
        "SELECT id, password_hash FROM staff WHERE email = ? AND disabled_at IS NULL", [email.strip().lower()]
    ).fetchone()
    return (row[0], row[1]) if row else None


def count_staff(db: Database) -> int:
    """How many people have an account on the box, disabled ones too."""
    return int(db.conn.execute("SELECT count(*) FROM staff").fetchone()[0])


def get_staff(db: Database, staff_id: str) -> Staff | None:
    """A member of staff by id."""
    row = db.conn.execute(f"SELECT {_STAFF} FROM staff WHERE id = ?", [staff_id]).fetchone()
    return _staff(row) if row else None


def get_staff_by_email(db: Database, email: str) -> Staff | None:
    """Whose e-mail address this is, whether the account is switched off or not."""
    row = db.conn.execute(f"SELECT {_STAFF} FROM staff WHERE email = ?", [email.strip().lower()]).fetchone()
    return _staff(row) if row else None


_STAFF = "id, name, email, disabled_at IS NOT NULL"


def _staff(row: tuple[str, str, str, int]) -> Staff:
    return Staff(row[0], row[1], row[2], bool(row[3]))


def set_staff_disabled(db: Database, staff_id: str, disabled_at: datetime | None) -> bool:
    """Switch an account off, or on again with None. Returns whether that changed anything."""
    done = db.conn.execute(
        "UPDATE staff SET disabled_at = :at WHERE id = :id AND (disabled_at IS NULL) <> (:at IS NULL)",
        {"at": to_text(disabled_at) if disabled_at else None, "id": staff_id},
    )
    return done.rowcount == 1


def get_actor(db: Database, staff_id: str, now: datetime) -> Actor | None:
    """The person with the grants, openings and locks in force now, or None when the account is gone or disabled."""
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
    actor = Actor(
        staff_id,
        row[0],
        tuple(Grant(Role(role), of_trust, of_academy) for role, of_trust, of_academy in grants),
        {trust_id: frozenset(ids) for trust_id, ids in trusts.items()},
        select_openings(db, staff_id, now),
    )
    return replace(actor, shut=shut_records(actor, select_locks(db, now)))


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


_KEEPER_ROLES = (Role.DSL, Role.DEPUTY_DSL, Role.TRUST_LEAD)


def select_record_keepers(db: Database, academy_id: str, now: datetime) -> list[Staff]:
    """The people at an academy to whom a locked record can be opened by name."""
    found = {staff.id: staff for role in _KEEPER_ROLES for staff in select_staff_with_role(db, role, academy_id, now)}
    return sorted(found.values(), key=lambda staff: staff.name)


def select_staff_at(db: Database, academy_id: str, now: datetime) -> list[Staff]:
    """Everyone with a role at an academy itself now, by name."""
    rows = db.conn.execute(
        "SELECT DISTINCT s.id, s.name, s.email FROM staff_grant g JOIN staff s ON s.id = g.staff_id"
        " WHERE g.academy_id = :academy AND s.disabled_at IS NULL AND g.starts_at <= :now"
        " AND (g.ends_at IS NULL OR g.ends_at > :now) ORDER BY s.name",
        {"academy": academy_id, "now": to_text(now)},
    )
    return [Staff(*row) for row in rows]


def get_academy_name(db: Database, academy_id: str) -> str:
    """The name of an academy; empty when there is no such academy."""
    row = db.conn.execute("SELECT name FROM academy WHERE id = ?", [academy_id]).fetchone()
    return str(row[0]) if row else ""


def get_trust_of_academy(db: Database, academy_id: str) -> str:
    """The trust an academy belongs to; empty when there is no such academy."""
    row = db.conn.execute("SELECT trust_id FROM academy WHERE id = ?", [academy_id]).fetchone()
    return str(row[0]) if row else ""


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
        "SELECT pupil_id FROM scoped_pupil_account WHERE academy_id = ? AND account = ? AND ended_at IS NULL",
        [academy_id, account.lower()],
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
            f"{_PUPIL} WHERE p.merged_into IS NULL AND (p.surname LIKE :like OR p.forename LIKE :like"
            " OR p.forename || ' ' || p.surname LIKE :like) ORDER BY p.surname, p.forename LIMIT :limit",
            {"like": like, "limit": limit},
        )
    ]
