"""Enrolling with a code, from the request to a connection that works, on a real broker behind a real front."""

import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.connection import Credentials
from agent.enrolment import make_key_and_request
from agent.signature import open_envelope, parse_policy_key
from appliance.broker.desk import Desk
from appliance.broker.mosquitto import hash_token
from appliance.broker.signing import make_signer
from appliance.front import write_front_configuration
from appliance.safeguarding.access import Role
from appliance.safeguarding.enrolment import CODE_CHANCE, ENROLMENT_TRIES
from appliance.store.devices import get_device
from appliance.workflow.enrol import make_enrolment_code, revoke_device, withdraw_enrolment_code
from appliance.workflow.issue import issue_policy
from demo.content import POLICY_FILE
from tests.broker.running import Program, Site, free_port, wait_until

DRAFT = json.loads(POLICY_FILE.read_text(encoding="utf-8"))


@pytest.fixture
def desk(site: Site) -> Desk:
    issue(site)
    return Desk(site.config)


def issue(site: Site, academy_id: str = "ashby") -> int:
    now = datetime.now(UTC)
    return issue_policy(site.box.db, None, academy_id, DRAFT, make_signer(site.config), now, site.box.new_id).number


def make_code(site: Site, academy_id: str = "ashby", lasts: timedelta = timedelta(hours=24), prefix: str = "") -> str:
    chance = os.urandom(CODE_CHANCE)
    return make_enrolment_code(site.box.db, None, academy_id, "Library", prefix, datetime.now(UTC), chance, lasts)


def desktop(code: str, folder: Path, name: str = "lib-07") -> dict[str, Any]:
    request = make_key_and_request(folder, name).request.read_text()
    return {"version": 1, "code": code, "kind": "desktop", "name": name, "csr": request}


def browser(code: str, name: str = "robin@larkmere.example") -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    r, s = decode_dss_signature(key.sign(b"trustkeep enrol v1\n" + code.encode(), ec.ECDSA(hashes.SHA256())))
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    proof = r.to_bytes(32) + s.to_bytes(32)
    fields = {"public_key": base64.b64encode(spki).decode(), "proof": base64.b64encode(proof).decode()}
    return {"version": 1, "code": code, "kind": "browser", "name": name, "csr": None} | fields


def ask(desk: Desk, request: Any, now: datetime | None = None, address: str = "192.0.2.7") -> tuple[int, Any]:
    return desk.answer(request, address, now or datetime.now(UTC))


def credentials(site: Site, folder: Path, answer: dict[str, Any]) -> Credentials:
    (folder / "device.pem").write_text(answer["certificate"])
    keys = site.config.keys
    return Credentials(
        answer["device_id"],
        "localhost",
        site.config.broker_port,
        keys / "ca.crt",
        folder / "device.pem",
        folder / "device.key",
    )


class Socket:
    """A browser extension's connection: MQTT over WebSockets, with its name and token."""

    def __init__(self, port: int, device_id: str, token: str, ca: Path | None = None) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        self.lost = False
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            protocol=paho.MQTTv5,
            transport="websockets",
            client_id=device_id,
            reconnect_on_failure=False,
        )
        client.ws_set_options(path="/mqtt")
        client.username_pw_set(device_id, token)
        if ca is not None:
            client.tls_set_context(ssl.create_default_context(cafile=ca))
        client.on_connect = lambda _client, _data, _flags, code, _properties: self.answers.append(code.value)
        client.on_disconnect = lambda *_: setattr(self, "lost", True)
        client.on_message = lambda _client, _data, message: self.received.append((message.topic, message.payload))
        client.connect("localhost", port)
        client.loop_start()
        self.client = client
        wait_until(lambda: self.answers or self.lost, "the broker's answer")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


# -- what the desk answers


def test_a_desktop_gets_a_certificate_for_the_name_the_box_gives_it(site: Site, desk: Desk, tmp_path: Path) -> None:
    status, answer = ask(desk, desktop(make_code(site), tmp_path / "d"))
    assert status == 200 and answer["device_id"] == "Ashby-lib-07" and answer["token"] is None
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    assert certificate.subject.rfc4514_string() == "CN=Ashby-lib-07"
    assert timedelta(days=360) < certificate.not_valid_after_utc - datetime.now(UTC) < timedelta(days=366)
    assert answer["ca"] == (site.config.keys / "ca.crt").read_text()
    assert answer["broker"] == {"host": "localhost", "port": site.config.broker_port}
    assert answer["wss"] == f"wss://localhost:{site.config.portal_port}/mqtt"
    key = parse_policy_key(answer["policy_key"].encode())
    assert json.loads(open_envelope(json.dumps(answer["policy"]).encode(), key))["academy"] == "Ashby Academy"
    site.start_mosquitto()
    assert site.client(credentials(site, tmp_path / "d", answer)).client.is_connected()
    device = get_device(site.box.db, "Ashby-lib-07")
    assert device is not None and (device.place, device.name, device.academy_id) == ("Library", "lib-07", "ashby")


