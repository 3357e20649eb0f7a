"""The schema can be made, made again, and refuses to be used when it is old."""

from pathlib import Path

import pytest

from appliance.store.connection import SCOPED_TABLES, StoreError, open_system
from appliance.store.migrations import migrate, migrations, require_current
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


def test_an_old_schema_is_refused(tmp_path: Path) -> None:
    db = open_system(tmp_path / "box.db")
    migrations.apply(db, stop_before=migrations.pending(db)[-1].name)
    with pytest.raises(StoreError, match="appliance migrate"):
        require_current(db)


def test_every_table_with_an_academy_is_scoped(box: Box) -> None:
    open_to_all = {"staff_grant"}
    with_academy = {
        table.name
        for table in box.db.tables
        if "academy_id" in {column.name for column in table.columns} and table.name not in open_to_all
    }
    assert with_academy == set(SCOPED_TABLES)
