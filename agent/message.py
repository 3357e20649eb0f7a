"""The messages between a device and the box: the wire contract, and the only place that builds or reads them.

Event     MQTT 5 PUBLISH to ``tk/v1/event/<device_id>``, QoS 1, user property ``message-id`` = the message id.
          Payload: HPKE (see `agent.sealing`), info ``trustkeep event v1``, a space and the message id in ASCII,
          to the box's X25519 public key. Plaintext: 4 bytes big-endian header length, the header as UTF-8 JSON, the
          image's bytes (none where ``image`` is null).
          Header: {"version": 1, "message_id": UUIDv7, "device_id", "sequence": from 1 in each queue_epoch,
          "queue_epoch": UUID made with the outbox, "occurred_at": ISO 8601 UTC with microseconds, "account": the name
          signed in on the device, "rule_id", "trigger": the words that fired, "application", "window_title",
          "address", "typed": the text in which it fired, "context": [texts, oldest first],
          "image": {"media_type", "sha256", "width", "height"} or null}
Receipt   from the box on ``tk/v1/receipt/<device_id>``, JSON: {"message_id", "sha256": hex of the sealed payload as
          sent, "status": "stored" | "duplicate" | "rejected", "reason": text or null}. The device deletes an event
          only on stored or duplicate with its own sha256; rejected moves it to the dead letters.
Heartbeat to ``tk/v1/heartbeat/<device_id>``, QoS 0, plain JSON: {"version": 1, "device_id", "queue_epoch",
          "highest_sequence", "lowest_unreceipted", "queue_depth", "queue_bytes", "oldest_at", "dead_letters",
          "agent_version", "policy_version", "sent_at", "policy_number": int or null, "policy_expired": bool,
          "platform": "linux-x11" | "windows" | "macos" | "browser" | "replay", "permissions_missing": [short ids],
          "monitored_now": bool, "notice_accepted": ISO time or null, "images_dropped", "held_back", "disk_full": bool};
          at the start of a connection and every 60 s.
Policy    from the box on ``tk/v1/policy/<device_id>``: the signed envelope of `agent.signature`.
Command   from the box on ``tk/v1/command/<device_id>``: {"version": 1, "command": "resend", "queue_epoch",
          "from_sequence"}: send every event of that epoch from that number on again, receipted ones too.
Renewal   to ``tk/v1/renew/<device_id>``, QoS 1: {"version": 1, "csr": PEM}; the box answers on
          ``tk/v1/certificate/<device_id>``: {"certificate": PEM, "ca": PEM}.

The device's certificate has CN = device id. clean_start, session expiry 0, keepalive 60 s.
"""

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from agent.capture import Capture
from agent.sealing import seal

VERSION = 1
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
MESSAGE_ID_PROPERTY = "message-id"

TYPED_AT_MOST = 10_000
"""Characters kept of the typed text, around the words that fired."""
CONTEXT_AT_MOST = 10_000
"""Characters kept of the context in all, the newest lines."""
LINES_AT_MOST = 200
"""The box takes no more lines of context than this."""
NAME_AT_MOST = 500
ADDRESS_AT_MOST = 2_000


def event_topic(device_id: str) -> str:
    return f"tk/v1/event/{device_id}"


def receipt_topic(device_id: str) -> str:
    return f"tk/v1/receipt/{device_id}"


def heartbeat_topic(device_id: str) -> str:
    return f"tk/v1/heartbeat/{device_id}"


def policy_topic(device_id: str) -> str:
    return f"tk/v1/policy/{device_id}"


def command_topic(device_id: str) -> str:
    return f"tk/v1/command/{device_id}"


def certificate_topic(device_id: str) -> str:
    return f"tk/v1/certificate/{device_id}"


def renew_topic(device_id: str) -> str:
    return f"tk/v1/renew/{device_id}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a device has to say about one firing. occurred_at: aware, UTC. context: oldest first."""

    occurred_at: datetime
    account: str
    rule_id: str
    trigger: str
    application: str
    window_title: str
    address: str
    typed: str
    context: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SealedEvent:
    """An event as it waits and is sent. full: with the image, None where there is none. text: the same without."""

    message_id: str
    full: bytes | None
    text: bytes


