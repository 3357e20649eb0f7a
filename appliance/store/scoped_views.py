"""Drawing the views through which alone a person's connection reaches the scoped tables.

Every view asks for the academy. Beside it: a trust's lead sees only records opened with a reason (``partly`` and
``opened``), nobody sees a record that is shut to them (``shut``), and some rows are a person's own (``me``). A row
under an event or a concern is seen by whoever sees that. docs/adr/0008 says why it is done here.
"""

from sqlite_utils import Database

from appliance.safeguarding.access import Permission
from appliance.store.connection import SCOPED_TABLES

_OF_EVENT = frozenset({"capture", "reading", "score", "verdict"})
_OF_CONCERN = frozenset({"action", "concern_event", "referral"})
_OF_PUPIL = frozenset({"account_claim", "attendance", "attendance_total", "behaviour", "pupil_contact", "pupil_fact"})
_AUDIT = "audit:view"


def draw_scoped_views(db: Database) -> None:
    """Draw every view and its triggers anew, so that none can be forgotten or go stale. Inside a transaction."""
    for table, permission in SCOPED_TABLES.items():
        columns = [row[1] for row in db.conn.execute(f"PRAGMA table_info({table})")]
        db.conn.execute(f"DROP VIEW IF EXISTS scoped_{table}")
        if table == "audit":
            db.conn.execute(f"CREATE VIEW scoped_audit AS {_AUDIT_ROWS}")
            continue
        shown = ", ".join(_MASKED.get((table, column), column) for column in columns)
        db.conn.execute(
            f"CREATE VIEW scoped_{table} AS SELECT {shown} FROM {table} WHERE {_seen(table, permission, table)}"
        )
        _draw_triggers(db, table, permission, columns)
    for name, select in _MORE.items():
        db.conn.execute(f"DROP VIEW IF EXISTS {name}")
        db.conn.execute(f"CREATE VIEW {name} AS {select}")


def _draw_triggers(db: Database, table: str, permission: Permission, columns: list[str]) -> None:
    key = columns[0]
    refuse = "SELECT RAISE(ABORT, 'outside the scope of {}') WHERE NOT ({})"
    new = ", ".join(f"NEW.{column}" for column in columns)
    db.conn.execute(
        f"CREATE TRIGGER scoped_{table}_insert INSTEAD OF INSERT ON scoped_{table} BEGIN "
        f"{refuse.format(permission, _may_add(table, permission))}; "
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({new}); END"
    )
    allowed = _inside(permission, "NEW")
    if table == "pupil":
        # who is not shown the markers must not write back the blank they see in their place
        allowed += f" AND {_record('pupil', 'event:view', 'OLD')}"
    assignments = ", ".join(f"{column} = NEW.{column}" for column in columns if column != key)
    db.conn.execute(
        f"CREATE TRIGGER scoped_{table}_update INSTEAD OF UPDATE ON scoped_{table} BEGIN "
        f"{refuse.format(permission, allowed)}; UPDATE {table} SET {assignments} WHERE {key} = OLD.{key}; END"
    )


def _set(function: str) -> str:
    return f"(SELECT value FROM json_each({function}))"


def _inside(permission: str, row: str) -> str:
    scope = f"scope('{permission}')"
    return f"{row}.academy_id IN {_set(scope)}"


def _open(permission: str, row: str, opened: str) -> str:
    """Whether a record needs no opening here, or ``opened`` holds. The first test is made once, not for each row."""
    partly = f"partly('{permission}')"
    return f"({partly} = '[]' OR {row}.academy_id NOT IN {_set(partly)} OR {opened})"


def _unless_shut(*tests: str) -> str:
    return f"(shut() = '[]' OR ({' AND '.join(tests)}))"


