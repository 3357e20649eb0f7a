"""What a device may send: every limit, and that nothing at all gets past them as anything but a MessageError."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.broker import message as m
from appliance.broker.message import MessageError, parse_event_message, parse_heartbeat
from appliance.workflow.ingest import Report
from tests.broker.sealed import IMAGE, NOW, header, pack, seal

KEY = X25519PrivateKey.generate()
TOPIC = "tk/v1/event/ASH-01"
SECRET = "zz-never-shown-zz"


def parse(fields: dict, image: bytes = IMAGE, topic: str = TOPIC, now: datetime = NOW) -> Report:
    message_id = fields.get("message_id", "")
    return parse_event_message(topic, message_id, seal(KEY.public_key(), message_id, pack(fields, image)), KEY, now)


def test_an_event_comes_out_as_it_went_in():
    fields = header(typed="Zoë 😀 sagt: nein\nund geht", sequence=7)
    report = parse(fields)
    event, capture = report.event, report.capture
    assert (event.message_id, event.device_id, event.sequence) == (fields["message_id"], "ASH-01", 7)
    assert (event.account, event.rule_id, event.trigger) == ("robin", "home-fear", "go home")
    assert (event.application, event.window_title, event.address) == ("Chatterbox", "Chat with Sam", "")
    assert (event.typed, event.context) == ("Zoë 😀 sagt: nein\nund geht", ("hiya", "you ok?"))
    assert event.occurred_at == NOW and report.queue_epoch == fields["queue_epoch"]
    assert capture and (capture.sha256, capture.size) == (fields["image"]["sha256"], len(IMAGE))
    assert (capture.media_type, capture.width, capture.height) == ("image/webp", 1366, 768)
    assert report.image == IMAGE


def test_an_event_without_an_image_is_taken():
    report = parse(header(None), b"")
    assert report.capture is None and report.image == b""


def test_a_time_in_another_zone_is_kept_in_utc():
    at = parse(header(occurred_at="2026-11-23T12:00:00+02:00")).event.occurred_at
    assert at == NOW and at.tzinfo is UTC


def test_a_field_of_a_later_agent_is_passed_over():
    assert parse(header(mood="unknown")).event.sequence == 1


LIMITS = [
    {"typed": "x" * m.TYPED_AT_MOST},
    {"context": ["x" * 250] * m.CONTEXT_LINES_AT_MOST},
    {"context": ["x" * m.CONTEXT_AT_MOST]},
    {"account": "x" * m.NAME_AT_MOST},
    {"address": "x" * m.ADDRESS_AT_MOST},
    {"sequence": m.NUMBER_AT_MOST},
    {"occurred_at": (NOW + m.AHEAD_AT_MOST).isoformat()},
    {"occurred_at": (NOW - m.AGE_AT_MOST).isoformat()},
    {"context": []},
]


@pytest.mark.parametrize("changes", LIMITS, ids=lambda changes: next(iter(changes)))
def test_what_is_just_within_a_limit_is_taken(changes):
    parse(header(**changes))


def image_of(**changes):
    return {"image": header()["image"] | changes}


BAD_HEADERS = [
    ({"version": 2}, "version is not 1"),
    ({"version": True}, "version is not 1"),
    ({"version": "1"}, "version is not 1"),
    ({"device_id": "BIR-01"}, "device in the header"),
    ({"device_id": None}, "device in the header"),
    ({"sequence": 0}, "sequence is not a whole number"),
    ({"sequence": True}, "sequence is not a whole number"),
    ({"sequence": 1.5}, "sequence is not a whole number"),
    ({"sequence": 2**63}, "sequence is not a whole number"),
    ({"queue_epoch": ""}, "queue_epoch is empty"),
    ({"queue_epoch": 5}, "queue_epoch is not text"),
    ({"account": "x" * (m.NAME_AT_MOST + 1)}, "account is longer than 500"),
    ({"account": None}, "account is not text"),
    ({"rule_id": ["home"]}, "rule_id is not text"),
    ({"trigger": "x" * (m.NAME_AT_MOST + 1)}, "trigger is longer than 500"),
    ({"application": 3}, "application is not text"),
    ({"window_title": "x" * (m.NAME_AT_MOST + 1)}, "window_title is longer than 500"),
    ({"address": "x" * (m.ADDRESS_AT_MOST + 1)}, "address is longer than 2,000"),
    ({"typed": "x" * (m.TYPED_AT_MOST + 1)}, "typed is longer than 20,000"),
    ({"typed": f"{SECRET}\0"}, "typed holds a NUL"),
    ({"typed": f"{SECRET}\ud83d"}, "typed holds half a character"),
    ({"context": SECRET}, "context is not a list"),
    ({"context": [SECRET, 5]}, "context is not text"),
    ({"context": ["x"] * (m.CONTEXT_LINES_AT_MOST + 1)}, "context has more than 200 lines"),
    ({"context": ["x" * 1000] * 51}, "context is longer than 50,000"),
    ({"context": [f"{SECRET}\0"]}, "context holds a NUL"),
    ({"occurred_at": "yesterday"}, "occurred_at is not a time"),
    ({"occurred_at": "2026-11-23T10:00:00"}, "occurred_at is not a time with its zone"),
    ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at is not a time"),
    ({"occurred_at": 1_700_000_000}, "occurred_at is not text"),
    ({"occurred_at": (NOW + m.AHEAD_AT_MOST + timedelta(seconds=1)).isoformat()}, "over 24 hours ahead"),
    ({"occurred_at": (NOW - m.AGE_AT_MOST - timedelta(seconds=1)).isoformat()}, "over 400 days ago"),
    ({"image": None}, "Bytes follow the header"),
    ({"image": SECRET}, "image is not an object"),
    (image_of(media_type="image/svg+xml"), "not WebP, PNG or JPEG"),
    (image_of(media_type=None), "media_type is not text"),
    (image_of(sha256="0" * 64), "not the one the header speaks of"),
    (image_of(sha256=None), "not the one the header speaks of"),
    (image_of(width=0), "width is not a whole number"),
    (image_of(height=m.SIDE_AT_MOST + 1), "height is not a whole number"),
    (image_of(height="768"), "height is not a whole number"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD_HEADERS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_bad_header_is_refused_with_its_reason(changes, reason):
    with pytest.raises(MessageError) as caught:
        parse(header(**changes))
    assert reason in str(caught.value)
    assert str(caught.value).endswith(".") and SECRET not in str(caught.value)


@pytest.mark.parametrize("name", sorted(header().keys() - {"message_id"}))
def test_a_header_without_a_field_is_refused(name):
    fields = header()
    del fields[name]
    with pytest.raises(MessageError):
        parse(fields)


@pytest.mark.parametrize(
    ("plaintext", "reason"),
    [
        (b"", "ends before its header"),
        (b"\0\0\0", "ends before its header"),
        (b"\xff\xff\xff\xff{}", "ends before its header"),
        (pack(b""), "not JSON"),
        (pack(b"\xff\xfe"), "not JSON"),
        (pack(b"{"), "not JSON"),
        (pack(b"[" * 100_000), "not JSON"),
        (pack(b"1" * 10_000), "not JSON"),
        (pack([]), "not a JSON object"),
        (pack(b"null"), "not a JSON object"),
    ],
)
def test_a_plaintext_that_is_no_event_is_refused(plaintext, reason):
    message_id = str(uuid.uuid4())
    with pytest.raises(MessageError, match=reason):
        parse_event_message(TOPIC, message_id, seal(KEY.public_key(), message_id, plaintext), KEY, NOW)


def test_a_message_under_another_id_is_refused():
    fields = header()
    sealed = seal(KEY.public_key(), fields["message_id"], pack(fields))
    with pytest.raises(MessageError, match="can't be opened"):
        parse_event_message(TOPIC, str(uuid.uuid4()), sealed, KEY, NOW)
    other = str(uuid.uuid4())
    with pytest.raises(MessageError, match="id in the header"):
        parse_event_message(TOPIC, other, seal(KEY.public_key(), other, pack(fields)), KEY, NOW)


@pytest.mark.parametrize(
    "message_id", [None, "", "5", "x" * 10_000, str(uuid.uuid4()).upper(), "é" * 36, uuid.uuid4().hex]
)
def test_a_message_without_a_proper_id_is_refused(message_id):
    with pytest.raises(MessageError, match="message id"):
        parse_event_message(TOPIC, message_id, b"x" * 100, KEY, NOW)


@pytest.mark.parametrize(
    "topic", ["tk/v1/event/BIR-01", "tk/v1/event/ingest", "tk/v1/heartbeat/ASH-01", "tk/v1/event/", ""]
)
def test_a_message_on_another_topic_is_refused(topic):
    with pytest.raises(MessageError):
        parse(header(), topic=topic)


def test_a_message_for_another_box_is_refused():
    fields = header()
    sealed = seal(X25519PrivateKey.generate().public_key(), fields["message_id"], pack(fields))
    with pytest.raises(MessageError, match="sealed for another box"):
        parse_event_message(TOPIC, fields["message_id"], sealed, KEY, NOW)


def test_a_message_beyond_the_limit_is_refused_unopened():
    with pytest.raises(MessageError, match="larger than 1,000,000"):
        parse_event_message(TOPIC, str(uuid.uuid4()), b"x" * (m.PAYLOAD_AT_MOST + 1), KEY, NOW)


def test_a_changed_byte_anywhere_is_refused():
    fields = header()
    sealed = seal(KEY.public_key(), fields["message_id"], pack(fields))
    for place in [0, 16, 31, 32, len(sealed) // 2, len(sealed) - 1]:
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(MessageError, match="can't be opened"):
            parse_event_message(TOPIC, fields["message_id"], bytes(changed), KEY, NOW)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(header())), value=JSON_VALUES)
def test_whatever_stands_in_a_field_it_is_an_event_or_a_message_error(name, value):
    message_id = str(uuid.uuid4())
    fields = header(message_id=message_id) | {name: value}
    sealed = seal(KEY.public_key(), message_id, pack(fields))
    try:
        report = parse_event_message(TOPIC, message_id, sealed, KEY, NOW)
    except MessageError as error:
        assert str(error).endswith(".")
    else:
        assert isinstance(report, Report)
        json.dumps([report.event.typed, *report.event.context], ensure_ascii=False).encode()


@settings(max_examples=150, deadline=None)
@given(plaintext=st.binary(max_size=200), sealed=st.booleans())
def test_whatever_bytes_come_it_is_a_message_error(plaintext, sealed):
    message_id = str(uuid.uuid4())
    payload = seal(KEY.public_key(), message_id, plaintext) if sealed else plaintext
    with pytest.raises(MessageError):
        parse_event_message(TOPIC, message_id, payload, KEY, NOW)


BEAT = {
    "version": 1,
    "device_id": "ASH-01",
    "queue_epoch": "e",
    "highest_sequence": 12,
    "lowest_unreceipted": 11,
    "queue_depth": 2,
    "queue_bytes": 128_000,
    "oldest_at": NOW.isoformat(),
    "dead_letters": 0,
    "agent_version": "0.1.0",
    "policy_version": "starter-1",
    "sent_at": NOW.isoformat(),
}
BEAT_TOPIC = "tk/v1/heartbeat/ASH-01"


def test_a_heartbeat_comes_out_as_it_went_in():
    beat = parse_heartbeat(BEAT_TOPIC, json.dumps(BEAT).encode())
    assert (beat.device_id, beat.highest_sequence, beat.lowest_unreceipted) == ("ASH-01", 12, 11)
    assert (beat.queue_depth, beat.queue_bytes, beat.oldest_at, beat.sent_at) == (2, 128_000, NOW, NOW)
    nothing_waits = BEAT | {"lowest_unreceipted": None, "oldest_at": None, "queue_depth": 0}
    beat = parse_heartbeat(BEAT_TOPIC, json.dumps(nothing_waits).encode())
    assert beat.lowest_unreceipted is None and beat.oldest_at is None


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"device_id": "BIR-01"},
        {"queue_depth": -1},
        {"queue_depth": "many"},
        {"agent_version": "x" * 501},
        {"sent_at": "now"},
        {"queue_epoch": "x" * 5000},
    ],
)
def test_a_bad_heartbeat_is_refused(changes):
    with pytest.raises(MessageError):
        parse_heartbeat(BEAT_TOPIC, json.dumps(BEAT | changes).encode())


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted(BEAT)), value=JSON_VALUES)
def test_whatever_a_heartbeat_holds_it_is_one_or_a_message_error(name, value):
    try:
        parse_heartbeat(BEAT_TOPIC, json.dumps(BEAT | {name: value}).encode())
    except MessageError as error:
        assert str(error).endswith(".")
