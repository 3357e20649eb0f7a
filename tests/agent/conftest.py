"""What the agent's tests stand on: a real mosquitto with certificates made here, and a box that answers as told.

The box opens events with RFC 9180 written out, not with the library that sealed them.
"""

import base64
import hashlib
import hmac
import json
import queue
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image, ImageDraw

from agent.capture import encode_image
from agent.connection import Credentials
from agent.message import Report, SealedEvent, build_event_message
from agent.outbox import Outbox
from agent.publisher import Edges, Pace, Publisher

DEADLINE = 30.0
DEVICE = "larkfield-lib-07"
QUICK = Pace(
    receipt_wait=0.4,
    resend_at_most=2.0,
    acknowledge_wait=20.0,
    hold=0.1,
    hold_at_most=0.5,
    reconnect=0.2,
    reconnect_at_most=0.5,
    heartbeat_every=0.5,
)


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as ``condition()`` holds; fail after the deadline."""
    pause = threading.Event()
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"did not come: {what}")
        pause.wait(0.02)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[[Callable[[], object], str], None]:
    return wait_until


# -- the box's own side of sealing, from RFC 9180 sections 4.1, 5.1 and 7


def _extract(salt: bytes, label: bytes, material: bytes, suite: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + material, "sha256")


def _expand(key: bytes, label: bytes, info: bytes, length: int, suite: bytes) -> bytes:
    labelled = length.to_bytes(2) + b"HPKE-v1" + suite + label + info
    output, block = b"", b""
    for count in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + labelled + bytes([count]), "sha256")
        output += block
    return output[:length]


def open_sealed(key: X25519PrivateKey, message_id: str, sealed: bytes) -> bytes:
    """The plaintext of a sealed payload. Raises InvalidTag where key, id or payload don't belong together."""
    encapsulated, ciphertext = sealed[:32], sealed[32:]
    kem, suite = b"KEM" + (0x20).to_bytes(2), b"HPKE" + (0x20).to_bytes(2) + (1).to_bytes(2) + (2).to_bytes(2)
    shared = key.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    both = encapsulated + key.public_key().public_bytes_raw()
    secret = _expand(_extract(b"", b"eae_prk", shared, kem), b"shared_secret", both, 32, kem)
    info = _extract(b"", b"info_hash", b"trustkeep event v1 " + message_id.encode(), suite)
    context = b"\0" + _extract(b"", b"psk_id_hash", b"", suite) + info
    schedule = _extract(secret, b"secret", b"", suite)
    nonce = _expand(schedule, b"base_nonce", context, 12, suite)
    return AESGCM(_expand(schedule, b"key", context, 32, suite)).decrypt(nonce, ciphertext, None)


@dataclass(frozen=True)
class Opened:
    """An event as the box got it."""

    message_id: str
    payload: bytes
    header: dict
    image: bytes