def _record(kind: str, permission: str, row: str) -> str:
    """Academy, opening and lock of one pupil, event, concern or report."""
    shut, opened = _set("shut()"), _set("opened()")
    if kind == "concern":
        is_open = f"EXISTS (SELECT 1 FROM concern_pupil n WHERE n.concern_id = {row}.id AND n.pupil_id IN {opened})"
        # found once for a statement, not once for a row: few records are locked, and many rows are not
        tests = [
            f"{row}.id NOT IN {shut}",
            f"{row}.id NOT IN (SELECT concern_id FROM concern_pupil WHERE pupil_id IN {shut})",
        ]
    else:
        subject = f"{row}.id" if kind == "pupil" else f"coalesce({row}.pupil_id, {row}.id)"
        is_open = f"{subject} IN {opened}"
        # IN, turned round, as NOT IN looks for a NULL in the set at every row: a third of a long list's time
        tests = [f"({row}.{'id' if kind == 'pupil' else 'pupil_id'} IN {shut}) IS NOT TRUE"]
    if kind == "event":
        evidence = f"SELECT event_id FROM concern_event WHERE concern_id IN {shut}"
        tests.append(f"({row}.id IN ({evidence})) IS NOT TRUE")
    return f"{_inside(permission, row)} AND {_open(permission, row, is_open)} AND {_unless_shut(*tests)}"


def _mine(row: str) -> str:
    return f"({_inside('concern:report', row)} AND {row}.reported_by = me())"


def _seen(table: str, permission: Permission, row: str) -> str:
    """The condition under which a row of the table is seen."""
    inside = _inside(permission, row)
    if table in ("event", "concern"):
        return _record(table, permission, row)
    if table in _OF_EVENT:
        return f"{inside} AND EXISTS (SELECT 1 FROM scoped_event e WHERE e.id = {row}.event_id)"
    if table in _OF_CONCERN or table == "concern_pupil":
        return f"{inside} AND EXISTS (SELECT 1 FROM scoped_concern c WHERE c.id = {row}.concern_id)"
    if table == "concern_report":
        return f"({_record('report', permission, row)}) OR {_mine(row)}"
    if table == "notice":
        return f"{inside} AND (me() = '' OR {row}.staff_id = me())"
    if table in _OF_PUPIL:
        # part of the pupil's record: opened and locked with it
        opened, shut = _set("opened()"), _set("shut()")
        is_open = _open(permission, row, f"{row}.pupil_id IN {opened}")
        return f"{inside} AND {is_open} AND {_unless_shut(f'{row}.pupil_id NOT IN {shut}')}"
    if table == "pupil" and row == "pupil":
        # an academy that a pupil has left keeps sight of the name, for its own part of the record
        stays = f"SELECT s.pupil_id FROM pupil_stay s WHERE {_inside(permission, 's')}"
        return f"({inside} OR {row}.id IN ({stays}))"
    if table == "vault_entry":
        return f"{inside} AND ({row}.about_id IS NULL OR {row}.about_id <> me())"
    if table == "vault_note":
        return f"{inside} AND EXISTS (SELECT 1 FROM scoped_vault_entry v WHERE v.id = {row}.entry_id)"
    return inside


def _may_add(table: str, permission: Permission) -> str:
    """The condition under which a row may be added; it differs from being seen where nothing hangs on the row yet."""
    if table in ("event", "concern", "vault_entry"):
        return _inside(permission, "NEW")
    if table == "concern_pupil":
        is_open = _open(permission, "NEW", f"NEW.pupil_id IN {_set('opened()')}")
        return f"{_inside(permission, 'NEW')} AND {is_open} AND NEW.pupil_id NOT IN {_set('shut()')}"
    if table == "concern_report":
        return _mine("NEW")
    if table == "notice":
        return f"{_inside(permission, 'NEW')} OR {_inside('concern:report', 'NEW')}"
    return _seen(table, permission, "NEW")


_MASKED = {
    ("pupil", "flags"): f"CASE WHEN {_record('pupil', 'event:view', 'pupil')} THEN flags ELSE '[]' END AS flags",
}
"""Columns that show less to some who see the row: a pupil's markers are part of the record, the name is on the roll."""

_TRUSTS = _set(f"trusts('{_AUDIT}')")
_OF_VAULT = "substr(audit.kind, 1, 6) = 'vault:'"

KEPT_BACK = '{"kept back":"shown to those who may open the record"}'
"""In place of the detail of an entry about a record that isn't open to the one who reads the trail."""

