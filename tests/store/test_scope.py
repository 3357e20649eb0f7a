"""Scope lives in the connection: what a person may not see can't be reached by any SQL the portal could run."""

import sqlite3

import pytest

from appliance.safeguarding.access import Role
from appliance.store import events
from appliance.store.connection import MORE_VIEWS, SCOPED_TABLES
from tests.factories import Box


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM {table}",
        "SELECT count(*) FROM {table}",
        "SELECT 1 FROM academy a JOIN {table} t ON t.academy_id = a.id",
        "SELECT (SELECT max(academy_id) FROM {table})",
        "SELECT * FROM scoped_{table} s JOIN {table} t USING (academy_id)",
        "UPDATE {table} SET academy_id = 'ashby'",
        "DELETE FROM {table}",
        "DELETE FROM scoped_{table}",
    ],
)
def test_portal_connection_cannot_reach_a_scoped_table_directly(box: Box, sql: str) -> None:
    db = box.open_as(box.staff(Role.TRUST_LEAD, trust_id="larch"))
    for table in SCOPED_TABLES:
        with pytest.raises(sqlite3.DatabaseError):
            db.conn.execute(sql.format(table=table))


@pytest.mark.parametrize("name", ["scoped_event", "scoped_event_update", "counted_event", "record_part"])
@pytest.mark.parametrize(
    "sql",
    [
        "WITH {name} AS (SELECT * FROM {table}) SELECT * FROM {name}",
        "with/**/{name} AS MATERIALIZED (SELECT * FROM {table}) SELECT * FROM {name}",
        "WITH RECURSIVE {name}(t) AS (SELECT id FROM {table} UNION SELECT 'x') SELECT t FROM {name}",
        "SELECT 1 FROM (WITH {name} AS (SELECT count(*) AS c FROM {table}) SELECT c FROM {name})",
        "SELECT (WITH {name} AS (SELECT max(id) AS c FROM {table}) SELECT c FROM {name})",
        "WITH {name} AS (SELECT * FROM {table}) INSERT INTO attempt SELECT * FROM {name}",
        "WITH {name} AS (SELECT id FROM {table}) UPDATE staff SET name = (SELECT id FROM {name})",
        "EXPLAIN WITH {name} AS (SELECT * FROM {table}) SELECT * FROM {name}",
        "SELECT * FROM (SELECT * FROM {table}) AS {name}",
        "SELECT * FROM {table} AS {name}",
        "SELECT * FROM academy AS {name} JOIN {table} t",
        "SELECT * FROM academy {name} WHERE EXISTS (SELECT 1 FROM {table})",
        "SELECT id AS {name}, (SELECT max(id) FROM {table}) FROM academy",
        "UPDATE staff AS {name} SET name = (SELECT max(id) FROM {table})",
        "INSERT INTO attempt SELECT * FROM {table} RETURNING *",
    ],
)
def test_a_query_called_like_a_view_reads_no_more_than_any_other(box: Box, sql: str, name: str) -> None:
    box.received(typed="a child's own words")
    people = [box.staff(Role.TECHNICIAN, trust_id="larch"), box.staff(Role.DSL, academy_id="ashby"), None]
    for db in (box.open_as(person) for person in people):
        for table in ("event", "vault_entry", "audit"):
            for run in (db.conn.execute, db.conn.cursor().execute, db.conn.executescript, db.execute):
                with pytest.raises(sqlite3.DatabaseError):
                    run(sql.format(name=name, table=table)).fetchall()


def test_connection_without_a_person_sees_nothing(box: Box) -> None:
    db = box.open_as(None)
    for view in [*(f"scoped_{table}" for table in SCOPED_TABLES), *MORE_VIEWS]:
        with pytest.raises(sqlite3.DatabaseError):
            db.conn.execute(f"SELECT * FROM {view}").fetchall()


@pytest.mark.parametrize("sql", ["PRAGMA user_version", "ATTACH ':memory:' AS other", "DROP TABLE event", "VACUUM"])
def test_portal_connection_cannot_change_the_database_itself(box: Box, sql: str) -> None:
    db = box.open_as(box.staff(Role.TRUST_LEAD, trust_id="larch"))
    with pytest.raises(sqlite3.DatabaseError):
        db.conn.execute(sql)


