"""Taking devices on, renewing their certificates, and shutting them out."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, require
from appliance.safeguarding.audit import SYSTEM, AuditEntry, Detail
from appliance.safeguarding.enrolment import (
    CODE_LASTS,
    ENROLMENT_TRIES,
    RENEWALS_A_DAY,
    DeviceKind,
    EnrolmentCode,
    code_digest,
    make_code,
    make_device_id,
    slug,
)
from appliance.safeguarding.sign_in import network_key, wait_until
from appliance.store import devices, enrolment, people, policies, sessions
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.store.enrolment import Certificate
from appliance.workflow.ingest import UnknownDeviceError

Sign = Callable[[bytes, str], tuple[bytes, Certificate]]
"""Makes a certificate (PEM) of a request for the device of an id. What it raises comes through."""


class DeviceElsewhereError(ValueError):
    """The device belongs to another academy. The message is one sentence for the person who enrols it."""


class EnrolmentRefusedError(ValueError):
    """A device can't be taken on. The message is one sentence for the person who stands before it."""


class TooManyCodesError(EnrolmentRefusedError):
    """Too many wrong codes came from this address."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A device that asks to be taken on with a code. csr: its request, None for a browser, which has proved its key."""

    code: str
    kind: DeviceKind
    name: str
    csr: bytes | None
    address: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of it. certificate: PEM, None for a browser. policy: the signed envelope, JSON text."""

    device_id: str
    academy_id: str
    certificate: bytes | None
    policy: str


def enrol_device(
    db: Database,
    device_id: str,
    academy_id: str,
    place: str,
    csr_pem: bytes,
    sign: Callable[[bytes], tuple[bytes, Certificate]],
    now: datetime,
    actor_id: str = SYSTEM,
) -> bytes:
    """Sign a device's certificate request and enter the device; its certificate (PEM). On a system connection.

    sign: makes the certificate of the request; what it raises comes through, and nothing is entered then. Enrolling a
    device again gives it a new certificate. Raises DeviceElsewhereError.
    """
    with transaction(db):
        pem, certificate = sign(csr_pem)
        devices.insert_device(db, device_id, academy_id, device_id, place, certificate.serial, now)
        if devices.get_device_academy(db, device_id) != academy_id:
            raise DeviceElsewhereError(f"The device {device_id} is enrolled at another academy.")
        enrolment.insert_certificate(db, device_id, academy_id, certificate, now)
        enrolment.note_broker_change(db)
        detail: Detail = {"place": place, "serial": certificate.serial}
        append_audit(db, AuditEntry(actor_id, "device:enrolled", f"device:{device_id}", academy_id, now, detail))
    return pem


# -- with a code


def make_enrolment_code(
    db: Database,
    by: Actor | None,
    academy_id: str,
    place: str,
    prefix: str,
    now: datetime,
    chance: bytes,
    lasts: timedelta = CODE_LASTS,
) -> str:
    """A code by which one device is taken on at the academy. It is told here once; only its digest is kept.

    by: None for the box's own command line. prefix: what the device's id begins with; the academy's short name where
    it is empty. chance: CODE_CHANCE random bytes.
    """
    if by is not None:
        require(by, Permission.DEVICE_MANAGE, academy_id)
    code = make_code(chance)
    made_by = by.staff_id if by is not None else SYSTEM
    kept = EnrolmentCode(code_digest(code), academy_id, place, slug(prefix), made_by, now, now + lasts)
    with transaction(db):
        enrolment.insert_code(db, kept)
        detail: Detail = {"place": place, "prefix": kept.prefix, "minutes": round(lasts.total_seconds() / 60)}
        append_audit(db, AuditEntry(made_by, "device:code_made", f"code:{kept.id[:12]}", academy_id, now, detail))
    return code


def withdraw_enrolment_code(db: Database, actor: Actor, code_id: str, now: datetime) -> None:
    """No device may use the code any more. Raises NotAllowedError where it is not the actor's to withdraw."""
    code = enrolment.get_code(db, code_id)
    if code is None:
        raise NotAllowedError("that code")
    require(actor, Permission.DEVICE_MANAGE, code.academy_id)
    with transaction(db):
        enrolment.set_code_withdrawn(db, code_id, now)
        subject = f"code:{code.id[:12]}"
        append_audit(db, AuditEntry(actor.staff_id, "device:code_withdrawn", subject, code.academy_id, now))


