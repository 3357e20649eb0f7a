"""The real programs that tests of the broker room start: mosquitto, ingest, and clients with real certificates."""

import itertools
import json
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.connection import Credentials
from agent.enrolment import make_key_and_request
from appliance.broker import certificates, mosquitto
from appliance.broker.upkeep import write_broker_files
from appliance.config import Config
from appliance.store.enrolment import Certificate
from appliance.workflow.enrol import enrol_device
from tests.factories import Box, make_box

DEADLINE = 30.0
ROOT = Path(__file__).parents[2]

_INGEST = """
import signal, threading
from appliance.broker.subscriber import run_ingest
from appliance.config import load_config
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
run_ingest(load_config(), stop, lambda line: print(line, flush=True))
"""


def wait_until(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Return as soon as ``condition()`` holds; fail after the deadline."""
    pause = threading.Event()
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"did not come: {what}")
        pause.wait(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """A process of its own whose printed lines can be read as they come."""

    def __init__(self, *command: str | Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for_line(self, words: str, count: int = 1) -> None:
        """Wait until ``count`` lines hold ``words``."""

        def has_come() -> bool:
            if sum(words in line for line in list(self.lines)) >= count:
                return True
            assert self.process.poll() is None, f"ended without {words!r}: {self.lines}"
            return False

        try:
            wait_until(has_come, f"the line {words!r}")
        except BaseException:
            print("\n".join(self.lines))
            raise

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)

    def stop(self) -> int:
        """End it in its own way; the exit code."""
        self.process.terminate()
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code


class Client:
    """A plain MQTT 5 client with a certificate, for what no honest device does."""

    def __init__(self, credentials: Credentials, client_id: str = "") -> None:
        self._credentials = credentials
        self._came: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.received: list[tuple[str, bytes]] = []
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or credentials.device_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.on_connect = lambda _client, _data, _flags, code, _properties: self._came.put(code.value)
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self._came.put(codes[0].value)
        client.on_publish = lambda _client, _data, mid, code, _properties: self._came.put((mid, code.value))
        client.on_disconnect = lambda *_: self._came.put("lost")
        client.on_message = lambda _client, _data, message: self.received.append((message.topic, message.payload))
        self.client = client

    def connect(self) -> int:
        """The reason code. Raises OSError (ssl.SSLError is one) where the certificate is refused."""
        context = ssl.create_default_context(cafile=self._credentials.ca)
        context.load_cert_chain(self._credentials.certificate, self._credentials.key)
        self.client.tls_set_context(context)
        self.client.connect("localhost", self._credentials.port)
        self.client.loop_start()
        answer = self._next()
        if answer == "lost":  # in TLS 1.3 the server refuses after the client's part is done
            self.client.loop_stop()
            raise ConnectionError("refused")
        return int(answer)

    def subscribe(self, topic: str) -> int:
        """The reason code."""
        self.client.subscribe(topic, options=SubscribeOptions(qos=1))
        return self._next()

    def publish(self, topic: str, payload: bytes, message_id: str | None = None, qos: int = 1) -> int:
        """The reason code of the broker's acknowledgement; 0 where none is asked for."""
        properties = Properties(PacketTypes.PUBLISH)
        if message_id is not None:
            properties.UserProperty = ("message-id", message_id)
        mid = self.client.publish(topic, payload, qos=qos, properties=properties).mid
        answer = self._next()
        assert isinstance(answer, tuple) and answer[0] == mid
        return int(answer[1])

    def receipts(self, count: int) -> list[dict[str, Any]]:
        """The first ``count`` messages as JSON, once they are there."""
        wait_until(lambda: len(self.received) >= count, f"{count} receipts")
        return [json.loads(payload) for _, payload in self.received]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _next(self) -> Any:
        return self._came.get(timeout=DEADLINE)


class Site:
    """A box with its keys, on a port of its own, and the programs that were started for it."""

    def __init__(self, folder: Path) -> None:
        self.box: Box = make_box(folder / "box")
        self.config: Config = replace(self.box.config, broker_port=free_port(), websocket_port=free_port())
        self.folder = folder
        self.started: list[Program] = []
        self._clients: list[Client] = []
        self._numbers = itertools.count()
        certificates.make_keys(self.config, datetime.now(UTC))

    # -- programs

    def start_mosquitto(self) -> Program:
        """Write mosquitto's files and start it; it listens when this returns."""
        path = write_broker_files(self.config, self.box.db, datetime.now(UTC))
        program = Program(shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", path)
        self.started.append(program)

        def listens() -> bool:
            assert program.process.poll() is None, f"mosquitto ended by itself: {program.lines}"
            try:
                for port in (self.config.broker_port, self.config.websocket_port):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return False
            return True

        wait_until(listens, "mosquitto listening")
        return program

    def start_ingest(self, wait: bool = True) -> Program:
        """Start ingest as a process; it is subscribed when this returns, unless told not to wait."""
        program = Program(
            sys.executable,
            "-c",
            _INGEST,
            TRUSTKEEP_HOME=str(self.config.home),
            TRUSTKEEP_BROKER_PORT=str(self.config.broker_port),
            TRUSTKEEP_WEBSOCKET_PORT=str(self.config.websocket_port),
            TRUSTKEEP_HOST_NAME=self.config.host_name,
        )
        self.started.append(program)
        if wait:
            program.wait_for_line("connected to the broker")
        return program

    def reload(self, broker: Program) -> None:
        """Write mosquitto's files as the database stands, and tell it. Wait for what it changes, not for this."""
        write_broker_files(self.config, self.box.db, datetime.now(UTC))
        mosquitto.reload(broker.process.pid)

    # -- devices

    def enrol(self, device_id: str = "ASH-01", academy_id: str = "ashby") -> Credentials:
        """Enrol a device as it is done in life: its own key and request, signed by the box."""
        folder = self.folder / f"device-{next(self._numbers)}-{device_id}"
        made = make_key_and_request(folder, device_id)
        now = datetime.now(UTC)

        def sign(request: bytes) -> tuple[bytes, Certificate]:
            return certificates.sign_request(self.config, request, device_id, now)

        pem = enrol_device(self.box.db, device_id, academy_id, "Library", made.request.read_bytes(), sign, now)
        (folder / "device.pem").write_bytes(pem)
        return Credentials(
            device_id,
            "localhost",
            self.config.broker_port,
            self.config.keys / "ca.crt",
            folder / "device.pem",
            made.key,
        )

    def ingest_credentials(self) -> Credentials:
        """What the box's own subscriber connects with."""
        keys = self.config.keys
        return Credentials(
            "ingest", "localhost", self.config.broker_port, keys / "ca.crt", keys / "ingest.crt", keys / "ingest.key"
        )

    def client(self, credentials: Credentials, subscribe: bool = False) -> Client:
        """A connected client; subscribed to its own receipts where told so."""
        client = Client(credentials)
        self._clients.append(client)
        assert client.connect() == 0
        if subscribe:
            client.subscribe(f"tk/v1/receipt/{credentials.device_id}")
        return client

    def count(self, table: str) -> int:
        """Rows of a table, as committed."""
        return int(self.box.db.conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def close(self) -> None:
        """End whatever runs."""
        for client in self._clients:
            client.close()
        for program in self.started:
            if program.process.poll() is None:
                program.process.send_signal(signal.SIGCONT)
                program.kill()
        self.box.db.close()
