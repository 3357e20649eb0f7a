"""Looking, which is recorded too: a record opened, a screenshot revealed, a search made."""

from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, places_of, require
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.event import Capture, EventState
from appliance.store import captures, events
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.store.looks import get_last_look, set_last_look

LIST_NOTED_EVERY = timedelta(minutes=5)
"""How often one person's look at the same list is recorded: a page that is asked for again and again fills no trail."""


def note_look(db: Database, actor: Actor, kind: str, subject: str, academy_id: str | None, now: datetime) -> None:
    """Record that the actor looked at something ("pupil:viewed", "pupil:…")."""
    with transaction(db):
        append_audit(db, AuditEntry(actor.staff_id, kind, subject, academy_id, now, {}, places_of(actor)))


def note_list(db: Database, actor: Actor, name: str, now: datetime) -> None:
    """Record that the actor looked at a list with names or words in it; once in LIST_NOTED_EVERY for each list."""
    if _was_noted(db, actor, name, now):
        return
    with transaction(db):
        # asked again inside: two pages at once are one look
        if not _was_noted(db, actor, name, now):
            set_last_look(db, actor.staff_id, name, now)
            entry = AuditEntry(actor.staff_id, "list:viewed", f"list:{name}", None, now, {}, places_of(actor))
            append_audit(db, entry)


def _was_noted(db: Database, actor: Actor, name: str, now: datetime) -> bool:
    last = get_last_look(db, actor.staff_id, name)
    return last is not None and now - LIST_NOTED_EVERY < last <= now


def note_search(db: Database, actor: Actor, results: int, now: datetime) -> None:
    """Record that the actor searched, and how much was found. The words are not kept: they may name a pupil."""
    with transaction(db):
        detail, places = {"results": results}, places_of(actor)
        append_audit(db, AuditEntry(actor.staff_id, "record:searched", "search", None, now, detail, places))


class CaptureSealedError(Exception):
    """The capture is not shown, and the message is the sentence that says why."""


def reveal_capture(
    db: Database, vault: captures.CaptureVault, actor: Actor, event_id: str, now: datetime
) -> tuple[Capture, bytes]:
    """The capture of an event, opened for the actor, on the audit trail before it is shown.

    Raises NotAllowedError when there is none in reach, CaptureSealedError when it is never shown again or the box has
    not looked at it yet, CaptureDamagedError when its file does not open.
    """
    event = events.get_event(db, event_id)
    capture = captures.get_capture(db, event_id)
    if event is None or capture is None:
        raise NotAllowedError(f"capture of event {event_id}")
    require(actor, Permission.CAPTURE_REVEAL, event.academy_id)
    if capture.sealed is not None:
        with transaction(db):
            kind = "capture:refused"
            append_audit(db, AuditEntry(actor.staff_id, kind, f"event:{event_id}", event.academy_id, now))
        raise CaptureSealedError(capture.sealed)
    if event.state in (EventState.RECEIVED, EventState.ASSESSING):
        raise CaptureSealedError("The box has not looked at this screenshot yet; try again in a few seconds")
    image = vault.open(capture.sha256)
    with transaction(db):
        entry = AuditEntry(actor.staff_id, "capture:revealed", f"event:{event_id}", event.academy_id, now)
        append_audit(db, entry)
    return capture, image
