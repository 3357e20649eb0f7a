"""The audit trail: appended to, never changed, and a change from outside is named."""

import sqlite3

import pytest

from appliance.safeguarding.access import Role
from appliance.store.audit import append_audit, check_chain, select_audit
from appliance.store.connection import transaction
from appliance.workflow.look import note_look
from tests.factories import NOW, Box


def trail(box: Box, entries: int = 6) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    for number in range(entries):
        note_look(box.db, dsl, "event:viewed", f"event:{number}", "ashby", NOW)


def test_a_whole_trail_holds(box: Box) -> None:
    trail(box)
    assert check_chain(box.db) is None


@pytest.mark.parametrize(
    ("tampering", "seq"),
    [
        ("UPDATE audit SET subject = 'event:9' WHERE seq = 4", 4),
        ("UPDATE audit SET at = '2020-01-01' WHERE seq = 3", 3),
        ("UPDATE audit SET places = NULL WHERE seq = 1", 1),
        ("UPDATE audit SET places = '[\"maple\"]' WHERE seq = 2", 2),
        ("UPDATE audit SET places = '[]' WHERE seq = 4", 4),
        ("DELETE FROM audit WHERE seq = 5", 5),
        ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", 8),
        ("UPDATE audit SET seq = CASE seq WHEN 4 THEN 400 WHEN 5 THEN 4 ELSE seq END WHERE seq IN (4, 5)", 4),
        ("INSERT INTO audit SELECT seq + 1, at, actor_id, kind, subject, academy_id, detail, previous_hash, hash,"
         " places FROM audit WHERE seq = (SELECT max(seq) FROM audit)", 9),
    ],
)  # fmt: skip
def test_tampering_in_the_file_is_named(box: Box, tampering: str, seq: int) -> None:
    trail(box)
    assert box.db.conn.execute("SELECT max(seq) FROM audit").fetchone() == (8,)
    box.db.conn.executescript("DROP TRIGGER audit_never_changed; DROP TRIGGER audit_never_deleted;")
    box.db.conn.execute(tampering)
    fault = check_chain(box.db)
    assert fault is not None and fault.seq == seq


def test_entries_cannot_be_changed_or_deleted(box: Box) -> None:
    trail(box, 1)
    for sql in ("UPDATE audit SET kind = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            box.db.conn.execute(sql)


def test_an_entry_outside_a_transaction_is_refused(box: Box) -> None:
    from appliance.safeguarding.audit import AuditEntry

    with pytest.raises(RuntimeError):
        append_audit(box.db, AuditEntry("x", "event:viewed", "event:1", None, NOW))


def test_a_failed_change_leaves_no_entry(box: Box) -> None:
    from appliance.safeguarding.audit import AuditEntry

    with pytest.raises(ZeroDivisionError), transaction(box.db):
        append_audit(box.db, AuditEntry("x", "event:viewed", "event:1", None, NOW))
        raise ZeroDivisionError
    assert box.db.conn.execute("SELECT count(*) FROM audit").fetchone() == (0,)


def test_dsl_reads_only_the_entries_of_their_academy(box: Box) -> None:
    box.received("ASH-01")
    box.received("BIR-01")
    dsl = box.staff(Role.DSL, academy_id="ashby")
    assert {entry.academy_id for entry in select_audit(box.open_as(dsl))} == {"ashby"}
