"""Taking a device on and shutting it out: with its certificate and its audit entry, or not at all."""

from datetime import timedelta

import pytest

from appliance.safeguarding.access import NotAllowedError, Role
from appliance.safeguarding.enrolment import RENEWALS_A_DAY
from appliance.store.audit import check_chain, select_audit
from appliance.store.devices import get_device_academy, select_devices, select_revoked_device_ids
from appliance.store.enrolment import Certificate, get_broker_change, select_revoked_serials
from appliance.workflow.enrol import (
    DeviceElsewhereError,
    EnrolmentRefusedError,
    enrol_device,
    renew_certificate,
    revoke_device,
)
from appliance.workflow.ingest import UnknownDeviceError
from tests.factories import NOW, Box


def sign(_request: bytes) -> tuple[bytes, Certificate]:
    return b"certificate", Certificate("ab12", NOW + timedelta(days=365))


def enrol(box: Box, device_id: str = "NEW-01", academy_id: str = "ashby", signer=sign) -> bytes:
    return enrol_device(box.db, device_id, academy_id, "Library", b"request", signer, NOW, "technician")


def test_a_device_is_entered_with_its_certificate_and_audited(box: Box):
    assert enrol(box) == b"certificate"
    (device,) = (one for one in select_devices(box.db) if one.id == "NEW-01")
    assert (device.academy_id, device.place, device.enrolled_at, device.revoked_at) == ("ashby", "Library", NOW, None)
    entry = select_audit(box.db)[0]
    assert (entry.actor_id, entry.kind, entry.subject) == ("technician", "device:enrolled", "device:NEW-01")
    assert '"serial":"ab12"' in entry.detail
    assert check_chain(box.db) is None


def test_nothing_is_entered_when_the_request_is_refused(box: Box):
    def refuse(_request: bytes) -> tuple[bytes, str]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        enrol(box, signer=refuse)
    assert get_device_academy(box.db, "NEW-01") is None
    assert not select_audit(box.db)


def test_a_device_of_another_academy_cannot_be_taken_over(box: Box):
    enrol(box)
    with pytest.raises(DeviceElsewhereError):
        enrol(box, academy_id="cedar")
    assert get_device_academy(box.db, "NEW-01") == "ashby"
    assert len(select_audit(box.db)) == 1


def test_a_revoked_device_is_on_the_list_with_every_certificate_it_was_given(box: Box):
    enrol(box)
    renewed = Certificate("cd34", NOW + timedelta(days=500))
    renew_certificate(box.db, "NEW-01", b"request", lambda _csr, _id: (b"newer", renewed), NOW)
    technician = box.staff(Role.TECHNICIAN, trust_id="larch")
    before = get_broker_change(box.db)
    revoke_device(box.open_as(technician), technician, "NEW-01", NOW)
    assert select_revoked_serials(box.db) == ["ab12", "cd34"]
    assert select_revoked_device_ids(box.db) == ["NEW-01"]
    assert get_device_academy(box.db, "NEW-01") is None
    assert get_broker_change(box.db) > before
    entry = select_audit(box.db)[0]
    assert (entry.kind, entry.actor_id) == ("device:revoked", technician.staff_id)
    with pytest.raises(UnknownDeviceError):
        revoke_device(box.db, None, "NEW-01", NOW)
    enrol(box, signer=lambda _request: (b"again", Certificate("ef56", NOW + timedelta(days=365))))
    assert select_revoked_device_ids(box.db) == []
    assert select_revoked_serials(box.db) == ["ab12", "cd34"], "what was revoked stays so"


def test_who_only_sees_devices_revokes_none(box: Box):
    for role, academy in ((Role.MODERATOR, "ashby"), (Role.DSL, "ashby")):
        person = box.staff(role, academy)
        with pytest.raises(NotAllowedError):
            revoke_device(box.open_as(person), person, "ASH-01", NOW)
    elsewhere = box.staff(Role.TECHNICIAN, "birch")
    with pytest.raises(UnknownDeviceError):
        revoke_device(box.open_as(elsewhere), elsewhere, "ASH-01", NOW)
    assert select_revoked_device_ids(box.db) == []


def test_a_device_may_not_ask_for_certificates_all_day(box: Box):
    enrol(box)
    for number in range(RENEWALS_A_DAY - 1):
        made = Certificate(f"aa{number}", NOW + timedelta(days=365))
        renew_certificate(box.db, "NEW-01", b"request", lambda _csr, _id, made=made: (b"", made), NOW)
    with pytest.raises(EnrolmentRefusedError):
        renew_certificate(box.db, "NEW-01", b"request", lambda _csr, _id: (b"", Certificate("ff", NOW)), NOW)
