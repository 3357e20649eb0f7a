"""Events a second from MQTT to committed rows, beside what the same broker passes to a plain subscriber.

Both runs send the same sealed events (64 kB images) over TLS with QoS 1 from one client, as fast as the broker takes
them, to a receiver in a process of its own. Ours has opened, checked and sealed each image, synced it to the disk and
committed its row and its audit entry before it says so; the plain one has only acknowledged. Run:

    python -m benchmarks.events
"""

import os
import queue
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.capture import Capture
from agent.connection import Credentials
from agent.enrolment import make_key_and_request
from agent.message import MESSAGE_ID_PROPERTY, Report, build_event_message, event_topic, make_message_id, receipt_topic
from agent.sealing import load_box_key
from appliance.broker import certificates, mosquitto
from appliance.config import Config
from appliance.store import academies, people
from appliance.store.connection import open_system, transaction
from appliance.store.migrations import migrate
from appliance.workflow.enrol import enrol_device

EVENTS = 600
IMAGE_BYTES = 64_000
DEVICE = "BENCH-01"
DEADLINE = 300.0

_INGEST = """
import threading
from appliance.broker.subscriber import run_ingest
from appliance.config import load_config
run_ingest(load_config(), threading.Event(), lambda line: print(line, flush=True))
"""


@dataclass(frozen=True)
class Bench:
    """A box in a folder of its own, and one enrolled device."""

    config: Config
    device: Credentials


def measure(events: int = EVENTS) -> list[dict[str, Any]]:
    """One row: our rate in events/s, the plain subscriber's as its peer, and the ratio of the two."""
    with tempfile.TemporaryDirectory() as folder:
        bench = _make_bench(Path(folder))
        messages = _make_messages(load_box_key(bench.config.keys / "box.pub"), events)
        with _mosquitto(bench.config):
            raw = _raw_rate(bench, messages)
            ours = _our_rate(bench, messages)
        db = open_system(bench.config.database)
        rows = db.conn.execute("SELECT count(*) FROM event").fetchone()[0]
        db.close()
    if rows != events:
        raise RuntimeError(f"{rows} rows of {events} events")
    return [
        {
            "name": "events from MQTT to committed rows, 64 kB images",
            "value": round(ours, 1),
            "unit": "events/s",
            "peer": "mosquitto to a plain paho subscriber, same payloads, QoS 1",
            "peer_value": round(raw, 1),
            "ratio": round(ours / raw, 3),
        }
    ]


# -- the box and what is sent to it


def _make_bench(folder: Path) -> Bench:
    with socket.socket() as probe, socket.socket() as other:
        probe.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        ports = probe.getsockname()[1], other.getsockname()[1]
    config = Config(home=folder / "box", broker_port=ports[0], websocket_port=ports[1])
    for path in (config.data, config.run, config.captures):
        path.mkdir(parents=True)
    now = datetime.now(UTC)
    certificates.make_keys(config, now)
    made = make_key_and_request(folder / "device", DEVICE)
    db = open_system(config.database)
    migrate(db)
    with transaction(db):
        academies.insert_trust(db, academies.Trust("trust", "Trust"))
        academies.insert_academy(db, people.Academy("academy", "trust", "Academy", "Academy"))
    certificate = enrol_device(
        db,
        DEVICE,
        "academy",
        "Library",
        made.request.read_bytes(),
        lambda request: certificates.sign_request(config, request, DEVICE, now),
        now,
    )
    db.close()
    path = folder / "device" / "device.pem"
    path.write_bytes(certificate)
    return Bench(config, Credentials(DEVICE, "localhost", config.broker_port, config.keys / "ca.crt", path, made.key))


def _make_messages(box_key: X25519PublicKey, count: int) -> list[tuple[str, bytes]]:
    messages = []
    for number in range(1, count + 1):
        image = os.urandom(IMAGE_BYTES)
        now = datetime.now(UTC)
        message_id = make_message_id(now, os.urandom(10))
        report = Report(now, "robin", "home-fear", "go home", "Chat", "Chat", "", "i dont want to go home tonight")
        event = build_event_message(
            report,
            Capture(image, "image/webp", sha256(image).hexdigest(), 1366, 768),
            message_id=message_id,
            device_id=DEVICE,
            sequence=number,
            queue_epoch=str(uuid.UUID(int=1)),
            box_key=box_key,
        )
        assert event.full is not None
        messages.append((message_id, event.full))
    return messages


# -- the two runs


