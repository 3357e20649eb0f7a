"""Messages of unknown origin, made up by the thousand: each is taken in or refused with its reason, and nothing else.

What a device sends is read by `parse_event_message`, behind the seal, which anyone on the network can make: the box's
public key is no secret. What a device is sent is read by the agent's policy reader, behind the box's signature.
"""

import base64
import hashlib
import json
import tracemalloc
import uuid
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.policy import PolicyError, parse_policy
from agent.signature import PREFIX, SignatureError, open_envelope, parse_json
from appliance.broker import message as m
from appliance.broker.message import MessageError, parse_event_message, parse_heartbeat, parse_renewal
from appliance.safeguarding.access import NotAllowedError
from appliance.safeguarding.policy import PolicyDraftError, make_policy
from appliance.workflow.ingest import Receipt, Report
from appliance.workflow.issue import issue_policy
from demo.content import POLICY_FILE
from tests.broker.sealed import NOW, header, pack, seal
from tests.factories import Box

KEY, SIGNER = X25519PrivateKey.generate(), Ed25519PrivateKey.generate()
TOPIC, ID = "tk/v1/event/ASH-01", str(uuid.UUID(int=7))
DRAFT = json.loads(POLICY_FILE.read_text(encoding="utf-8"))
BOUNDED = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
field_names = st.sampled_from(sorted(header()))


def parse(plaintext: bytes, message_id: str = ID) -> Report | None:
    """The report, or None where it is refused; whatever else is raised comes through."""
    payload = seal(KEY.public_key(), message_id, plaintext)
    try:
        return parse_event_message(TOPIC, message_id, payload, KEY, NOW)
    except MessageError as error:
        assert str(error).endswith(".") and "zz-never-shown" not in str(error)
        return None


# -- events


@BOUNDED
@given(st.binary(max_size=400))
@example(b"\xff\xff\xff\xff{}")
@example(b"\0\0\0\0")
@example(b"\0\0\xff\xff" + b"[" * 65_535)
def test_no_bytes_behind_the_seal_break_the_reader(plaintext: bytes) -> None:
    assert parse(plaintext) is None


@BOUNDED
@given(st.binary(max_size=300), st.text(max_size=60), st.text(max_size=60))
def test_no_bytes_before_it_do_either(payload: bytes, topic: str, message_id: str) -> None:
    for where in (topic, TOPIC):
        with pytest.raises(MessageError):
            parse_event_message(where, message_id, payload, KEY, NOW)


@BOUNDED
@given(field_names, json_values, st.booleans())
def test_any_one_field_may_be_anything(name: str, value: Any, missing: bool) -> None:
    fields = header(message_id=ID) | ({} if missing else {name: value})
    if missing:
        del fields[name]
    report = parse(pack(fields))
    if report is not None:
        assert report.event.device_id == "ASH-01" and len(report.event.typed) <= m.TYPED_AT_MOST


@BOUNDED
@given(st.integers(0, 2000), st.integers(0, 255), st.integers(0, 60))
def test_a_message_cut_off_or_changed_on_the_way_is_refused(at: int, bits: int, cut: int) -> None:
    payload = bytearray(seal(KEY.public_key(), ID, pack(header(message_id=ID))))
    payload[at % len(payload)] ^= bits or 1
    changed = bytes(payload)[: len(payload) - cut]
    with pytest.raises(MessageError):
        parse_event_message(TOPIC, ID, changed, KEY, NOW)