@dataclass(frozen=True)
class BoxKey:
    """The box's key pair."""

    private: X25519PrivateKey

    @property
    def public(self) -> X25519PublicKey:
        return self.private.public_key()

    def write_public(self, path: Path) -> Path:
        path.write_bytes(self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return path

    def unseal(self, message_id: str, sealed: bytes) -> bytes:
        return open_sealed(self.private, message_id, sealed)

    def open(self, message_id: str, payload: bytes) -> Opened:
        plain = self.unseal(message_id, payload)
        length = int.from_bytes(plain[:4])
        return Opened(message_id, payload, json.loads(plain[4 : 4 + length]), plain[4 + length :])


@pytest.fixture(scope="session")
def box_key() -> BoxKey:
    return BoxKey(X25519PrivateKey.generate())


# -- policies


class PolicyKey:
    """The key the box signs policies with, and documents signed by it."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()

    def write_public(self, path: Path) -> Path:
        path.write_bytes(self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return path

    def sign(self, document: dict | bytes, number: int = 1, *, days: float = 30, **fields: object) -> bytes:
        """The envelope of ``document``, numbered and dated unless it is bytes already."""
        if isinstance(document, dict):
            now = datetime.now(UTC)
            dates = {"issued_at": now.isoformat(), "expires_at": (now + timedelta(days=days)).isoformat()}
            document = json.dumps({**document, "number": number, **dates, **fields}).encode()
        signature = self.private.sign(b"trustkeep policy v1\n" + document)
        envelope = {
            "document": base64.b64encode(document).decode(),
            "signature": base64.b64encode(signature).decode(),
            "key": hashlib.sha256(self.public.public_bytes_raw()).hexdigest(),
        }
        return json.dumps(envelope).encode()


@pytest.fixture(scope="session")
def policy_key() -> PolicyKey:
    return PolicyKey()


# -- certificates


class Authority:
    """A certificate authority of the tests' own."""

    def __init__(self, folder: Path, name: str = "Test box authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.path = folder / "ca.pem"
        self.path.write_bytes(self._sign(self._name, self._key, ca=True).public_bytes(Encoding.PEM))

    def sign_request(self, csr: bytes, days: float = 1.0, name: str | None = None) -> bytes:
        """The PEM certificate for a PEM request, good from now on."""
        request = x509.load_pem_x509_csr(csr)
        assert request.is_signature_valid
        subject = request.subject
        if name is not None:
            subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return self._sign(subject, request, ca=False, days=days).public_bytes(Encoding.PEM)

    def issue(self, name: str, days: float = 1.0) -> tuple[Path, Path]:
        """Certificate and key files with CN = ``name``, good for the server at localhost too."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(self._sign(subject, key, ca=False, days=days).public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key_file

    def _sign(self, subject: x509.Name, key, *, ca: bool, days: float = 1.0) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _usage(ca: bool) -> x509.KeyUsage:
    """Python 3.13 asks an authority's certificate to say what it is for."""
    no = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    return x509.KeyUsage(True, **no, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False)


# -- the broker


class Broker:
    """A real mosquitto, set up as the box sets it up. It can be killed, and started again on the same port."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        certificate, key = authority.issue("localhost")
        (folder / "acl").write_text(
            "pattern write tk/v1/event/%u\npattern write tk/v1/heartbeat/%u\npattern write tk/v1/renew/%u\n"
            "pattern read tk/v1/receipt/%u\npattern read tk/v1/policy/%u\npattern read tk/v1/command/%u\n"
            "pattern read tk/v1/certificate/%u\n"
            "user ingest\ntopic readwrite tk/v1/#\n"
        )
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\ncafile {authority.path}\ncertfile {certificate}\n"
            f"keyfile {key}\nrequire_certificate true\nuse_identity_as_username true\n"
            f"use_username_as_clientid true\nallow_anonymous false\nacl_file {folder / 'acl'}\npersistence false\n"
            f"max_packet_size 1000000\nmax_inflight_messages 20\nlog_dest none\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._listens, "mosquitto listening")

    def kill(self) -> None:
        """kill -9."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def limit_packets(self, most: int) -> None:
        """Take packets up to ``most`` bytes; from the next start on."""
        self._config.write_text(self._config.read_text().replace("max_packet_size 1000000", f"max_packet_size {most}"))

    def _listens(self) -> bool:
        assert self._process and self._process.poll() is None, "mosquitto ended by itself"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def make_authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Authority]:
    return lambda name: Authority(tmp_path_factory.mktemp("authority"), name)


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder, authority)
    broker.start()
    yield broker
    broker.kill()


# -- the box


class Box:
    """The box's ingest as far as a device can tell: it opens each event and answers with what ``answer`` makes of it.

    answer(event) gives the receipt's fields, to which message_id and the right sha256 are added, or None for silence.
    """

    def __init__(self, broker: Broker, key: BoxKey) -> None:
        self.answer: Callable[[Opened], dict | None] = lambda event: {"status": "stored"}
        self.events: list[Opened] = []
        self.beats: list[dict] = []
        self.requests: list[bytes] = []
        self._broker = broker
        self._key = key
        self._subscribed = threading.Event()
        self.connect()

    def connect(self) -> None:
        """Be there; also again after ``close``."""
        certificate, key_file = self._broker.authority.issue("ingest")
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ingest", protocol=paho.MQTTv5)
        client.tls_set(self._broker.authority.path, certificate, key_file)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda client, *_: client.subscribe(
            [("tk/v1/event/+", 1), ("tk/v1/heartbeat/+", 0), ("tk/v1/renew/+", 1)]
        )
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_disconnect = lambda *_: self._subscribed.clear()
        client.on_message = self._on_message
        self._client = client
        client.connect("localhost", self._broker.port)
        client.loop_start()
        self.wait_subscribed()

    def wait_subscribed(self) -> None:
        assert self._subscribed.wait(DEADLINE), "the box could not subscribe"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, device_id: str, receipt: bytes) -> None:
        """Send a receipt of one's own making."""
        self.tell("receipt", device_id, receipt)

    def tell(self, kind: str, device_id: str, payload: bytes) -> None:
        """Publish to one of a device's own topics."""
        self._client.publish(f"tk/v1/{kind}/{device_id}", payload, qos=1)

    @property
    def sequences(self) -> list[int]:
        return [event.header["sequence"] for event in self.events]

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        kind, device_id = message.topic.split("/")[2:4]
        if kind == "heartbeat":
            self.beats.append(json.loads(message.payload))
            return
        if kind == "renew":
            self.requests.append(json.loads(message.payload)["csr"].encode())
            return
        message_id = dict(message.properties.UserProperty)["message-id"]
        event = self._key.open(message_id, message.payload)
        self.events.append(event)
        fields = self.answer(event)
        if fields is not None:
            receipt = {
                "message_id": message_id,
                "sha256": hashlib.sha256(message.payload).hexdigest(),
                "reason": None,
                **fields,
            }
            self.say(device_id, json.dumps(receipt).encode())


