"""The ingest program as a process, on a real broker: kept first, then acknowledged and receipted, come what may."""

import hashlib
import json
import os
import resource
import signal
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agent.connection import Credentials
from appliance.broker.certificates import KeysError
from appliance.broker.connection import Message
from appliance.broker.subscriber import Keeper, run_ingest
from appliance.broker.upkeep import Upkeep
from appliance.store.connection import StoreError, transaction
from appliance.store.devices import select_devices, select_rejected_messages
from appliance.workflow.enrol import revoke_device
from tests.broker.running import Client, Program, Site, wait_until
from tests.broker.sealed import header, pack, seal

SECRET = "zz never shown zz"


class Device:
    """A device by hand: it publishes what it is told and collects its receipts."""

    def __init__(self, site: Site, credentials: Credentials) -> None:
        self.id = credentials.device_id
        self.client: Client = site.client(credentials, subscribe=True)
        self._key = load_pem_public_key((site.config.keys / "box.pub").read_bytes())

    def seal(self, picture: bytes = b"stands for a picture", **changes: Any) -> tuple[str, bytes]:
        now = datetime.now(UTC).isoformat()
        fields = header(picture, device_id=self.id, occurred_at=now, typed=SECRET) | changes
        return fields["message_id"], seal(self._key, fields["message_id"], pack(fields, picture))

    def send(self, message_id: str | None, payload: bytes) -> int:
        return self.client.publish(f"tk/v1/event/{self.id}", payload, message_id)

    def receipts(self, count: int) -> list[dict[str, Any]]:
        return self.client.receipts(count)


@pytest.fixture
def device(site: Site) -> Device:
    site.start_mosquitto()
    return Device(site, site.enrol())


@pytest.fixture
def ingest(site: Site, device: Device) -> Program:
    return site.start_ingest()


def test_an_event_is_kept_and_then_receipted(site: Site, device: Device, ingest: Program):
    message_id, payload = device.seal(b"p" * 84_000)
    assert device.send(message_id, payload) == 0
    (receipt,) = device.receipts(1)
    digest = hashlib.sha256(payload).hexdigest()
    assert receipt == {"message_id": message_id, "sha256": digest, "status": "stored", "reason": None}
    row = site.box.db.conn.execute("SELECT device_id, academy_id, typed, state FROM event").fetchone()
    assert row == ("ASH-01", "ashby", SECRET, "received")
    (sha256,) = site.box.db.conn.execute("SELECT sha256 FROM capture").fetchone()
    assert site.box.vault.open(sha256) == b"p" * 84_000
    ingest.wait_for_line("event received from ASH-01, 85 kB")


def test_an_event_that_comes_twice_is_kept_once(site: Site, device: Device, ingest: Program):
    message_id, payload = device.seal()
    device.send(message_id, payload)
    device.send(message_id, payload)
    assert [one["status"] for one in device.receipts(2)] == ["stored", "duplicate"]
    assert (site.count("event"), site.count("capture")) == (1, 1)


def test_the_same_event_sealed_anew_without_its_image_is_a_duplicate_too(site: Site, device: Device, ingest: Program):
    message_id, payload = device.seal()
    _, smaller = device.seal(b"", message_id=message_id, image=None)
    device.send(message_id, payload)
    device.send(message_id, smaller)
    receipts = device.receipts(2)
    assert receipts[1]["status"] == "duplicate" and receipts[1]["sha256"] == hashlib.sha256(smaller).hexdigest()
    assert (site.count("event"), site.count("capture")) == (1, 1)


def test_a_message_that_cannot_be_read_is_kept_whole_and_refused_once_for_all(
    site: Site, device: Device, ingest: Program
):
    message_id, payload = device.seal(typed=f"{SECRET}\0")
    device.send(message_id, payload)
    device.send(message_id, payload)
    for receipt in device.receipts(2):
        assert (receipt["status"], receipt["reason"]) == ("rejected", "The field typed holds a NUL.")
    (kept,) = select_rejected_messages(site.box.db)
    assert (kept.device_id, kept.message_id, kept.reason) == ("ASH-01", message_id, "The field typed holds a NUL.")
    assert site.box.vault.open(hashlib.sha256(payload).hexdigest()) == payload
    assert site.count("event") == 0
    # the one after it is not held up
    device.send(*device.seal())
    assert device.receipts(3)[2]["status"] == "stored"


