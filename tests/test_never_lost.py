"""No event is lost: 500 of them on their way while every program between a pupil's device and the record is killed.

Real agents with real outboxes, a real mosquitto and a real ingest. Each is killed with SIGKILL in the middle of its
work, at moments that come from a seed, and started again. In the end every event that a device ever kept is in the
database exactly once, with its capture, and every device has been told so.
"""

import hashlib
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.capture import Capture
from agent.connection import Credentials
from agent.message import Report, build_event_message, make_message_id
from agent.outbox import Outbox
from agent.sealing import load_box_key
from appliance.store.audit import check_chain
from tests.broker.running import Program, Site, wait_until

EVENTS = 500
DEVICES = 5
IMAGE_BYTES = 30_000
DEADLINE = 120.0

_PUBLISHERS = """
import random, sys, threading, time, uuid
from datetime import UTC, datetime
from pathlib import Path
from agent.connection import Credentials
from agent.outbox import Outbox
from agent.publisher import Edges, Pace, Publisher
# quicker than a school's, so that a test is over in a minute
pace = Pace(receipt_wait=2, resend_at_most=4, acknowledge_wait=10, hold=0.2, hold_at_most=1, reconnect=0.3,
            reconnect_at_most=1, ready_wait=10, heartbeat_every=1)
edges = Edges(lambda: datetime.now(UTC), time.monotonic, random.SystemRandom())
threads = []
for line in sys.argv[1:]:
    device_id, port, ca, certificate, key, data = line.split("|")
    credentials = Credentials(device_id, "localhost", int(port), Path(ca), Path(certificate), Path(key))
    publisher = Publisher(
        credentials, lambda data=data: Outbox(Path(data), new_epoch=str(uuid.uuid4())), agent_version="0.1.0",
        policy_version="1", edges=edges, say=lambda line: print(line, flush=True), pace=pace)
    threads.append(threading.Thread(target=publisher.run))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@dataclass
class Device:
    """A device's data folder. Its sensor's side is here; its publisher runs in a process that gets killed."""

    credentials: Credentials
    data: Path
    outbox: Outbox

    @property
    def argument(self) -> str:
        one = self.credentials
        return "|".join(map(str, (one.device_id, one.port, one.ca, one.certificate, one.key, self.data)))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def devices(site: Site, tmp_path: Path) -> Iterator[list[Device]]:
    made = []
    for number in range(DEVICES):
        data = tmp_path / f"data-{number}"
        credentials = site.enrol(f"LAB-{number:02}")
        made.append(Device(credentials, data, Outbox(data, new_epoch=str(uuid.uuid4()))))
    yield made
    for device in made:
        device.outbox.close()


def keep_events(site: Site, devices: list[Device], chance: random.Random) -> dict[str, str]:
    """Have the devices keep all events, some with an image and some without: message id -> sha256, or ''."""
    box_key = load_box_key(site.config.keys / "box.pub")
    kept: dict[str, str] = {}
    for number in range(EVENTS):
        device = devices[number % DEVICES]
        image = chance.randbytes(IMAGE_BYTES) if number % 10 else None
        sha256 = hashlib.sha256(image).hexdigest() if image else ""
        capture = Capture(image, "image/webp", sha256, 1366, 768) if image else None
        message_id = make_message_id(datetime.now(UTC), chance.randbytes(10))
        report = Report(
            datetime.now(UTC), "robin", "home-fear", "go home", "Chat", "Chat", "", f"i dont want to go home {number}"
        )
        device.outbox.put(
            lambda sequence, epoch, report=report, capture=capture, message_id=message_id, device=device: (
                build_event_message(
                    report,
                    capture,
                    message_id=message_id,
                    device_id=device.credentials.device_id,
                    sequence=sequence,
                    queue_epoch=epoch,
                    box_key=box_key,
                )
            ),
            time.time(),
        )
        kept[message_id] = sha256
    return kept


def kill_in_turn(
    site: Site, starters: dict[str, Callable[[], Program]], running: dict[str, Program], chance: random.Random
) -> list[str]:
    """Kill each program three times, in seeded order, whenever a seeded number of events has come in since."""
    victims = [name for name in starters for _ in range(3)]
    chance.shuffle(victims)
    moments = sorted(chance.sample(range(EVENTS // 25, EVENTS - EVENTS // 10), len(victims)))
    for name, moment in zip(victims, moments, strict=True):
        wait_until(lambda moment=moment: site.count("event") >= moment, f"{moment} events in the database", DEADLINE)
        running[name].kill()
        running[name] = starters[name]()
    return victims


@pytest.mark.parametrize("seed", [7])
def test_no_event_is_lost_whatever_is_killed(site: Site, devices: list[Device], seed: int):
    chance = random.Random(seed)
    kept = keep_events(site, devices, chance)
    publishers = [sys.executable, "-c", _PUBLISHERS, *(device.argument for device in devices)]

    def start_publishers() -> Program:
        site.started.append(Program(*publishers))
        return site.started[-1]

    def start_worker() -> Program:
        home = {"TRUSTKEEP_HOME": str(site.config.home)}
        site.started.append(Program(sys.executable, "-m", "appliance", "worker", **home))
        return site.started[-1]

    starters: dict[str, Callable[[], Program]] = {
        "mosquitto": site.start_mosquitto,
        "ingest": lambda: site.start_ingest(wait=False),
        "devices": start_publishers,
        "worker": start_worker,
    }
    running = {name: start() for name, start in starters.items()}
    victims = kill_in_turn(site, starters, running, chance)
    assert len(victims) == 12
    wait_until(lambda: all(not one.outbox.figures().queue_depth for one in devices), "every outbox empty", DEADLINE)
    assert running["ingest"].stop() == 0
    db = site.box.db
    unfinished = "SELECT count(*) FROM event WHERE state IN ('received', 'assessing')"
    wait_until(lambda: db.conn.execute(unfinished).fetchone() == (0,), "every event assessed", DEADLINE)
    assert running["worker"].stop() == 0
    assert site.count("score") == EVENTS

    rows = db.conn.execute("SELECT message_id, sha256 FROM event e LEFT JOIN capture c ON c.event_id = e.id").fetchall()
    assert len(rows) == EVENTS
    assert {message_id: sha256 or "" for message_id, sha256 in rows} == kept
    assert all(hashlib.sha256(site.box.vault.open(sha256)).hexdigest() == sha256 for _, sha256 in rows if sha256)
    for device in devices:
        figures = device.outbox.figures()
        assert (figures.receipted, figures.dead_letters, figures.images_dropped) == (EVENTS // DEVICES, 0, 0)
        came = db.conn.execute(
            "SELECT sequence FROM event WHERE device_id = ? ORDER BY sequence", [device.credentials.device_id]
        )
        assert [row[0] for row in came] == list(range(1, EVENTS // DEVICES + 1))
    assert site.count("rejected_message") == 0
    assert check_chain(db) is None
