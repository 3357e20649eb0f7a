"""The wire contract, byte by byte, opened with RFC 9180 written out and not with what sealed it."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from agent.capture import encode_image
from agent.message import (
    ReceiptError,
    ReceiptStatus,
    Report,
    build_event_message,
    cut_around,
    event_topic,
    heartbeat_topic,
    make_message_id,
    newest_lines,
    parse_receipt,
    receipt_topic,
)
from agent.sealing import OVERHEAD, BoxKeyError, load_box_key, seal

AT = datetime(2025, 9, 8, 10, 15, 0, 250, tzinfo=UTC)
REPORT = Report(
    AT,
    "mia.hartley",
    "abuse-home",
    "scared to go home",
    "Chat",
    "Year 9",
    "https://chat.example/y9",
    "i am scared to go home",
    ("hi", "you ok?"),
)


def build(box_key, report=REPORT, capture=None, message_id="0199-id"):
    return build_event_message(
        report,
        capture,
        message_id=message_id,
        device_id="larkfield-lib-07",
        sequence=12,
        queue_epoch="epoch-one",
        box_key=box_key.public,
    )


def test_an_event_holds_every_field_of_the_contract(box_key, page):
    capture = encode_image(page())
    sealed = build(box_key, capture=capture)
    event = box_key.open("0199-id", sealed.full)
    assert event.header == {
        "version": 1,
        "message_id": "0199-id",
        "device_id": "larkfield-lib-07",
        "sequence": 12,
        "queue_epoch": "epoch-one",
        "occurred_at": "2025-09-08T10:15:00.000250+00:00",
        "account": "mia.hartley",
        "rule_id": "abuse-home",
        "trigger": "scared to go home",
        "application": "Chat",
        "window_title": "Year 9",
        "address": "https://chat.example/y9",
        "typed": "i am scared to go home",
        "context": ["hi", "you ok?"],
        "image": {"media_type": "image/webp", "sha256": capture.sha256, "width": 640, "height": 360},
    }
    assert event.image == capture.data


def test_the_text_only_form_is_the_same_event_without_its_image(box_key, page):
    sealed = build(box_key, capture=encode_image(page()))
    full, text = box_key.open("0199-id", sealed.full), box_key.open("0199-id", sealed.text)
    assert text.image == b""
    assert text.header == {**full.header, "image": None}


def test_an_event_without_an_image_has_only_the_one_form(box_key):
    assert build(box_key).full is None


def test_a_sealed_event_opens_only_under_its_own_id_and_for_its_own_box(box_key):
    sealed = seal(box_key.public, "one", b"words")
    assert len(sealed) == len(b"words") + OVERHEAD
    assert sealed != seal(box_key.public, "one", b"words")
    assert box_key.unseal("one", sealed) == b"words"
    for key, message_id, payload in (
        (box_key, "two", sealed),
        (type(box_key)(X25519PrivateKey.generate()), "one", sealed),
        (box_key, "one", sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(InvalidTag):
            key.unseal(message_id, payload)


@given(typed=st.text(), title=st.text(alphabet=st.characters()), lines=st.lists(st.text(), max_size=5))
def test_any_text_can_be_sent(box_key, typed, title, lines):
    report = Report(AT, "mia", "r", "", "Chat", title, "", typed, tuple(lines))
    header = box_key.open("0199-id", build(box_key, report).text).header
    if typed.isprintable():
        assert header["typed"] == typed


def test_the_largest_event_passes_the_boxs_limit(box_key):
    # four bytes a character, and every limit reached
    long = "\U0001f418" * 40_000
    report = Report(AT, long, "r", long, long, long, long, long, ("\U0001f418",) * 40_000)
    assert len(build(box_key, report).text) + 900_000 + 256 < 1_000_000
    report = Report(AT, long, "r", long, long, long, long, long, (long,))
    assert len(build(box_key, report).text) + 900_000 + 256 < 1_000_000
    assert len(build(box_key, Report(AT, "", "r", "", "", "", "", "\x01" * 40_000)).text) < 12_000


def test_a_long_text_is_cut_around_what_fired():
    text = "a" * 5000 + " scared to go home " + "b" * 5000
    cut = cut_around(text, "scared to go home", 1000)
    assert len(cut) == 1000 and cut.count("a") > 400 and cut.count("b") > 400 and "scared to go home" in cut
    assert cut_around("scared" + "b" * 100, "scared", 20) == "scared" + "b" * 14
    assert cut_around("b" * 100 + "scared", "scared", 20) == "b" * 14 + "scared"
    assert cut_around("short", "x", 10) == "short"


def test_the_newest_lines_are_kept():
    assert newest_lines(["one", "two", "three"], 100) == ["one", "two", "three"]
    assert newest_lines(["one", "two", "three"], 6) == ["o", "three"]
    assert newest_lines(["x"] * 2000, 10_000) == ["x"] * 200


def test_message_ids_are_uuid7_and_follow_time():
    early, late = (make_message_id(datetime(2025, 9, day, tzinfo=UTC), bytes(10)) for day in (8, 9))
    assert uuid.UUID(early).version == 7 and uuid.UUID(early).variant == uuid.RFC_4122
    assert early < late
    full = uuid.UUID(make_message_id(AT, b"\xff" * 10))
    assert (full.version, full.variant) == (7, uuid.RFC_4122)
    assert full.int >> 80 == int(AT.timestamp() * 1000)
    with pytest.raises(ValueError, match="10 random bytes"):
        make_message_id(AT, b"short")


def test_topics():
    assert event_topic("d1") == "tk/v1/event/d1"
    assert receipt_topic("d1") == "tk/v1/receipt/d1"
    assert heartbeat_topic("d1") == "tk/v1/heartbeat/d1"


def test_a_receipt_is_read():
    receipt = parse_receipt(
        json.dumps({"message_id": "m", "sha256": "AB" * 32, "status": "rejected", "reason": "clock"}).encode()
    )
    assert (receipt.status, receipt.sha256, receipt.reason) == (ReceiptStatus.REJECTED, "ab" * 32, "clock")


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_what_is_no_receipt_is_said_so(payload):
    with pytest.raises(ReceiptError):
        parse_receipt(payload if isinstance(payload, bytes) else payload.encode())


def test_the_boxs_key_is_checked(tmp_path: Path, box_key):
    good = load_box_key(box_key.write_public(tmp_path / "good.pem"))
    assert good.public_bytes_raw() == box_key.public.public_bytes_raw()
    (tmp_path / "text.pem").write_text("not a key")
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "p256.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for name, words in (("text.pem", "PEM"), ("p256.pem", "X25519"), ("missing.pem", "can't be read")):
        with pytest.raises(BoxKeyError, match=words):
            load_box_key(tmp_path / name)
