"""What a device may send: every limit, and the step from bytes of unknown origin to an event.

Nothing here looks at a clock, a disk or a network. The reasons in MessageError name fields, never what they hold:
they are logged and shown to technicians.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.broker.sealing import SealError, open_sealed
from appliance.broker.topics import Kind, parse_topic
from appliance.safeguarding.device import Heartbeat
from appliance.safeguarding.event import Capture, Event
from appliance.workflow.ingest import Receipt, Report

VERSION = 1
MESSAGE_ID_PROPERTY = "message-id"

PAYLOAD_AT_MOST = 1_000_000
"""Bytes of a sealed event; the broker lets no larger packet in."""
HEARTBEAT_AT_MOST = 4_000
"""Bytes of a heartbeat."""
TYPED_AT_MOST = 20_000
CONTEXT_LINES_AT_MOST = 200
CONTEXT_AT_MOST = 50_000
"""Characters of the context in all."""
NAME_AT_MOST = 500
"""Characters of an account, rule, trigger, application or window title."""
ADDRESS_AT_MOST = 2_000
"""Characters of a web address: they run longer than names."""
SIDE_AT_MOST = 32_768
"""Pixels of either side of an image."""
NUMBER_AT_MOST = 2**63 - 1
"""The largest whole number the database keeps."""
MEDIA_TYPES = frozenset({"image/webp", "image/png", "image/jpeg"})
AHEAD_AT_MOST = timedelta(hours=24)
"""How far a device's clock may run ahead of the box's. Beyond it the message is refused, as its time would put it at
the wrong place in a pupil's record; it is kept whole, and the technician is told which device's clock is wrong."""
AGE_AT_MOST = timedelta(days=400)
"""How long a device may hold an event before the box gets it: a year in a cupboard."""


PERMISSIONS_AT_MOST = 20
RENEWAL_AT_MOST = 16_000
"""Bytes of a request for a new certificate."""


class MessageError(ValueError):
    """A message that can't be taken in. The message is one sentence: why, and nothing of what it held.

    place: the queue epoch and sequence of an event that was understood that far.
    """

    place: tuple[str, int] | None = None


def parse_event_message(
    topic: str, message_id: str | None, payload: bytes, private_key: X25519PrivateKey, now: datetime
) -> Report:
    """The event in a PUBLISH, with its image. message_id: the user property, None where there was none.

    Raises MessageError for whatever is wrong with it.
    """
    if len(payload) > PAYLOAD_AT_MOST:
        raise MessageError(f"The message is larger than {PAYLOAD_AT_MOST:,} bytes.")
    device_id = _device_in(topic, Kind.EVENT)
    message_id = _check_message_id(message_id)
    try:
        plaintext = open_sealed(private_key, message_id, payload)
    except SealError:
        raise MessageError("The message can't be opened: it was sealed for another box, or changed.") from None
    header, image = _unpack(plaintext)
    if header.get("message_id") != message_id:
        raise MessageError("The message id in the header is not the one the message came under.")
    if header.get("device_id") != device_id:
        raise MessageError("The device in the header is not the one that sent the message.")
    place = _epoch(header), _number(header, "sequence", 1)
    try:
        return _report(header, image, device_id, message_id, place, now)
    except MessageError as error:
        error.place = place
        raise


def _report(
    header: Mapping[str, Any], image: bytes, device_id: str, message_id: str, place: tuple[str, int], now: datetime
) -> Report:
    event = Event(
        message_id=message_id,
        device_id=device_id,
        sequence=place[1],
        account=_text(header, "account"),
        occurred_at=_check_age(_time(header, "occurred_at"), now),
        rule_id=_text(header, "rule_id"),
        trigger=_text(header, "trigger"),
        application=_text(header, "application"),
        window_title=_text(header, "window_title"),
        address=_text(header, "address", ADDRESS_AT_MOST),
        typed=_text(header, "typed", TYPED_AT_MOST),
        context=_context(header),
    )
    return Report(event, place[0], _capture(header, image), image)


def parse_heartbeat(topic: str, payload: bytes) -> Heartbeat:
    """The heartbeat in a PUBLISH. Raises MessageError."""
    if len(payload) > HEARTBEAT_AT_MOST:
        raise MessageError(f"The heartbeat is larger than {HEARTBEAT_AT_MOST:,} bytes.")
    device_id = _device_in(topic, Kind.HEARTBEAT)
    fields = _object(payload)
    if fields.get("device_id") != device_id:
        raise MessageError("The device in the heartbeat is not the one that sent it.")
    return Heartbeat(
        device_id=device_id,
        queue_epoch=_epoch(fields),
        highest_sequence=_number(fields, "highest_sequence", 0),
        lowest_unreceipted=_number(fields, "lowest_unreceipted", 1)
        if _is_given(fields, "lowest_unreceipted")
        else None,
        queue_depth=_number(fields, "queue_depth", 0),
        queue_bytes=_number(fields, "queue_bytes", 0),
        oldest_at=_time(fields, "oldest_at") if _is_given(fields, "oldest_at") else None,
        dead_letters=_number(fields, "dead_letters", 0),
        agent_version=_text(fields, "agent_version"),
        policy_version=_text(fields, "policy_version"),
        sent_at=_time(fields, "sent_at"),
        policy_number=_number(fields, "policy_number", 0) if _is_given(fields, "policy_number") else None,
        platform=_text(fields, "platform", 100) if _is_given(fields, "platform") else None,
        permissions_missing=_permissions(fields),
        monitored_now=_flag(fields, "monitored_now"),
        notice_accepted=_time(fields, "notice_accepted") if _is_given(fields, "notice_accepted") else None,
        images_dropped=_number(fields, "images_dropped", 0) if _is_given(fields, "images_dropped") else None,
        disk_full=_flag(fields, "disk_full"),
        policy_expired=_flag(fields, "policy_expired"),
        held_back=_number(fields, "held_back", 0) if _is_given(fields, "held_back") else None,
    )


def parse_renewal(topic: str, payload: bytes) -> tuple[str, bytes]:
    """The device that asks for a new certificate, and its request (PEM). Raises MessageError."""
    if len(payload) > RENEWAL_AT_MOST:
        raise MessageError(f"The request is larger than {RENEWAL_AT_MOST:,} bytes.")
    device_id = _device_in(topic, Kind.RENEW)
    return device_id, _text(_object(payload), "csr", RENEWAL_AT_MOST).encode()


def build_receipt(message_id: str, payload_sha256: str, status: Receipt, reason: str | None) -> bytes:
    """What a device is told of one event. payload_sha256: hex, of the sealed payload as it came."""
    receipt = {"message_id": message_id, "sha256": payload_sha256, "status": str(status), "reason": reason}
    return json.dumps(receipt).encode()


def build_resend(queue_epoch: str, from_sequence: int) -> bytes:
    """The command by which a device sends again what it still holds of a queue, from one event on."""
    fields = {"version": VERSION, "command": "resend", "queue_epoch": queue_epoch, "from_sequence": from_sequence}
    return json.dumps(fields).encode()


def build_certificate(certificate: bytes, authority: bytes) -> bytes:
    """What a device gets that asked for a new certificate; both PEM."""
    return json.dumps({"certificate": certificate.decode("ascii"), "ca": authority.decode("ascii")}).encode()


def _device_in(topic: str, kind: Kind) -> str:
    parsed = parse_topic(topic)
    if parsed is None or parsed[0] is not kind:
        raise MessageError(f"The topic is not a device's {kind} topic.")
    return parsed[1]


def _check_message_id(message_id: str | None) -> str:
    if message_id is None:
        raise MessageError("The message came without a message id.")
    try:
        if str(uuid.UUID(message_id)) == message_id:
            return message_id
    except ValueError:
        pass
    raise MessageError("The message id is not a UUID.")


def _unpack(plaintext: bytes) -> tuple[Mapping[str, Any], bytes]:
    length = int.from_bytes(plaintext[:4])
    if len(plaintext) < 4 or len(plaintext) < 4 + length:
        raise MessageError("The message ends before its header does.")
    return _object(plaintext[4 : 4 + length]), plaintext[4 + length :]


def _object(encoded: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(encoded.decode("utf-8"))
    except (ValueError, RecursionError):  # bad UTF-8, bad JSON, a number without end, brackets without end
        raise MessageError("The header is not JSON.") from None
    if not isinstance(fields, dict):
        raise MessageError("The header is not a JSON object.")
    version = fields.get("version")
    if type(version) is not int or version != VERSION:
        raise MessageError(f"The message's version is not {VERSION}: the agent is older or newer than the box.")
    return fields


def _is_given(fields: Mapping[str, Any], name: str) -> bool:
    return fields.get(name) is not None


def _text(fields: Mapping[str, Any], name: str, at_most: int = NAME_AT_MOST) -> str:
    return _check_text(fields.get(name), name, at_most)


def _check_text(value: object, name: str, at_most: int) -> str:
    if not isinstance(value, str):
        raise MessageError(f"The field {name} is not text.")
    if len(value) > at_most:
        raise MessageError(f"The field {name} is longer than {at_most:,} characters.")
    try:
        value.encode()  # a lone surrogate has no UTF-8
    except UnicodeEncodeError:
        raise MessageError(f"The field {name} holds half a character.") from None
    if "\0" in value:
        raise MessageError(f"The field {name} holds a NUL.")
    return value


def _number(fields: Mapping[str, Any], name: str, least: int, most: int = NUMBER_AT_MOST) -> int:
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:  # True is an int too
        raise MessageError(f"The field {name} is not a whole number from {least} to {most:,}.")
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool | None:
    value = fields.get(name)
    if value is not None and type(value) is not bool:
        raise MessageError(f"The field {name} is neither true nor false.")
    return value


def _permissions(fields: Mapping[str, Any]) -> tuple[str, ...]:
    names = fields.get("permissions_missing")
    if names is None:
        return ()
    if not isinstance(names, list) or len(names) > PERMISSIONS_AT_MOST:
        raise MessageError(f"The field permissions_missing is not a list of at most {PERMISSIONS_AT_MOST}.")
    return tuple(_check_text(name, "permissions_missing", 100) for name in names)


def _epoch(fields: Mapping[str, Any]) -> str:
    epoch = _text(fields, "queue_epoch")
    if not epoch:
        raise MessageError("The field queue_epoch is empty.")
    return epoch


def _time(fields: Mapping[str, Any], name: str) -> datetime:
    text = _text(fields, name)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):  # the year 1 in the east is before time
        pass
    raise MessageError(f"The field {name} is not a time with its zone.")


def _check_age(occurred_at: datetime, now: datetime) -> datetime:
    if occurred_at - now > AHEAD_AT_MOST:
        raise MessageError("The time is over 24 hours ahead of the box's: the device's clock is wrong.")
    if now - occurred_at > AGE_AT_MOST:
        raise MessageError(f"The time is over {AGE_AT_MOST.days} days ago: the device's clock is wrong.")
    return occurred_at


def _context(header: Mapping[str, Any]) -> tuple[str, ...]:
    lines = header.get("context")
    if not isinstance(lines, list):
        raise MessageError("The field context is not a list.")
    if len(lines) > CONTEXT_LINES_AT_MOST:
        raise MessageError(f"The field context has more than {CONTEXT_LINES_AT_MOST} lines.")
    checked = tuple(_check_text(line, "context", CONTEXT_AT_MOST) for line in lines)
    if sum(map(len, checked)) > CONTEXT_AT_MOST:
        raise MessageError(f"The field context is longer than {CONTEXT_AT_MOST:,} characters.")
    return checked


def _capture(header: Mapping[str, Any], image: bytes) -> Capture | None:
    if "image" not in header:
        raise MessageError("The field image is missing.")
    about = header["image"]
    if about is None:
        if image:
            raise MessageError("Bytes follow the header, which speaks of no image.")
        return None
    if not isinstance(about, dict):
        raise MessageError("The field image is not an object.")
    media_type = _text(about, "media_type")
    if media_type not in MEDIA_TYPES:
        raise MessageError("The image is not WebP, PNG or JPEG.")
    width, height = _number(about, "width", 1, SIDE_AT_MOST), _number(about, "height", 1, SIDE_AT_MOST)
    sha256 = hashlib.sha256(image).hexdigest()
    if about.get("sha256") != sha256:
        raise MessageError("The image is not the one the header speaks of.")
    return Capture(sha256, media_type, width, height, len(image))
