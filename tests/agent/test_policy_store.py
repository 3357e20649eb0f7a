"""Signed policies: what is taken, what is refused, and that the last good one stays."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.orders import Orders
from agent.policy_store import PolicyRefusedError, PolicyStore, open_policy, open_store
from agent.signature import load_policy_key
from tests.agent.conftest import PolicyKey

RULE = {"id": "one", "category": "abuse", "phrases": ["scared to go home"]}
DOCUMENT = {"version": "2025-09", "academy": "Larkfield Academy", "rules": [RULE]}
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path, policy_key) -> PolicyStore:
    (tmp_path / "first.json").write_bytes(policy_key.sign(DOCUMENT, 5))
    return open_store(tmp_path / "data", tmp_path / "first.json", policy_key.public)


def test_the_first_policy_is_the_one_of_enrolment(store):
    assert (store.current.number, store.current.policy.version) == (5, "2025-09")
    assert not store.current.expired(NOW)


def test_a_newer_one_is_taken_and_is_there_after_a_restart(store, tmp_path, policy_key):
    assert store.accept(policy_key.sign({**DOCUMENT, "version": "2025-10"}, 6), NOW)
    assert store.current.policy.version == "2025-10"
    again = open_store(tmp_path / "data", tmp_path / "first.json", policy_key.public)
    assert again.current.number == 6
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["policy.json"]


def test_the_same_one_again_changes_nothing(store, tmp_path, policy_key):
    assert not store.accept((tmp_path / "first.json").read_bytes(), NOW)


def changed(envelope: bytes, **fields) -> bytes:
    return json.dumps({**json.loads(envelope), **fields}).encode()


REFUSED = {
    "unsigned": (lambda key: json.dumps(DOCUMENT).encode(), "isn't signed"),
    "older": (lambda key: key.sign(DOCUMENT, 4), "older than policy 5"),
    "the same number": (lambda key: key.sign({**DOCUMENT, "version": "other"}, 5), "another policy 5"),
    "expired": (lambda key: key.sign(DOCUMENT, 6, days=-1), "has expired"),
    "another key": (lambda key: PolicyKey().sign(DOCUMENT, 6), "another key"),
    "another key in its name": (
        lambda key: changed(PolicyKey().sign(DOCUMENT, 6), key=json.loads(key.sign(DOCUMENT))["key"]),
        "signature is not the box's",
    ),
    "another document": (
        lambda key: changed(key.sign(DOCUMENT, 6), document=json.loads(key.sign(DOCUMENT, 7))["document"]),
        "signature is not the box's",
    ),
    "not base64": (lambda key: changed(key.sign(DOCUMENT, 6), signature="!!"), "isn't base64"),
    "no JSON": (lambda key: b"\xff{", "isn't JSON"),
    "nested without end": (lambda key: b"[" * 100_000, "isn't JSON"),
    "truncated": (lambda key: key.sign(DOCUMENT, 6)[:-20], "isn't JSON"),
    "too large": (lambda key: b" " * 3_000_000, "larger than"),
    "signed, but no policy": (lambda key: key.sign({"version": "x"}, 6), "can't be used"),
    "signed, but without a number": (lambda key: key.sign(json.dumps(DOCUMENT).encode()), "doesn't say its number"),
    "signed, with a number that is none": (lambda key: key.sign({**DOCUMENT}, number=0), "whole number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_the_last_one_in_force(store, policy_key, case, tmp_path):
    make, reason = REFUSED[case]
    with pytest.raises(PolicyRefusedError, match=reason) as caught:
        store.accept(make(policy_key), NOW)
    assert store.current.number == 5
    assert "scared" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_a_held_policy_that_expires_goes_on_working_and_says_so(tmp_path, policy_key):
    (tmp_path / "first.json").write_bytes(policy_key.sign(DOCUMENT, 1, days=1))
    store = open_store(tmp_path / "data", tmp_path / "first.json", policy_key.public)
    later = NOW + timedelta(days=2)
    assert store.current.expired(later)
    assert store.current.policy.rules


def test_a_damaged_file_leaves_the_one_of_enrolment(tmp_path, policy_key):
    (tmp_path / "first.json").write_bytes(policy_key.sign(DOCUMENT, 3))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "policy.json").write_bytes(policy_key.sign(DOCUMENT, 9)[:100])
    assert open_store(tmp_path / "data", tmp_path / "first.json", policy_key.public).current.number == 3


def test_without_any_good_policy_the_agent_does_not_start(tmp_path, policy_key):
    with pytest.raises(PolicyRefusedError, match="no policy file"):
        open_store(tmp_path / "data", tmp_path / "first.json", policy_key.public)
    (tmp_path / "first.json").write_text(json.dumps(DOCUMENT))
    with pytest.raises(PolicyRefusedError, match="isn't signed"):
        open_store(tmp_path / "data", tmp_path / "first.json", policy_key.public)


def test_the_key_is_read_from_its_file(tmp_path, policy_key):
    assert load_policy_key(policy_key.write_public(tmp_path / "key.pem")) == policy_key.public


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(policy_key, data):
    with pytest.raises(PolicyRefusedError):
        open_policy(data, policy_key.public)


@given(st.dictionaries(st.sampled_from(["hours", "notice", "help", "rules", "number", "expires_at", "screenshot"]),
                       st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                                    lambda inner: st.lists(inner, max_size=3)
                                    | st.dictionaries(st.sampled_from(["time_zone", "weekly", "days", "from", "to",
                                                                       "holidays", "body", "id"]), inner, max_size=4),
                                    max_leaves=8)))  # fmt: skip
def test_no_signed_document_breaks_the_reader(policy_key, fields):
    document = json.dumps({**DOCUMENT, "issued_at": "x", **fields}).encode()
    with pytest.raises(PolicyRefusedError):
        open_policy(policy_key.sign(document), policy_key.public)


def test_a_policy_comes_over_the_wire_and_a_refused_one_is_said(device, box, wait_until, store, policy_key):
    changes = []
    orders = Orders(store, None, say=device.lines.append, policy_changed=lambda: changes.append(store.current.number))
    device.start({"orders": orders})
    device.wait_for_line("connected")
    name = device.credentials.device_id
    large = {**RULE, "id": "large", "phrases": [f"purple elephant number {n}" for n in range(5000)]}
    box.tell("policy", name, policy_key.sign({**DOCUMENT, "rules": [RULE, large]}, 6))
    wait_until(lambda: store.current.number == 6, "policy 6")
    box.tell("policy", name, policy_key.sign(DOCUMENT, 5))
    device.wait_for_line("policy refused: policy 5 is older than policy 6, which is held; going on with policy 6")
    device.wait_for_line("policy 6 in force: 2025-09, 2 rules")
    assert changes == [6]
    assert any(path.name == "policy.json" for path in (store._folder).iterdir())