def test_dsl_sees_own_academy_moderator_the_trust_and_nobody_the_other_trust(box: Box) -> None:
    ids = {name: box.received(f"{name}-01") for name in ("ASH", "BIR", "CED")}
    seen_by = {
        "dsl": box.staff(Role.DSL, academy_id="ashby"),
        "moderator": box.staff(Role.MODERATOR, trust_id="larch"),
        "lead": box.staff(Role.TRUST_LEAD, trust_id="larch"),
        "technician": box.staff(Role.TECHNICIAN, trust_id="larch"),
    }
    seen = {who: {event.id for event in events.select_recent(box.open_as(actor))} for who, actor in seen_by.items()}
    whole_trust = {ids["ASH"], ids["BIR"]}
    assert seen == {"dsl": {ids["ASH"]}, "moderator": whole_trust, "lead": set(), "technician": set()}
    assert events.get_event(box.open_as(seen_by["dsl"]), ids["BIR"]) is None


def test_writing_through_a_view_stays_in_scope(box: Box) -> None:
    db = box.open_as(box.staff(Role.DSL, academy_id="ashby"))
    with pytest.raises(sqlite3.IntegrityError, match="outside the scope"):
        db.conn.execute("INSERT INTO scoped_concern_pupil VALUES ('x', 'c', 'p', 'birch')")
    birch = box.received("BIR-01")
    db.conn.execute("UPDATE scoped_event SET state = 'logged' WHERE id = ?", [birch])
    assert box.db.conn.execute("SELECT state FROM event WHERE id = ?", [birch]).fetchone() == ("received",)


def test_what_is_counted_holds_no_pupil_and_no_word(box: Box) -> None:
    db = box.open_as(box.staff(Role.REPORTING, trust_id="larch"))
    box.received("ASH-01", box.pupil().id)
    for view in ("counted_event", "counted_concern"):
        columns = {column[0] for column in db.conn.execute(f"SELECT * FROM {view}").description}
        assert columns <= {
            "academy_id",
            "state",
            "level",
            "category",
            "received_at",
            "owed_at",
            "opened_at",
            "closed_at",
        }
    assert db.conn.execute("SELECT count(*) FROM counted_event").fetchone() == (1,)
    for table in SCOPED_TABLES:
        assert db.conn.execute(f"SELECT count(*) FROM scoped_{table}").fetchone() == (0,), table


def test_nobody_adds_a_row_to_a_record_they_do_not_see(box: Box) -> None:
    lead, pupil = box.staff(Role.TRUST_LEAD, trust_id="larch"), box.pupil()
    db, other = box.open_as(lead), box.pupil()
    rows = {
        "concern_pupil": ("x", "c", other.id, "ashby"),
        "action": ("x", "c", "ashby", "text", "o", None, None, "2026", "o"),
        "vault_entry": ("x", "ashby", "low_level", None, "A", "text", "o", "2026"),
        "concern_report": ("x", "ashby", None, "A", "text", lead.staff_id, "2026", None, None, None),
    }
    for opened in (False, True):
        if opened:
            opening = ("o1", lead.staff_id, "ashby", pupil.id, "2026-11-23T09:00:00", "2026-11-23T18:00:00")
            box.db.conn.execute("INSERT INTO record_opening VALUES (?, ?, ?, ?, ?, ?)", opening)
            db = box.open_as(box.actor(lead.staff_id))
        for table, values in rows.items():
            with pytest.raises(sqlite3.IntegrityError, match="outside the scope"):
                db.conn.execute(f"INSERT INTO scoped_{table} VALUES ({', '.join('?' for _ in values)})", values)


def test_grant_taken_away_works_at_the_next_open(box: Box) -> None:
    box.received()
    dsl = box.staff(Role.DSL, academy_id="ashby")
    assert len(events.select_recent(box.open_as(dsl))) == 1
    box.db.conn.execute("UPDATE staff_grant SET ends_at = '2026-11-23T09:00:00' WHERE staff_id = ?", [dsl.staff_id])
    assert events.select_recent(box.open_as(box.actor(dsl.staff_id))) == []
