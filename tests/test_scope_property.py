"""Random trusts, academies, people, grants, records, openings and locks: every way to read them against one oracle.

The oracle says in a few lines of plain Python, with no SQL and nothing of ``access.py`` but the table of roles, who may
see what. The store must agree with it about every list, count, search result, picture, report, notice and audit entry.
"""

import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance.safeguarding.access import ROLES, Actor, Opening, Permission, Role, academies_for, narrow
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.notice import Notice, NoticeKind
from appliance.search import query
from appliance.search.index import Document, Indexer
from appliance.store import assessments, captures, concerns, events, notices, people, records, reports
from appliance.store.audit import append_audit, select_audit
from appliance.store.chronology import select_chronology
from appliance.store.connection import open_as, open_system, to_text
from appliance.store.figures import select_figures
from appliance.store.migrations import migrate
from appliance.store.scoped_views import KEPT_BACK

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
STATES = ("awaiting_moderation", "unreadable", "confirmed", "linked", "logged", "false_positive")


@dataclass(frozen=True)
class World:
    """What hypothesis makes up. Pupils, events and concerns are named by number; places are academies or trusts."""

    tree: dict[str, str]  # the trust of each academy
    pupils: tuple[str, ...]  # the academy of each
    events: tuple[tuple[str, int | None, str], ...]  # academy, pupil, state
    concerns: tuple[tuple[str, frozenset[int], frozenset[int]], ...]  # academy, pupils, events
    grants: tuple[tuple[int, Role, str, int], ...]  # whose, role, place, days from now until it ends
    openings: tuple[tuple[int, str, int, bool], ...]  # whose, what, hours until it lapses, whether before the locks
    locks: tuple[tuple[str, frozenset[int]], ...]  # what, names
    reports: tuple[tuple[str, int | None, int], ...]  # academy, pupil once somebody found them, whose
    notices: tuple[tuple[str, int, str], ...]  # academy, to whom, of what a glass was broken
    entries: tuple[tuple[int, frozenset[str]], ...]  # on the audit trail without an academy: by whom, told where
    narrowed_to: str | None


PEOPLE = range(3)
_KEEPERS = (Role.DSL, Role.DEPUTY_DSL, Role.TRUST_LEAD, Role.MODERATOR)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    schools = [f"a{n}" for n in range(1, draw(st.integers(1, 6)) + 1)]
    trusts = [f"t{n}" for n in range(1, draw(st.integers(1, 3)) + 1)]
    tree = {name: draw(st.sampled_from(trusts)) for name in schools}
    home = tree["a1"]
    # most of it happens at one academy, or rights and rows would hardly ever meet
    academy = st.sampled_from(["a1"] * 3 + schools)
    pupils = draw(st.lists(academy, min_size=2, max_size=4))
    made_events = []
    for at in draw(st.lists(academy, min_size=2, max_size=6)):
        own = [number for number, where in enumerate(pupils) if where == at]
        made_events.append((at, draw(st.sampled_from([None, *own])), draw(st.sampled_from(STATES))))
    made_concerns = []
    for at in draw(st.lists(academy, min_size=1, max_size=4)):
        own = [number for number, where in enumerate(pupils) if where == at]
        linked = [number for number, event in enumerate(made_events) if event[0] == at]
        if own:
            names = draw(st.frozensets(st.sampled_from(own), min_size=1))
            made_concerns.append((at, names, draw(st.frozensets(st.sampled_from(linked))) if linked else frozenset()))
    things = [f"p{n}" for n in range(len(pupils))]
    openable = things + [f"e{n}" for n in range(len(made_events))] + [f"c{n}" for n in range(len(made_concerns))]
    lockable = things + [f"c{n}" for n in range(len(made_concerns))]
    person, place = st.sampled_from(PEOPLE), st.sampled_from(["a1", "a1", home, home, *schools, *trusts])
    role = st.sampled_from([*_KEEPERS, *_KEEPERS, *Role])
    grant = st.tuples(person, role, place, st.sampled_from([1, 1, 1, -1]))
    opening = st.tuples(person, st.sampled_from(openable), st.sampled_from([4, 4, 4, -1]), st.booleans())
    lock = st.tuples(st.sampled_from(lockable), st.frozensets(person, min_size=1))
    made_reports = []
    for at in draw(st.lists(academy, min_size=1, max_size=3)):
        own = [number for number, where in enumerate(pupils) if where == at]
        made_reports.append((at, draw(st.sampled_from([None, *own])), draw(person)))
    told = st.frozensets(st.sampled_from([*schools, *trusts]), min_size=1, max_size=2)
    return World(
        tree,
        tuple(pupils),
        tuple(made_events),
        tuple(made_concerns),
        tuple(draw(st.lists(grant, min_size=3, max_size=7))),
        tuple(draw(st.lists(opening, min_size=1, max_size=5))),
        tuple(draw(st.lists(lock, min_size=1, max_size=3, unique_by=lambda one: one[0]))),
        tuple(made_reports),
        tuple(draw(st.lists(st.tuples(academy, person, st.sampled_from(things)), max_size=3))),
        tuple(draw(st.lists(st.tuples(person, told), max_size=3))),
        draw(st.sampled_from([None, None, None, *schools])),
    )


