"""10,000 devices connected over TLS to mosquitto with the box's own configuration: memory and processor time of each.

The devices are bare clients of one epoll loop: TLS 1.2 or 1.3 with a certificate each, MQTT 5 CONNECT, and a
subscription to their own receipts. What they cost is the broker's, read from /proc. Run:

    python -m benchmarks.devices [how many]
"""

import os
import resource
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance.broker import certificates, mosquitto
from appliance.config import Config

DEVICES = 10_000
AT_ONCE = 100
"""Handshakes under way at a time."""
SETTLE = 5.0
"""Seconds of quiet after the last one is connected, in which the broker's processor time at rest is measured."""
DEADLINE = 3600.0


@dataclass(frozen=True)
class Usage:
    """What a process has used so far: processor seconds and resident bytes."""

    seconds: float
    bytes: int


def measure(devices: int = DEVICES) -> list[dict[str, Any]]:
    """Memory and processor time a device, beside a bare socket's share and a bare TLS handshake."""
    wanted, devices = devices, min(devices, _room_for_files())
    with tempfile.TemporaryDirectory() as folder:
        config = _make_box(Path(folder))
        contexts = _Contexts(config, Path(folder))
        with _mosquitto(config) as pid:
            before = _usage(pid)
            begun = time.monotonic()
            crowd = _Crowd(config.broker_port, contexts)
            crowd.connect(devices)
            wall = time.monotonic() - begun
            connected = _usage(pid)
            time.sleep(SETTLE)
            at_rest = _usage(pid)
            crowd.close()
        handshake = _bare_handshake(config, contexts)
    each = (connected.bytes - before.bytes) / devices
    cpu = (connected.seconds - before.seconds) / devices
    name = f"{devices:,} devices connected over TLS"
    if devices < wanted:
        name += f" (of {wanted:,}: this machine opens no more files)"
    return [
        {"name": f"{name}: broker's memory each", "value": each / 1e3, "unit": "kB",
         "peer": "OpenSSL's own buffers of one connection (16 kB in, none out)", "peer_value": 16.4},
        {"name": f"{name}: broker's processor time to connect one", "value": cpu * 1e3, "unit": "ms",
         "peer": "the server's part of a bare handshake", "peer_value": handshake * 1e3},
        {"name": f"{name}: broker's processor at rest", "value": (at_rest.seconds - connected.seconds) / SETTLE * 100,
         "unit": "% of a core", "peer": "one core", "peer_value": 100.0},
        {"name": f"{name}: all of them, from nothing", "value": wall, "unit": "s",
         "peer": "jitter of the agents' reconnects, at most", "peer_value": 120.0},
    ]  # fmt: skip


# -- the box


def _make_box(folder: Path) -> Config:
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    config = Config(home=folder / "box", broker_port=ports[0], websocket_port=ports[1])
    certificates.make_keys(config, datetime.now(UTC))
    return config


