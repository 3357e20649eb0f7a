"""The schema, as one ordered list of changes. A new column is a new function at the end.

``migrate`` applies what is missing and then draws the scoped views and their triggers anew from SCOPED_TABLES, so a
table's view can't be forgotten or go stale.
"""

from sqlite_utils import Database, Migrations

from appliance.safeguarding.audit import GENESIS
from appliance.store.connection import StoreError, transaction
from appliance.store.scoped_views import draw_scoped_views

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


@migrations()
def m0002_sign_in(db: Database) -> None:
    """Sessions, second factors, invitations, and what is counted so that nobody guesses their way in."""
    for statement in _SIGN_IN_TABLES.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


_SIGN_IN_TABLES = """
CREATE TABLE session (
    id TEXT PRIMARY KEY, staff_id TEXT NOT NULL REFERENCES staff(id), method TEXT NOT NULL, begun_at TEXT NOT NULL,
    seen_at TEXT NOT NULL, proved_at TEXT NOT NULL, second_factor_at TEXT, locked_at TEXT, ended_at TEXT,
    failures INTEGER NOT NULL, address TEXT NOT NULL, browser TEXT NOT NULL
) STRICT;
CREATE INDEX session_staff ON session(staff_id, seen_at) WHERE ended_at IS NULL;

CREATE TABLE credential (
    id TEXT PRIMARY KEY, staff_id TEXT NOT NULL REFERENCES staff(id), kind TEXT NOT NULL, name TEXT NOT NULL,
    added_at TEXT NOT NULL, confirmed_at TEXT, last_used_at TEXT, secret BLOB, last_step INTEGER,
    passkey_id BLOB UNIQUE, public_key BLOB, sign_count INTEGER NOT NULL
) STRICT;
CREATE INDEX credential_staff ON credential(staff_id);

CREATE TABLE recovery_code (
    id TEXT PRIMARY KEY, staff_id TEXT NOT NULL REFERENCES staff(id), made_at TEXT NOT NULL, used_at TEXT
) STRICT;
CREATE INDEX recovery_code_staff ON recovery_code(staff_id);

CREATE TABLE challenge (
    id TEXT PRIMARY KEY, purpose TEXT NOT NULL, staff_id TEXT, asked_from TEXT NOT NULL, challenge BLOB NOT NULL,
    expires_at TEXT NOT NULL
) STRICT;
CREATE INDEX challenge_asked_from ON challenge(asked_from, expires_at);

CREATE TABLE attempt (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, address TEXT NOT NULL, network TEXT NOT NULL, account TEXT NOT NULL,
    device TEXT, at TEXT NOT NULL, good INTEGER NOT NULL
) STRICT;
CREATE INDEX attempt_account ON attempt(account, at);
CREATE INDEX attempt_network ON attempt(network, at);
CREATE INDEX attempt_at ON attempt(at);

CREATE TABLE known_device (
    id TEXT NOT NULL, staff_id TEXT NOT NULL REFERENCES staff(id), first_at TEXT NOT NULL, last_at TEXT NOT NULL,
    PRIMARY KEY (id, staff_id)
) STRICT;

CREATE TABLE invitation (
    id TEXT PRIMARY KEY, staff_id TEXT REFERENCES staff(id), trust_id TEXT REFERENCES trust(id), made_by TEXT NOT NULL,
    made_at TEXT NOT NULL, expires_at TEXT NOT NULL, used_at TEXT, withdrawn_at TEXT, anew INTEGER NOT NULL
) STRICT;
CREATE INDEX invitation_staff ON invitation(staff_id);
"""


@migrations()
def m0003_directory(db: Database) -> None:
    """Which account of the trust's directory belongs to whom, and which sign-ins through it were finished."""
    for statement in _DIRECTORY_TABLES.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


_DIRECTORY_TABLES = """
CREATE TABLE directory_link (
    issuer TEXT NOT NULL, subject TEXT NOT NULL, staff_id TEXT NOT NULL REFERENCES staff(id), linked_at TEXT NOT NULL,
    used_at TEXT NOT NULL, PRIMARY KEY (issuer, subject), UNIQUE (staff_id, issuer)
) STRICT;

CREATE TABLE directory_name (
    id TEXT PRIMARY KEY, staff_id TEXT NOT NULL REFERENCES staff(id), used_at TEXT NOT NULL
) STRICT;
CREATE INDEX directory_name_staff ON directory_name(staff_id);

CREATE TABLE directory_finished (id TEXT PRIMARY KEY, finished_at TEXT NOT NULL) STRICT;
"""


