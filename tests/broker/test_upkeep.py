"""What ingest does beside: policies, commands, renewals and revocations reach a connected device by themselves."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from agent.enrolment import make_key_and_request
from agent.policy import parse_policy
from agent.signature import SignatureError, load_policy_key, open_envelope
from appliance.broker import certificates, mosquitto
from appliance.broker.signing import make_signer
from appliance.safeguarding.access import Role
from appliance.safeguarding.device import SETTLED_AFTER
from appliance.store.devices import get_device, get_rule_category, select_commands, select_heartbeats
from appliance.store.enrolment import note_broker_change, select_revoked_serials
from appliance.store.policies import get_policy_envelope
from appliance.store.sequences import note_claim
from appliance.workflow.enrol import revoke_device
from appliance.workflow.hear import ask_to_resend
from appliance.workflow.issue import PolicyDraftError, issue_policy
from demo.content import POLICY_FILE
from tests.broker.running import Client, Program, Site, wait_until

DRAFT = json.loads(POLICY_FILE.read_text(encoding="utf-8"))
NOT_AUTHORIZED = 135


def issue(site: Site, academy_id: str = "ashby", **changes: Any) -> int:
    now, signer = datetime.now(UTC), make_signer(site.config)
    return issue_policy(site.box.db, None, academy_id, DRAFT | changes, signer, now, site.box.new_id).number


def beat(device: Client, device_id: str = "ASH-01", **changes: Any) -> None:
    fields: dict[str, Any] = {"version": 1, "device_id": device_id, "queue_epoch": "e", "highest_sequence": 0}
    fields |= {"lowest_unreceipted": None, "queue_depth": 0, "queue_bytes": 0, "oldest_at": None, "dead_letters": 0}
    fields |= {"agent_version": "0.2.0", "policy_version": "1", "policy_number": 1, "platform": "linux-x11"}
    fields |= {"sent_at": datetime.now(UTC).isoformat(), "permissions_missing": [], "monitored_now": True}
    device.publish(f"tk/v1/heartbeat/{device_id}", json.dumps(fields | changes).encode(), qos=0)


def heard(device: Client, kind: str, device_id: str = "ASH-01") -> list[bytes]:
    return [payload for topic, payload in list(device.received) if topic == f"tk/v1/{kind}/{device_id}"]


@pytest.fixture
def ingest(site: Site) -> Program:
    site.start_mosquitto()
    return site.start_ingest()


def listening(site: Site, device_id: str = "ASH-01", academy_id: str = "ashby") -> Client:
    device = site.client(site.enrol(device_id, academy_id))
    for kind in ("receipt", "policy", "command", "certificate"):
        device.subscribe(f"tk/v1/{kind}/{device_id}")
    return device


# -- policies


def test_an_issued_policy_is_signed_numbered_and_what_the_agent_reads(site: Site) -> None:
    key = load_policy_key(site.config.keys / "policy.pub")
    for number in (1, 2):
        assert issue(site) == number
        found = get_policy_envelope(site.box.db, "ashby")
        assert found is not None and found[0] == number
        policy = parse_policy(json.loads(open_envelope(found[1].encode(), key)))
        assert (policy.number, policy.academy, policy.version) == (number, "Ashby Academy", DRAFT["version"])
        assert policy.hours is not None and policy.notice is not None and policy.expires_at is not None
        assert policy.expires_at - datetime.now(UTC) > timedelta(days=390)
    assert issue(site, "birch") == 1, "each academy counts for itself"
    assert get_rule_category(site.box.db, DRAFT["rules"][0]["id"]) == DRAFT["rules"][0]["category"]
    envelope = json.loads(found[1])
    envelope["document"] = envelope["document"][:-8] + "AAAAAAA="
    with pytest.raises(SignatureError):
        open_envelope(json.dumps(envelope).encode(), key)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"number": 7}, "'number' is given by the box"),
    ({"mood": 1}, "'mood' is no part"),
    ({"age_band": "3-5"}, "age_band"),
    ({"rules": []}, "rules: must be"),
    ({"rules": [{"id": "pupil-help", "category": "abuse", "phrases": ["x"]}]}, "own report"),
    ({"rules": [{"id": "x", "category": "weather", "phrases": ["x"]}]}, "category"),
    ({"hours": DRAFT["hours"] | {"time_zone": "Mars/One"}}, "time_zone"),
    ({"hours": DRAFT["hours"] | {"weekly": [{"days": [8], "from": "08:00", "to": "09:00"}]}}, "weekly"),
    ({"hours": DRAFT["hours"] | {"weekly": [{"days": [1], "from": "19:00", "to": "09:00"}]}}, "weekly"),
    ({"hours": DRAFT["hours"] | {"holidays": [{"from": "2026-12-02", "to": "2026-12-01", "name": "x"}]}}, "holidays"),
    ({"notice": {"version": "1", "title": "", "body": "b", "contacts": "c"}}, "notice.title"),
    ({"rules": [{"id": "x", "category": "abuse", "phrases": ["word " * 90] * 1200}]}, "larger than"),
]


@pytest.mark.parametrize(("changes", "words"), FAULTS)
def test_a_draft_with_a_fault_is_not_issued(site: Site, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PolicyDraftError, match=words):
        issue(site, **changes)
    assert get_policy_envelope(site.box.db, "ashby") is None


def test_a_device_behind_gets_the_policy_and_one_that_has_it_does_not(site: Site, ingest: Program) -> None:
    issue(site)
    behind, right, old = listening(site), listening(site, "ASH-02"), listening(site, "ASH-03")
    beat(right, "ASH-02", policy_number=1)
    beat(old, "ASH-03", policy_number=None)  # knows of no numbers, and would not know what to do with it
    beat(behind, policy_number=0)
    wait_until(lambda: heard(behind, "policy"), "the policy")
    key = load_policy_key(site.config.keys / "policy.pub")
    assert json.loads(open_envelope(heard(behind, "policy")[0], key))["number"] == 1
    wait_until(lambda: len(select_heartbeats(site.box.db)) == 3, "all heartbeats noted")
    assert right.received == [] and old.received == []


def test_a_new_policy_goes_at_once_to_the_connected_devices_of_its_academy(site: Site, ingest: Program) -> None:
    issue(site)
    issue(site, "birch")
    here, elsewhere = listening(site), listening(site, "BIR-02", "birch")
    beat(here)
    beat(elsewhere, "BIR-02")
    wait_until(lambda: len(select_heartbeats(site.box.db)) == 2, "both heartbeats noted")
    issue(site)
    wait_until(lambda: heard(here, "policy"), "the new policy, with no heartbeat between", 5)
    beat(elsewhere, "BIR-02", queue_depth=1)
    wait_until(lambda: select_heartbeats(site.box.db, "BIR-02")["BIR-02"][0].queue_depth == 1, "its heartbeat noted")
    assert elsewhere.received == []


# -- what a device may read and write


def test_a_device_reads_only_its_own_and_writes_nothing_of_the_boxs(site: Site) -> None:
    site.start_mosquitto()
    box = site.client(site.ingest_credentials())
    curious = site.client(site.enrol("ASH-01"))
    kinds = ("receipt", "policy", "command", "certificate")
    for kind in kinds:
        for name in ("+", "BIR-01", "ASH-01"):
            curious.subscribe(f"tk/v1/{kind}/{name}")
    curious.subscribe("tk/v1/renew/+")
    for kind in kinds:
        assert curious.publish(f"tk/v1/{kind}/ASH-01", b"forged") == NOT_AUTHORIZED
        assert curious.publish(f"tk/v1/{kind}/BIR-01", b"forged") == NOT_AUTHORIZED
        box.publish(f"tk/v1/{kind}/BIR-01", b"not yours")
    assert curious.publish("tk/v1/renew/BIR-01", b"forged") == NOT_AUTHORIZED
    assert curious.publish("tk/v1/renew/ASH-01", b"own") in (0, 16)
    for kind in kinds:
        box.publish(f"tk/v1/{kind}/ASH-01", b"yours")
    own = {f"tk/v1/{kind}/ASH-01" for kind in kinds}
    wait_until(lambda: {topic for topic, _ in curious.received} == own, "its own")
    assert {payload for _, payload in curious.received} == {b"yours"}


# -- commands


def test_a_device_is_asked_again_for_what_is_missing(site: Site, ingest: Program) -> None:
    device = listening(site)
    past = datetime.now(UTC) - SETTLED_AFTER * 2
    note_claim(site.box.db, "ASH-01", "ashby", "e", 5, None, past)
    beat(device, highest_sequence=5)
    wait_until(lambda: heard(device, "command"), "the command")
    assert json.loads(heard(device, "command")[0]) == {
        "version": 1,
        "command": "resend",
        "queue_epoch": "e",
        "from_sequence": 1,
    }
    technician = site.box.staff(Role.TECHNICIAN, trust_id="larch")
    assert ask_to_resend(site.box.open_as(technician), technician, "ASH-01", datetime.now(UTC), site.box.new_id)
    wait_until(lambda: len(heard(device, "command")) == 2, "the person's, with no heartbeat between", 5)
    wait_until(lambda: all(one.sent_at for one in select_commands(site.box.db, "ASH-01", past)), "both noted as sent")


# -- certificates


def renewal(folder: Path, name: str = "ASH-01") -> bytes:
    request = make_key_and_request(folder, name).request.read_text()
    return json.dumps({"version": 1, "csr": request}).encode()


def test_a_device_renews_its_certificate_over_its_own_connection(site: Site, ingest: Program, tmp_path: Path) -> None:
    old = site.enrol()
    device = site.client(old)
    device.subscribe("tk/v1/certificate/ASH-01")
    device.publish("tk/v1/renew/ASH-01", renewal(tmp_path / "new"))
    wait_until(lambda: heard(device, "certificate"), "the certificate")
    answer = json.loads(heard(device, "certificate")[0])
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    assert certificate.subject.rfc4514_string() == "CN=ASH-01"
    assert answer["ca"] == (site.config.keys / "ca.crt").read_text()
    (tmp_path / "new" / "device.pem").write_text(answer["certificate"])
    new = replace(old, certificate=tmp_path / "new" / "device.pem", key=tmp_path / "new" / "device.key")
    device.close()
    assert site.client(new).client.is_connected()
    # until the new one has connected the old one works
    again = Client(old)
    assert again.connect() == 0
    again.close()
    revoke_device(site.box.db, None, "ASH-01", datetime.now(UTC))
    assert len(select_revoked_serials(site.box.db)) == 2, "both are revoked"


def test_bad_requests_for_a_certificate_are_said_and_nothing_comes_of_them(
    site: Site, ingest: Program, tmp_path: Path
) -> None:
    device = listening(site)
    others = renewal(tmp_path / "x", "BIR-01")
    for payload in (b"{", b'{"version": 1}', b'{"version": 1, "csr": "x"}', b"x" * 20_000, others):
        device.publish("tk/v1/renew/ASH-01", payload)
    ingest.wait_for_line("certificate of ASH-01 not renewed", 5)
    assert site.count("device_certificate") == 1 and not device.received


# -- revocation


def test_a_person_who_revokes_a_device_has_it_off_within_seconds(site: Site, ingest: Program) -> None:
    stolen = site.enrol()
    device, other = site.client(stolen), site.client(site.enrol("BIR-02", "birch"))
    assert device.publish("tk/v1/event/ASH-01", b"before") == 0
    technician = site.box.staff(Role.TECHNICIAN, trust_id="larch")
    begun = time.monotonic()
    revoke_device(site.box.open_as(technician), technician, "ASH-01", datetime.now(UTC))
    wait_until(lambda: device.publish("tk/v1/event/ASH-01", b"after") == NOT_AUTHORIZED, "the rule against it", 5)
    print(f"revoked on the live connection after {time.monotonic() - begun:.2f} s")
    with pytest.raises(OSError):
        Client(stolen).connect()
    assert other.publish("tk/v1/event/BIR-02", b"undisturbed") == 0

    def noted() -> bool:
        found = get_device(site.box.db, "ASH-01")
        return found is not None and found.shut_out_at is not None

    wait_until(noted, "the moment noted")


def test_a_broker_that_was_down_learns_it_when_it_is_back(site: Site) -> None:
    broker = site.start_mosquitto()
    ingest = site.start_ingest()
    stolen = site.enrol()
    broker.kill()
    revoke_device(site.box.db, None, "ASH-01", datetime.now(UTC))
    # as the supervisor starts it again, on the files as they were
    path = site.config.run / "mosquitto.conf"
    again = Program("/usr/sbin/mosquitto" if Path("/usr/sbin/mosquitto").exists() else "mosquitto", "-c", path)
    site.started.append(again)
    ingest.wait_for_line("connected to the broker", 2)

    def refused() -> bool:
        try:
            Client(stolen).connect()
        except OSError:
            return True
        return False

    wait_until(refused, "the stolen certificate refused", 5)


def test_a_number_that_is_another_programs_is_not_taken_for_the_brokers(site: Site) -> None:
    site.config.run.mkdir(exist_ok=True)
    for content in ("1\n", "no number", ""):
        (site.config.run / mosquitto.PID_FILE).write_text(content)
        assert mosquitto.find(site.config) is None
    broker = site.start_mosquitto()
    assert mosquitto.find(site.config) == broker.process.pid


def test_the_list_of_revoked_ones_is_written_and_read_anew(site: Site) -> None:
    """A list that has run out makes the broker refuse every device: ingest writes it as it starts, and daily."""
    long_ago = datetime.now(UTC) - timedelta(days=200)
    (site.config.keys / "crl.pem").unlink()
    certificates.refresh_crl(site.config, long_ago)
    credentials = site.enrol()
    site.start_mosquitto()
    with pytest.raises(OSError):
        Client(credentials).connect()
    # ingest could not connect either: what starts the box makes the keys first
    certificates.make_keys(site.config, datetime.now(UTC))
    note_broker_change(site.box.db)
    pid = mosquitto.find(site.config)
    assert pid is not None
    mosquitto.reload(pid)
    wait_until(lambda: _connects(credentials), "the device back in")


def _connects(credentials: Any) -> bool:
    client = Client(credentials)
    try:
        return client.connect() == 0
    except OSError:
        return False
    finally:
        client.close()
