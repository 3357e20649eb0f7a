"""A box as small as a browser needs it: /enrol over TLS, mosquitto with a WebSocket listener, and what opens events.

Events are read by the appliance's own parser, with the box's key.
"""

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from appliance.broker.message import Report, parse_event_message
from tests.whole_box import free_ports, wait_for

HOST = "localhost"
CODE = "ABCD-EFGH-JKMN"
NOTICE = {
    "version": "2025-09",
    "title": "Larkfield Academy looks after you here",
    "body": "Your school looks for signs of danger.\n\nYour form tutor can tell you more.",
    "contacts": "Mrs Finch, room 12",
}


def policy_document(**changes: Any) -> dict[str, Any]:
    """A policy for the tests, with ``changes`` in it."""
    document: dict[str, Any] = {
        "version": "test-1",
        "academy": "Larkfield Academy",
        "number": 1,
        "issued_at": "2025-09-01T07:00:00+00:00",
        "expires_at": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
        "age_band": "11-14",
        "context_minutes": 10,
        "excluded_addresses": ["helpline.example"],
        "rules": [
            {"id": "elephant", "category": "abuse", "phrases": ["purple elephant"]},
            {"id": "home", "category": "abuse", "phrases": ["scared to go home"]},
        ],
        "notice": NOTICE,
        "help": {"title": "I need help", "body": "Write what you like. A person will read it."},
        "screenshot": True,
    }
    return {**document, **changes}