# ---- the oracle: who may see what ----


def reaches(world: World, place: str, academy: str) -> bool:
    return place in (academy, world.tree[academy])


def opened_by(world: World, me: int) -> set[str]:
    """What is open to me now: a lock ends what was opened before it, except for those it names."""
    kept_out = {what for what, names in world.locks if me not in names}
    return {
        what
        for who, what, ends, before in world.openings
        if who == me and ends > 0 and not (before and what in kept_out)
    }


def sees(world: World, me: int, permission: Permission, academy: str, record: set[str], seals: set[str]) -> bool:
    """record: what must be opened (any of it); seals: what must not be locked against me (all of it)."""
    mine = [(role, place) for who, role, place, ends in world.grants if who == me and ends > 0]
    opened = opened_by(world, me)
    held = [role for role, place in mine if reaches(world, place, academy)]
    standing = any(permission in ROLES[role].permissions for role in held)
    on_opening = any(permission in ROLES[role].on_opening for role in held) and bool(record & opened)
    if not (standing or on_opening) or world.narrowed_to not in (None, academy, *unreachable(world, me)):
        return False
    return not any(what in seals and what not in opened and shut(world, me, what, names) for what, names in world.locks)


def shut(world: World, me: int, what: str, names: frozenset[int]) -> bool:
    at = place_of(world, what)
    keeps = {(who, role) for who, role, place, ends in world.grants if place == at and ends > 0}
    leads = {
        who for who, role, place, ends in world.grants
        if place == world.tree[at] and role is Role.TRUST_LEAD and ends > 0
    }  # fmt: skip
    held = bool(names & leads) or any((who, role) in keeps for who in names for role in (Role.DSL, Role.DEPUTY_DSL))
    return me not in names and (held or (me, Role.DSL) not in keeps)


def unreachable(world: World, me: int) -> list[str]:
    """Academies that narrowing to is ignored, as no grant of mine reaches them."""
    places = [place for who, _, place, ends in world.grants if who == me and ends > 0]
    return [academy for academy in world.tree if not any(reaches(world, place, academy) for place in places)]


# ---- what hangs together in the made-up world ----


def place_of(world: World, what: str) -> str:
    number = int(what[1:])
    return {"p": world.pupils, "e": [one[0] for one in world.events], "c": [one[0] for one in world.concerns]}[what[0]][
        number
    ]


