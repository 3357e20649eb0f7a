"""The schema, as one ordered list of changes. A new column is a new function at the end.

``migrate`` applies what is missing and then draws the scoped views and their triggers anew from SCOPED_TABLES, so a
table's view can't be forgotten or go stale.
"""

from sqlite_utils import Database, Migrations

from appliance.safeguarding.audit import GENESIS
from appliance.store.connection import SCOPED_TABLES, StoreError, transaction

migrations = Migrations("trustkeep")


@migrations()
def m0001_first_tables(db: Database) -> None:
    """Trust, people, devices, events and what the machine and people make of them, the record, and the audit."""
    for statement in _FIRST_TABLES.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)
    db.conn.execute("INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, ?)", [GENESIS])


_FIRST_TABLES = """
CREATE TABLE trust (id TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT;

CREATE TABLE academy (
    id TEXT PRIMARY KEY, trust_id TEXT NOT NULL REFERENCES trust(id), name TEXT NOT NULL, short_name TEXT NOT NULL,
    laestab TEXT, phase TEXT
) STRICT;

CREATE TABLE staff (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, password_hash TEXT, disabled_at TEXT
) STRICT;

CREATE TABLE staff_grant (
    id TEXT PRIMARY KEY, staff_id TEXT NOT NULL REFERENCES staff(id), role TEXT NOT NULL,
    trust_id TEXT REFERENCES trust(id), academy_id TEXT REFERENCES academy(id),
    starts_at TEXT NOT NULL, ends_at TEXT, CHECK ((trust_id IS NULL) <> (academy_id IS NULL))
) STRICT;
CREATE INDEX staff_grant_staff ON staff_grant(staff_id);

CREATE TABLE pupil (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL REFERENCES academy(id), upn TEXT, surname TEXT NOT NULL,
    forename TEXT NOT NULL, born_on TEXT, year_group TEXT, reg_group TEXT, flags TEXT NOT NULL
) STRICT;
CREATE INDEX pupil_academy ON pupil(academy_id, surname, forename);

CREATE TABLE pupil_account (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, account TEXT NOT NULL, pupil_id TEXT NOT NULL,
    UNIQUE (academy_id, account)
) STRICT;

CREATE TABLE device (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL REFERENCES academy(id), name TEXT NOT NULL, place TEXT NOT NULL,
    enrolled_at TEXT NOT NULL, revoked_at TEXT, certificate_serial TEXT, last_seen_at TEXT, queue_depth INTEGER,
    agent_version TEXT
) STRICT;
CREATE INDEX device_academy ON device(academy_id, name);

CREATE TABLE policy_rule (id TEXT PRIMARY KEY, category TEXT NOT NULL) STRICT;

CREATE TABLE event (
    id TEXT PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, device_id TEXT NOT NULL, academy_id TEXT NOT NULL,
    pupil_id TEXT, account TEXT NOT NULL, queue_epoch TEXT NOT NULL, sequence INTEGER NOT NULL,
    occurred_at TEXT NOT NULL, received_at TEXT NOT NULL, rule_id TEXT NOT NULL, rule_category TEXT NOT NULL,
    trigger_words TEXT NOT NULL, application TEXT NOT NULL, window_title TEXT NOT NULL, address TEXT NOT NULL,
    typed TEXT NOT NULL, context TEXT NOT NULL, state TEXT NOT NULL, state_reason TEXT, category TEXT NOT NULL,
    level INTEGER NOT NULL, owed_at TEXT NOT NULL, worker TEXT, lease_until TEXT, attempts INTEGER NOT NULL,
    assessed_at TEXT, indexed_at TEXT
) STRICT;
CREATE INDEX event_claim ON event(received_at) WHERE state = 'received';
CREATE INDEX event_lease ON event(lease_until) WHERE state = 'assessing';
CREATE INDEX event_queue ON event(academy_id, level DESC, owed_at, id)
    WHERE state IN ('awaiting_moderation', 'unreadable');
CREATE INDEX event_confirmed ON event(academy_id, level DESC, occurred_at DESC, id) WHERE state = 'confirmed';
CREATE INDEX event_recent ON event(academy_id, received_at DESC);
CREATE INDEX event_pupil ON event(pupil_id, occurred_at);
CREATE INDEX event_unindexed ON event(id) WHERE indexed_at IS NULL AND state NOT IN ('received', 'assessing');

CREATE TABLE capture (
    id TEXT PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, academy_id TEXT NOT NULL, sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, size INTEGER NOT NULL, preview BLOB
) STRICT;

CREATE TABLE reading (
    id TEXT PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, academy_id TEXT NOT NULL, text TEXT NOT NULL,
    words TEXT NOT NULL, seconds REAL NOT NULL, engine TEXT NOT NULL
) STRICT;

CREATE TABLE score (
    id TEXT PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, academy_id TEXT NOT NULL, category TEXT NOT NULL,
    level INTEGER NOT NULL, scores TEXT NOT NULL, reasons TEXT NOT NULL, model TEXT NOT NULL, threshold REAL NOT NULL,
    scored_at TEXT NOT NULL
) STRICT;

CREATE TABLE verdict (
    id TEXT PRIMARY KEY, event_id TEXT NOT NULL, academy_id TEXT NOT NULL, staff_id TEXT NOT NULL,
    level INTEGER NOT NULL, category TEXT NOT NULL, false_positive TEXT, note TEXT NOT NULL, given_at TEXT NOT NULL,
    level_before INTEGER NOT NULL, category_before TEXT NOT NULL
) STRICT;
CREATE INDEX verdict_event ON verdict(event_id, given_at);

CREATE TABLE escalation (
    id TEXT PRIMARY KEY, event_id TEXT NOT NULL, academy_id TEXT NOT NULL, staff_id TEXT NOT NULL,
    level INTEGER NOT NULL, raised_at TEXT NOT NULL, due_at TEXT NOT NULL, sent_at TEXT, attempts INTEGER NOT NULL,
    next_try_at TEXT NOT NULL, failure TEXT, acknowledged_at TEXT
) STRICT;
CREATE UNIQUE INDEX escalation_once ON escalation(event_id, staff_id, level);
CREATE INDEX escalation_unsent ON escalation(next_try_at) WHERE sent_at IS NULL;
CREATE INDEX escalation_open ON escalation(staff_id, due_at) WHERE acknowledged_at IS NULL;

CREATE TABLE concern (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, category TEXT NOT NULL, level INTEGER NOT NULL,
    summary TEXT NOT NULL, facts TEXT NOT NULL, child_words TEXT NOT NULL, opinion TEXT NOT NULL, state TEXT NOT NULL,
    opened_at TEXT NOT NULL, opened_by TEXT NOT NULL, closed_at TEXT, closed_by TEXT, decision TEXT, reason TEXT,
    outcome TEXT, indexed_at TEXT
) STRICT;
CREATE INDEX concern_open ON concern(academy_id, opened_at DESC) WHERE state = 'open';
CREATE INDEX concern_unindexed ON concern(id) WHERE indexed_at IS NULL;

CREATE TABLE concern_pupil (
    id TEXT PRIMARY KEY, concern_id TEXT NOT NULL, pupil_id TEXT NOT NULL, academy_id TEXT NOT NULL,
    UNIQUE (concern_id, pupil_id)
) STRICT;
CREATE INDEX concern_pupil_pupil ON concern_pupil(pupil_id);

CREATE TABLE concern_event (
    id TEXT PRIMARY KEY, concern_id TEXT NOT NULL, event_id TEXT NOT NULL, academy_id TEXT NOT NULL,
    capture_sha256 TEXT, UNIQUE (concern_id, event_id)
) STRICT;
CREATE INDEX concern_event_event ON concern_event(event_id);

CREATE TABLE action (
    id TEXT PRIMARY KEY, concern_id TEXT NOT NULL, academy_id TEXT NOT NULL, text TEXT NOT NULL,
    owner_id TEXT NOT NULL, due_on TEXT, done_at TEXT, recorded_at TEXT NOT NULL, recorded_by TEXT NOT NULL
) STRICT;
CREATE INDEX action_concern ON action(concern_id);
CREATE INDEX action_due ON action(academy_id, due_on) WHERE done_at IS NULL;

CREATE TABLE referral (
    id TEXT PRIMARY KEY, concern_id TEXT NOT NULL, academy_id TEXT NOT NULL, agency TEXT NOT NULL,
    method TEXT NOT NULL, spoken_to TEXT NOT NULL, reference TEXT NOT NULL, reason TEXT NOT NULL,
    consent TEXT NOT NULL, consent_reason TEXT NOT NULL, made_at TEXT NOT NULL, made_by TEXT NOT NULL,
    response_due_at TEXT NOT NULL, outcome TEXT, outcome_at TEXT, outcome_by TEXT
) STRICT;
CREATE INDEX referral_concern ON referral(concern_id);

CREATE TABLE rejected_message (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, device_id TEXT NOT NULL, message_id TEXT, topic TEXT NOT NULL,
    reason TEXT NOT NULL, payload_sha256 TEXT NOT NULL, size INTEGER NOT NULL, received_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX rejected_message_once ON rejected_message(device_id, payload_sha256);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, actor_id TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    academy_id TEXT, detail TEXT NOT NULL, previous_hash TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_academy ON audit(academy_id, seq);
CREATE TABLE audit_head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
CREATE TRIGGER audit_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_never_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
"""