class PolicyKey:
    """The key with which the box signs."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()

    @property
    def pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, document: dict[str, Any]) -> dict[str, str]:
        """The envelope of a document."""
        encoded = json.dumps(document).encode()
        return {
            "document": base64.b64encode(encoded).decode(),
            "signature": base64.b64encode(self.private.sign(b"trustkeep policy v1\n" + encoded)).decode(),
            "key": hashlib.sha256(self.private.public_key().public_bytes_raw()).hexdigest(),
        }


@dataclass
class Arrived:
    """An event as it came, opened."""

    report: Report
    payload: bytes
    message_id: str


@dataclass
class SmallBox:
    """The box, in a folder."""

    folder: Path
    policy: dict[str, Any] = field(default_factory=policy_document)
    code: str = CODE

    def __post_init__(self) -> None:
        self.key = X25519PrivateKey.generate()
        self.policy_key = PolicyKey()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.https_port, self.mqtt_port, self.wss_port = free_ports(3)
        self.certificate, self.certificate_key = make_certificate(self.folder)
        self.devices = {f"LARK-browser-{number}": uuid.uuid4().hex for number in range(1, 41)}
        self.given = iter(self.devices)
        self.requests: list[dict[str, Any]] = []
        self.events: list[Arrived] = []
        self.beats: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.receipts = True
        self._broker: subprocess.Popen[bytes] | None = None
        self._server = self._serve()
        self.start_broker()

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.https_port}"

    @property
    def flag(self) -> str:
        """What makes Chromium trust this box's certificate, and no other that it wouldn't."""
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return "--ignore-certificate-errors-spki-list=" + base64.b64encode(hashlib.sha256(spki).digest()).decode()

    # -- the broker

    def start_broker(self) -> None:
        """Start mosquitto; it listens, and this box is subscribed, when this returns."""
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{name}:{token}\n" for name, token in {**self.devices, "ingest": "i"}.items()))
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
        rules = [f"pattern write tk/v1/{kind}/%u" for kind in ("event", "heartbeat")]
        rules += [f"pattern read tk/v1/{kind}/%u" for kind in ("receipt", "policy", "command")]
        (self.folder / "acl").write_text("\n".join([*rules, "user ingest", "topic readwrite tk/v1/#"]) + "\n")
        path = self.folder / "mosquitto.conf"
        path.write_text(
            f"user root\nallow_anonymous false\npassword_file {passwords}\nacl_file {self.folder / 'acl'}\n"
            "persistence false\nmax_packet_size 1000000\nmax_inflight_messages 20\n"
            f"listener {self.mqtt_port} 127.0.0.1\n"
            f"listener {self.wss_port} 127.0.0.1\nprotocol websockets\nsocket_domain ipv4\n"
            f"certfile {self.certificate}\nkeyfile {self.certificate_key}\n"
        )
        os.chmod(passwords, 0o600)
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._broker = subprocess.Popen([program, "-c", str(path)], stdout=log, stderr=log)
        wait_for("mosquitto", lambda: listens(self.mqtt_port) and listens(self.wss_port))
        self._subscribe()

    def stop_broker(self) -> None:
        """kill -9."""
        assert self._broker
        self._client.loop_stop()
        self._broker.kill()
        self._broker.wait(20)

    def _subscribe(self) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ingest", protocol=paho.MQTTv5)
        client.username_pw_set("ingest", "i")
        client.on_message = self._on_message
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_connect = lambda one, *_: one.subscribe("tk/v1/+/+", qos=1)
        client.connect("127.0.0.1", self.mqtt_port)
        client.loop_start()
        assert subscribed.wait(20)
        self._client = client

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        try:
            if message.topic.startswith("tk/v1/event/"):
                self._take_event(message)
            elif message.topic.startswith("tk/v1/heartbeat/"):
                self.beats.append(json.loads(message.payload))
        except Exception as error:  # told by the test, not by a thread that dies unseen
            self.faults.append(f"{type(error).__name__}: {error}")

    def _take_event(self, message: paho.MQTTMessage) -> None:
        message_id = dict(message.properties.UserProperty)["message-id"]  # type: ignore[union-attr]
        report = parse_event_message(message.topic, message_id, message.payload, self.key, datetime.now(UTC))
        self.events.append(Arrived(report, message.payload, message_id))
        if self.receipts:
            self.send_receipt(report.event.device_id, message_id, message.payload)

    def send_receipt(self, device_id: str, message_id: str, payload: bytes, status: str = "stored") -> None:
        """The box's word on an event."""
        digest = hashlib.sha256(payload).hexdigest()
        receipt = {"message_id": message_id, "sha256": digest, "status": status, "reason": None}
        self._client.publish(f"tk/v1/receipt/{device_id}", json.dumps(receipt), qos=1)

    def send(self, kind: str, device_id: str, content: object) -> None:
        """A policy's envelope, or a command."""
        self._client.publish(f"tk/v1/{kind}/{device_id}", json.dumps(content), qos=1)

    def wait_for_event(self, condition: Callable[[Arrived], bool], what: str, within: float = 60) -> Arrived:
        """The first event that ``condition`` holds for, once it is there."""

        def look() -> Arrived | None:
            assert not self.faults, self.faults
            return next((one for one in list(self.events) if condition(one)), None)

        found = wait_for(what, look, within)
        assert found
        return found

    def wait_for_beat(
        self, condition: Callable[[dict[str, Any]], bool], what: str, within: float = 60
    ) -> dict[str, Any]:
        """The first heartbeat that ``condition`` holds for."""
        found = wait_for(what, lambda: next((one for one in list(self.beats) if condition(one)), None), within)
        assert found
        return found

    # -- enrolment

    def _serve(self) -> ThreadingHTTPServer:
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = box.enrol(request) if self.path == "/enrol" else (404, {"error": "Not found."})
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.https_port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.certificate_key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def enrol(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The contract's answer to a browser."""
        self.requests.append(request)
        if request["code"] != self.code or request["kind"] != "browser" or request["csr"] is not None:
            return 403, {"error": "This code is not known, or was used already."}
        raw = base64.b64decode(request["proof"])
        signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
        key = load_der_public_key(base64.b64decode(request["public_key"]))
        assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        try:
            key.verify(signature, b"trustkeep enrol v1\n" + self.code.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return 403, {"error": "The proof is wrong."}
        device_id = next(self.given)
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        return 200, {
            "device_id": device_id,
            "certificate": None,
            "token": self.devices[device_id],
            "ca": self.certificate.read_text(),
            "box_key": pem,
            "policy_key": self.policy_key.pem,
            "policy": self.policy_key.sign(self.policy),
            "broker": {"host": HOST, "port": self.mqtt_port},
            "wss": f"wss://{HOST}:{self.wss_port}/mqtt",
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._client.disconnect()
        self._client.loop_stop()
        if self._broker:
            self._broker.send_signal(signal.SIGTERM)
            self._broker.wait(20)


def listens(port: int) -> bool:
    """Whether somebody answers at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "box.crt", folder / "box.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths
