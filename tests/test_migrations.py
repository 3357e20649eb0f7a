"""The schema can be made, made again, and refuses to be used when it is old."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.store.connection import SCOPED_TABLES, StoreError, open_system
from appliance.store.credentials import select_credential_kinds
from appliance.store.migrations import migrate, migrations, require_current
from appliance.store.people import get_pupil_id_of_account, select_pupils
from appliance.store.sessions import select_sessions
from appliance.workflow.sign_in import begin_session
from tests.factories import Box


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    db = open_system(tmp_path / "box.db")
    assert migrate(db)
    before = db.schema
    assert migrate(db) == []
    assert db.schema == before
    require_current(db)


def test_a_box_with_rows_keeps_them_when_migrated_again(box: Box) -> None:
    event_id = box.received()
    migrate(box.db)
    assert box.db.conn.execute("SELECT count(*) FROM event WHERE id = ?", [event_id]).fetchone() == (1,)


def test_people_of_the_first_schema_can_sign_in_and_are_asked_for_a_second_factor(tmp_path: Path) -> None:
    db = open_system(tmp_path / "box.db")
    migrations.apply(db, stop_before="m0002_sign_in")
    db.conn.execute("INSERT INTO staff (id, name, email) VALUES ('sam', 'Sam', 'sam@school.example')")
    migrate(db)
    at = datetime(2026, 11, 23, tzinfo=UTC)
    begin_session(db, "sam", "password", "192.0.2.1", "a browser", at)
    assert len(select_sessions(db, "sam", at - timedelta(days=1))) == 1
    assert select_credential_kinds(db, "sam") == frozenset()


def test_an_old_schema_is_refused(tmp_path: Path) -> None:
    db = open_system(tmp_path / "box.db")
    migrations.apply(db, stop_before=migrations.pending(db)[-1].name)
    with pytest.raises(StoreError, match="appliance migrate"):
        require_current(db)


def test_every_table_with_an_academy_is_scoped(box: Box) -> None:
    # rights, not records: they are read to find out what the person's scope is
    open_to_all = {"staff_grant", "record_opening", "record_lock"}
    with_academy = {
        table.name
        for table in box.db.tables
        if "academy_id" in {column.name for column in table.columns} and table.name not in open_to_all
    }
    assert with_academy == set(SCOPED_TABLES)


def test_mis_tables_come_to_a_box_with_pupils_and_accounts_on_it(tmp_path: Path) -> None:
    db = open_system(tmp_path / "box.db")
    migrations.apply(db, stop_before="m0007_mis")
    db.conn.execute("INSERT INTO trust (id, name) VALUES ('t', 'Trust')")
    db.conn.execute("INSERT INTO academy (id, trust_id, name, short_name) VALUES ('a', 't', 'Academy', 'A')")
    db.conn.execute("INSERT INTO pupil (id, academy_id, surname, forename, flags) VALUES ('p', 'a', 'S', 'F', '[]')")
    db.conn.execute("INSERT INTO pupil_account (id, academy_id, account, pupil_id) VALUES ('u', 'a', 'sam', 'p')")
    migrate(db)
    assert [one.name for one in select_pupils(db)] == ["F S"]
    assert get_pupil_id_of_account(db, "a", "SAM") == "p"