def test_two_of_one_name_get_two_names(site: Site, desk: Desk, tmp_path: Path) -> None:
    names = [
        ask(desk, desktop(make_code(site, prefix="Library 2"), tmp_path / str(n), "pc"))[1]["device_id"]
        for n in range(3)
    ]
    assert names == ["Library-2-pc", "Library-2-pc-2", "Library-2-pc-3"]


def test_a_code_lets_in_one_device_however_many_come_at_once(site: Site, desk: Desk, tmp_path: Path) -> None:
    code = make_code(site)
    requests = [desktop(code if n % 2 else code.lower().replace("-", " "), tmp_path / str(n)) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda request: ask(desk, request), requests))
    assert sorted(status for status, _ in answers) == [200, 403, 403, 403, 403, 403]
    assert site.count("device") == 4
    assert all("code" in answer["error"] for status, answer in answers if status == 403)


def test_codes_that_are_over_withdrawn_or_nobodys_let_nobody_in(site: Site, desk: Desk, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    over, withdrawn = make_code(site, lasts=timedelta(minutes=5)), make_code(site)
    technician = site.box.staff(Role.TECHNICIAN, trust_id="larch")
    (code_id,) = site.box.db.conn.execute("SELECT id FROM enrolment_code ORDER BY made_at DESC LIMIT 1").fetchone()
    withdraw_enrolment_code(site.box.open_as(technician), technician, code_id, now)
    for number, code in enumerate((over, withdrawn, "ABCD-EFGH-JKMN", "x")):
        status, answer = ask(desk, desktop(code, tmp_path / str(number)), now + timedelta(minutes=6))
        assert status == 403 and "code is wrong, used, withdrawn or over" in answer["error"]
    assert site.count("device") == 3
    columns = site.box.db.conn.execute("SELECT * FROM enrolment_code").fetchall()
    assert over.replace("-", "") not in str(columns) and over not in str(columns), "only a digest is kept"


def test_an_academy_without_a_policy_takes_no_device_and_the_code_stays_good(
    site: Site, desk: Desk, tmp_path: Path
) -> None:
    code = make_code(site, "birch")
    status, answer = ask(desk, desktop(code, tmp_path / "a"))
    assert status == 403 and "no policy" in answer["error"]
    issue(site, "birch")
    assert ask(desk, desktop(code, tmp_path / "b"))[0] == 200


def test_wrong_codes_from_one_address_must_wait_and_others_need_not(site: Site, desk: Desk, tmp_path: Path) -> None:
    now, request = datetime.now(UTC), desktop("ABCD-EFGH-JKMN", tmp_path / "w")
    for _ in range(ENROLMENT_TRIES.free):
        assert ask(desk, request, now)[0] == 403
    status, answer = ask(desk, request, now)
    assert status == 429 and "Wait" in answer["error"]
    good = desktop(make_code(site), tmp_path / "good")
    assert ask(desk, good, now)[0] == 429, "a right code would tell that it is right"
    assert ask(desk, good, now, "192.0.2.8")[0] == 200
    assert site.box.db.conn.execute("SELECT count(*) FROM attempt WHERE address = '192.0.2.7'").fetchone() == (0,)


BAD: list[Any] = [
    None,
    [],
    {"version": 2},
    {"version": 1, "code": "x", "name": "n", "kind": "toaster"},
    {"version": 1, "code": "x" * 41, "name": "n", "kind": "desktop", "csr": "c"},
    {"version": 1, "code": "x", "name": "n" * 65, "kind": "desktop", "csr": "c"},
    {"version": 1, "code": "x", "name": "n\x00", "kind": "desktop", "csr": "c"},
    {"version": 1, "code": "x", "name": "\ud800", "kind": "desktop", "csr": "c"},
    {"version": 1, "code": "x", "name": "n", "kind": "desktop", "csr": None},
    {"version": 1, "code": "x", "name": "n", "kind": "browser"},
    {"version": 1, "code": "x", "name": "n", "kind": "browser", "public_key": "####", "proof": "AA=="},
    {"version": 1, "code": "x", "name": "n", "kind": "browser", "public_key": "AAAA", "proof": "AA=="},
]


@pytest.mark.parametrize("request_", BAD)
def test_a_request_that_is_none_is_said_to_be_and_counts_no_try(site: Site, desk: Desk, request_: Any) -> None:
    status, answer = ask(desk, request_)
    assert status == 422 and answer["error"].endswith(".")
    assert site.count("attempt") == 0


def test_a_request_that_is_not_signed_leaves_the_code_good(site: Site, desk: Desk, tmp_path: Path) -> None:
    code = make_code(site)
    assert ask(desk, desktop(code, tmp_path / "a") | {"csr": "-----BEGIN nothing"})[0] == 422
    assert ask(desk, desktop(code, tmp_path / "b"))[0] == 200


def test_a_browsers_proof_must_be_of_its_key_and_its_code(site: Site, desk: Desk) -> None:
    code, other = make_code(site), make_code(site)
    good = browser(code)
    assert ask(desk, good | {"code": other})[0] == 422
    assert ask(desk, good | {"public_key": browser(code)["public_key"]})[0] == 422
    assert ask(desk, good)[0] == 200


# -- a browser, behind the front


@pytest.fixture
def front(site: Site) -> Iterator[Program]:
    """nginx with the box's own configuration, before the broker's websockets."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    object.__setattr__(site.config, "portal_port", free_port())
    path = write_front_configuration(site.config, as_root=os.geteuid() == 0)
    program = Program(nginx, "-e", "stderr", "-c", path)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", site.config.portal_port)) == 0

    wait_until(listens, "the front")
    yield program
    program.stop()


def test_a_browser_comes_in_by_its_token_through_the_front_and_goes_at_its_revocation(
    site: Site, desk: Desk, front: Program
) -> None:
    site.start_mosquitto()
    site.start_ingest()
    ca = site.config.keys / "ca.crt"
    status, answer = ask(desk, browser(make_code(site)))
    assert status == 200 and answer["certificate"] is None
    device_id, token = answer["device_id"], answer["token"]
    assert len(base64.urlsafe_b64decode(token + "=")) == 32
    assert token not in str(site.box.db.conn.execute("SELECT * FROM device_token").fetchall())
    passwords = site.config.run / "passwords"
    wait_until(lambda: device_id in passwords.read_text(), "the broker told of the token", 5)
    sockets: list[Socket] = []

    def comes_in() -> bool:
        sockets.append(Socket(site.config.portal_port, device_id, token, ca))
        return sockets[-1].answers == [0]

    wait_until(comes_in, "the browser let in", 5)
    connected = sockets[-1]
    wrong = Socket(site.config.portal_port, device_id, "x" + token[1:], ca)
    assert wrong.answers != [0]
    beat = {"version": 1, "device_id": device_id, "queue_epoch": "e", "highest_sequence": 0, "lowest_unreceipted": None}
    beat |= {"queue_depth": 0, "queue_bytes": 0, "oldest_at": None, "dead_letters": 0, "agent_version": "1"}
    beat |= {"policy_version": "1", "policy_number": 0, "sent_at": datetime.now(UTC).isoformat(), "platform": "browser"}
    connected.client.subscribe(f"tk/v1/policy/{device_id}", qos=1)
    connected.client.publish(f"tk/v1/heartbeat/{device_id}", json.dumps(beat).encode())
    wait_until(lambda: connected.received, "its policy")
    assert connected.received[0][0] == f"tk/v1/policy/{device_id}"
    revoke_device(site.box.db, None, device_id, datetime.now(UTC))
    wait_until(lambda: connected.lost, "the open connection ended", 5)
    assert Socket(site.config.portal_port, device_id, token, ca).answers != [0]
    for one in sockets:
        one.close()


def test_the_listener_for_browsers_is_on_this_machine_alone(site: Site) -> None:
    site.start_mosquitto()
    addresses = {one[4][0] for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, site.config.websocket_port)) != 0, address
    port, listens = f":{site.config.websocket_port:04X}", "0A"
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    assert [row[1] for row in rows if row[1].endswith(port) and row[3] == listens] == [f"0100007F{port}"]


def test_nobody_comes_in_without_a_token_or_as_the_boxs_own_subscriber(site: Site, desk: Desk) -> None:
    site.start_mosquitto()
    for name, token in (("ingest", ""), ("ingest", "ingest"), ("Ashby-x", ""), ("", "")):
        one = Socket(site.config.websocket_port, name, token)
        assert one.answers != [0], name
        one.close()


def test_a_hash_is_what_mosquitto_itself_makes(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_text("ASH-01:secret\n")
    subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True, capture_output=True)
    made = path.read_text().strip().partition(":")[2]
    _, kind, rounds, salt, _ = made.split("$")
    assert (kind, rounds) == ("7", "101")
    assert hash_token("secret", base64.b64decode(salt)) == made
