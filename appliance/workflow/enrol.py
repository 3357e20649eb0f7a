"""Taking a device on, hearing from it, and shutting it out. All of it needs a system connection."""

from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.store import devices
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.ingest import UnknownDeviceError


class DeviceElsewhereError(ValueError):
    """The device belongs to another academy. The message is one sentence for the person who enrols it."""


def enrol_device(
    db: Database,
    device_id: str,
    academy_id: str,
    place: str,
    csr_pem: bytes,
    sign: Callable[[bytes], tuple[bytes, str]],
    now: datetime,
    actor_id: str = SYSTEM,
) -> bytes:
    """Sign a device's certificate request and enter the device; its certificate (PEM).

    sign: makes the certificate (PEM) and its serial number (hex) of the request; what it raises comes through, and
    nothing is entered then. Enrolling a device again gives it a new certificate. Raises DeviceElsewhereError.
    """
    with transaction(db):
        certificate, serial = sign(csr_pem)
        devices.insert_device(db, device_id, academy_id, device_id, place, serial, now)
        if devices.get_device_academy(db, device_id) != academy_id:
            raise DeviceElsewhereError(f"The device {device_id} is enrolled at another academy.")
        detail = {"place": place, "serial": serial}
        append_audit(db, AuditEntry(actor_id, "device:enrolled", f"device:{device_id}", academy_id, now, detail))
    return certificate


def revoke_device(
    db: Database, device_id: str, revoke: Callable[[str], None], now: datetime, actor_id: str = SYSTEM
) -> None:
    """Shut a device out. Raises UnknownDeviceError.

    revoke: puts a certificate's serial number (hex) on the list of revoked ones; when it fails nothing is entered.
    Afterwards the broker's rules must be written anew and the broker told.
    """
    with transaction(db):
        academy_id = devices.get_device_academy(db, device_id)
        if academy_id is None:
            raise UnknownDeviceError(f"device {device_id} is not enrolled")
        serial = devices.get_device_serial(db, device_id) or ""
        revoke(serial)
        devices.set_device_revoked(db, device_id, now)
        entry = AuditEntry(actor_id, "device:revoked", f"device:{device_id}", academy_id, now, {"serial": serial})
        append_audit(db, entry)


def note_heartbeat(db: Database, device_id: str, queue_depth: int, agent_version: str, now: datetime) -> None:
    """Note that a device was heard from and how much it still holds. No audit entry: nobody did or saw anything.

    Raises UnknownDeviceError.
    """
    with transaction(db):
        if devices.get_device_academy(db, device_id) is None:
            raise UnknownDeviceError(f"device {device_id} is not enrolled")
        devices.set_device_seen(db, device_id, now, queue_depth, agent_version)