def event_seen(world: World, me: int, number: int) -> bool:
    academy, pupil, _ = world.events[number]
    subject = f"p{pupil}" if pupil is not None else f"e{number}"
    proof_of = {f"c{n}" for n, concern in enumerate(world.concerns) if number in concern[2]}
    return sees(world, me, Permission.EVENT_VIEW, academy, {subject}, {subject} | proof_of)


def concern_seen(world: World, me: int, number: int) -> bool:
    academy, pupils, _ = world.concerns[number]
    names = {f"p{one}" for one in pupils}
    return sees(world, me, Permission.CONCERN_VIEW, academy, names, names | {f"c{number}"})


# ---- the same world in a real database and real indexes ----


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "box.db"
    db = open_system(path)
    migrate(db)
    db.conn.execute("PRAGMA journal_mode=DELETE")
    db.close()
    return path


def fill(db: Database, index: Path, world: World) -> None:
    add = db.conn.execute
    add("BEGIN")
    for trust in ("t1", "t2", "t3"):
        add("INSERT INTO trust (id, name) VALUES (?, ?)", [trust, trust])
    for academy, trust in world.tree.items():
        add("INSERT INTO academy (id, trust_id, name, short_name) VALUES (?, ?, ?, ?)", [academy, trust, academy, "A"])
    for who in PEOPLE:
        add("INSERT INTO staff (id, name, email) VALUES (?, ?, ?)", [f"s{who}", f"S{who}", f"s{who}@school.example"])
    for n, (who, role, place, ends) in enumerate(world.grants):
        columns = (place, None) if place[0] == "t" else (None, place)
        values = [f"g{n}", f"s{who}", role, *columns, to_text(NOW - 2 * DAY), to_text(NOW + ends * DAY)]
        add("INSERT INTO staff_grant VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    for n, academy in enumerate(world.pupils):
        add("INSERT INTO pupil (id, academy_id, surname, forename, flags) VALUES (?, ?, ?, 'Kim', '[\"cp\"]')",
            [f"p{n}", academy, f"Pupil{n}"])  # fmt: skip
    for n, (academy, pupil, state) in enumerate(world.events):
        add("INSERT INTO event (id, message_id, device_id, academy_id, pupil_id, account, queue_epoch, sequence,"
            " occurred_at, received_at, rule_id, rule_category, trigger_words, application, window_title, address,"
            " typed, context, state, category, level, owed_at, attempts) VALUES (?, ?, 'd', ?, ?, 'kim', '', 1, ?, ?,"
            " 'r', 'abuse', 'w', '', '', '', 'zebra', '[]', ?, 'abuse', 4, ?, 0)",
            [f"e{n}", f"m{n}", academy, f"p{pupil}" if pupil is not None else None, *[to_text(NOW)] * 2, state,
             to_text(NOW)])  # fmt: skip
        add(
            "INSERT INTO capture VALUES (?, ?, ?, 'sha', 'image/webp', 1, 1, 1, ?, NULL, NULL)",
            [f"k{n}", f"e{n}", academy, b"x"],
        )
        add("INSERT INTO reading VALUES (?, ?, ?, 'zebra', '[]', 0.1, 'test')", [f"r{n}", f"e{n}", academy])
        verdict = [f"v{n}", f"e{n}", academy, to_text(NOW)]
        add("INSERT INTO verdict VALUES (?, ?, ?, 's0', 4, 'abuse', NULL, 'zebra', ?, 4, 'abuse')", verdict)
    for n, (academy, pupils, linked) in enumerate(world.concerns):
        add("INSERT INTO concern (id, academy_id, category, level, summary, facts, child_words, opinion, state,"
            " opened_at, opened_by) VALUES (?, ?, 'abuse', 4, 'zebra', '', '', '', 'open', ?, 's0')",
            [f"c{n}", academy, to_text(NOW)])  # fmt: skip
        for pupil in pupils:
            add("INSERT INTO concern_pupil VALUES (?, ?, ?, ?)", [f"n{n}.{pupil}", f"c{n}", f"p{pupil}", academy])
        for event in linked:
            add(
                "INSERT INTO concern_event VALUES (?, ?, ?, ?, 'sha')", [f"l{n}.{event}", f"c{n}", f"e{event}", academy]
            )
        add("INSERT INTO action VALUES (?, ?, ?, 'zebra', 's0', NULL, NULL, ?, 's0')",
            [f"x{n}", f"c{n}", academy, to_text(NOW)])  # fmt: skip
    fill_openings(db, world, before=True)
    for n, (what, names) in enumerate(world.locks):
        kind = "pupil" if what[0] == "p" else "concern"
        add("INSERT INTO record_lock VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
            [f"q{n}", place_of(world, what), kind, what, f"s{min(names)}", to_text(NOW)])  # fmt: skip
        for who in names:
            add("INSERT INTO record_lock_name VALUES (?, ?)", [f"q{n}", f"s{who}"])
        records.set_openings_ended(db, what, [f"s{who}" for who in names])
    fill_openings(db, world, before=False)
    for n, (academy, pupil, who) in enumerate(world.reports):
        add("INSERT INTO concern_report VALUES (?, ?, ?, 'Kim', 'zebra', ?, ?, NULL, NULL, NULL)",
            [f"r{n}", academy, f"p{pupil}" if pupil is not None else None, f"s{who}", to_text(NOW)])  # fmt: skip
    # the box's own scope is read beside the transaction
    add("COMMIT")
    add("BEGIN")
    for n, (academy, who, what) in enumerate(world.notices):
        notice = Notice(academy, f"s{who}", NoticeKind.GLASS_BROKEN, f"pupil:{what}", "s0", NOW)
        notices.insert_notice(db, f"y{n}", notice)
    for kind, subject, academy in on_the_trail(world):
        append_audit(db, AuditEntry("s0", kind, subject, academy, NOW, {"of": "zebra"}))
    for n, (who, told) in enumerate(world.entries):
        append_audit(db, AuditEntry(f"s{who}", "record:searched", f"search:{n}", None, NOW, {}, tuple(told)))
    add("COMMIT")
    documents = [Document("event", f"e{n}", one[0], NOW, "abuse", 4, "zebra") for n, one in enumerate(world.events)]
    documents += [
        Document("concern", f"c{n}", one[0], NOW, "abuse", 4, "zebra") for n, one in enumerate(world.concerns)
    ]
    if documents:
        Indexer(index).update(documents)


def fill_openings(db: Database, world: World, before: bool) -> None:
    for n, (who, what, ends, early) in enumerate(world.openings):
        if early is before:
            opening = Opening(place_of(world, what), what)
            records.insert_opening(db, f"o{n}", f"s{who}", opening, NOW - DAY, NOW + timedelta(hours=ends))


def on_the_trail(world: World) -> list[tuple[str, str, str]]:
    """Kind, subject and academy of an entry about each thing there is."""
    found = [("pupil:viewed", f"pupil:p{n}", academy) for n, academy in enumerate(world.pupils)]
    found += [("record:break_glass", f"pupil:p{n}", academy) for n, academy in enumerate(world.pupils)]
    found += [("event:assessed", f"event:e{n}", one[0]) for n, one in enumerate(world.events)]
    found += [("concern:opened", f"concern:c{n}", one[0]) for n, one in enumerate(world.concerns)]
    found += [("action:recorded", f"action:x{n}", one[0]) for n, one in enumerate(world.concerns)]
    return found + [("report:made", f"report:r{n}", one[0]) for n, one in enumerate(world.reports)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
def test_every_way_to_read_agrees_with_the_oracle(empty: Path, world: World) -> None:
    with tempfile.TemporaryDirectory() as made:
        path, index = Path(made) / "box.db", Path(made) / "index"
        shutil.copy(empty, path)
        db = open_system(path)
        fill(db, index, world)
        for me in PEOPLE:
            whole = people.get_actor(db, f"s{me}", NOW)
            assert whole is not None
            actor = narrow(whole, world.narrowed_to)
            mine = open_as(path, actor)
            check_events(mine, world, me)
            check_concerns(mine, world, me)
            check_search(mine, index, actor, world, me)
            check_counts(mine, world, me)
            check_reports_and_notices(mine, world, me)
            check_audit(mine, world, me)
            mine.close()
        db.close()


def check_events(db: Database, world: World, me: int) -> None:
    seen = {f"e{n}" for n in range(len(world.events)) if event_seen(world, me, n)}
    state = {f"e{n}": one[2] for n, one in enumerate(world.events)}
    queue = {one for one in seen if state[one] in ("awaiting_moderation", "unreadable")}
    confirmed = {one for one in seen if state[one] == "confirmed"}
    assert {one.id for one in events.select_recent(db)} == seen
    assert {one.id for one in events.select_queue(db)} == queue and events.count_queue(db) == len(queue)
    assert {one.id for one in events.select_confirmed(db)} == confirmed and events.count_confirmed(db) == len(confirmed)
    assert sum(events.count_by_state(db, NOW - DAY).values()) == len(seen)
    for one in state:
        assert (events.get_event(db, one) is not None) == (one in seen)
        assert (captures.get_capture(db, one) is not None) == (one in seen)
        assert (captures.get_preview(db, one) is not None) == (one in seen)
        assert (assessments.get_reading(db, one) is not None) == (one in seen)
        assert bool(assessments.select_verdicts(db, one)) == (one in seen)
    for n in range(len(world.pupils)):
        own = {f"e{k}" for k, one in enumerate(world.events) if one[1] == n}
        assert {one.id for one in events.select_of_pupil(db, f"p{n}", NOW - DAY)} == own & seen


def check_concerns(db: Database, world: World, me: int) -> None:
    seen = {f"c{n}" for n in range(len(world.concerns)) if concern_seen(world, me, n)}
    assert {one.id for one in concerns.select_open_concerns(db)} == seen
    assert concerns.count_open_concerns(db) == len(seen)
    assert {one.concern_id for one in concerns.select_open_actions(db)} == seen
    for n, (_, names, linked) in enumerate(world.concerns):
        one = f"c{n}"
        assert (concerns.get_concern(db, one) is not None) == (one in seen)
        assert set(concerns.select_pupil_ids(db, one)) == ({f"p{k}" for k in names} if one in seen else set())
        proof = {evidence.event_id for evidence in concerns.select_evidence(db, [one])[one]}
        assert proof == ({f"e{k}" for k in linked} if one in seen else set())
    for n, academy in enumerate(world.pupils):
        on_record = {entry.subject_id for entry in select_chronology(db, f"p{n}")}
        assert {one for one in on_record if one[0] == "c"} == {
            f"c{k}" for k, one in enumerate(world.concerns) if n in one[1] and f"c{k}" in seen
        }
        pupil = people.get_pupil(db, f"p{n}")
        assert (pupil is not None) == sees(world, me, Permission.PUPIL_VIEW, academy, set(), set())
        if pupil is not None:
            marked = sees(world, me, Permission.EVENT_VIEW, academy, {f"p{n}"}, {f"p{n}"})
            assert pupil.flags == (("cp",) if marked else ())


def check_search(db: Database, index: Path, actor: Actor, world: World, me: int) -> None:
    answer = query.find(index, academies_for(actor, Permission.CONCERN_VIEW), "zebra", 500)
    read = {"event": events.get_event, "concern": concerns.get_concern}
    found = {hit.id for hit in answer.hits if read[hit.kind](db, hit.id) is not None}
    searched = {
        at
        for at in world.tree
        if any(
            sees(world, me, Permission.CONCERN_VIEW, at, {what}, set())
            for what in [f"p{n}" for n, where in enumerate(world.pupils) if where == at]
            + [f"e{n}" for n, one in enumerate(world.events) if one[0] == at]
            + [f"c{n}" for n, one in enumerate(world.concerns) if one[0] == at]
            + ["nothing"]
        )
    }
    assert found == {
        f"e{n}" for n, one in enumerate(world.events) if event_seen(world, me, n) and one[0] in searched
    } | {f"c{n}" for n in range(len(world.concerns)) if concern_seen(world, me, n)}


def check_counts(db: Database, world: World, me: int) -> None:
    figures = {one.academy_name: (one.received, one.concerns) for one in select_figures(db, NOW - DAY, NOW)}
    assert figures == {
        at: (sum(one[0] == at for one in world.events), sum(one[0] == at for one in world.concerns))
        for at in world.tree
        if sees(world, me, Permission.REPORT_VIEW, at, set(), set())
    }


def report_seen(world: World, me: int, number: int) -> bool:
    academy, pupil, by = world.reports[number]
    subject = {f"p{pupil}" if pupil is not None else f"r{number}"}
    own = by == me and sees(world, me, Permission.CONCERN_REPORT, academy, set(), set())
    return own or sees(world, me, Permission.CONCERN_VIEW, academy, subject, subject)


def check_reports_and_notices(db: Database, world: World, me: int) -> None:
    seen = {f"r{n}" for n in range(len(world.reports)) if report_seen(world, me, n)}
    assert {one.id for one in reports.select_reports(db)} == seen
    own = {f"r{n}" for n, one in enumerate(world.reports) if one[2] == me}
    assert {one.id for one in reports.select_reports_by(db, f"s{me}")} == own & seen
    # being called is not narrowed
    wide = replace(world, narrowed_to=None)
    for who in PEOPLE:
        mine = {
            f"y{n}" for n, (academy, to, _) in enumerate(world.notices)
            if to == who == me and sees(wide, me, Permission.ESCALATION_VIEW, academy, set(), set())
        }  # fmt: skip
        assert {one.id for one in notices.select_unseen(db, f"s{who}")} == mine
        assert notices.count_unseen(db, f"s{who}") == len(mine)


def check_audit(db: Database, world: World, me: int) -> None:
    rows = {(one.kind, one.subject): one.detail for one in select_audit(db, 500)}
    expected = {}
    for kind, subject, academy in on_the_trail(world):
        if sees(world, me, Permission.AUDIT_VIEW, academy, set(), set()):
            shown = me == 0 or is_open(world, me, kind, subject.partition(":")[2], academy)
            expected[kind, subject] = '{"of":"zebra"}' if shown else KEPT_BACK
    for n, (_, told) in enumerate(world.entries):
        if any(audits(world, me, place) for place in told) or all(audits(world, me, t) for t in ("t1", "t2", "t3")):
            expected["record:searched", f"search:{n}"] = "{}"
    assert rows == expected


def audits(world: World, me: int, place: str) -> bool:
    """Whether I audit an academy, or a trust as a whole."""
    if place in world.tree:
        return sees(world, me, Permission.AUDIT_VIEW, place, set(), set())
    return world.narrowed_to in (None, *unreachable(world, me)) and any(
        who == me and at == place and ends > 0 and Permission.AUDIT_VIEW in ROLES[role].permissions
        for who, role, at, ends in world.grants
    )


def is_open(world: World, me: int, kind: str, thing: str, academy: str) -> bool:
    number = int(thing[1:])
    if kind == "event:assessed":
        return event_seen(world, me, number)
    if kind in ("concern:opened", "action:recorded"):
        return concern_seen(world, me, number)
    if kind == "report:made":
        return report_seen(world, me, number)
    told = kind == "record:break_glass" and any(who == me and what == thing for _, who, what in world.notices)
    return told or sees(world, me, Permission.EVENT_VIEW, academy, {thing}, {thing})