@migrations()
def m0004_people(db: Database) -> None:
    """Where academies come from, grants with a giver, records opened with a reason or locked, reports, the vault."""
    for statement in _PEOPLE_TABLES.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


_PEOPLE_TABLES = """
ALTER TABLE trust ADD COLUMN gias_code TEXT;
ALTER TABLE academy ADD COLUMN urn TEXT;
CREATE UNIQUE INDEX academy_urn ON academy(urn) WHERE urn IS NOT NULL;
CREATE UNIQUE INDEX trust_gias ON trust(gias_code) WHERE gias_code IS NOT NULL;
CREATE INDEX staff_grant_academy ON staff_grant(academy_id);
CREATE INDEX staff_grant_trust ON staff_grant(trust_id);

CREATE TABLE record_opening (
    id TEXT PRIMARY KEY, staff_id TEXT NOT NULL REFERENCES staff(id), academy_id TEXT NOT NULL,
    subject_id TEXT NOT NULL, opened_at TEXT NOT NULL, ends_at TEXT NOT NULL
) STRICT;
CREATE INDEX record_opening_staff ON record_opening(staff_id, ends_at);

CREATE TABLE record_lock (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('pupil', 'concern')),
    subject_id TEXT NOT NULL, locked_by TEXT NOT NULL REFERENCES staff(id), locked_at TEXT NOT NULL,
    unlocked_by TEXT, unlocked_at TEXT
) STRICT;
CREATE UNIQUE INDEX record_lock_once ON record_lock(subject_id) WHERE unlocked_at IS NULL;
CREATE INDEX record_lock_academy ON record_lock(academy_id) WHERE unlocked_at IS NULL;

CREATE TABLE record_lock_name (
    lock_id TEXT NOT NULL REFERENCES record_lock(id), staff_id TEXT NOT NULL REFERENCES staff(id),
    PRIMARY KEY (lock_id, staff_id)
) STRICT;

CREATE TABLE notice (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, staff_id TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    by_id TEXT NOT NULL, raised_at TEXT NOT NULL, sent_at TEXT, attempts INTEGER NOT NULL, next_try_at TEXT NOT NULL,
    failure TEXT, seen_at TEXT, passed_on_at TEXT
) STRICT;
CREATE INDEX notice_unsent ON notice(next_try_at) WHERE sent_at IS NULL AND passed_on_at IS NULL;
CREATE INDEX notice_open ON notice(staff_id, raised_at) WHERE seen_at IS NULL;

CREATE TABLE concern_report (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, pupil_id TEXT, about TEXT NOT NULL, text TEXT NOT NULL,
    reported_by TEXT NOT NULL, reported_at TEXT NOT NULL, read_by TEXT, read_at TEXT, concern_id TEXT
) STRICT;
CREATE INDEX concern_report_academy ON concern_report(academy_id, reported_at DESC);
CREATE INDEX concern_report_reporter ON concern_report(reported_by, reported_at DESC);

CREATE TABLE vault_entry (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, kind TEXT NOT NULL, about_id TEXT, about_name TEXT NOT NULL,
    text TEXT NOT NULL, recorded_by TEXT NOT NULL, recorded_at TEXT NOT NULL
) STRICT;
CREATE INDEX vault_entry_academy ON vault_entry(academy_id, recorded_at DESC);

CREATE TABLE vault_note (
    id TEXT PRIMARY KEY, entry_id TEXT NOT NULL REFERENCES vault_entry(id), academy_id TEXT NOT NULL,
    text TEXT NOT NULL, recorded_by TEXT NOT NULL, recorded_at TEXT NOT NULL
) STRICT;
CREATE INDEX vault_note_entry ON vault_note(entry_id, recorded_at);

CREATE TABLE list_look (
    staff_id TEXT NOT NULL REFERENCES staff(id), name TEXT NOT NULL, noted_at TEXT NOT NULL,
    PRIMARY KEY (staff_id, name)
) STRICT;

ALTER TABLE audit ADD COLUMN places TEXT;
CREATE INDEX audit_actor ON audit(actor_id, seq);
CREATE INDEX audit_subject ON audit(subject, seq);
CREATE INDEX audit_at ON audit(at);

DROP INDEX event_recent;
CREATE INDEX event_recent ON event(academy_id, received_at DESC, id, pupil_id) WHERE state <> '';
DROP INDEX event_queue;
CREATE INDEX event_queue ON event(academy_id, level DESC, owed_at, id, pupil_id)
    WHERE state IN ('awaiting_moderation', 'unreadable');
DROP INDEX event_confirmed;
CREATE INDEX event_confirmed ON event(academy_id, level DESC, occurred_at DESC, id, pupil_id)
    WHERE state = 'confirmed';
"""


