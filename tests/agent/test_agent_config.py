"""The settings file and the device's own key."""

import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.config import ConfigError, load_config
from agent.enrolment import EnrolmentError, make_key_and_request

SETTINGS = {
    "device_id": "larkfield-lib-07",
    "data_dir": "data",
    "policy": "policy.json",
    "policy_key": "policy.pem",
    "box_key": "box.pem",
    "broker": {"host": "box.example", "ca": "ca.pem", "certificate": "device.pem", "key": "device.key"},
}
TOML = """
device_id = "larkfield-lib-07"
data_dir = "data"
policy = "policy.json"
policy_key = "policy.pem"
box_key = "box.pem"
[broker]
host = "box.example"
ca = "ca.pem"
certificate = "device.pem"
key = "device.key"
"""


def write(folder: Path, settings: object) -> Path:
    path = folder / "agent.json"
    path.write_text(json.dumps(settings))
    return path


def test_toml_and_json_say_the_same(tmp_path):
    (tmp_path / "agent.toml").write_text(TOML)
    config = load_config(tmp_path / "agent.toml")
    assert config == load_config(write(tmp_path, SETTINGS))
    assert config.credentials.port == 8883
    assert config.credentials.ca == tmp_path / "ca.pem"
    assert (config.data_dir, config.heartbeat_seconds, config.outbox_bytes) == (tmp_path / "data", 60, 500_000_000)


def test_an_absolute_path_stays_as_it_is(tmp_path):
    config = load_config(write(tmp_path, {**SETTINGS, "data_dir": "/var/lib/agent"}))
    assert config.data_dir == Path("/var/lib/agent")


FAULTS = [
    ([], "must be a table"),
    ({**SETTINGS, "device_id": "a/b"}, "device_id may hold only"),
    ({**SETTINGS, "device_id": "#"}, "device_id may hold only"),
    ({**SETTINGS, "device_id": "x" * 65}, "device_id may hold only"),
    ({**SETTINGS, "broker": {**SETTINGS["broker"], "port": 0}}, "broker.port must be a number"),
    ({**SETTINGS, "broker": {"host": "box"}}, "broker.ca is missing"),
    ({**SETTINGS, "broker": "box"}, "broker must be a table"),
    ({**SETTINGS, "brokre": {}}, "brokre is not a known setting"),
    ({**SETTINGS, "policy": ""}, "policy must be text"),
    ({**SETTINGS, "heartbeat_seconds": True}, "heartbeat_seconds must be a number"),
]


@pytest.mark.parametrize(("settings", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_fault_is_named(tmp_path, settings, fault):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, settings))
    assert fault in str(caught.value)


def test_a_file_that_is_no_settings_file_is_named(tmp_path):
    (tmp_path / "broken.toml").write_text("device_id =")
    (tmp_path / "broken.json").write_text("{")
    for name, words in (("broken.toml", "isn't TOML"), ("broken.json", "isn't JSON"), ("none.toml", "can't be read")):
        with pytest.raises(ConfigError, match=words):
            load_config(tmp_path / name)


def test_a_devices_key_is_its_own_and_the_request_names_it(tmp_path):
    made = make_key_and_request(tmp_path / "new", "larkfield-lib-07")
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    key = load_pem_private_key(made.key.read_bytes(), None)
    assert isinstance(key.curve, ec.SECP256R1)
    request = x509.load_pem_x509_csr(made.request.read_bytes())
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
    assert request.subject.rfc4514_string() == "CN=larkfield-lib-07"


def test_a_key_is_never_overwritten(tmp_path):
    before = make_key_and_request(tmp_path, "larkfield-lib-07").key.read_bytes()
    with pytest.raises(EnrolmentError, match="already"):
        make_key_and_request(tmp_path, "larkfield-lib-07")
    assert (tmp_path / "device.key").read_bytes() == before


def test_a_name_that_could_reach_into_another_topic_is_refused(tmp_path):
    for name in ("a/b", "a.b", "a_b", "-a", "+", "#", "", "x" * 65, "../up", "two\nlines"):
        with pytest.raises(EnrolmentError):
            make_key_and_request(tmp_path, name)
    assert not list(tmp_path.iterdir())
