"""The wire contract: what the agent builds the box reads, and the other way round. Neither imports the other."""

import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import config as agent_config
from agent import message as agent
from agent.capture import BYTES_AT_MOST, SIDE_AT_MOST, Capture
from agent.connection import PACKET_OVERHEAD
from agent.sealing import load_box_key
from appliance.broker import message as box
from appliance.broker import topics
from appliance.broker.certificates import load_box_key as load_private_key
from appliance.broker.certificates import make_keys
from appliance.config import Config
from appliance.workflow.ingest import Receipt
from appliance.workflow.ingest import Report as BoxReport

NOW = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)
KEY = X25519PrivateKey.generate()
DEVICE = "NGS-LT-014"
IMAGE = b"stands for a picture" * 1000

REPORT = agent.Report(
    occurred_at=NOW,
    account="mia.hartley",
    rule_id="home-fear",
    trigger="go home",
    application="Chatterbox",
    window_title="Chat with Sam – Year 9",
    address="https://chat.example/room?id=7",
    typed="i dont want to go home tonight 😟",
    context=("hiya", "", "you ok?"),
)
CAPTURE = Capture(IMAGE, "image/webp", hashlib.sha256(IMAGE).hexdigest(), 1366, 768)


def build(report: agent.Report = REPORT, capture: Capture | None = CAPTURE, **named) -> agent.SealedEvent:
    names = {
        "message_id": agent.make_message_id(NOW, b"0123456789"),
        "device_id": DEVICE,
        "sequence": 42,
        "queue_epoch": str(uuid.uuid4()),
        "box_key": KEY.public_key(),
    }
    return agent.build_event_message(report, capture, **names | named)


def parse(event: agent.SealedEvent, payload: bytes | None, key: X25519PrivateKey = KEY) -> BoxReport:
    assert payload is not None
    return box.parse_event_message(agent.event_topic(DEVICE), event.message_id, payload, key, NOW)


def test_an_event_arrives_as_it_was_built():
    epoch = str(uuid.uuid4())
    sealed = build(queue_epoch=epoch)
    arrived = parse(sealed, sealed.full)
    event = arrived.event
    for name in (
        "occurred_at",
        "account",
        "rule_id",
        "trigger",
        "application",
        "window_title",
        "address",
        "typed",
        "context",
    ):
        assert getattr(event, name) == getattr(REPORT, name), name
    assert (event.message_id, event.device_id, event.sequence) == (sealed.message_id, DEVICE, 42)
    assert arrived.queue_epoch == epoch
    assert arrived.image == IMAGE and arrived.capture is not None
    assert (arrived.capture.sha256, arrived.capture.media_type) == (CAPTURE.sha256, "image/webp")
    assert (arrived.capture.width, arrived.capture.height, arrived.capture.size) == (1366, 768, len(IMAGE))


def test_the_same_event_without_its_image_is_the_same_but_for_that():
    sealed = build()
    with_image, without = parse(sealed, sealed.full), parse(sealed, sealed.text)
    assert without.event == with_image.event
    assert without.capture is None and without.image == b""


def test_an_event_seals_for_one_box_alone():
    sealed = build()
    with pytest.raises(box.MessageError, match="can't be opened"):
        parse(sealed, sealed.full, X25519PrivateKey.generate())


def test_the_boxs_public_key_is_one_the_agent_reads(tmp_path):
    config = Config(home=tmp_path)
    make_keys(config, NOW)
    sealed = build(box_key=load_box_key(config.keys / "box.pub"))
    assert parse(sealed, sealed.full, load_private_key(config)).event.typed == REPORT.typed


# what a keyboard, a screen reader or a web page can hand over, half a character and control characters included
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    typed=ANY_TEXT,
    names=st.lists(ANY_TEXT, min_size=5, max_size=5),
    context=st.lists(ANY_TEXT, max_size=6),
    ago=st.timedeltas(timedelta(0), box.AGE_AT_MOST),
)
def test_whatever_was_typed_the_box_takes_it(typed, names, context, ago):
    account, trigger, application, window_title, address = names
    report = agent.Report(
        NOW - ago, account, "home-fear", trigger, application, window_title, address, typed, tuple(context)
    )
    sealed = build(report, None)
    assert parse(sealed, sealed.text).event.occurred_at == NOW - ago


