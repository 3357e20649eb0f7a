"""Taking a device on and shutting it out: with its certificate and its audit entry, or not at all."""

from datetime import timedelta

import pytest

from appliance.store.audit import check_chain, select_audit
from appliance.store.devices import get_device_academy, select_devices, select_revoked_device_ids
from appliance.workflow.enrol import DeviceElsewhereError, enrol_device, note_heartbeat, revoke_device
from appliance.workflow.ingest import UnknownDeviceError
from tests.factories import NOW, Box


def sign(_request: bytes) -> tuple[bytes, str]:
    return b"certificate", "ab12"


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


def test_a_revoked_device_is_on_the_list_and_its_serial_was_revoked(box: Box):
    enrol(box)
    revoked: list[str] = []
    revoke_device(box.db, "NEW-01", revoked.append, NOW, "technician")
    assert revoked == ["ab12"]
    assert select_revoked_device_ids(box.db) == ["NEW-01"]
    assert get_device_academy(box.db, "NEW-01") is None
    assert select_audit(box.db)[0].kind == "device:revoked"
    with pytest.raises(UnknownDeviceError):
        revoke_device(box.db, "NEW-01", revoked.append, NOW)
    enrol(box)
    assert select_revoked_device_ids(box.db) == []


def test_a_device_is_not_revoked_when_the_list_cannot_be_written(box: Box):
    def fail(_serial: str) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        revoke_device(box.db, "ASH-01", fail, NOW)
    assert get_device_academy(box.db, "ASH-01") == "ashby"
    assert not select_audit(box.db)


def test_a_heartbeat_of_an_unknown_device_changes_nothing(box: Box):
    with pytest.raises(UnknownDeviceError):
        note_heartbeat(box.db, "NEW-01", 3, "0.1.0", NOW)
    note_heartbeat(box.db, "ASH-01", 3, "0.1.0", NOW + timedelta(minutes=1))
    (device,) = (one for one in select_devices(box.db) if one.id == "ASH-01")
    assert (device.queue_depth, device.agent_version, device.last_seen_at) == (3, "0.1.0", NOW + timedelta(minutes=1))