class ReceiptStatus(StrEnum):
    """What the box has done with an event."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The box's word on one event. sha256: hex digest of the sealed payload that it speaks of."""

    message_id: str
    sha256: str
    status: ReceiptStatus
    reason: str | None


class ReceiptError(ValueError):
    """A receipt that can't be read. The message says what is wrong with it, and nothing it held."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The state of a device and its outbox at one moment. Times aware, UTC; sizes in bytes.

    permissions_missing: short ids of what the platform doesn't let this device see. held_back: events not made since
    the agent started, because the same rule fired on the same words or too often.
    """

    device_id: str
    queue_epoch: str
    highest_sequence: int
    lowest_unreceipted: int | None
    queue_depth: int
    queue_bytes: int
    oldest_at: datetime | None
    dead_letters: int
    agent_version: str
    policy_version: str
    sent_at: datetime
    policy_number: int | None = None
    policy_expired: bool = False
    platform: str = "replay"
    permissions_missing: tuple[str, ...] = ()
    monitored_now: bool = True
    notice_accepted: datetime | None = None
    images_dropped: int = 0
    held_back: int = 0
    disk_full: bool = False


@dataclass(frozen=True, slots=True)
class Resend:
    """The box's command to send the events of ``queue_epoch`` again, from one number on."""

    queue_epoch: str
    from_sequence: int


class CommandError(ValueError):
    """A command that this device doesn't know or can't read. The message says which."""


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """The answer to a renewal: PEM texts of the device's certificate and of the box's authority."""

    certificate: bytes
    ca: bytes


def make_message_id(now: datetime, random_bytes: bytes) -> str:
    """A UUIDv7 (RFC 9562): the millisecond of ``now``, then 10 ``random_bytes`` less the six bits of the format."""
    if len(random_bytes) != 10:
        raise ValueError("10 random bytes are wanted")
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    number = milliseconds << 80 | int.from_bytes(random_bytes)
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))


def build_event_message(
    report: Report,
    capture: Capture | None,
    *,
    message_id: str,
    device_id: str,
    sequence: int,
    queue_epoch: str,
    box_key: X25519PublicKey,
) -> SealedEvent:
    """The event sealed for the box, once with and once without the image. Long texts are cut to the limits above."""
    header: dict[str, Any] = {
        "version": VERSION,
        "message_id": message_id,
        "device_id": device_id,
        "sequence": sequence,
        "queue_epoch": queue_epoch,
        "occurred_at": report.occurred_at.isoformat(timespec="microseconds"),
        "account": _clean(report.account)[:NAME_AT_MOST],
        "rule_id": report.rule_id,
        "trigger": _clean(report.trigger)[:NAME_AT_MOST],
        "application": _clean(report.application)[:NAME_AT_MOST],
        "window_title": _clean(report.window_title)[:NAME_AT_MOST],
        "address": _clean(report.address)[:ADDRESS_AT_MOST],
        "typed": cut_around(_clean(report.typed), _clean(report.trigger), TYPED_AT_MOST),
        "context": newest_lines([_clean(line) for line in report.context], CONTEXT_AT_MOST),
        "image": None,
    }
    text = seal(box_key, message_id, pack(header, b""))
    if capture is None:
        return SealedEvent(message_id, None, text)
    header["image"] = {
        "media_type": capture.media_type,
        "sha256": capture.sha256,
        "width": capture.width,
        "height": capture.height,
    }
    return SealedEvent(message_id, seal(box_key, message_id, pack(header, capture.data)), text)


def pack(header: dict[str, Any], image: bytes) -> bytes:
    """The plaintext of an event: length, header, image."""
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return len(encoded).to_bytes(4) + encoded + image