@migrations()
def m0005_devices(db: Database) -> None:
    """Signed policies, enrolment codes, certificates, what heartbeats say, and which events never came."""
    for statement in _DEVICE_TABLES.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


_DEVICE_TABLES = """
ALTER TABLE device ADD COLUMN kind TEXT NOT NULL DEFAULT 'desktop';
ALTER TABLE device ADD COLUMN shut_out_at TEXT;
ALTER TABLE event ADD COLUMN retry_at TEXT;
ALTER TABLE rejected_message ADD COLUMN queue_epoch TEXT;
ALTER TABLE rejected_message ADD COLUMN sequence INTEGER;
CREATE INDEX device_revoked ON device(id) WHERE revoked_at IS NOT NULL;

CREATE TABLE heartbeat (
    device_id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, heard_at TEXT NOT NULL, sent_at TEXT NOT NULL,
    queue_epoch TEXT NOT NULL, highest_sequence INTEGER NOT NULL, lowest_unreceipted INTEGER,
    queue_depth INTEGER NOT NULL, queue_bytes INTEGER NOT NULL, oldest_at TEXT, dead_letters INTEGER NOT NULL,
    agent_version TEXT NOT NULL, policy_version TEXT NOT NULL, policy_number INTEGER, platform TEXT,
    permissions_missing TEXT NOT NULL, monitored_now INTEGER, notice_accepted TEXT, images_dropped INTEGER,
    disk_full INTEGER, policy_expired INTEGER, held_back INTEGER
) STRICT;
CREATE INDEX heartbeat_academy ON heartbeat(academy_id, heard_at);

CREATE TABLE device_certificate (
    serial TEXT PRIMARY KEY, academy_id TEXT NOT NULL, device_id TEXT NOT NULL, made_at TEXT NOT NULL,
    ends_at TEXT NOT NULL, revoked_at TEXT
) STRICT;
CREATE INDEX device_certificate_device ON device_certificate(device_id, made_at);
CREATE INDEX device_certificate_revoked ON device_certificate(serial) WHERE revoked_at IS NOT NULL;
INSERT INTO device_certificate
    SELECT certificate_serial, academy_id, id, enrolled_at,
        strftime('%Y-%m-%dT%H:%M:%S.000000+00:00', enrolled_at, '+1825 days'), revoked_at
    FROM device WHERE certificate_serial IS NOT NULL GROUP BY certificate_serial;

CREATE TABLE device_token (
    device_id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, hash TEXT NOT NULL, made_at TEXT NOT NULL
) STRICT;

CREATE TABLE policy (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, number INTEGER NOT NULL, version TEXT NOT NULL,
    envelope TEXT NOT NULL, issued_at TEXT NOT NULL, expires_at TEXT NOT NULL, issued_by TEXT NOT NULL,
    UNIQUE (academy_id, number)
) STRICT;

CREATE TABLE enrolment_code (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, place TEXT NOT NULL, prefix TEXT NOT NULL, made_by TEXT NOT NULL,
    made_at TEXT NOT NULL, expires_at TEXT NOT NULL, used_at TEXT, device_id TEXT, withdrawn_at TEXT
) STRICT;
CREATE INDEX enrolment_code_academy ON enrolment_code(academy_id, made_at DESC);

CREATE TABLE device_command (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, device_id TEXT NOT NULL, queue_epoch TEXT NOT NULL,
    from_sequence INTEGER NOT NULL, asked_by TEXT NOT NULL, asked_at TEXT NOT NULL, sent_at TEXT
) STRICT;
CREATE INDEX device_command_device ON device_command(device_id, asked_at);
CREATE INDEX device_command_unsent ON device_command(asked_at) WHERE sent_at IS NULL;

CREATE TABLE sequence_mark (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, device_id TEXT NOT NULL, queue_epoch TEXT NOT NULL,
    highest INTEGER NOT NULL, claimed INTEGER NOT NULL, claimed_at TEXT, settled INTEGER NOT NULL,
    held_from INTEGER, UNIQUE (device_id, queue_epoch)
) STRICT;
INSERT INTO sequence_mark
    SELECT device_id || ' ' || queue_epoch, min(academy_id), device_id, queue_epoch, max(sequence), max(sequence), NULL,
        max(sequence), NULL
    FROM event GROUP BY device_id, queue_epoch;

CREATE TABLE event_gap (
    id INTEGER PRIMARY KEY, academy_id TEXT NOT NULL, device_id TEXT NOT NULL, queue_epoch TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, noticed_at TEXT NOT NULL
) STRICT;
CREATE INDEX event_gap_device ON event_gap(device_id, queue_epoch, last);
INSERT INTO event_gap (academy_id, device_id, queue_epoch, first, last, noticed_at)
    SELECT academy_id, device_id, queue_epoch, before + 1, sequence - 1, received_at FROM (
        SELECT academy_id, device_id, queue_epoch, sequence, received_at, lag(sequence, 1, 0)
            OVER (PARTITION BY device_id, queue_epoch ORDER BY sequence) AS before
        FROM event)
    WHERE sequence > before + 1;

CREATE TABLE broker_change (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL) STRICT;
INSERT INTO broker_change (id, number) VALUES (1, 1);
"""