def test_however_much_was_typed_the_box_takes_it():
    long = "so much to say 😟 " * 20_000
    report = replace(
        REPORT, account=long, application=long, window_title=long, address=long, typed=long, context=(long,) * 3
    )
    sealed = build(report)
    arrived = parse(sealed, sealed.full)
    assert arrived.event.typed in long and arrived.event.context[-1] in long


def test_however_many_lines_were_typed_the_box_takes_the_newest():
    """A chat of short words: a thousand of them in the minutes before."""
    lines = tuple(f"ok {number}" for number in range(1000))
    sealed = build(replace(REPORT, context=lines))
    assert parse(sealed, sealed.full).event.context[-1] == "ok 999"


def test_the_largest_capture_passes_with_the_longest_text():
    image = bytes(BYTES_AT_MOST)
    capture = Capture(image, "image/webp", hashlib.sha256(image).hexdigest(), SIDE_AT_MOST, SIDE_AT_MOST)
    long = "😟" * 50_000
    sealed = build(replace(REPORT, typed=long, context=(long,), window_title=long), capture)
    assert sealed.full and len(sealed.full) + PACKET_OVERHEAD <= box.PAYLOAD_AT_MOST
    assert parse(sealed, sealed.full).image == image


@pytest.mark.parametrize("status", Receipt)
@pytest.mark.parametrize("reason", [None, "The device's clock is wrong – “by far”."])
def test_a_receipt_arrives_as_the_box_meant_it(status, reason):
    sealed = build()
    digest = hashlib.sha256(sealed.text).hexdigest()
    receipt = agent.parse_receipt(box.build_receipt(sealed.message_id, digest, status, reason))
    assert receipt == agent.Receipt(
        sealed.message_id, agent.payload_digest(sealed.text), agent.ReceiptStatus(str(status)), reason
    )


def test_both_know_the_same_statuses():
    assert {str(one) for one in Receipt} == {str(one) for one in agent.ReceiptStatus}


@pytest.mark.parametrize(("lowest", "oldest"), [(None, None), (7, NOW - timedelta(hours=1))])
def test_a_heartbeat_arrives_as_it_was_built(lowest, oldest):
    names = {
        "device_id": DEVICE,
        "queue_epoch": str(uuid.uuid4()),
        "highest_sequence": 12,
        "lowest_unreceipted": lowest,
        "queue_depth": 5,
        "queue_bytes": 320_000,
        "oldest_at": oldest,
        "dead_letters": 1,
        "agent_version": "0.1.0",
        "policy_version": "starter-1",
        "sent_at": NOW,
        "policy_number": 4,
        "policy_expired": True,
        "platform": "linux-x11",
        "permissions_missing": ("accessibility",),
        "monitored_now": False,
        "notice_accepted": oldest,
        "images_dropped": 2,
        "held_back": 3,
        "disk_full": True,
    }
    beat = box.parse_heartbeat(agent.heartbeat_topic(DEVICE), agent.build_heartbeat(agent.Heartbeat(**names)))
    assert beat == box.Heartbeat(**names)


def test_both_speak_on_the_same_topics():
    for build_topic, kind in (
        (agent.event_topic, topics.Kind.EVENT),
        (agent.receipt_topic, topics.Kind.RECEIPT),
        (agent.heartbeat_topic, topics.Kind.HEARTBEAT),
        (agent.policy_topic, topics.Kind.POLICY),
        (agent.command_topic, topics.Kind.COMMAND),
        (agent.certificate_topic, topics.Kind.CERTIFICATE),
        (agent.renew_topic, topics.Kind.RENEW),
    ):
        assert topics.parse_topic(build_topic(DEVICE)) == (kind, DEVICE)
    assert agent.MESSAGE_ID_PROPERTY == box.MESSAGE_ID_PROPERTY


@pytest.mark.parametrize("name", ["a", "9", "NGS-LT-014", "x" * 64, "x" * 65, "-a", "a.b", "a_b", "é", "a b", ""])
def test_what_one_calls_a_device_the_other_does(name):
    assert bool(agent_config.DEVICE_ID.fullmatch(name)) == topics.is_device_id(name)
