"""Trusts and their academies. Names of schools are no secret; what happens in them is."""

from dataclasses import dataclass

from sqlite_utils import Database

from appliance.store.people import Academy


@dataclass(frozen=True, slots=True)
class Trust:
    """A group of academies. gias_code: how GIAS names it ("Trusts (code)"), if it came from there."""

    id: str
    name: str
    gias_code: str | None = None


def get_trust(db: Database, trust_id: str) -> Trust | None:
    """A trust by its id."""
    row = db.conn.execute("SELECT id, name, gias_code FROM trust WHERE id = ?", [trust_id]).fetchone()
    return Trust(*row) if row else None


def get_trust_by_code(db: Database, gias_code: str) -> Trust | None:
    """A trust by GIAS's code."""
    row = db.conn.execute("SELECT id, name, gias_code FROM trust WHERE gias_code = ?", [gias_code]).fetchone()
    return Trust(*row) if row else None


def insert_trust(db: Database, trust: Trust) -> None:
    """Add a trust."""
    db.conn.execute("INSERT INTO trust (id, name, gias_code) VALUES (?, ?, ?)", [trust.id, trust.name, trust.gias_code])


def set_trust_code(db: Database, trust_id: str, gias_code: str) -> None:
    """Note how GIAS names a trust."""
    db.conn.execute("UPDATE trust SET gias_code = ? WHERE id = ?", [gias_code, trust_id])


def select_academies_of(db: Database, trust_id: str) -> list[Academy]:
    """The academies of a trust, by name."""
    rows = db.conn.execute(
        "SELECT id, trust_id, name, short_name, urn, laestab, phase FROM academy WHERE trust_id = ? ORDER BY name, id",
        [trust_id],
    )
    return [Academy(*row) for row in rows]


def get_academy_by_urn(db: Database, urn: str) -> Academy | None:
    """An academy by its URN, whatever trust of the box it belongs to."""
    row = db.conn.execute(
        "SELECT id, trust_id, name, short_name, urn, laestab, phase FROM academy WHERE urn = ?", [urn]
    ).fetchone()
    return Academy(*row) if row else None


def insert_academy(db: Database, academy: Academy) -> None:
    """Add an academy."""
    db.conn.execute(
        "INSERT INTO academy (id, trust_id, name, short_name, urn, laestab, phase) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            academy.id,
            academy.trust_id,
            academy.name,
            academy.short_name,
            academy.urn,
            academy.laestab,
            academy.phase,
        ],
    )


def get_languages(db: Database, academy_id: str) -> tuple[str, ...]:
    """The languages an academy chose for reading its screens, by Tesseract's names; none where it chose none."""
    row = db.conn.execute("SELECT ocr_languages FROM academy WHERE id = ?", [academy_id]).fetchone()
    return tuple(row[0].split("+")) if row and row[0] else ()


def select_chosen_languages(db: Database) -> list[tuple[str, tuple[str, ...]]]:
    """Name and languages of every academy that chose some, by name."""
    rows = db.conn.execute("SELECT name, ocr_languages FROM academy WHERE ocr_languages IS NOT NULL ORDER BY name")
    return [(row[0], tuple(row[1].split("+"))) for row in rows]


def set_languages(db: Database, academy_id: str, languages: tuple[str, ...]) -> None:
    """Store the languages an academy's screens are read in."""
    db.conn.execute("UPDATE academy SET ocr_languages = ? WHERE id = ?", ["+".join(languages) or None, academy_id])


def set_academy_facts(db: Database, academy: Academy) -> None:
    """Store an academy's name, numbers and phase as they are now."""
    db.conn.execute(
        "UPDATE academy SET name = ?, short_name = ?, urn = ?, laestab = ?, phase = ? WHERE id = ?",
        [academy.name, academy.short_name, academy.urn, academy.laestab, academy.phase, academy.id],
    )