def cut_around(text: str, trigger: str, at_most: int) -> str:
    """At most ``at_most`` characters of ``text``, with the first place of ``trigger`` in the middle of them."""
    if len(text) <= at_most:
        return text
    middle = max(0, text.find(trigger)) + len(trigger) // 2
    start = min(max(0, middle - at_most // 2), len(text) - at_most)
    return text[start : start + at_most]


def newest_lines(lines: list[str], at_most: int) -> list[str]:
    """The last of ``lines`` that hold at most ``at_most`` characters in all, the oldest of them cut if it must be."""
    kept: list[str] = []
    room = at_most
    for line in reversed(lines[-LINES_AT_MOST:]):
        if room <= 0:
            break
        kept.append(line[-room:])
        room -= len(line)
    return kept[::-1]


def parse_receipt(payload: bytes) -> Receipt:
    """The receipt in ``payload``. Raises ReceiptError."""
    fields = _object(payload, ReceiptError)
    message_id, sha256, reason = fields.get("message_id"), fields.get("sha256"), fields.get("reason")
    if not isinstance(message_id, str) or not isinstance(sha256, str):
        raise ReceiptError("no message_id or sha256")
    if reason is not None and not isinstance(reason, str):
        raise ReceiptError("the reason isn't text")
    try:
        status = ReceiptStatus(str(fields.get("status")))
    except ValueError as error:
        raise ReceiptError("an unknown status") from error
    return Receipt(message_id, sha256.lower(), status, reason)


def parse_command(payload: bytes) -> Resend:
    """The command in ``payload``. Raises CommandError."""
    fields = _object(payload, CommandError)
    if fields.get("version") != VERSION or fields.get("command") != "resend":
        name = "".join(letter for letter in str(fields.get("command"))[:40] if letter.isprintable())
        raise CommandError(f"{name!r} in version {str(fields.get('version'))[:10]} is not a command of this agent")
    epoch, number = fields.get("queue_epoch"), fields.get("from_sequence")
    if not isinstance(epoch, str) or isinstance(number, bool) or not isinstance(number, int) or number > 2**63 - 1:
        raise CommandError("the resend command has no queue_epoch or from_sequence")
    return Resend(epoch, max(1, number))


def build_renewal(csr: bytes) -> bytes:
    """The payload that asks for a new certificate. csr: PEM."""
    return json.dumps({"version": VERSION, "csr": csr.decode("ascii")}).encode()


def parse_certificate(payload: bytes) -> NewCertificate:
    """The box's answer to a renewal. Raises CommandError."""
    fields = _object(payload, CommandError)
    certificate, ca = fields.get("certificate"), fields.get("ca")
    if not isinstance(certificate, str) or not isinstance(ca, str):
        raise CommandError("no certificate or ca")
    return NewCertificate(certificate.encode(), ca.encode())


def _object(payload: bytes, error_kind: type[ValueError]) -> dict[str, Any]:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, and nested without end
        raise error_kind("not JSON") from error
    if not isinstance(fields, dict):
        raise error_kind("not an object")
    return fields


def build_heartbeat(beat: Heartbeat) -> bytes:
    """The heartbeat's payload."""
    return json.dumps(
        {
            "version": VERSION,
            "device_id": beat.device_id,
            "queue_epoch": beat.queue_epoch,
            "highest_sequence": beat.highest_sequence,
            "lowest_unreceipted": beat.lowest_unreceipted,
            "queue_depth": beat.queue_depth,
            "queue_bytes": beat.queue_bytes,
            "oldest_at": None if beat.oldest_at is None else beat.oldest_at.isoformat(timespec="microseconds"),
            "dead_letters": beat.dead_letters,
            "agent_version": beat.agent_version,
            "policy_version": beat.policy_version,
            "sent_at": beat.sent_at.isoformat(timespec="microseconds"),
            "policy_number": beat.policy_number,
            "policy_expired": beat.policy_expired,
            "platform": beat.platform,
            "permissions_missing": list(beat.permissions_missing),
            "monitored_now": beat.monitored_now,
            "notice_accepted": None if beat.notice_accepted is None else beat.notice_accepted.isoformat(),
            "images_dropped": beat.images_dropped,
            "held_back": beat.held_back,
            "disk_full": beat.disk_full,
        }
    ).encode()


def payload_digest(payload: bytes) -> str:
    """The hex SHA-256 by which receipts name a sealed payload."""
    return hashlib.sha256(payload).hexdigest()


def _clean(text: str) -> str:
    """``text`` without control characters (JSON would make six bytes of each) and without lone surrogates, which some
    platforms hand over and UTF-8 can't hold.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROLS.sub(" ", whole)
