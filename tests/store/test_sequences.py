"""Which events never came: whatever the order they come in, the store says what a set would say."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.safeguarding.audit import SYSTEM
from appliance.safeguarding.device import ASKED_AGAIN_AFTER, HELD_FOR, SETTLED_AFTER, Heartbeat
from appliance.store.connection import open_system, transaction
from appliance.store.devices import select_commands
from appliance.store.migrations import migrate, migrations
from appliance.store.sequences import note_claim, note_sequence, select_missing
from appliance.workflow.hear import hear_heartbeats
from appliance.workflow.ingest import BadMessage, keep_rejected_message
from tests.factories import NOW, Box

LATER = NOW + SETTLED_AFTER * 3
LARGEST = 2**63 - 1


def come(box: Box, *sequences: int, epoch: str = "e") -> None:
    for sequence in sequences:
        note_sequence(box.db, "ASH-01", "ashby", epoch, sequence, NOW)


def claim(box: Box, highest: int, held_from: int | None = None, at=NOW, epoch: str = "e") -> None:
    note_claim(box.db, "ASH-01", "ashby", epoch, highest, held_from, at)


def missing(box: Box, at=LATER) -> list[tuple[str, int, int]]:
    return [(one.queue_epoch, one.count, one.first) for one in select_missing(box.db, at)]


def test_what_comes_in_order_leaves_no_gap_and_one_row(box: Box) -> None:
    come(box, *range(1, 101))
    claim(box, 100)
    assert missing(box) == []
    assert box.db.conn.execute("SELECT count(*), max(highest) FROM sequence_mark").fetchone() == (1, 100)
    assert box.db.conn.execute("SELECT count(*) FROM event_gap").fetchone() == (0,)


def test_a_gap_is_one_as_soon_as_the_claim_has_settled(box: Box) -> None:
    come(box, 1, 2, 5, 6, 9)
    claim(box, 9)
    assert missing(box, NOW + SETTLED_AFTER - timedelta(seconds=1)) == []
    assert missing(box, NOW + SETTLED_AFTER) == [("e", 4, 3)]


def test_what_waits_on_the_device_is_not_missing(box: Box) -> None:
    come(box, 1, 2)
    claim(box, 500, held_from=3)
    assert missing(box) == []
    claim(box, 500, held_from=5, at=NOW + SETTLED_AFTER)
    assert missing(box) == [("e", 2, 3)], "3 and 4 are held by nobody"


def test_the_end_of_the_count_that_never_came_is_missing_too(box: Box) -> None:
    come(box, 1, 2, 3)
    claim(box, 5)
    assert missing(box) == [("e", 2, 4)]
    come(box, 5)
    assert missing(box) == [("e", 1, 4)]
    come(box, 4)
    assert missing(box) == []


def test_a_device_that_counts_on_is_caught_up_with(box: Box) -> None:
    """Heartbeats with ever higher counts must not put the moment off for ever."""
    come(box, 1, 3)
    for minute in range(20):
        claim(box, 3 + minute, held_from=4, at=NOW + timedelta(minutes=minute))
    assert missing(box, NOW + timedelta(minutes=20)) == [("e", 1, 2)]


def test_each_queue_of_a_device_counts_for_itself(box: Box) -> None:
    come(box, 1, 3, epoch="old")
    come(box, 2, epoch="new")
    for epoch, highest in (("old", 3), ("new", 2)):
        claim(box, highest, epoch=epoch)
    assert sorted(missing(box)) == [("new", 1, 1), ("old", 1, 2)]


@pytest.mark.parametrize("sequences", [(LARGEST,), (LARGEST, 1), (1, LARGEST, 2, LARGEST - 1)])
def test_a_device_that_counts_absurdly_breaks_nothing(box: Box, sequences) -> None:
    come(box, *sequences)
    claim(box, LARGEST)
    ((_, count, _),) = missing(box)
    assert count == 1_000_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 25), max_size=40), st.integers(0, 30), st.one_of(st.none(), st.integers(1, 30)))
def test_in_any_order_it_is_what_a_set_would_say(box: Box, sequences, highest, held_from) -> None:
    with transaction(box.db):
        box.db.conn.execute("DELETE FROM sequence_mark")
        box.db.conn.execute("DELETE FROM event_gap")
        come(box, *sequences)
        claim(box, highest, held_from)
    until = min(highest, held_from - 1) if held_from else highest
    expected = set(range(1, until + 1)) - set(sequences)
    assert missing(box) == ([("e", len(expected), min(expected))] if expected else [])


def test_a_refused_message_whose_place_is_known_is_no_gap(box: Box) -> None:
    come(box, 1, 3)
    claim(box, 3)
    bad = BadMessage("ASH-01", "m", "tk/v1/event/ASH-01", b"x", "ab" * 32, "The time is wrong.", "e", 2)
    keep_rejected_message(box.db, box.vault, bad, NOW, box.new_id)
    assert missing(box) == []


def test_the_box_asks_by_itself_once_an_hour_while_the_device_can_still_have_it(box: Box) -> None:
    come(box, 1, 4)

    def hear(at) -> int:
        beat = Heartbeat("ASH-01", "e", 4, None, 0, 0, None, 0, "1", "1", at)
        assert hear_heartbeats(box.db, [(beat, at)], at, box.new_id) == []
        return len(select_commands(box.db, "ASH-01", NOW - timedelta(days=1)))

    assert hear(NOW) == 0, "it may still be on its way"
    assert hear(NOW + SETTLED_AFTER) == 1
    assert hear(NOW + SETTLED_AFTER * 2) == 1
    assert hear(NOW + SETTLED_AFTER + ASKED_AGAIN_AFTER) == 2
    assert hear(NOW + HELD_FOR + SETTLED_AFTER) == 2
    first = select_commands(box.db, "ASH-01", NOW - timedelta(days=1))[-1]
    assert (first.from_sequence, first.asked_by) == (2, SYSTEM)


def test_a_heartbeat_of_an_unknown_device_changes_nothing(box: Box) -> None:
    beat = Heartbeat("NEW-01", "e", 4, None, 3, 0, None, 0, "1", "1", NOW)
    assert hear_heartbeats(box.db, [(beat, NOW), (replace(beat, device_id="ASH-01"), NOW)], NOW, box.new_id) == [
        "NEW-01"
    ]
    rows = box.db.conn.execute("SELECT device_id FROM heartbeat").fetchall()
    assert rows == [("ASH-01",)]


def test_a_box_of_an_earlier_version_learns_its_gaps_when_it_is_migrated(tmp_path, box: Box) -> None:
    db = open_system(tmp_path / "old.db")
    migrations.apply(db, stop_before="m0005_devices")
    db.conn.execute("INSERT INTO trust (id, name) VALUES ('t', 'T')")
    db.conn.execute("INSERT INTO academy (id, trust_id, name, short_name) VALUES ('a', 't', 'A', 'A')")
    db.conn.execute(
        "INSERT INTO device (id, academy_id, name, place, enrolled_at, certificate_serial) VALUES"
        " ('D-1', 'a', 'D', '', '2026-01-01T00:00:00.000000+00:00', 'ab')"
    )
    columns = [row[1] for row in db.conn.execute("PRAGMA table_info(event)")]
    for sequence in (2, 3, 7):
        values = {name: "" for name in columns} | {"id": f"i{sequence}", "message_id": f"m{sequence}"}
        values |= {"device_id": "D-1", "academy_id": "a", "queue_epoch": "e", "sequence": sequence, "level": 1}
        values |= {"attempts": 0, "received_at": "2026-11-01T10:00:00.000000+00:00"}
        db.conn.execute(
            f"INSERT INTO event ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values())
        )
    migrate(db)
    (found,) = select_missing(db, NOW)
    assert (found.count, found.first, found.queue_epoch) == (4, 1, "e")
    assert db.conn.execute("SELECT serial, ends_at FROM device_certificate").fetchall() == [
        ("ab", "2030-12-31T00:00:00.000000+00:00")
    ]
    assert db.conn.execute("SELECT kind FROM device").fetchall() == [("desktop",)]
    db.close()
