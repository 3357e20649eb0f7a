"""Scope lives in the connection: what a person may not see can't be reached by any SQL the portal could run."""

import sqlite3

import pytest

from appliance.safeguarding.access import Role
from appliance.store import events
from appliance.store.connection import SCOPED_TABLES
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


def test_connection_without_a_person_sees_nothing(box: Box) -> None:
    db = box.open_as(None)
    for table in SCOPED_TABLES:
        with pytest.raises(sqlite3.DatabaseError):
            db.conn.execute(f"SELECT * FROM scoped_{table}").fetchall()


@pytest.mark.parametrize("sql", ["PRAGMA user_version", "ATTACH ':memory:' AS other", "DROP TABLE event", "VACUUM"])
def test_portal_connection_cannot_change_the_database_itself(box: Box, sql: str) -> None:
    db = box.open_as(box.staff(Role.TRUST_LEAD, trust_id="larch"))
    with pytest.raises(sqlite3.DatabaseError):
        db.conn.execute(sql)


def test_dsl_sees_own_academy_trust_lead_the_trust_and_nobody_the_other_trust(box: Box) -> None:
    ids = {name: box.received(f"{name}-01") for name in ("ASH", "BIR", "CED")}
    seen_by = {
        "dsl": box.staff(Role.DSL, academy_id="ashby"),
        "lead": box.staff(Role.TRUST_LEAD, trust_id="larch"),
        "technician": box.staff(Role.TECHNICIAN, trust_id="larch"),
    }
    seen = {who: {event.id for event in events.select_recent(box.open_as(actor))} for who, actor in seen_by.items()}
    assert seen == {"dsl": {ids["ASH"]}, "lead": {ids["ASH"], ids["BIR"]}, "technician": set()}
    assert events.get_event(box.open_as(seen_by["dsl"]), ids["BIR"]) is None


def test_writing_through_a_view_stays_in_scope(box: Box) -> None:
    db = box.open_as(box.staff(Role.DSL, academy_id="ashby"))
    with pytest.raises(sqlite3.IntegrityError, match="outside the scope"):
        db.conn.execute("INSERT INTO scoped_concern_pupil VALUES ('x', 'c', 'p', 'birch')")
    birch = box.received("BIR-01")
    db.conn.execute("UPDATE scoped_event SET state = 'logged' WHERE id = ?", [birch])
    assert box.db.conn.execute("SELECT state FROM event WHERE id = ?", [birch]).fetchone() == ("received",)


def test_grant_taken_away_works_at_the_next_open(box: Box) -> None:
    box.received()
    dsl = box.staff(Role.DSL, academy_id="ashby")
    assert len(events.select_recent(box.open_as(dsl))) == 1
    box.db.conn.execute("UPDATE staff_grant SET ends_at = '2026-11-23T09:00:00' WHERE staff_id = ?", [dsl.staff_id])
    assert events.select_recent(box.open_as(box.actor(dsl.staff_id))) == []