def test_an_event_of_a_device_whose_clock_runs_ahead_is_kept_for_the_technician(
    site: Site, device: Device, ingest: Program
):
    device.send(*device.seal(occurred_at=(datetime.now(UTC) + timedelta(days=3)).isoformat()))
    assert "the device's clock is wrong" in device.receipts(1)[0]["reason"]
    assert "the device's clock is wrong" in select_rejected_messages(site.box.db)[0].reason


def test_a_message_without_an_id_is_kept_and_nobody_is_told(site: Site, device: Device, ingest: Program):
    device.send(None, b"no id")
    device.send("x" * 5000, b"an id without end")
    device.send(*device.seal())
    assert [one["status"] for one in device.receipts(1)] == ["stored"]
    reasons = {kept.reason for kept in select_rejected_messages(site.box.db)}
    assert reasons == {"The message came without a message id.", "The message id is not a UUID."}


def test_a_device_the_box_does_not_know_is_refused(site: Site, ingest: Program):
    known = site.enrol("ASH-09")
    with transaction(site.box.db):
        site.box.db.conn.execute("DELETE FROM device WHERE id = 'ASH-09'")
    stranger = Device(site, known)
    stranger.send(*stranger.seal())
    stranger.send(str(uuid.uuid4()), b"nothing of the kind")
    for receipt in stranger.receipts(2):
        assert (receipt["status"], receipt["reason"]) == ("rejected", "This device is not enrolled at this box.")
    assert (site.count("event"), site.count("rejected_message")) == (0, 0)


def test_what_a_revoked_device_had_on_its_way_is_refused(site: Site, device: Device):
    """Before the broker is told: ingest does that within a second, so it is asked here without one."""
    keeper = Keeper(site.config, Upkeep(site.config, print), print)
    message_id, payload = device.seal()
    revoke_device(site.box.db, None, "ASH-01", datetime.now(UTC))
    answer = keeper.keep(Message("tk/v1/event/ASH-01", message_id, payload, 1), datetime.now(UTC))
    keeper.close()
    assert answer is not None and json.loads(answer.payload)["status"] == "rejected"
    assert site.count("event") == 0


def test_a_heartbeat_is_noted(site: Site, device: Device, ingest: Program):
    beat = {
        "version": 1,
        "device_id": "ASH-01",
        "queue_epoch": "e",
        "highest_sequence": 9,
        "lowest_unreceipted": None,
        "queue_depth": 3,
        "queue_bytes": 0,
        "oldest_at": None,
        "dead_letters": 0,
        "agent_version": "0.1.0",
        "policy_version": "starter-1",
        "sent_at": datetime.now(UTC).isoformat(),
    }

    def noted() -> tuple[int | None, str | None, bool]:
        (row,) = (one for one in select_devices(site.box.db) if one.id == "ASH-01")
        return row.queue_depth, row.agent_version, row.last_seen_at is not None

    device.client.publish("tk/v1/heartbeat/ASH-01", json.dumps(beat).encode(), qos=0)
    wait_until(lambda: noted() == (3, "0.1.0", True), "the heartbeat noted")
    device.client.publish("tk/v1/heartbeat/ASH-01", json.dumps(beat | {"queue_depth": 0}).encode())
    wait_until(lambda: noted()[0] == 0, "the second one noted")
    device.client.publish("tk/v1/heartbeat/ASH-01", b"{")
    ingest.wait_for_line("heartbeat of ASH-01 not understood")


def test_no_line_says_what_a_pupil_wrote(site: Site, device: Device, ingest: Program):
    device.send(*device.seal())
    device.send(*device.seal(account=SECRET, window_title=SECRET * 100))
    device.send(*device.seal(context=[SECRET, 7]))
    device.receipts(3)
    assert ingest.stop() == 0
    assert len(ingest.lines) >= 4
    assert not any(SECRET in line for line in ingest.lines)


def test_it_waits_for_a_broker_that_is_away_and_finds_it_again(site: Site):
    ingest = site.start_ingest(wait=False)
    ingest.wait_for_line("no connection to the broker")
    broker = site.start_mosquitto()
    ingest.wait_for_line("connected to the broker")
    broker.kill()
    ingest.wait_for_line("no connection to the broker", 2)
    site.start_mosquitto()
    ingest.wait_for_line("connected to the broker", 2)
    device = Device(site, site.enrol())
    device.send(*device.seal())
    assert device.receipts(1)[0]["status"] == "stored"
    assert ingest.stop() == 0