@migrations()
def m0006_scoring(db: Database) -> None:
    """Captures that are never shown again, and the languages that an academy's screens are read in."""
    for statement in _SCORING_COLUMNS.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


_SCORING_COLUMNS = """
ALTER TABLE capture ADD COLUMN sealed_at TEXT;
ALTER TABLE capture ADD COLUMN sealed_reason TEXT;
CREATE INDEX capture_sha256 ON capture(sha256);
CREATE TRIGGER capture_stays_sealed BEFORE UPDATE ON capture
    WHEN OLD.sealed_at IS NOT NULL AND (NEW.sealed_at IS NULL OR NEW.sealed_reason IS NULL OR NEW.preview IS NOT NULL)
    BEGIN SELECT RAISE(ABORT, 'a sealed capture stays sealed'); END;
ALTER TABLE academy ADD COLUMN ocr_languages TEXT;
"""


@migrations()
def m0007_mis(db: Database) -> None:
    """What a school's MIS says beside the record, the imports it came by, and what each of them changed."""
    for statement in _MIS_TABLES.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


_MIS_TABLES = """
ALTER TABLE pupil ADD COLUMN former_upn TEXT;
ALTER TABLE pupil ADD COLUMN mis_id TEXT;
ALTER TABLE pupil ADD COLUMN left_on TEXT;
ALTER TABLE pupil ADD COLUMN retain_until TEXT;
ALTER TABLE pupil ADD COLUMN merged_into TEXT;
CREATE INDEX pupil_upn ON pupil(upn) WHERE upn IS NOT NULL;
ALTER TABLE pupil_account ADD COLUMN ended_at TEXT;
CREATE INDEX pupil_account_pupil ON pupil_account(pupil_id);
CREATE INDEX event_unknown ON event(academy_id, account, received_at) WHERE pupil_id IS NULL;

CREATE TABLE pupil_fact (
    pupil_id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, preferred TEXT, sex TEXT, sen TEXT, entered_on TEXT,
    address TEXT, home_key TEXT
) STRICT;
CREATE INDEX pupil_fact_home ON pupil_fact(home_key) WHERE home_key IS NOT NULL;

CREATE TABLE pupil_stay (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, pupil_id TEXT NOT NULL, began_on TEXT, ended_on TEXT NOT NULL
) STRICT;
CREATE INDEX pupil_stay_pupil ON pupil_stay(pupil_id);
CREATE INDEX pupil_stay_academy ON pupil_stay(academy_id, pupil_id);

CREATE TABLE pupil_contact (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, pupil_id TEXT NOT NULL, priority INTEGER NOT NULL,
    name TEXT NOT NULL, relationship TEXT NOT NULL, responsibility INTEGER, phone TEXT NOT NULL, email TEXT NOT NULL,
    address TEXT NOT NULL, court_order TEXT NOT NULL, reach TEXT NOT NULL
) STRICT;
CREATE INDEX pupil_contact_pupil ON pupil_contact(pupil_id, priority);
CREATE INDEX pupil_contact_reach ON pupil_contact(reach) WHERE reach <> '';

CREATE TABLE attendance (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, pupil_id TEXT NOT NULL, year INTEGER NOT NULL, marks TEXT NOT NULL,
    possible INTEGER NOT NULL, attended INTEGER NOT NULL, authorised INTEGER NOT NULL, unauthorised INTEGER NOT NULL,
    run_from TEXT, run_sessions INTEGER NOT NULL
) STRICT;
CREATE INDEX attendance_pupil ON attendance(pupil_id, year);
CREATE INDEX attendance_run ON attendance(academy_id, year, run_sessions DESC) WHERE run_sessions >= 2;

CREATE TABLE attendance_total (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, pupil_id TEXT NOT NULL, year INTEGER NOT NULL, school TEXT NOT NULL,
    possible INTEGER NOT NULL, attended INTEGER NOT NULL, authorised INTEGER NOT NULL, unauthorised INTEGER NOT NULL
) STRICT;
CREATE INDEX attendance_total_pupil ON attendance_total(pupil_id, year);

CREATE TABLE behaviour (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, pupil_id TEXT NOT NULL, at TEXT NOT NULL, kind TEXT NOT NULL,
    level TEXT NOT NULL, points INTEGER, description TEXT NOT NULL, staff TEXT NOT NULL
) STRICT;
CREATE INDEX behaviour_pupil ON behaviour(pupil_id, at);

CREATE TABLE account_claim (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, account TEXT NOT NULL, pupil_id TEXT NOT NULL,
    events TEXT NOT NULL, decided_by TEXT NOT NULL, decided_at TEXT NOT NULL, undone_by TEXT, undone_at TEXT
) STRICT;
CREATE INDEX account_claim_academy ON account_claim(academy_id, decided_at DESC);

CREATE TABLE mis_import (
    id TEXT PRIMARY KEY, academy_id TEXT, trust_id TEXT NOT NULL, format TEXT NOT NULL, file_name TEXT NOT NULL,
    sha256 TEXT NOT NULL, size INTEGER NOT NULL, state TEXT NOT NULL, made_by TEXT NOT NULL, made_at TEXT NOT NULL,
    columns TEXT, options TEXT NOT NULL, progress INTEGER NOT NULL, counts TEXT NOT NULL, problem TEXT,
    applied_at TEXT, undone_at TEXT
) STRICT;
CREATE INDEX mis_import_waiting ON mis_import(made_at) WHERE state IN ('to_plan', 'to_apply');
CREATE INDEX mis_import_academy ON mis_import(academy_id, made_at DESC);

CREATE TABLE mis_import_row (
    id INTEGER PRIMARY KEY, academy_id TEXT, import_id TEXT NOT NULL, outcome TEXT NOT NULL, line INTEGER NOT NULL,
    who TEXT NOT NULL, reason TEXT NOT NULL, raw TEXT NOT NULL
) STRICT;
CREATE INDEX mis_import_row_import ON mis_import_row(import_id, outcome, line);

CREATE TABLE mis_change (
    id INTEGER PRIMARY KEY, academy_id TEXT, import_id TEXT NOT NULL, table_name TEXT NOT NULL, row_id TEXT NOT NULL,
    pupil_id TEXT NOT NULL, before TEXT
) STRICT;
CREATE INDEX mis_change_import ON mis_change(import_id, id);
CREATE INDEX mis_change_row ON mis_change(row_id, id);

CREATE TABLE mis_mapping (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, columns TEXT NOT NULL, kept_at TEXT NOT NULL
) STRICT;

CREATE TABLE mis_proposal (
    id TEXT PRIMARY KEY, academy_id TEXT NOT NULL, import_id TEXT NOT NULL, pupil_id TEXT NOT NULL,
    row TEXT NOT NULL, reason TEXT NOT NULL, decided TEXT, decided_pupil_id TEXT, decided_by TEXT, decided_at TEXT
) STRICT;
CREATE INDEX mis_proposal_open ON mis_proposal(academy_id) WHERE decided IS NULL;
"""


def migrate(db: Database) -> list[str]:
    """Apply the missing migrations and redraw the scoped views. Returns the names of those applied."""
    missing = [migration.name for migration in migrations.pending(db)]
    with transaction(db):
        migrations.apply(db)
        draw_scoped_views(db)
    return missing


def require_current(db: Database) -> None:
    """Raise StoreError when the schema is older than this program."""
    if migrations.pending(db):
        raise StoreError("The database is older than this program. Run: appliance migrate")
