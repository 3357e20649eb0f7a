"""Taking in what a device reported: capture on the disk, event and audit entry in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlite_utils import Database

from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.safeguarding.escalation import owed_at
from appliance.safeguarding.event import Capture, Event
from appliance.safeguarding.moderation import least_level
from appliance.safeguarding.severity import Severity
from appliance.store import captures, devices, events, people, sequences
from appliance.store.audit import append_audit
from appliance.store.connection import transaction

_LEVEL_UNTIL_ASSESSED = Severity.CREDIBLE
"""An event nobody has read yet counts as credible, so that a box whose scoring stands still doesn't bury it."""


class Receipt(StrEnum):
    """What the device is told. It keeps the event until it hears one of these."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Report:
    """An event as it came, with its image. capture is None when the device could take no screenshot."""

    event: Event
    queue_epoch: str
    capture: Capture | None
    image: bytes


class UnknownDeviceError(Exception):
    """The device is not enrolled, or its certificate was revoked."""


def ingest_event(
    db: Database, vault: captures.CaptureVault, report: Report, now: datetime, new_id: Callable[[], str]
) -> Receipt:
    """Keep the event and its capture. Returns only when both are on the disk; twice the same is harmless.

    Raises UnknownDeviceError.
    """
    event = report.event
    academy_id = devices.get_device_academy(db, event.device_id)
    if academy_id is None:
        raise UnknownDeviceError(f"device {event.device_id} is not enrolled")
    if events.is_known(db, event.message_id):
        return Receipt.DUPLICATE
    if report.capture is not None:
        vault.save(report.capture.sha256, report.image)
    event_id, level = new_id(), max(_LEVEL_UNTIL_ASSESSED, least_level(event.rule_id))
    origin = events.Origin(
        event_id=event_id,
        academy_id=academy_id,
        pupil_id=people.get_pupil_id_of_account(db, academy_id, event.account),
        rule_category=devices.get_rule_category(db, event.rule_id),
        queue_epoch=report.queue_epoch,
        level=level,
        owed_at=owed_at(level, now),
    )
    with transaction(db):
        if not events.insert_event(db, event, origin, now):
            return Receipt.DUPLICATE
        if report.capture is not None:
            captures.insert_capture(db, new_id(), event_id, academy_id, report.capture)
        devices.set_device_seen(db, event.device_id, now)
        sequences.note_sequence(db, event.device_id, academy_id, report.queue_epoch, event.sequence, now)
        detail = {"device": event.device_id, "capture": report.capture.sha256 if report.capture else None}
        append_audit(db, AuditEntry(SYSTEM, "event:received", f"event:{event_id}", academy_id, now, detail))
    return Receipt.STORED


@dataclass(frozen=True, slots=True)
class BadMessage:
    """A message that could not be taken in. message_id is None when not even that could be read.

    queue_epoch, sequence: its place among the device's events, where that much was understood, so that it is not
    taken for one that never came.
    """

    device_id: str
    message_id: str | None
    topic: str
    payload: bytes
    payload_sha256: str
    reason: str
    queue_epoch: str | None = None
    sequence: int | None = None


def keep_rejected_message(
    db: Database, vault: captures.CaptureVault, bad: BadMessage, now: datetime, new_id: Callable[[], str]
) -> bool:
    """Keep a bad message with its reason: it may be evidence. False when it was kept before.

    Raises UnknownDeviceError when nobody enrolled the device, as there is no academy whose technician could look.
    """
    academy_id = devices.get_device_academy(db, bad.device_id)
    if academy_id is None:
        raise UnknownDeviceError(f"device {bad.device_id} is not enrolled")
    vault.save(bad.payload_sha256, bad.payload)
    with transaction(db):
        row_id = new_id()
        kept = devices.insert_rejected_message(
            db,
            row_id,
            academy_id,
            bad.device_id,
            bad.message_id,
            bad.topic,
            bad.reason,
            bad.payload_sha256,
            len(bad.payload),
            now,
            bad.queue_epoch,
            bad.sequence,
        )
        if bad.queue_epoch is not None and bad.sequence is not None:
            sequences.note_sequence(db, bad.device_id, academy_id, bad.queue_epoch, bad.sequence, now)
        if kept:
            detail = {"device": bad.device_id, "reason": bad.reason}
            append_audit(db, AuditEntry(SYSTEM, "message:rejected", f"message:{row_id}", academy_id, now, detail))
    return kept
