"""The real broker on the files we write: who gets in, who may send where, and who hears what."""

import contextlib
import json
import os
import pwd
import socket
import ssl
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.enrolment import make_key_and_request
from appliance.broker import certificates, mosquitto
from appliance.broker.mosquitto import write_configuration
from appliance.workflow.enrol import revoke_device
from tests.broker.running import Client, Site, wait_until

NOT_AUTHORIZED = 135


def test_the_files_are_the_owners_alone_and_name_no_secret(site: Site):
    path = write_configuration(site.config, ["ASH-01", "BIR-01"])
    assert path == site.config.run / "mosquitto.conf"
    assert site.config.run.stat().st_mode & 0o777 == 0o700
    for name in ("mosquitto.conf", "acl", "passwords"):
        assert (site.config.run / name).stat().st_mode & 0o777 == 0o600
    settings = path.read_text().splitlines()
    for line in (
        f"listener {site.config.broker_port}",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "allow_anonymous false",
        "persistence false",
        "tls_version tlsv1.2",
        "max_packet_size 1000000",
        "max_inflight_messages 20",
        "max_queued_bytes 268435456",
    ):
        assert line in settings
    rules = (site.config.run / "acl").read_text()
    assert "user BIR-01\ntopic deny tk/v1/event/BIR-01\n" in rules


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for another user")
def test_what_root_writes_for_the_boxs_own_user_is_that_users(site: Site):
    site.config.run.mkdir(exist_ok=True)
    os.chown(site.config.run, 65534, 65534)
    path = write_configuration(site.config, [])
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    assert path.read_text().splitlines()[1] == f"user {pwd.getpwuid(65534).pw_name}"


@pytest.mark.parametrize("name", ["ingest", "x\nuser y", "+", "a b", ""])
def test_a_name_that_would_write_rules_of_its_own_is_refused(site: Site, name):
    with pytest.raises(ValueError):
        write_configuration(site.config, [name])


def test_a_device_sends_and_the_box_receives(site: Site):
    site.start_mosquitto()
    ingest = site.client(site.ingest_credentials())
    assert ingest.subscribe("tk/v1/event/+") == 1
    assert ingest.subscribe("tk/v1/heartbeat/+") == 1
    device = site.client(site.enrol())
    assert device.publish("tk/v1/event/ASH-01", b"event") == 0
    assert device.publish("tk/v1/heartbeat/ASH-01", b"beat") == 0
    wait_until(lambda: len(ingest.received) == 2, "both messages")
    assert ingest.received == [("tk/v1/event/ASH-01", b"event"), ("tk/v1/heartbeat/ASH-01", b"beat")]


def test_a_device_cannot_send_as_another_or_as_the_box(site: Site):
    site.start_mosquitto()
    ingest = site.client(site.ingest_credentials())
    ingest.subscribe("tk/v1/event/+")
    device = site.client(site.enrol("ASH-01"))
    for topic in (
        "tk/v1/event/BIR-01",
        "tk/v1/heartbeat/BIR-01",
        "tk/v1/event/ingest",
        "tk/v1/receipt/ASH-01",
        "tk/v1/receipt/BIR-01",
        "$SYS/broker",
        "other",
    ):
        assert device.publish(topic, b"forged") == NOT_AUTHORIZED, topic
    # the next thing that arrives is its own: nothing of the above was before it
    assert device.publish("tk/v1/event/ASH-01", b"own") == 0
    wait_until(lambda: ingest.received, "its own event")
    assert ingest.received == [("tk/v1/event/ASH-01", b"own")]


def test_a_device_hears_only_its_own_receipts(site: Site):
    """The broker grants any subscription and checks at delivery: what counts is what is delivered."""
    site.start_mosquitto()
    ingest = site.client(site.ingest_credentials())
    other = site.client(site.enrol("BIR-01", "birch"), subscribe=True)
    curious = site.client(site.enrol("ASH-01"))
    for topic in ("tk/v1/receipt/+", "tk/v1/event/+", "tk/v1/heartbeat/#", "#", "tk/v1/receipt/BIR-01"):
        curious.subscribe(topic)
    assert ingest.publish("tk/v1/receipt/BIR-01", b"not yours") == 0
    assert other.publish("tk/v1/event/BIR-01", b"not yours") in (0, 16)
    assert other.publish("tk/v1/heartbeat/BIR-01", b"not yours") in (0, 16)
    assert ingest.publish("tk/v1/receipt/ASH-01", b"yours") == 0
    wait_until(lambda: curious.received, "its own receipt")
    wait_until(lambda: other.received, "the other's receipt")
    assert {payload for _, payload in curious.received} == {b"yours"}
    assert other.received == [("tk/v1/receipt/BIR-01", b"not yours")]


def test_a_device_cannot_throw_another_out_under_its_client_id(site: Site):
    site.start_mosquitto()
    victim = site.client(site.enrol("BIR-01", "birch"), subscribe=True)
    thief = Client(site.enrol("ASH-01"), client_id="BIR-01")
    assert thief.connect() == 0
    ingest = site.client(site.ingest_credentials())
    assert ingest.publish("tk/v1/receipt/BIR-01", b"still here") == 0
    wait_until(lambda: victim.received, "the victim's receipt")
    assert victim.client.is_connected()
    thief.close()


