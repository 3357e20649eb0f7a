"""Who is on a trust's roll, read by the box itself for matching a file against it."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlite_utils import Database


@dataclass(frozen=True, slots=True)
class OnRoll:
    """What finds a pupil. born_on: ISO date."""

    pupil_id: str
    academy_id: str
    upn: str | None
    former_upn: str | None
    mis_id: str | None
    surname: str
    forename: str
    born_on: str | None


def select_roll(db: Database, trust_id: str) -> Iterator[OnRoll]:
    """Every pupil of a trust, leavers too; not those whose record became part of another."""
    rows = db.conn.execute(
        "SELECT p.id, p.academy_id, p.upn, p.former_upn, p.mis_id, p.surname, p.forename, p.born_on FROM pupil p"
        " JOIN academy a ON a.id = p.academy_id WHERE a.trust_id = ? AND p.merged_into IS NULL",
        [trust_id],
    )
    return (OnRoll(*row) for row in rows)


def select_decided(db: Database, trust_id: str) -> dict[str, str]:
    """Whom rows were decided to be by a person, by the proposal's id."""
    rows = db.conn.execute(
        "SELECT m.id, m.decided_pupil_id FROM mis_proposal m JOIN academy a ON a.id = m.academy_id"
        " WHERE a.trust_id = ? AND m.decided_pupil_id IS NOT NULL",
        [trust_id],
    )
    return dict(rows.fetchall())


def select_present(db: Database, academy_id: str) -> dict[str, str]:
    """Id and name of the pupils at an academy who have not left."""
    rows = db.conn.execute(
        "SELECT id, surname || ', ' || forename FROM pupil"
        " WHERE academy_id = ? AND left_on IS NULL AND merged_into IS NULL",
        [academy_id],
    )
    return dict(rows.fetchall())


def select_laestabs(db: Database, trust_id: str) -> dict[str, str]:
    """The academies of a trust by their LAESTAB."""
    rows = db.conn.execute("SELECT laestab, id FROM academy WHERE trust_id = ? AND laestab IS NOT NULL", [trust_id])
    return dict(rows.fetchall())


def select_contacts_of(db: Database, pupil_id: str) -> list[tuple[object, ...]]:
    """A pupil's contacts as they stand, in the order of their ids."""
    rows = db.conn.execute(
        "SELECT id, priority, name, relationship, responsibility, phone, email, address, court_order"
        " FROM pupil_contact WHERE pupil_id = ? ORDER BY id",
        [pupil_id],
    )
    return [tuple(row) for row in rows]


def get_account(db: Database, academy_id: str, account: str) -> tuple[str, str, bool] | None:
    """Id, pupil and whether it holds of a device account at an academy."""
    row = db.conn.execute(
        "SELECT id, pupil_id, ended_at IS NULL FROM pupil_account WHERE academy_id = ? AND account = ?",
        [academy_id, account],
    ).fetchone()
    return (row[0], row[1], bool(row[2])) if row else None


def get_marks(db: Database, register_id: str) -> str | None:
    """The marks of a register, or None."""
    row = db.conn.execute("SELECT marks FROM attendance WHERE id = ?", [register_id]).fetchone()
    return str(row[0]) if row else None


def select_rows_of(db: Database, table: str, pupil_id: str) -> list[str]:
    """The keys of a table's rows that hang on a pupil."""
    return [row[0] for row in db.conn.execute(f"SELECT id FROM {table} WHERE pupil_id = ?", [pupil_id])]


_LIKE = {
    "attendance": "year = (SELECT year FROM attendance WHERE id = :key)"
    " AND academy_id = (SELECT academy_id FROM attendance WHERE id = :key)",
    "concern_pupil": "concern_id = (SELECT concern_id FROM concern_pupil WHERE id = :key)",
}


def has_its_like(db: Database, table: str, key: str, pupil_id: str) -> bool:
    """Whether another pupil has a row of their own in this one's place, so that it can't be moved there."""
    if table not in _LIKE:
        return False
    query = f"SELECT 1 FROM {table} WHERE pupil_id = :pupil AND {_LIKE[table]}"
    return db.conn.execute(query, {"pupil": pupil_id, "key": key}).fetchone() is not None