def test_it_shows_that_it_lives(site: Site, ingest: Program):
    alive = site.config.run / "ingest.alive"
    first = alive.stat().st_mtime
    wait_until(lambda: alive.stat().st_mtime > first, "another sign of life")


def test_a_full_disk_costs_no_event(site: Site, device: Device, ingest: Program):
    """A limit on the size of files stands for the full disk: writing fails in the middle, in vault and database."""
    device.send(*device.seal())
    device.receipts(1)
    pid = ingest.process.pid
    for limit in (1_000, (site.config.database.stat().st_size // 2) + 30_000):
        before = len(device.client.received)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        sent = [device.seal(os.urandom(25_000)) for _ in range(3)]
        for message_id, payload in sent:
            assert device.send(message_id, payload) == 0
        ingest.wait_for_line("can't keep what devices send", 1 + (before > 1))
        assert len(device.client.received) == before, "a receipt for what was not kept"
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        receipts = device.receipts(before + 3)[before:]
        assert [(one["message_id"], one["status"]) for one in receipts] == [(id, "stored") for id, _ in sent]
    ingest.wait_for_line("keeping what devices send again", 2)
    assert site.count("event") == 7
    assert not list(site.config.captures.rglob("*.tmp"))
    # it failed once in the vault and once in the database
    assert [any(words in line for line in ingest.lines) for words in ("File too large", "disk I/O error")] == [True] * 2


def test_a_locked_database_costs_no_event(site: Site, device: Device, ingest: Program):
    """Another process in the middle of a long write, which keeps to its turn as all of ours do."""
    with transaction(site.box.db):
        message_id, payload = device.seal()
        assert device.send(message_id, payload) == 0
        # the broker has it and ingest waits: it says nothing, and nothing is lost by killing it here
        ingest.kill()
    assert site.count("event") == 0 and not device.client.received
    site.start_ingest()
    device.send(message_id, payload)
    assert device.receipts(1)[0]["status"] == "stored"


def test_events_that_wait_in_ingest_when_the_broker_dies_are_kept_and_not_confirmed_to_the_wrong_connection(
    site: Site,
):
    broker = site.start_mosquitto()
    ingest = site.start_ingest()
    first = Device(site, site.enrol())
    sent = [first.seal() for _ in range(5)]
    ingest.process.send_signal(signal.SIGSTOP)
    for message_id, payload in sent:
        assert first.send(message_id, payload) == 0
    broker.kill()
    site.start_mosquitto()
    ingest.process.send_signal(signal.SIGCONT)
    ingest.wait_for_line("connected to the broker", 2)
    second = Device(site, site.enrol())
    for message_id, payload in sent:
        second.send(message_id, payload)
    receipts = second.receipts(5)
    assert [one["message_id"] for one in receipts] == [message_id for message_id, _ in sent]
    assert site.count("event") == 5


def test_a_fault_with_one_message_holds_up_no_other(site: Site, device: Device, ingest: Program):
    """A trigger stands for a fault of the program's own: that one event always fails, and not for want of room."""
    site.box.db.conn.execute(
        "CREATE TRIGGER fault BEFORE INSERT ON event WHEN NEW.sequence = 13 BEGIN SELECT RAISE(ABORT, 'fault'); END"
    )
    unlucky = device.seal(sequence=13)
    device.send(*unlucky)
    device.send(*device.seal())
    assert device.receipts(1)[0]["message_id"] != unlucky[0]
    ingest.wait_for_line("a message failed in the box itself (IntegrityError)")
    assert site.count("event") == 1
    site.box.db.conn.execute("DROP TRIGGER fault")
    device.send(*unlucky)
    assert device.receipts(2)[1] == {
        "message_id": unlucky[0],
        "sha256": hashlib.sha256(unlucky[1]).hexdigest(),
        "status": "stored",
        "reason": None,
    }


def test_a_box_that_was_not_set_up_is_said_to_be(site: Site):
    lines: list[str] = []
    site.box.db.conn.execute("DELETE FROM _sqlite_migrations")
    with pytest.raises(StoreError, match="older than this program"):
        run_ingest(site.config, threading.Event(), lines.append)
    (site.config.keys / "box.key").unlink()
    with pytest.raises(KeysError, match=r"box\.key"):
        run_ingest(site.config, threading.Event(), lines.append)
    assert not lines