def enrol_with_code(
    db: Database,
    newcomer: Newcomer,
    sign: Sign,
    token_hash: str | None,
    now: datetime,
    new_id: Callable[[], str],
) -> Enrolled:
    """Take on a device that brings a code. On a system connection. Raises EnrolmentRefusedError, or what sign raises.

    token_hash: for a browser, as the broker's file of passwords has it. A wrong code counts against its address.
    """
    attempt = _begin_attempt(db, newcomer.address, now, new_id)
    code = enrolment.get_code(db, code_digest(newcomer.code))
    if code is None or not code.is_open(now):
        raise EnrolmentRefusedError("This code is wrong, used, withdrawn or over. Ask for a new one in the portal.")
    issued = policies.get_policy_envelope(db, code.academy_id)
    if issued is None:
        raise EnrolmentRefusedError("The academy has no policy yet, so a device would not know what to do. Issue one.")
    academy = next(one for one in people.select_academies(db) if one.id == code.academy_id)
    prefix = code.prefix or academy.short_name
    with transaction(db):
        first = make_device_id(prefix, newcomer.name, ())
        device_id = make_device_id(prefix, newcomer.name, devices.select_taken_ids(db, first[:56].rstrip("-")))
        pem, certificate = None, None
        if newcomer.kind is DeviceKind.DESKTOP:
            pem, certificate = sign(newcomer.csr or b"", device_id)
        if not enrolment.set_code_used(db, code.id, device_id, now):
            raise EnrolmentRefusedError("This code was used a moment ago. Ask for a new one in the portal.")
        serial = certificate.serial if certificate else None
        devices.insert_device(db, device_id, code.academy_id, newcomer.name, code.place, serial, now, newcomer.kind)
        if certificate is not None:
            enrolment.insert_certificate(db, device_id, code.academy_id, certificate, now)
        elif token_hash is not None:
            enrolment.insert_token(db, device_id, code.academy_id, token_hash, now)
            enrolment.note_broker_change(db)
        sessions.set_attempt_good(db, attempt)
        detail: Detail = {"place": code.place, "code": code.id[:12], "kind": newcomer.kind, "serial": serial}
        append_audit(db, AuditEntry(SYSTEM, "device:enrolled", f"device:{device_id}", code.academy_id, now, detail))
    return Enrolled(device_id, code.academy_id, pem, issued[1])


_ATTEMPT = "enrol"


def _begin_attempt(db: Database, address: str, now: datetime, new_id: Callable[[], str]) -> str:
    """Count the try before it is looked at, so that many at once gain nothing. Raises TooManyCodesError."""
    # under a name of its own: wrong codes must not keep anybody at the same address from signing in
    here = f"{_ATTEMPT} {network_key(address)}"
    with transaction(db):
        failed = sessions.count_failures_here(db, _ATTEMPT, here, _ATTEMPT, now - ENROLMENT_TRIES.window)
        until = wait_until(failed.count, failed.last_at, ENROLMENT_TRIES)
        if until is not None and now < until:
            raise TooManyCodesError("Too many wrong codes came from here. Wait five minutes, then try again.")
        attempt = new_id()
        sessions.insert_attempt(db, sessions.Attempt(attempt, _ATTEMPT, here, here, _ATTEMPT, None), now)
    return attempt


# -- afterwards


def renew_certificate(db: Database, device_id: str, csr_pem: bytes, sign: Sign, now: datetime) -> bytes:
    """Sign a device's request for a new certificate (PEM); the one before counts until it ends, or is revoked.

    On a system connection. Raises UnknownDeviceError, EnrolmentRefusedError, or what sign raises.
    """
    academy_id = devices.get_device_academy(db, device_id)
    if academy_id is None:
        raise UnknownDeviceError(f"device {device_id} is not enrolled")
    if enrolment.count_certificates(db, device_id, now - timedelta(days=1)) >= RENEWALS_A_DAY:
        raise EnrolmentRefusedError("It has asked for too many certificates today.")
    with transaction(db):
        pem, certificate = sign(csr_pem, device_id)
        enrolment.insert_certificate(db, device_id, academy_id, certificate, now)
        devices.set_device_serial(db, device_id, certificate.serial)
        detail: Detail = {"serial": certificate.serial}
        append_audit(db, AuditEntry(SYSTEM, "device:renewed", f"device:{device_id}", academy_id, now, detail))
    return pem


def revoke_device(db: Database, by: Actor | None, device_id: str, now: datetime) -> None:
    """Shut a device out, with every certificate and token it was given. The broker has it within seconds.

    by: None for the box's own command line. Raises UnknownDeviceError, or NotAllowedError.
    """
    academy_id = devices.get_device_academy(db, device_id)
    if academy_id is None:
        raise UnknownDeviceError(f"device {device_id} is not enrolled")
    if by is not None:
        require(by, Permission.DEVICE_MANAGE, academy_id)
    with transaction(db):
        serials = enrolment.set_certificates_revoked(db, device_id, now)
        devices.set_device_revoked(db, device_id, now)
        enrolment.note_broker_change(db)
        actor_id, detail = by.staff_id if by is not None else SYSTEM, {"serials": ", ".join(serials)}
        append_audit(db, AuditEntry(actor_id, "device:revoked", f"device:{device_id}", academy_id, now, detail))