_ID = "substr(audit.subject, instr(audit.subject, ':') + 1)"
_OPEN_TO_ME = " ".join(
    f"WHEN '{kind}' THEN EXISTS (SELECT 1 FROM {table} x WHERE x.id = {_ID}{more})"
    for kind, table, more in (
        ("pupil", "pupil", f" AND {_record('pupil', 'event:view', 'x')}"),
        ("event", "scoped_event", ""),
        ("concern", "scoped_concern", ""),
        ("action", "scoped_action", ""),
        ("referral", "scoped_referral", ""),
        ("report", "scoped_concern_report", ""),
    )
)
_TOLD_OF_GLASS = """
    audit.kind IN ('record:break_glass', 'record:locked') AND EXISTS (SELECT 1 FROM notice n
        WHERE n.subject = audit.subject AND n.staff_id = me() AND n.kind = 'record:break_glass')
"""
_AUDIT_COLUMNS = f"""
    seq, at, actor_id, kind, subject, academy_id,
    CASE WHEN detail = '{{}}' OR actor_id = me()
        OR CASE substr(subject, 1, instr(subject, ':') - 1) {_OPEN_TO_ME} ELSE 1 END
        OR ({_TOLD_OF_GLASS})
    THEN detail ELSE '{KEPT_BACK}' END AS detail, previous_hash, hash, places
"""
"""Who did what to which record, and when, is told to whoever audits the place; what it says of the record, a reason or
a level, only to those the record is open to, to the one who did it, and to the second person told of a broken glass."""

_AUDIT_ROWS = f"""
    SELECT {_AUDIT_COLUMNS} FROM audit WHERE {_inside(_AUDIT, "audit")} AND NOT {_OF_VAULT}
    UNION ALL
    SELECT {_AUDIT_COLUMNS} FROM audit WHERE academy_id IS NULL AND NOT {_OF_VAULT} AND (
        EXISTS (SELECT 1 FROM json_each(audit.places) p
            WHERE p.value IN {_TRUSTS} OR p.value IN {_set(f"scope('{_AUDIT}')")})
        OR (trusts('{_AUDIT}') <> '[]' AND NOT EXISTS (SELECT 1 FROM trust t WHERE t.id NOT IN {_TRUSTS})))
    UNION ALL
    SELECT * FROM audit WHERE {_inside("vault:view", "audit")} AND {_OF_VAULT}
        AND subject <> 'staff:' || me() AND (substr(subject, 1, 6) <> 'vault:'
        OR EXISTS (SELECT 1 FROM scoped_vault_entry v WHERE v.id = substr(audit.subject, 7)))
"""
"""What is told of an academy; where no academy is named, in the places it was written for, and else to who audits every
trust of the box; and of the vault, to who may open the entry it speaks of, and not to the one it is about."""


def _parts(permission: str, of_concern: bool) -> str:
    """Which ids belong to which pupil: no word of what they hold."""
    selects = [
        f"SELECT 'pupil' AS kind, id, id AS pupil_id, academy_id FROM pupil WHERE {_inside(permission, 'pupil')}",
        f"SELECT 'event', id, pupil_id, academy_id FROM event WHERE {_inside(permission, 'event')}",
        "SELECT 'concern', concern_id, pupil_id, academy_id FROM concern_pupil"
        f" WHERE {_inside(permission, 'concern_pupil')}",
    ]
    if not of_concern:
        # the second column is the concern's id here
        selects.append(
            "SELECT 'evidence', event_id, concern_id, academy_id FROM concern_event"
            f" WHERE {_inside(permission, 'concern_event')}"
        )
    else:
        selects += [
            f"SELECT '{table}', x.id, n.pupil_id, x.academy_id FROM concern_pupil n JOIN {table} x"
            f" ON x.concern_id = n.concern_id WHERE {_inside(permission, 'x')}"
            for table in ("action", "referral")
        ]
        selects.append(
            "SELECT 'report', id, pupil_id, academy_id FROM concern_report"
            f" WHERE {_inside(permission, 'concern_report')}"
        )
    return " UNION ALL ".join(selects)


_MORE = {
    "record_part": _parts("record:open", of_concern=False),
    "scoped_audit_subject": _parts(_AUDIT, of_concern=True),
    "counted_event": "SELECT academy_id, state, level, category, received_at, owed_at FROM event"
    f" WHERE {_inside('report:view', 'event')}",
    "counted_concern": "SELECT academy_id, state, level, category, opened_at, closed_at FROM concern"
    f" WHERE {_inside('report:view', 'concern')}",
}
