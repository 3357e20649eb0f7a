"""Opening a record that isn't standing open: with a reason, for a limited time; and locking one to named people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import (
    OPENING_LASTS,
    Actor,
    NotAllowedError,
    Opening,
    Permission,
    is_trust_wide,
    require,
    sees_record,
)
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.concern import RecordError
from appliance.safeguarding.notice import Notice, NoticeKind
from appliance.store import concerns, notices, people, records
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.tell import find_second_people

SHORTEST_REASON = 10
"""Letters. "x" is no reason that anybody could answer for a year later."""


@dataclass(frozen=True, slots=True)
class Needed:
    """What opening a record takes. subjects: ids to be opened. locks: those among them that are shut to the actor."""

    part: records.RecordPart
    subjects: tuple[str, ...]
    locks: tuple[records.StoredLock, ...]


def find_needed(db: Database, actor: Actor, kind: str, part_id: str) -> Needed:
    """What the actor would have to open to see this pupil, event or concern; nothing where it stands open.

    Raises NotAllowedError when they may not ask.
    """
    part = records.get_part(db, kind, part_id)
    if part is None:
        raise NotAllowedError(f"{kind} {part_id}")
    concern_ids = {part_id} if kind == "concern" else set(records.select_concern_ids(db, part_id))
    parts = part.pupil_ids or ((part_id,) if kind == "event" else ())
    subjects = {one for one in parts if not sees_record(actor, Permission.EVENT_VIEW, part.academy_id, one)}
    subjects |= concern_ids & actor.shut
    locks = (records.get_lock(db, one) for one in subjects if one in actor.shut)
    return Needed(part, tuple(sorted(subjects)), tuple(lock for lock in locks if lock is not None))


def open_record(
    db: Database,
    actor: Actor,
    kind: str,
    part_id: str,
    reason: str,
    now: datetime,
    new_id: Callable[[], str],
) -> datetime:
    """Open a record to the actor until the time returned. Where it was locked, a second named person is told.

    Raises RecordError without a reason, or when there is nobody to tell; NotAllowedError when they may not ask.
    """
    if len(reason.strip()) < SHORTEST_REASON:
        raise RecordError("Write why you need to open it, in a sentence that you could answer for later.")
    ends_at = now + OPENING_LASTS
    with transaction(db):
        # a lock set since the request began must not be opened as if it were none
        known = people.get_actor(db, actor.staff_id, now)
        actor = replace(actor, shut=actor.shut | (known.shut if known else frozenset()))
        needed = find_needed(db, actor, kind, part_id)
        academy_id = needed.part.academy_id
        require(actor, Permission.RECORD_OPEN, academy_id)
        told = {one for lock in needed.locks for one in _second_people(db, actor, lock, now)}
        for subject_id in needed.subjects:
            records.insert_opening(db, new_id(), actor.staff_id, Opening(academy_id, subject_id), now, ends_at)
        for staff_id in sorted(told):
            subject = f"{kind}:{part_id}"
            notice = Notice(academy_id, staff_id, NoticeKind.GLASS_BROKEN, subject, actor.staff_id, now)
            notices.insert_notice(db, new_id(), notice)
        detail = {
            "reason": reason.strip(),
            "opens": ",".join(needed.subjects),
            "until": ends_at.isoformat(timespec="minutes"),
        }
        if told:
            detail["told"] = ",".join(sorted(told))
        done = "record:break_glass" if needed.locks else "record:opened_with_reason"
        append_audit(db, AuditEntry(actor.staff_id, done, f"{kind}:{part_id}", academy_id, now, detail))
    return ends_at


def _second_people(db: Database, actor: Actor, lock: records.StoredLock, now: datetime) -> list[str]:
    """Who is told that the glass was broken: the one who locked it, else others it names, else the trust's leads,
    else the academy's DSLs and head. Raises RecordError when there is nobody."""
    named = [[lock.locked_by], records.select_lock_name_ids(db, lock.id)]
    if found := find_second_people(db, lock.academy_id, named, actor.staff_id, now):
        return found
    raise RecordError("It is locked, and there is nobody else who could be told that you opened it. Ring your trust.")


def lock_record(
    db: Database,
    actor: Actor,
    kind: str,
    subject_id: str,
    names: Sequence[str],
    reason: str,
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    """Lock a pupil's record or a concern to some people, the actor among them. Who had opened it is shut out too.

    Raises RecordError, or NotAllowedError when it is not theirs to lock.
    """
    if len(reason.strip()) < SHORTEST_REASON:
        raise RecordError("Write why it must be locked.")
    with transaction(db):
        academy_id = _lockable(db, actor, kind, subject_id)
        if records.get_lock(db, subject_id) is not None:
            raise RecordError("It is locked already. Unlock it first to name other people.")
        allowed = {staff.id for staff in people.select_record_keepers(db, academy_id, now)} | {actor.staff_id}
        if not set(names) <= allowed:
            raise RecordError("Name people who keep records at this academy.")
        named = sorted({*names, actor.staff_id})
        lock_id = new_id()
        records.insert_lock(db, lock_id, academy_id, kind, subject_id, actor.staff_id, now)
        for staff_id in named:
            records.insert_lock_name(db, lock_id, staff_id)
        records.set_openings_ended(db, subject_id, named)
        detail = {"names": ",".join(named), "reason": reason.strip()}
        entry = AuditEntry(actor.staff_id, "record:locked", f"{kind}:{subject_id}", academy_id, now, detail)
        append_audit(db, entry)


def unlock_record(db: Database, actor: Actor, kind: str, subject_id: str, now: datetime) -> None:
    """End a lock. For the people it names, and the trust's lead; breaking the glass does not give the right to it."""
    with transaction(db):
        academy_id = _lockable(db, actor, kind, subject_id)
        lock = records.get_lock(db, subject_id)
        if lock is None:
            return
        trust_id = people.get_trust_of_academy(db, academy_id)
        if not records.is_named(db, lock.id, actor.staff_id) and not (
            is_trust_wide(actor, Permission.RECORD_OPEN, trust_id)
        ):
            raise RecordError("Only those whom the lock names, and the trust's lead, can end it.")
        records.set_unlocked(db, lock.id, actor.staff_id, now)
        entry = AuditEntry(actor.staff_id, "record:unlocked", f"{kind}:{subject_id}", academy_id, now)
        append_audit(db, entry)


def _lockable(db: Database, actor: Actor, kind: str, subject_id: str) -> str:
    """The academy of a record that the actor sees and may lock."""
    if kind == "pupil":
        pupil = people.get_pupil(db, subject_id)
        if pupil is not None and sees_record(actor, Permission.RECORD_LOCK, pupil.academy_id, subject_id):
            return pupil.academy_id
    elif kind == "concern":
        concern = concerns.get_concern(db, subject_id)
        if concern is not None:
            require(actor, Permission.RECORD_LOCK, concern.academy_id)
            return concern.academy_id
    raise NotAllowedError(f"{kind} {subject_id}")
