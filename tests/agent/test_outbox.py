"""The outbox: what is put stays, whatever dies, and what is dropped when there is no room is counted."""

import re
import sqlite3
import stat
import time
import uuid
from pathlib import Path

import pytest

from agent.message import payload_digest
from agent.outbox import Limits, Outbox, OutboxFullError
from agent.outbox_file import FolderInUseError, hold_folder

NOW = 1_760_000_000.0

PUTTER = """
import os, sys, uuid, time
from pathlib import Path
from agent.message import SealedEvent
from agent.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]), new_epoch=str(uuid.uuid4()))
for _ in range(int(sys.argv[2])):
    build = lambda sequence, epoch: SealedEvent(str(uuid.uuid4()), os.urandom(100_000), os.urandom(300))
    print("kept", outbox.put(build, time.time()), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def outbox(tmp_path: Path):
    outbox = Outbox(tmp_path / "data", new_epoch="epoch-one")
    yield outbox
    outbox.close()


def open_limited(folder: Path, **limits: int) -> Outbox:
    return Outbox(folder, new_epoch="epoch-one", limits=Limits(**limits))


def test_numbers_run_from_one_and_go_on_after_a_restart(tmp_path, event_builder):
    for expected in ([1, 2], [3]):
        outbox = Outbox(tmp_path, new_epoch=str(uuid.uuid4()))
        assert [outbox.put(event_builder(), NOW) for _ in expected] == expected
        outbox.close()


def test_an_outbox_keeps_the_epoch_it_was_made_with(tmp_path):
    first = Outbox(tmp_path / "a", new_epoch="epoch-one")
    again = Outbox(tmp_path / "a", new_epoch="epoch-two")
    assert (first.epoch, again.epoch) == ("epoch-one", "epoch-one")
    first.close()
    again.close()


def test_a_number_is_not_used_up_by_an_event_that_could_not_be_made(outbox, event_builder):
    def fail(sequence, epoch):
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError):
        outbox.put(fail, NOW)
    assert outbox.put(event_builder(), NOW) == 1


def test_it_is_durable_and_wipes_what_it_deletes(outbox):
    pragmas = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
    # 2 is FULL
    assert [outbox._db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == ["wal", 2, 1, 1]


def test_only_its_owner_may_read_the_files(outbox, event_builder, tmp_path):
    outbox.put(event_builder(), NOW)
    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_nothing_readable_lies_on_the_disk(outbox, event_builder, page, tmp_path):
    outbox.put(event_builder("purple elephants on parade", page()), NOW)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    assert len(kept) > 1000
    for secret in (b"purple", b"mia.hartley", b"chat.example", b"WEBPVP8L"):
        assert secret not in kept


def test_only_the_events_own_digest_deletes_it(outbox, event_builder, page):
    outbox.put(event_builder("one", page()), NOW)
    (event,) = outbox.due(NOW, 10)
    full = outbox.payload(event.message_id, with_image=True)
    assert not outbox.remove(event.message_id, "0" * 64, NOW)
    assert not outbox.remove(str(uuid.uuid4()), payload_digest(full), NOW)
    assert outbox.remove(event.message_id, payload_digest(full), NOW + 5)
    assert outbox.payload(event.message_id, with_image=False) is None
    figures = outbox.figures()
    assert (figures.queue_depth, figures.receipted, figures.last_receipt_at) == (0, 1, NOW + 5)


def test_either_sealed_form_is_the_event(outbox, event_builder, page):
    outbox.put(event_builder("one", page()), NOW)
    (event,) = outbox.due(NOW, 10)
    text = outbox.payload(event.message_id, with_image=False)
    assert outbox.remove(event.message_id, payload_digest(text), NOW)


def test_due_follows_time_then_number(outbox, event_builder):
    for _ in range(4):
        outbox.put(event_builder(), NOW)
    first, second, third, fourth = outbox.due(NOW, 10)
    assert [event.sequence for event in (first, second, third, fourth)] == [1, 2, 3, 4]
    outbox.mark_sent(first.message_id, NOW + 30)
    outbox.mark_refused(second.message_id, NOW + 10)
    assert [event.sequence for event in outbox.due(NOW, 10)] == [3, 4]
    assert [event.sequence for event in outbox.due(NOW, 10, {third.message_id})] == [4]
    assert outbox.next_due({third.message_id, fourth.message_id}) == NOW + 10
    assert [event.sequence for event in outbox.due(NOW + 30, 10)] == [3, 4, 2, 1]
    outbox.make_due(only_refused=True)
    assert [event.sequence for event in outbox.due(NOW, 10)] == [2, 3, 4]
    outbox.make_due()
    assert [event.sequence for event in outbox.due(NOW, 10)] == [1, 2, 3, 4]
    assert [event.attempts for event in outbox.due(NOW, 10)] == [1, 0, 0, 0]


def test_a_clock_set_back_does_not_put_an_event_off_for_ever(outbox, event_builder):
    outbox.put(event_builder(), NOW)
    (event,) = outbox.due(NOW, 1)
    outbox.mark_sent(event.message_id, NOW + 30)
    assert outbox.due(NOW - 10 * 86_400, 1)


def test_dead_letters_are_bounded_and_counted(tmp_path, event_builder):
    outbox = open_limited(tmp_path, dead_letters=2)
    for number in range(4):
        outbox.put(event_builder(), NOW)
        (event,) = outbox.due(NOW, 1)
        payload = outbox.payload(event.message_id, with_image=False)
        assert outbox.reject(event.message_id, payload_digest(payload), "version", NOW + number)
        assert not outbox.remove(event.message_id, payload_digest(payload), NOW)
    figures = outbox.figures()
    assert (figures.queue_depth, figures.dead_letters, figures.dead_letters_dropped) == (0, 2, 2)
    outbox.close()


def test_when_full_the_oldest_images_go_and_never_text(tmp_path, event_builder, noise):
    image = noise(200, 100)
    outbox = open_limited(tmp_path, bytes_at_most=200_000)
    for _ in range(6):
        outbox.put(event_builder("kept", image), NOW)
    events = outbox.due(NOW, 10)
    assert len(events) == 6
    assert [bool(event.full_bytes) for event in events] == [False] * 3 + [True] * 3
    assert all(outbox.payload(event.message_id, with_image=False) for event in events)
    assert outbox.payload(events[0].message_id, with_image=True) is None
    figures = outbox.figures()
    assert (figures.images_dropped, figures.queue_bytes <= 200_000) == (3, True)
    outbox.close()


def test_a_receipt_still_counts_after_the_image_had_to_go(tmp_path, event_builder, noise):
    outbox = open_limited(tmp_path, bytes_at_most=100_000)
    outbox.put(event_builder("kept", noise(200, 100)), NOW)
    (event,) = outbox.due(NOW, 1)
    digest = payload_digest(outbox.payload(event.message_id, with_image=True))
    outbox.put(event_builder("newer", noise(200, 100)), NOW)
    assert outbox.payload(event.message_id, with_image=True) is None
    assert outbox.remove(event.message_id, digest, NOW)
    outbox.close()


def test_dead_letters_give_way_before_what_waits(tmp_path, event_builder, noise):
    outbox = open_limited(tmp_path, bytes_at_most=150_000)
    outbox.put(event_builder("dead", noise(200, 100)), NOW)
    (dead,) = outbox.due(NOW, 1)
    outbox.reject(dead.message_id, payload_digest(outbox.payload(dead.message_id, with_image=True)), "version", NOW)
    for _ in range(2):
        outbox.put(event_builder("waits", noise(200, 100)), NOW)
    assert all(event.full_bytes for event in outbox.due(NOW, 10))
    assert outbox.figures().dead_letters == 1
    outbox.close()


def test_a_full_disk_costs_images_and_not_the_event(outbox, event_builder, noise):
    for _ in range(5):
        outbox.put(event_builder("earlier", noise(200, 100)), NOW)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    assert outbox.put(event_builder("the one that matters", noise(200, 100)), NOW) == 6
    assert len(outbox.due(NOW, 10)) == 6
    assert outbox.figures().images_dropped > 1


def test_a_disk_without_any_room_is_said_so(outbox, event_builder):
    for _ in range(3):
        outbox.put(event_builder("earlier"), NOW)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxFullError):
        for _ in range(100):
            outbox.put(event_builder("x" * 3000), NOW)
    figures = outbox.figures()
    assert figures.queue_depth == figures.highest_sequence >= 3


def test_two_agents_cannot_share_a_folder(tmp_path):
    lock = hold_folder(tmp_path)
    with pytest.raises(FolderInUseError):
        hold_folder(tmp_path)
    lock.close()
    hold_folder(tmp_path).close()


def test_a_killed_process_has_kept_every_event_it_put(tmp_path, start_program):
    folder = tmp_path / "data"
    for _ in range(3):
        program = start_program("-c", PUTTER, folder, "100000")
        for _ in range(7):
            program.wait_for_line("kept")
        program.process.kill()  # -9, in the middle of its writing
        program.finish()
        promised = int(re.findall(r"kept (\d+)", "\n".join(program.lines))[-1])
        outbox = Outbox(folder, new_epoch="never used")
        assert outbox._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        sequences = [event.sequence for event in outbox.due(time.time(), 100_000)]
        assert len(sequences) >= promised
        assert sequences == list(range(1, len(sequences) + 1))
        assert outbox.figures().highest_sequence == len(sequences)
        outbox.close()


def test_what_is_left_by_a_process_killed_before_it_could_send_is_delivered(
    device, box, start_program, wait_until, event_builder
):
    # the key doesn't matter to the outbox, but the box must be able to open what comes
    device.put("put by this process")
    device.outbox.close()
    program = start_program(
        "-c", _SEALING_PUTTER, device.folder, device.box_key.write_public(device.folder / "key.pem")
    )
    program.wait_for_line("kept")
    program.process.kill()
    program.finish()
    device.outbox = device.open_outbox()
    assert device.depth == 2
    device.start()
    wait_until(lambda: device.depth == 0, "an empty outbox")
    assert [event.header["typed"] for event in box.events] == ["put by this process", "put by the killed one"]


_SEALING_PUTTER = """
import sys, time, uuid
from datetime import UTC, datetime
from pathlib import Path
from agent.message import Report, build_event_message
from agent.outbox import Outbox
from agent.sealing import load_box_key
key = load_box_key(Path(sys.argv[2]))
report = Report(datetime.now(UTC), "mia", "home", "killed", "Chat", "", "", "put by the killed one")
outbox = Outbox(Path(sys.argv[1]), new_epoch="never used")
outbox.put(
    lambda sequence, epoch: build_event_message(
        report, None, message_id=str(uuid.uuid4()), device_id="larkfield-lib-07", sequence=sequence,
        queue_epoch=epoch, box_key=key,
    ),
    time.time(),
)
print("kept", flush=True)
sys.stdin.read()
"""


def test_a_file_that_is_no_outbox_is_named_as_such(tmp_path):
    (tmp_path / "outbox.sqlite3").write_bytes(b"this is no database, only a file of that name" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Outbox(tmp_path, new_epoch="epoch-one")


def receipt_all(outbox, now=NOW):
    for event in outbox.due(now, 100):
        digest = payload_digest(outbox.payload(event.message_id, with_image=bool(event.full_bytes)))
        assert outbox.remove(event.message_id, digest, now)


def test_receipted_events_are_sent_again_when_the_box_asks(outbox, event_builder, page):
    for image in (page(), None, page()):
        outbox.put(event_builder("one", image), NOW)
    receipt_all(outbox)
    assert outbox.resend("another-epoch", 1) == 0
    assert outbox.resend(outbox.epoch, 2) == 2
    assert [(event.sequence, bool(event.full_bytes)) for event in outbox.due(NOW, 10)] == [(2, False), (3, True)]
    assert outbox.payload(outbox.due(NOW, 10)[1].message_id, with_image=True)
    assert (outbox.figures().receipted, outbox.figures().kept) == (1, 1)
    receipt_all(outbox)
    assert (outbox.figures().receipted, outbox.figures().queue_depth) == (3, 0)


def test_what_the_box_refused_is_sent_again_too_when_it_asks(outbox, event_builder):
    outbox.put(event_builder(), NOW)
    (event,) = outbox.due(NOW, 1)
    digest = payload_digest(outbox.payload(event.message_id, with_image=False))
    assert outbox.reject(event.message_id, digest, "clock", NOW)
    assert outbox.resend(outbox.epoch, 1) == 1
    assert outbox.figures().dead_letters == 0 and outbox.due(NOW, 1)


def test_receipted_events_are_gone_after_a_day(outbox, event_builder):
    outbox.put(event_builder(), NOW)
    receipt_all(outbox)
    outbox.forget_old(NOW + 86_000)
    assert outbox.figures().kept == 1
    outbox.forget_old(NOW + 86_500)
    assert outbox.figures().kept == 0
    assert outbox.resend(outbox.epoch, 1) == 0


def test_receipted_events_keep_to_their_bytes_and_give_way_to_what_waits(tmp_path, event_builder, noise):
    image = noise(200, 100)
    outbox = open_limited(tmp_path, bytes_at_most=300_000, receipted_bytes=150_000)
    for _ in range(4):
        outbox.put(event_builder("kept", image), NOW)
        receipt_all(outbox)
    assert outbox.figures().kept == 2
    for _ in range(4):
        outbox.put(event_builder("waiting", image), NOW)
    figures = outbox.figures()
    assert (figures.kept, figures.images_dropped, figures.queue_depth) == (0, 0, 4)
    outbox.close()


def test_an_outbox_of_the_version_before_goes_on(tmp_path, event_builder):
    outbox = Outbox(tmp_path, new_epoch="epoch-one")
    outbox.put(event_builder("one"), NOW)
    outbox.put(event_builder("two"), NOW)
    receipted = outbox.due(NOW, 1)[0].message_id
    outbox._db.execute("DELETE FROM event WHERE message_id = ?", (receipted,))
    # what version 1 had otherwise
    outbox._db.execute("PRAGMA foreign_keys = OFF")
    (schema,) = outbox._db.execute("SELECT sql FROM sqlite_schema WHERE name = 'event'").fetchone()
    outbox._db.execute("CREATE TABLE kept AS SELECT * FROM event")
    outbox._db.execute("DROP TABLE event")
    outbox._db.execute(schema.replace("'receipted', ", ""))
    outbox._db.execute("INSERT INTO event SELECT * FROM kept")
    outbox._db.execute("DROP TABLE kept")
    outbox._db.execute("CREATE INDEX event_due ON event (state, next_due, sequence)")
    outbox._db.execute("DELETE FROM about WHERE name = 'disk_full'")
    outbox._db.execute("PRAGMA user_version = 1")
    outbox.close()
    again = Outbox(tmp_path, new_epoch="epoch-two")
    assert [event.sequence for event in again.due(NOW, 10)] == [2]
    receipt_all(again)
    assert (again.epoch, again.figures().kept) == ("epoch-one", 1)
    assert again._db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert again.put(event_builder(), NOW) == 3
    again.close()


def test_a_full_disk_is_said_until_there_is_room_again(outbox, event_builder, noise):
    outbox.put(event_builder("one", noise(300, 200)), NOW)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    outbox.put(event_builder("two", noise(400, 300)), NOW)
    assert outbox.figures().disk_full
    outbox._db.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    outbox.put(event_builder("three"), NOW)
    assert not outbox.figures().disk_full