def _our_rate(bench: Bench, messages: list[tuple[str, bytes]]) -> float:
    environment = {"TRUSTKEEP_HOME": str(bench.config.home), "TRUSTKEEP_BROKER_PORT": str(bench.config.broker_port)}
    with _receiver([sys.executable, "-c", _INGEST], environment, "connected"):
        return _send_and_count(bench.device, messages, receipt_topic(DEVICE))


def _raw_rate(bench: Bench, messages: list[tuple[str, bytes]]) -> float:
    arguments = [sys.executable, "-m", "benchmarks.events", "--subscribe", str(bench.config.keys)]
    with _receiver([*arguments, str(bench.config.broker_port), str(len(messages))], {}, "subscribed") as lines:
        start = time.perf_counter()
        _send_and_count(bench.device, messages, None)
        while next(lines).strip() != "done":
            pass
        return len(messages) / (time.perf_counter() - start)


def _send_and_count(device: Credentials, messages: list[tuple[str, bytes]], receipts: str | None) -> float:
    """Send all messages, wait until the broker (or, given a topic, the box) has confirmed all; messages a second."""
    confirmed: queue.SimpleQueue[str] = queue.SimpleQueue()
    ready: queue.SimpleQueue[bool] = queue.SimpleQueue()
    client = _client(device)
    client.max_inflight_messages_set(20)
    if receipts:
        client.on_connect = lambda client, *_: client.subscribe(receipts, qos=1)
        client.on_subscribe = lambda *_: ready.put(True)
        client.on_message = lambda _client, _data, message: confirmed.put(str(message.topic))
    else:
        client.on_connect = lambda *_: ready.put(True)
        client.on_publish = lambda *_: confirmed.put("")
    client.connect(device.host, device.port)
    client.loop_start()
    ready.get(timeout=DEADLINE)
    start = time.perf_counter()
    for message_id, payload in messages:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = (MESSAGE_ID_PROPERTY, message_id)
        client.publish(event_topic(DEVICE), payload, qos=1, properties=properties)
    for _ in messages:
        confirmed.get(timeout=DEADLINE)
    seconds = time.perf_counter() - start
    client.disconnect()
    client.loop_stop()
    return len(messages) / seconds


def _subscribe(keys: Path, port: int, count: int) -> None:
    """The plain subscriber: take the messages, acknowledge them, and say when the last is there."""
    came: queue.SimpleQueue[int] = queue.SimpleQueue()
    client = _client(
        Credentials("ingest", "localhost", port, keys / "ca.crt", keys / "ingest.crt", keys / "ingest.key")
    )
    client.on_connect = lambda client, *_: client.subscribe("tk/v1/event/+", qos=1)
    client.on_subscribe = lambda *_: print("subscribed", flush=True)
    client.on_message = lambda _client, _data, message: came.put(len(message.payload))
    client.connect("localhost", port)
    client.loop_start()
    for _ in range(count):
        came.get(timeout=DEADLINE)
    print("done", flush=True)
    client.disconnect()
    client.loop_stop()


# -- programs


def _client(credentials: Credentials) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=credentials.device_id, protocol=paho.MQTTv5)
    context = ssl.create_default_context(cafile=credentials.ca)
    context.load_cert_chain(credentials.certificate, credentials.key)
    client.tls_set_context(context)
    return client


@contextmanager
def _mosquitto(config: Config) -> Iterator[None]:
    path = mosquitto.write_configuration(config, [])
    program = next(one for one in (Path("/usr/sbin/mosquitto"), Path("/usr/local/sbin/mosquitto")) if one.exists())
    with _process([str(program), "-c", str(path)], {}):
        _wait_for(lambda: _listens(config.broker_port))
        yield


@contextmanager
def _receiver(command: list[str], environment: dict[str, str], ready: str) -> Iterator[Iterator[str]]:
    with _process(command, environment) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        while ready not in next(lines):
            pass
        yield lines


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root, env=os.environ | environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("mosquitto does not listen")
        time.sleep(0.02)


def main(arguments: list[str]) -> None:
    """Print the figures; or be the plain subscriber of a run."""
    if arguments[:1] == ["--subscribe"]:
        _subscribe(Path(arguments[1]), int(arguments[2]), int(arguments[3]))
        return
    for row in measure():
        print(f"{row['name']}: {row['value']} {row['unit']}")
        print(f"{row['peer']}: {row['peer_value']} {row['unit']}; ratio {row['ratio']}")


if __name__ == "__main__":
    main(sys.argv[1:])