@pytest.fixture
def box(broker: Broker, box_key: BoxKey) -> Iterator[Box]:
    box = Box(broker, box_key)
    yield box
    box.close()


# -- the device


class Device:
    """A device's data folder and credentials, and the real publisher running on them."""

    def __init__(self, folder: Path, broker: Broker, box_key: BoxKey) -> None:
        self.folder = folder
        self.box_key = box_key
        certificate, key = broker.authority.issue(DEVICE)
        self.credentials = Credentials(DEVICE, "localhost", broker.port, broker.authority.path, certificate, key)
        self.lines: list[str] = []
        self.outbox = self.open_outbox()
        self._running: tuple[Publisher, threading.Thread] | None = None

    def open_outbox(self) -> Outbox:
        return Outbox(self.folder, new_epoch=str(uuid.uuid4()))

    def put(self, typed: str = "i am scared to go home", image: Image.Image | None = None) -> int:
        """Keep an event, as the observer does."""
        sequence = self.outbox.put(event_builder(self.box_key, typed, image), time.time())
        if self._running:
            self._running[0].wake()
        return sequence

    def start(self, parts: dict | None = None, **pace: float) -> None:
        """Run the publisher, at the tests' quick pace but for what is given. parts: more of its arguments."""
        publisher = Publisher(
            self.credentials,
            self.open_outbox,
            agent_version="0.1.0",
            policy_version="cases-1",
            edges=Edges(lambda: datetime.now(UTC), time.monotonic, random.Random(7)),
            say=self.lines.append,
            pace=replace(QUICK, **pace),
            **parts or {},
        )
        thread = threading.Thread(target=publisher.run, daemon=True)
        thread.start()
        self._running = publisher, thread

    def stop(self) -> None:
        if self._running:
            self._running[0].stop()
            self._running[1].join(DEADLINE)
            assert not self._running[1].is_alive(), "the publisher did not stop"
            self._running = None

    def trust(self, authority: Authority) -> None:
        self.credentials = replace(self.credentials, ca=authority.path)

    def connect_to(self, host: str) -> None:
        self.credentials = replace(self.credentials, host=host)

    def close(self) -> None:
        self.stop()
        self.outbox.close()

    @property
    def depth(self) -> int:
        return self.outbox.figures().queue_depth

    def wait_for_line(self, words: str) -> None:
        wait_until(lambda: any(words in line for line in list(self.lines)), f"the line {words!r}")


@pytest.fixture
def device(tmp_path: Path, broker: Broker, box_key: BoxKey) -> Iterator[Device]:
    device = Device(tmp_path / "data", broker, box_key)
    yield device
    device.close()


def event_builder(
    key: BoxKey, typed: str = "i am scared to go home", image: Image.Image | None = None
) -> Callable[[int, str], SealedEvent]:
    """What an outbox is given to build an event from its number and epoch."""

    def build(sequence: int, queue_epoch: str) -> SealedEvent:
        return build_event_message(
            Report(datetime.now(UTC), "mia.hartley", "home", typed, "Chat", "Year 9", "chat.example", typed),
            encode_image(image) if image else None,
            message_id=str(uuid.uuid4()),
            device_id=DEVICE,
            sequence=sequence,
            queue_epoch=queue_epoch,
            box_key=key.public,
        )

    return build


@pytest.fixture(name="event_builder")
def _event_builder(box_key: BoxKey) -> Callable[..., Callable[[int, str], SealedEvent]]:
    return lambda *arguments, **named: event_builder(box_key, *arguments, **named)


def page(width: int = 640, height: int = 360, words: str = "a page of text") -> Image.Image:
    """A screen like a page: flat colours and a line of text."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width, 40), fill="navy")
    draw.text((20, 80), words, fill="black")
    return image


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    """A screen that no compression makes small."""
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3))


@pytest.fixture(name="page")
def _page() -> Callable[..., Image.Image]:
    return page


@pytest.fixture(name="noise")
def _noise() -> Callable[..., Image.Image]:
    return noise


class Program:
    """A Python program run as a process of its own, its printed lines readable as they come."""

    def __init__(self, *arguments: str | Path, environment: dict[str, str] | None = None) -> None:
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=root,
            env=environment,
        )
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_for_line(self, words: str) -> None:
        while (line := self._queue.get(timeout=DEADLINE)) is None or words not in line:
            assert line is not None, f"ended without {words!r}: {self.lines}"

    def drain(self) -> None:
        """Forget the lines so far: what is waited for next comes after now."""
        while not self._queue.empty():
            self._queue.get()

    def finish(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(DEADLINE)
        while self._queue.get(timeout=DEADLINE) is not None:
            pass
        return code


@pytest.fixture
def start_program() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def start(*arguments: str | Path) -> Program:
        started.append(Program(*arguments))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()
