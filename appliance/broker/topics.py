"""The topics of the wire contract, and which names a device may have in them."""

import re
from enum import StrEnum

INGEST = "ingest"
"""The certificate name of the box's own subscriber, which may read every device's events."""

RESERVED_NAMES = frozenset({INGEST, "admin", "box", "broker", "ca", "localhost", "portal", "root", "server", "worker"})
"""Names that no enrolment gives out, in whatever case they are written."""

_PREFIX = "tk/v1"
_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


class Kind(StrEnum):
    """What a topic is for."""

    EVENT = "event"
    HEARTBEAT = "heartbeat"
    RECEIPT = "receipt"
    POLICY = "policy"
    COMMAND = "command"
    RENEW = "renew"
    CERTIFICATE = "certificate"


FROM_DEVICES = (Kind.EVENT, Kind.HEARTBEAT, Kind.RENEW)
"""What a device may send under its own name, and the box alone may read."""
TO_DEVICES = (Kind.RECEIPT, Kind.POLICY, Kind.COMMAND, Kind.CERTIFICATE)
"""What the box alone may send, and a device may read of its own."""


def is_device_id(text: str) -> bool:
    """Whether a device may be called so: letters, digits and dashes, at most 64, no reserved name.

    The name stands in topics and in the broker's rules, where + # / % and blanks mean something.
    """
    return _DEVICE_ID.fullmatch(text) is not None and text.lower() not in RESERVED_NAMES


def topic(kind: Kind, device_id: str) -> str:
    """The topic of one device; ``+`` for that of all of them, ``%u`` for the broker's own pattern."""
    return f"{_PREFIX}/{kind}/{device_id}"


def parse_topic(text: str) -> tuple[Kind, str] | None:
    """The kind and the device of a topic, or None when it is none of ours."""
    for kind in Kind:
        prefix = topic(kind, "")
        if text.startswith(prefix) and is_device_id(text[len(prefix) :]):
            return kind, text[len(prefix) :]
    return None
