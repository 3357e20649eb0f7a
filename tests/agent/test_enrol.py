"""Enrolment against a real HTTPS server: the box is known by its authority alone, and a bad answer writes nothing."""

import hashlib
import json
import ssl
import stat
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.config import load_config
from agent.enrol import FILES, enrol
from agent.enrolment import EnrolmentError
from agent.policy_store import open_store
from agent.sealing import load_box_key
from agent.signature import load_policy_key

CODE = "ABCD-EFGH-JKMN"
POLICY = {
    "version": "1",
    "academy": "Larkfield Academy",
    "rules": [{"id": "one", "category": "abuse", "phrases": ["scared to go home"]}],
}


class Portal:
    """The box's enrolment page."""

    def __init__(self, authority, box_key, policy_key):
        self.authority = authority
        self.asked = []
        self.change = lambda answer: answer
        self.status = 200
        self.ca = authority.path.read_bytes()
        portal = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(200 if self.path == "/enrol/ca.pem" else 404, portal.ca)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                portal.asked.append((self.path, self.headers["Content-Type"], body))
                answer = portal.change(portal.make_answer(body)) if portal.status == 200 else {"error": portal.error}
                self.answer(portal.status, json.dumps(answer).encode())

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("localhost"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.box_key, self.policy_key = box_key, policy_key

    error = "This code has been used already."

    @property
    def address(self):
        return f"https://localhost:{self.server.server_port}"

    @property
    def fingerprint(self):
        der = x509.load_pem_x509_certificate(self.authority.path.read_bytes()).public_bytes(Encoding.DER)
        return hashlib.sha256(der).hexdigest()

    def make_answer(self, body):
        def pem(key):
            return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

        certificate = self.authority.sign_request(body["csr"].encode(), name="larkfield-lib-09")
        return {
            "device_id": "larkfield-lib-09",
            "certificate": certificate.decode(),
            "token": None,
            "ca": self.authority.path.read_text(),
            "box_key": pem(self.box_key.public),
            "policy_key": pem(self.policy_key.public),
            "policy": json.loads(self.policy_key.sign(POLICY, 3)),
            "broker": {"host": "box.larkfield.example", "port": 8883},
            "wss": "wss://box.larkfield.example/mqtt",
        }


@pytest.fixture
def portal(authority, box_key, policy_key):
    portal = Portal(authority, box_key, policy_key)
    yield portal
    portal.server.shutdown()
    portal.server.server_close()


def run(portal, folder, **named):
    trust = {"ca": portal.authority.path, "fingerprint": None}
    return enrol(**{"code": CODE, "box": portal.address, "folder": folder, "name": "Library PC 9", **trust, **named})


def test_a_code_gives_a_device_everything_it_runs_on(portal, tmp_path):
    made = run(portal, tmp_path / "device", code=" abcd-efgh-jkmn ")
    assert made.device_id == "larkfield-lib-09"
    ((path, kind, asked),) = portal.asked
    assert (path, kind) == ("/enrol", "application/json")
    assert (asked["version"], asked["code"], asked["kind"], asked["name"]) == (1, CODE, "desktop", "Library PC 9")
    config = load_config(made.settings)
    assert config.device_id == "larkfield-lib-09" and config.credentials.host == "box.larkfield.example"
    store = open_store(config.data_dir, config.policy, load_policy_key(config.policy_key))
    assert store.current.number == 3 and not store.current.expired(datetime.now(UTC))
    assert load_box_key(config.box_key)
    assert stat.S_IMODE(config.credentials.key.stat().st_mode) == 0o600
    assert sorted(file.name for file in (tmp_path / "device").iterdir()) == sorted(FILES)
    # key and certificate belong together, as a TLS library sees it
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(config.credentials.certificate, config.credentials.key)


def test_the_box_may_be_known_by_its_fingerprint(portal, tmp_path):
    shown = ":".join(portal.fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    assert run(portal, tmp_path / "device", ca=None, fingerprint=shown).device_id == "larkfield-lib-09"


def test_another_fingerprint_or_authority_is_not_the_box(portal, tmp_path, make_authority):
    stranger = make_authority("Somebody else's authority")
    for trust in (
        {"ca": None, "fingerprint": "0" * 64},
        {"ca": None, "fingerprint": "short"},
        {"ca": stranger.path},
        {"ca": tmp_path / "none.pem"},
    ):
        with pytest.raises(EnrolmentError):
            run(portal, tmp_path / "device", **trust)
    # an impostor who shows the true authority has no certificate from it
    portal.ca = portal.authority.path.read_bytes()
    assert portal.asked == [] and not (tmp_path / "device").exists()


def test_a_host_with_another_name_is_not_the_box(portal, tmp_path):
    with pytest.raises(EnrolmentError, match="not the box"):
        run(portal, tmp_path / "device", box=portal.address.replace("localhost", "127.0.0.1"))


def test_what_the_box_says_against_it_is_shown(portal, tmp_path):
    portal.status = 403
    with pytest.raises(EnrolmentError, match=r"refused: This code has been used already\."):
        run(portal, tmp_path / "device")
    portal.error = "line\n\x1b[31m"
    with pytest.raises(EnrolmentError, match="refused: status 403"):
        run(portal, tmp_path / "device")


BAD = {
    "no name": {"device_id": "../etc"},
    "no certificate": {"certificate": None},
    "another's certificate": {"device_id": "larkfield-lib-10"},
    "no authority of that certificate": {"ca": "-----"},
    "a policy key that didn't sign": {"policy_key": "-----"},
    "an unsigned policy": {"policy": POLICY},
    "no broker": {"broker": None},
    "a broker that would end a line": {"broker": {"host": 'x"\nkey = "y', "port": 8883}},
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_answer_writes_nothing(portal, tmp_path, case):
    portal.change = lambda answer: {**answer, **BAD[case]}
    with pytest.raises(EnrolmentError):
        run(portal, tmp_path / "device")
    assert not (tmp_path / "device").exists()


@pytest.mark.parametrize("code", ["", "ABCD", "ABCD-EFGH-JKM0", "ABCD-EFGH-JKMNP"])
def test_a_code_that_can_be_none_is_not_sent(portal, tmp_path, code):
    with pytest.raises(EnrolmentError, match="three groups"):
        run(portal, tmp_path / "device", code=code)
    assert portal.asked == []


def test_a_device_that_is_enrolled_is_left_as_it_is(portal, tmp_path):
    run(portal, tmp_path / "device")
    with pytest.raises(EnrolmentError, match="may be enrolled"):
        run(portal, tmp_path / "device")
    assert len(portal.asked) == 1


def test_the_command_line(portal, tmp_path, start_program):
    agent = start_program(
        "-m", "agent", "enrol", "--code", CODE, "--box", portal.address, "--fingerprint", portal.fingerprint,
        "--out", tmp_path / "device",
    )  # fmt: skip
    assert agent.finish() == 0, agent.lines
    assert agent.lines[0].startswith("enrolled as larkfield-lib-09")
    status = start_program("-m", "agent", "status", "--config", tmp_path / "device" / "agent.toml")
    assert status.finish() == 0
    assert "policy: 3, 1, 1 rules, for Larkfield Academy" in status.lines
