"""What scope costs: the 50-row queue as a person sees it, at a million events and a hundred academies, from opening the
database in their name to the rendered page.

The peer is the same page, the same row count and the same queries with the scope taken out: views that are the bare
tables, no authorizer, and in a file of its own whose index for the list is led by the order of the list, not by the
academy.
"""

import json
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile

from flask import Flask, g, render_template
from sqlite_utils import Database

from appliance.config import Config
from appliance.safeguarding.access import Actor, Role, narrow
from appliance.safeguarding.sign_in import Step
from appliance.store import events, people
from appliance.store.connection import SCOPED_TABLES, open_as, open_system, to_text
from appliance.web.app import create_app
from appliance.web.queue import PAGE
from tests.factories import Box, make_box

EVENTS = 1_000_000
ACADEMIES = 100
PUPILS = 50_000
ROUNDS = 41
_STATES = ("awaiting_moderation", "confirmed", "false_positive", "linked", "logged")
_WEIGHTS = (2, 1, 40, 7, 50)
"""Of a hundred events; twenty thousand waiting ones is more than any trust should let wait."""

_BATCH = 20_000
_NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def measure() -> list[dict[str, object]]:
    """Median milliseconds of the page for every kind of actor, each beside the same page unscoped."""
    with tempfile.TemporaryDirectory() as folder:
        path, people_of = _build(Path(folder))
        app = create_app(Config(home=path.parent.parent))
        peer_path = _peer_file(path)
        rows: list[dict[str, object]] = []
        for name, actor in people_of.items():
            ours, peer = _page_ms(app, path, peer_path, actor)
            rows.append(
                {"name": f"queue of 50 rows at a million events: {name}", "value": ours, "unit": "ms",
                 "peer": "the same page with the scope taken out", "peer_value": peer}
            )  # fmt: skip
        return rows


def _build(folder: Path) -> tuple[Path, dict[str, Actor]]:
    box = make_box(folder / "box")
    db, path = box.db, box.config.database
    # a file to be thrown away: nothing is lost if the machine stops while it is filled
    db.conn.execute("PRAGMA synchronous=OFF")
    chance = random.Random(7)
    ids = [f"academy-{n:03d}" for n in range(ACADEMIES)]
    begun = time.perf_counter()
    db.conn.execute("BEGIN")
    db.conn.execute("INSERT INTO trust (id, name) VALUES ('big', 'Big Trust'), ('far', 'Far Trust')")
    db.conn.executemany(
        "INSERT INTO academy (id, trust_id, name, short_name) VALUES (?, ?, ?, ?)",
        [(one, "big" if n < 90 else "far", f"{one} Academy", one) for n, one in enumerate(ids)],
    )
    db.conn.execute(
        "INSERT INTO academy (id, trust_id, name, short_name) VALUES ('empty', 'far', 'Empty Academy', 'Empty')"
    )
    db.conn.executemany(
        "INSERT INTO pupil (id, academy_id, surname, forename, flags) VALUES (?, ?, ?, ?, '[\"send\"]')",
        [(f"pupil-{n:06d}", ids[n % ACADEMIES], f"Surname{n}", f"Forename{n}") for n in range(PUPILS)],
    )
    for start in range(0, EVENTS, _BATCH):
        db.conn.executemany(_INSERT, [_event(n, ids, chance) for n in range(start, start + _BATCH)])
    db.conn.execute("COMMIT")
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    print(f"  built in {time.perf_counter() - begun:.0f} s")
    actors = {
        "DSL of one academy": box.staff(Role.DSL, academy_id=ids[0]),
        "moderator of a trust of 90": box.staff(Role.MODERATOR, trust_id="big"),
        "the same, narrowed to one": narrow(box.staff(Role.MODERATOR, trust_id="big"), ids[3]),
        "moderator of an academy with no event": box.staff(Role.MODERATOR, academy_id="empty"),
        "technician: nothing to see": box.staff(Role.TECHNICIAN, trust_id="big"),
        "trust lead: nothing opened": box.staff(Role.TRUST_LEAD, trust_id="big"),
        "trust lead: three pupils opened": _lead_with_openings(box.db, box.staff(Role.TRUST_LEAD, trust_id="big")),
        "data-protection officer": box.staff(Role.DPO, trust_id="big"),
        "deputy DSL with ten records locked to them": _locked_out(
            box.db, box.staff(Role.DEPUTY_DSL, academy_id=ids[0])
        ),
        "moderator of everything, ten records locked": _everything(box),
    }
    return path, actors


def _everything(box: Box) -> Actor:
    person = box.staff(Role.MODERATOR, trust_id="big")
    box.db.conn.execute(
        "INSERT INTO staff_grant (id, staff_id, role, trust_id, starts_at) VALUES ('more', ?, 'moderator', 'far', ?)",
        [person.staff_id, to_text(_NOW - timedelta(days=1))],
    )
    return _actor(box.db, person.staff_id)


