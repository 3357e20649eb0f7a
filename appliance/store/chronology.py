"""Gathering one pupil's record from events, concerns, actions and referrals in scope."""

from datetime import UTC, datetime

from sqlite_utils import Database

from appliance.safeguarding.chronology import ChronologyEntry, EntryKind, in_order
from appliance.safeguarding.event import EventState
from appliance.safeguarding.referral import AGENCIES
from appliance.store import concerns, events, referrals

_START = datetime(1, 1, 2, tzinfo=UTC)
_ON_THE_RECORD = (EventState.CONFIRMED, EventState.LINKED)


def select_chronology(db: Database, pupil_id: str) -> list[ChronologyEntry]:
    """Everything on a pupil's record that is in scope, oldest first.

    An event counts once a person confirmed it; what the machine raised and nobody read is not a record.
    """
    entries = [
        ChronologyEntry(
            event.occurred_at,
            EntryKind.EVENT,
            f"Seen on {event.device_id}, in {event.application}",
            event.typed,
            "Monitoring, confirmed by a moderator",
            event.id,
            event.received_at,
            event.level,
            event.category,
        )
        for event in events.select_of_pupil(db, pupil_id, _START)
        if event.state in _ON_THE_RECORD
    ]
    found = concerns.select_concerns_of_pupil(db, pupil_id)
    for concern in found:
        entries.append(
            ChronologyEntry(
                concern.opened_at,
                EntryKind.CONCERN,
                "Concern opened",
                concern.summary,
                concern.opened_by,
                concern.id,
                concern.opened_at,
                concern.level,
                concern.category,
            )
        )
        if concern.closed_at is not None:
            text = f"{concern.decision} Reason: {concern.reason} Outcome: {concern.outcome}"
            entries.append(
                ChronologyEntry(
                    concern.closed_at,
                    EntryKind.CLOSED,
                    "Concern closed",
                    text,
                    concern.closed_by or "",
                    concern.id,
                    concern.closed_at,
                )
            )
    ids = [concern.id for concern in found]
    for action in concerns.select_actions(db, ids):
        at = action.done_at or action.recorded_at
        state = "done" if action.done_at else f"due {action.due_on:%d/%m/%Y}" if action.due_on else "open"
        entries.append(
            ChronologyEntry(
                at,
                EntryKind.ACTION,
                f"Action ({state}), {action.owner_name}",
                action.text,
                action.recorded_by,
                action.concern_id,
                action.recorded_at,
            )
        )
    for referral in referrals.select_referrals(db, ids):
        entries.append(
            ChronologyEntry(
                referral.made_at,
                EntryKind.REFERRAL,
                f"Referred to: {AGENCIES[referral.agency]}",
                referral.reason,
                referral.made_by,
                referral.concern_id,
                referral.made_at,
            )
        )
        if referral.outcome_at is not None:
            entries.append(
                ChronologyEntry(
                    referral.outcome_at,
                    EntryKind.OUTCOME,
                    f"Outcome from: {AGENCIES[referral.agency]}",
                    referral.outcome or "",
                    referral.outcome_by or "",
                    referral.concern_id,
                    referral.outcome_at,
                )
            )
    return in_order(entries)