def test_nobody_gets_in_without_a_certificate_of_this_box(site: Site, tmp_path):
    site.start_mosquitto()
    device = site.enrol()

    def refused(credentials) -> None:
        with pytest.raises(OSError):
            Client(credentials).connect()

    other_box = replace(site.config, home=tmp_path / "other")
    certificates.make_keys(other_box, datetime.now(UTC))
    refused(replace(device, certificate=other_box.keys / "ingest.crt", key=other_box.keys / "ingest.key"))
    # the portal's certificate is a server's, and no pass for a client
    refused(replace(device, certificate=site.config.keys / "server.crt", key=site.config.keys / "server.key"))
    context = ssl.create_default_context(cafile=device.ca)
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(("localhost", device.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        wrapped.settimeout(30)
        if wrapped.recv(1) == b"":
            raise ConnectionError("closed")
    # and with its own it does
    assert site.client(device).client.is_connected()


def test_a_client_without_encryption_gets_no_answer(site: Site):
    site.start_mosquitto()
    with socket.create_connection(("localhost", site.config.broker_port)) as plain:
        plain.settimeout(30)
        plain.sendall(b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02ab")
        with contextlib.suppress(ConnectionError):
            assert plain.recv(4)[:1] != b"\x20"


def test_a_revoked_device_is_silenced_at_once_and_never_comes_back(site: Site):
    broker = site.start_mosquitto()
    ingest = site.client(site.ingest_credentials())
    ingest.subscribe("tk/v1/event/+")
    stolen, other = site.enrol("ASH-01"), site.client(site.enrol("BIR-01", "birch"))
    device = site.client(stolen, subscribe=True)
    assert device.publish("tk/v1/event/ASH-01", b"before") == 0
    now = datetime.now(UTC)
    revoke_device(site.box.db, None, "ASH-01", now)
    site.reload(broker)
    # the open connection has no rights any more
    wait_until(lambda: device.publish("tk/v1/heartbeat/ASH-01", b"after") == NOT_AUTHORIZED, "the new rules")
    assert device.publish("tk/v1/event/ASH-01", b"after") == NOT_AUTHORIZED
    assert ingest.publish("tk/v1/receipt/ASH-01", b"receipt") in (0, 16)
    assert other.publish("tk/v1/event/BIR-01", b"undisturbed") == 0
    wait_until(lambda: len(ingest.received) == 2, "what was allowed")
    assert [payload for _, payload in ingest.received] == [b"before", b"undisturbed"]
    assert not device.received
    # and a new one is refused
    with pytest.raises(OSError):
        Client(stolen).connect()


def test_a_device_that_is_enrolled_again_after_its_revocation_gets_in_with_its_new_certificate(site: Site):
    broker = site.start_mosquitto()
    site.enrol("ASH-01")
    now = datetime.now(UTC)
    revoke_device(site.box.db, None, "ASH-01", now)
    site.reload(broker)
    device = site.client(site.enrol("ASH-01"))
    wait_until(lambda: device.publish("tk/v1/heartbeat/ASH-01", b"back") == NOT_AUTHORIZED, "the rule against it")
    site.reload(broker)
    wait_until(lambda: device.publish("tk/v1/heartbeat/ASH-01", b"back") in (0, 16), "the rule gone")


def test_a_new_server_certificate_is_taken_up_without_a_restart(site: Site):
    broker = site.start_mosquitto()
    device = site.client(site.enrol())
    renamed = replace(site.config, host_name="box.larkfield.example")
    assert certificates.make_keys(renamed, datetime.now(UTC)) == ["server.crt"]
    site.reload(broker)
    context = ssl.create_default_context(cafile=site.config.keys / "ca.crt")
    context.check_hostname = False
    context.load_cert_chain(site.config.keys / "ingest.crt", site.config.keys / "ingest.key")

    def name_shown() -> str:
        with (
            socket.create_connection(("localhost", site.config.broker_port)) as plain,
            context.wrap_socket(plain) as wrapped,
        ):
            return wrapped.getpeercert()["subject"][0][0][1]

    wait_until(lambda: name_shown() == "box.larkfield.example", "the new certificate")
    assert device.publish("tk/v1/heartbeat/ASH-01", b"beat") in (0, 16), "the open connection was not left alone"


def test_an_oversize_message_is_announced_as_such(site: Site):
    site.start_mosquitto()
    device = Client(site.enrol())
    limits = []
    told = device.client.on_connect
    device.client.on_connect = lambda *args: (limits.append(args[4].MaximumPacketSize), told(*args))
    assert device.connect() == 0
    device.close()
    assert limits == [1_000_000]


def test_the_log_tells_who_came_and_nothing_that_was_sent(site: Site):
    broker = site.start_mosquitto()
    device = site.client(site.enrol())
    secret = f"never logged {uuid.uuid4()}"
    device.publish("tk/v1/event/ASH-01", json.dumps({"typed": secret}).encode(), message_id=secret)
    device.close()
    broker.stop()
    assert any("as ASH-01" in line for line in broker.lines)
    assert not any(secret in line or "typed" in line for line in broker.lines)


def test_a_mosquitto_that_is_gone_is_said_to_be(site: Site):
    broker = site.start_mosquitto()
    broker.kill()
    with pytest.raises(ProcessLookupError):
        mosquitto.reload(broker.process.pid)


def test_the_devices_request_never_names_the_boxs_subscriber(site: Site, tmp_path):
    made = make_key_and_request(tmp_path / "x", "ingest")
    with pytest.raises(certificates.RequestError):
        certificates.sign_request(site.config, made.request.read_bytes(), "ingest", datetime.now(UTC))