def _actor(db: Database, staff_id: str) -> Actor:
    actor = people.get_actor(db, staff_id, _NOW)
    assert actor is not None
    return actor


def _lead_with_openings(db: Database, lead: Actor) -> Actor:
    for n in (0, 1, 102):
        academy_id = f"academy-{n % ACADEMIES:03d}"
        values = [f"opening-{n}", lead.staff_id, academy_id, f"pupil-{n:06d}", to_text(_NOW)]
        until = to_text(_NOW + timedelta(hours=8))
        db.conn.execute("INSERT INTO record_opening VALUES (?, ?, ?, ?, ?, ?)", [*values, until])
    return _actor(db, lead.staff_id)


def _locked_out(db: Database, deputy: Actor) -> Actor:
    (dsl,) = db.conn.execute("SELECT staff_id FROM staff_grant WHERE role = 'dsl'").fetchone()
    for n in range(0, 10 * ACADEMIES, ACADEMIES):
        db.conn.execute(
            "INSERT INTO record_lock VALUES (?, 'academy-000', 'pupil', ?, ?, ?, NULL, NULL)",
            [f"lock-{n}", f"pupil-{n:06d}", dsl, to_text(_NOW)],
        )
        db.conn.execute("INSERT INTO record_lock_name VALUES (?, ?)", [f"lock-{n}", dsl])
    return _actor(db, deputy.staff_id)


_INSERT = (
    "INSERT INTO event (id, message_id, device_id, academy_id, pupil_id, account, queue_epoch, sequence, occurred_at,"
    " received_at, rule_id, rule_category, trigger_words, application, window_title, address, typed, context, state,"
    " category, level, owed_at, attempts, indexed_at)"
    " VALUES (?, ?, ?, ?, ?, ?, 'epoch', ?, ?, ?, 'home-fear', 'abuse', 'go home', 'Chatterbox', 'Chat with Sam', '',"
    " ?, ?, ?, 'abuse', ?, ?, 1, ?)"
)


def _event(n: int, ids: list[str], chance: random.Random) -> tuple[object, ...]:
    pupil = chance.randrange(PUPILS)
    at = to_text(_NOW - timedelta(minutes=n // 2))
    state = chance.choices(_STATES, _WEIGHTS)[0]
    level = chance.choices((5, 4, 3, 2, 1), (1, 5, 20, 40, 34))[0]
    typed = f"i dont want to go home tonight, number {n}, and some more of what was typed before it stopped"
    context = json.dumps(["hiya", "you ok?", "not really, tell you later"])
    return (
        f"event-{chance.getrandbits(60):015x}-{n}", f"message-{n}", f"DEV-{pupil % 3000}", ids[pupil % ACADEMIES],
        f"pupil-{pupil:06d}", f"account{pupil}", n, at, at, typed, context, state, level, at, at,
    )  # fmt: skip


def _peer_file(path: Path) -> Path:
    """A copy of the file with the index that serves the list without scope, in place of the one led by the academy."""
    copy = path.with_name("peer.db")
    copyfile(path, copy)
    db = open_system(copy)
    db.conn.execute("DROP INDEX event_queue")
    db.conn.execute(
        "CREATE INDEX event_queue ON event(level DESC, owed_at, id)"
        " WHERE state IN ('awaiting_moderation', 'unreadable')"
    )
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return copy


def _unscoped(path: Path) -> Database:
    """The peer's file with views of the same names that are the bare tables."""
    db = open_system(path)
    for table in SCOPED_TABLES:
        db.conn.execute(f"CREATE TEMP VIEW scoped_{table} AS SELECT * FROM main.{table}")
    return db


def _page_ms(app: Flask, path: Path, peer_path: Path, actor: Actor) -> tuple[float, float]:
    """Median milliseconds of the page, scoped and unscoped, taken in turns. Opening the peer's file is not counted."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(ROUNDS):
        for name in times:
            begun = time.perf_counter()
            db = _unscoped(peer_path) if name == "peer" else open_as(path, actor)
            if name == "peer":
                begun = time.perf_counter()
            with app.test_request_context("/queue", base_url="https://localhost"):
                # who sees nothing is given the page all the same: what is measured is what finding nothing costs
                g.actor, g.db, g.session, g.factors, g.step = actor, db, None, frozenset(), Step.OPEN
                render_template("queue/queue.html", events=events.select_queue(db, PAGE), total=events.count_queue(db))
            db.close()
            times[name].append(1000 * (time.perf_counter() - begun))
    return statistics.median(times["ours"][1:]), statistics.median(times["peer"][1:])
