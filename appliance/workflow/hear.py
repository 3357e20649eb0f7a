"""What devices say of themselves, and asking them to send again what never came."""

from collections.abc import Callable, Iterable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, require
from appliance.safeguarding.audit import SYSTEM, AuditEntry, Detail
from appliance.safeguarding.device import ASKED_AGAIN_AFTER, HELD_FOR, Heartbeat
from appliance.store import devices, sequences
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.store.devices import ResendCommand


def hear_heartbeats(
    db: Database, heard: Iterable[tuple[Heartbeat, datetime]], now: datetime, new_id: Callable[[], str]
) -> list[str]:
    """Note what devices said, and ask those for their missing events that were not asked lately; unknown devices.

    On a system connection. No audit entry for a heartbeat: nobody did or saw anything.
    """
    unknown = []
    with transaction(db):
        for beat, heard_at in heard:
            academy_id = devices.get_device_academy(db, beat.device_id)
            if academy_id is None:
                unknown.append(beat.device_id)
                continue
            devices.set_device_seen(db, beat.device_id, heard_at, beat.queue_depth, beat.agent_version)
            devices.set_heartbeat(db, academy_id, beat, heard_at)
            sequences.note_claim(
                db,
                beat.device_id,
                academy_id,
                beat.queue_epoch,
                beat.highest_sequence,
                beat.lowest_unreceipted,
                heard_at,
            )
            _ask_for_missing(db, academy_id, beat, now, new_id)
    return unknown


def _ask_for_missing(db: Database, academy_id: str, beat: Heartbeat, now: datetime, new_id: Callable[[], str]) -> None:
    missing = sequences.select_missing(db, now, beat.device_id)
    here = next((one for one in missing if one.queue_epoch == beat.queue_epoch), None)
    if here is None or (here.noticed_at is not None and now - here.noticed_at > HELD_FOR):
        return
    if not devices.select_commands(db, beat.device_id, now - ASKED_AGAIN_AFTER):
        _ask(db, SYSTEM, academy_id, here, now, new_id)


def ask_to_resend(db: Database, actor: Actor, device_id: str, now: datetime, new_id: Callable[[], str]) -> bool:
    """Ask a device to send again what is missing of its present queue; False where nothing is.

    Raises NotAllowedError.
    """
    academy_id = devices.get_device_academy(db, device_id)
    if academy_id is None:
        raise NotAllowedError(f"device {device_id}")
    require(actor, Permission.DEVICE_MANAGE, academy_id)
    missing = sequences.select_missing(db, now, device_id)
    if not missing:
        return False
    with transaction(db):
        for one in missing:
            _ask(db, actor.staff_id, academy_id, one, now, new_id)
    return True


def _ask(
    db: Database, by: str, academy_id: str, one: sequences.Missing, now: datetime, new_id: Callable[[], str]
) -> None:
    command = ResendCommand(new_id(), academy_id, one.device_id, one.queue_epoch, one.first, by, now)
    devices.insert_command(db, command)
    detail: Detail = {"missing": one.count, "from": one.first}
    append_audit(db, AuditEntry(by, "device:asked_again", f"device:{one.device_id}", academy_id, now, detail))