def migrate(db: Database) -> list[str]:
    """Apply the missing migrations and redraw the scoped views. Returns the names of those applied."""
    missing = [migration.name for migration in migrations.pending(db)]
    with transaction(db):
        migrations.apply(db)
        _draw_scoped_views(db)
    return missing


def require_current(db: Database) -> None:
    """Raise StoreError when the schema is older than this program."""
    if migrations.pending(db):
        raise StoreError("The database is older than this program. Run: appliance migrate")


def _draw_scoped_views(db: Database) -> None:
    for table, permission in SCOPED_TABLES.items():
        columns = [row[1] for row in db.conn.execute(f"PRAGMA table_info({table})")]
        key = columns[0]
        inside = f"(SELECT value FROM json_each(scope('{permission}')))"
        refuse = f"SELECT RAISE(ABORT, 'outside the scope of {permission}') WHERE NEW.academy_id NOT IN {inside}"
        new = ", ".join(f"NEW.{column}" for column in columns)
        db.conn.execute(f"DROP VIEW IF EXISTS scoped_{table}")
        db.conn.execute(f"CREATE VIEW scoped_{table} AS SELECT * FROM {table} WHERE academy_id IN {inside}")
        if table == "audit":
            continue
        db.conn.execute(
            f"CREATE TRIGGER scoped_{table}_insert INSTEAD OF INSERT ON scoped_{table} BEGIN {refuse}; "
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({new}); END"
        )
        assignments = ", ".join(f"{column} = NEW.{column}" for column in columns if column != key)
        db.conn.execute(
            f"CREATE TRIGGER scoped_{table}_update INSTEAD OF UPDATE ON scoped_{table} BEGIN {refuse}; "
            f"UPDATE {table} SET {assignments} WHERE {key} = OLD.{key}; END"
        )