@contextmanager
def _mosquitto(config: Config) -> Iterator[int]:
    path = mosquitto.write_configuration(config, [])
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "mosquitto"
    process = subprocess.Popen([program, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", config.broker_port), timeout=1).close()
                break
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


class _Contexts:
    """A certificate and a TLS context for each device; one key serves them all, as making keys is not measured."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._path = folder / "device.pem"

    def make(self, device_id: str) -> ssl.SSLContext:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self._key, hashes.SHA256())
        pem, _ = certificates.sign_request(
            self._config, request.public_bytes(Encoding.PEM), device_id, datetime.now(UTC)
        )
        self._path.write_bytes(self._key_pem + pem)
        context = ssl.create_default_context(cafile=self._config.keys / "ca.crt")
        context.load_cert_chain(self._path)
        return context


# -- the devices


class _Crowd:
    """Connected devices that say nothing more."""

    def __init__(self, port: int, contexts: _Contexts) -> None:
        self._port = port
        self._contexts = contexts
        self._connected: list[ssl.SSLSocket] = []

    def connect(self, devices: int) -> None:
        """Connect so many, AT_ONCE at a time. Raises RuntimeError when one is refused."""
        until = time.monotonic() + DEADLINE
        for first in range(0, devices, AT_ONCE):
            self._connect_some(range(first, min(first + AT_ONCE, devices)))
            if time.monotonic() > until:
                raise RuntimeError(f"{len(self._connected)} of {devices} devices in {DEADLINE:.0f} s")

    def _connect_some(self, numbers: range) -> None:
        waiting: dict[int, tuple[ssl.SSLSocket, str]] = {}
        poll = select.epoll()
        for number in numbers:
            device_id = f"CROWD-{number:05}"
            # many addresses of this machine: one has only some 28,000 ports to come from
            plain = socket.socket()
            plain.bind((f"127.0.{number // 250 % 250}.{number % 250 + 1}", 0))
            plain.connect(("127.0.0.1", self._port))
            plain.setblocking(False)
            device = self._contexts.make(device_id).wrap_socket(
                plain, server_hostname="localhost", do_handshake_on_connect=False
            )
            waiting[device.fileno()] = (device, device_id)
            poll.register(device, select.EPOLLIN | select.EPOLLOUT)
        while waiting:
            for handle, _ in poll.poll(30):
                device, device_id = waiting[handle]
                try:
                    device.do_handshake()
                except ssl.SSLWantReadError:
                    poll.modify(device, select.EPOLLIN)
                    continue
                except ssl.SSLWantWriteError:
                    poll.modify(device, select.EPOLLOUT)
                    continue
                poll.unregister(device)
                device.setblocking(True)
                device.settimeout(30)
                device.sendall(_connect_packet(device_id))
                self._connected.append(device)
                del waiting[handle]
        poll.close()
        for device in self._connected[-len(numbers) :]:
            answer = device.recv(256)
            if answer[:1] != b"\x20" or answer[3] != 0:
                raise RuntimeError(f"a device was refused: {answer[:8]!r}")

    def close(self) -> None:
        for device in self._connected:
            device.close()


def _connect_packet(device_id: str) -> bytes:
    """CONNECT with a clean start and no keepalive, then SUBSCRIBE to the device's own receipts (MQTT 5)."""

    def text(value: str) -> bytes:
        encoded = value.encode()
        return struct.pack(">H", len(encoded)) + encoded

    connect = text("MQTT") + b"\x05\x02" + struct.pack(">H", 0) + b"\x00" + text(device_id)
    subscribe = struct.pack(">H", 1) + b"\x00" + text(f"tk/v1/receipt/{device_id}") + b"\x01"
    return b"\x10" + bytes([len(connect)]) + connect + b"\x82" + bytes([len(subscribe)]) + subscribe


def _bare_handshake(config: Config, contexts: _Contexts, times: int = 200) -> float:
    """Processor seconds of the server's part of one handshake, both sides being in memory."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=config.keys / "ca.crt")
    server.load_cert_chain(config.keys / "server.crt", config.keys / "server.key")
    server.verify_mode = ssl.CERT_REQUIRED
    client, spent = contexts.make("CROWD-BARE"), 0.0
    for _ in range(times):
        a, b, c, d = (ssl.MemoryBIO() for _ in range(4))
        mine = client.wrap_bio(a, b, server_hostname="localhost")
        theirs = server.wrap_bio(c, d, server_side=True)
        done: set[ssl.SSLObject] = set()
        while len(done) < 2:
            for one in (mine, theirs):
                begun = time.process_time()
                with suppress(ssl.SSLWantReadError):
                    one.do_handshake()
                    done.add(one)
                if one is theirs:
                    spent += time.process_time() - begun
                c.write(b.read())
                a.write(d.read())
    return spent / times


# -- what it costs


def _usage(pid: int) -> Usage:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return Usage(seconds, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


def _room_for_files() -> int:
    """How many sockets this process and the broker may each open, after asking for as many as are wanted."""
    wanted = DEVICES + 500
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - 500, 100)


if __name__ == "__main__":
    for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEVICES):
        print(f"{row['name']}: {row['value']:.3g} {row['unit']} (beside {row['peer']}: {row['peer_value']:.3g})")