def test_a_large_message_costs_a_few_times_its_size_and_no_more() -> None:
    """The worst that fits: brackets, escapes and numbers, each of the largest size that is let in."""
    room = m.PAYLOAD_AT_MOST - 2_000
    worst = [
        b'{"version": 1, "context": [' + b"[]," * (room // 3 - 20) + b"0]}",
        b'{"version": 1, "a": "' + b"\\u0041" * (room // 6 - 20) + b'"}',
        b'{"version": ' + b"9" * (room - 20) + b"}",
        b'{"version": 1, "a": {' + b",".join(b'"%d":0' % n for n in range(room // 12)) + b"}}",
    ]
    for encoded in worst:
        payload = seal(KEY.public_key(), ID, len(encoded).to_bytes(4) + encoded)
        assert len(payload) <= m.PAYLOAD_AT_MOST
        tracemalloc.start()
        with pytest.raises(MessageError):
            parse_event_message(TOPIC, ID, payload, KEY, NOW)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 60 * m.PAYLOAD_AT_MOST
    oversize = b"x" * (m.PAYLOAD_AT_MOST + 1)
    with pytest.raises(MessageError, match="larger than 1,000,000"):
        parse_event_message(TOPIC, ID, oversize, KEY, NOW)


TREATMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("future-dated", {"occurred_at": (NOW + timedelta(days=2)).isoformat()}, "24 hours ahead"),
    ("a year old and more", {"occurred_at": (NOW - timedelta(days=500)).isoformat()}, "400 days ago"),
    ("of another device", {"device_id": "BIR-01"}, "not the one that sent"),
    ("under another id", {"message_id": str(uuid.UUID(int=8))}, "not the one the message came under"),
    ("of a later version", {"version": 2}, "older or newer"),
    ("oversize text", {"typed": "x" * (m.TYPED_AT_MOST + 1)}, "longer than"),
    ("a number that is none", {"sequence": True}, "whole number"),
    ("another picture", {"image": {"media_type": "image/webp", "sha256": "0", "width": 1, "height": 1}}, "not the one"),
]


@pytest.mark.parametrize(("what", "changes", "reason"), TREATMENTS, ids=[one[0] for one in TREATMENTS])
def test_each_kind_of_bad_message_is_refused_with_its_reason(what: str, changes: dict[str, Any], reason: str) -> None:
    payload = seal(KEY.public_key(), ID, pack(header(message_id=ID) | changes))
    with pytest.raises(MessageError, match=reason):
        parse_event_message(TOPIC, ID, payload, KEY, NOW)


def test_a_message_that_is_replayed_is_answered_and_kept_once(box: Box) -> None:
    payload = seal(KEY.public_key(), ID, pack(header(message_id=ID)))
    report = parse_event_message(TOPIC, ID, payload, KEY, NOW)
    assert [box.ingest(report) for _ in range(3)] == [Receipt.STORED, Receipt.DUPLICATE, Receipt.DUPLICATE]
    # and the sealed bytes under another message id don't open
    with pytest.raises(MessageError, match="sealed for another box, or changed"):
        parse_event_message(TOPIC, str(uuid.UUID(int=9)), payload, KEY, NOW)
    other = X25519PrivateKey.generate()
    with pytest.raises(MessageError, match="sealed for another box, or changed"):
        parse_event_message(TOPIC, ID, payload, other, NOW)


def test_a_refused_event_says_its_place_where_that_much_was_understood() -> None:
    payload = seal(KEY.public_key(), ID, pack(header(message_id=ID, typed=7, sequence=41)))
    with pytest.raises(MessageError) as refused:
        parse_event_message(TOPIC, ID, payload, KEY, NOW)
    assert refused.value.place == (header()["queue_epoch"], 41)


@BOUNDED
@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_heartbeats_and_requests_are_read_or_refused(payload: bytes) -> None:
    for read, topic in ((parse_heartbeat, "tk/v1/heartbeat/ASH-01"), (parse_renewal, "tk/v1/renew/ASH-01")):
        with pytest.raises(MessageError):
            read(topic, payload)


# -- policies


def envelope(document: bytes, signer: Ed25519PrivateKey = SIGNER, /, **changes: str) -> bytes:
    name = hashlib.sha256(signer.public_key().public_bytes_raw()).hexdigest()
    fields = {"document": base64.b64encode(document).decode(), "key": name}
    fields["signature"] = base64.b64encode(signer.sign(PREFIX + document)).decode()
    return json.dumps(fields | changes).encode()


@BOUNDED
@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_envelope_that_is_none_breaks_the_agents_reader(data: bytes) -> None:
    with pytest.raises(SignatureError):
        open_envelope(data, SIGNER.public_key())


@BOUNDED
@given(json_values)
def test_a_signed_document_that_is_none_is_refused_as_a_whole(value: Any) -> None:
    document = open_envelope(envelope(json.dumps(value).encode()), SIGNER.public_key())
    with pytest.raises(PolicyError):
        parse_policy(parse_json(document))


def test_a_policy_nested_without_end_is_refused() -> None:
    for document in (b"[" * 100_000, b'{"a":' * 50_000):
        opened = open_envelope(envelope(document), SIGNER.public_key())
        with pytest.raises(SignatureError):
            parse_json(opened)


@BOUNDED
@given(st.sampled_from(sorted(DRAFT)), json_values | st.sampled_from([DRAFT, *DRAFT.values()]))
def test_any_one_field_of_a_policy_may_be_anything(name: str, value: Any) -> None:
    draft = DRAFT | {name: value}
    try:
        parse_policy(draft)
    except PolicyError as error:
        assert str(error)
    # what the box issues is what devices take: it never signs one that they would refuse for this field
    try:
        issued = make_policy(draft, "ashby", "Ashby Academy", 1, NOW)
    except PolicyDraftError as error:
        assert str(error)
    else:
        parse_policy(json.loads(issued.document))


WRONG = {
    "signed by another": envelope(b"{}", Ed25519PrivateKey.generate()),
    "signed by another under the box's name": envelope(
        b"{}", Ed25519PrivateKey.generate(), key=json.loads(envelope(b""))["key"]
    ),
    "changed after it was signed": envelope(b"{}", document=base64.b64encode(b"[]").decode()),
    "truncated": envelope(b"{}")[:-10],
    "not signed": b'{"rules": []}',
    "oversize": b" " * 2_000_001,
}


@pytest.mark.parametrize("data", WRONG.values(), ids=list(WRONG))
def test_a_policy_of_wrong_origin_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureError):
        open_envelope(data, SIGNER.public_key())


def test_nobody_is_issued_a_policy_for_an_academy_that_is_not_there(box: Box) -> None:
    with pytest.raises(NotAllowedError):
        issue_policy(box.db, None, "nowhere", DRAFT, lambda document: "", NOW, box.new_id)
