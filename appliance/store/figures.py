"""Counting what academies have, for people who may see how much there is and not what it is."""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.store.connection import to_text


@dataclass(frozen=True, slots=True)
class Figures:
    """One academy's counts. received, serious: events since a time, and those among them of level 4 and 5.

    waiting, late: events that wait for a moderator, and those past their target. concerns: open ones.
    """

    academy_name: str
    received: int
    serious: int
    waiting: int
    late: int
    confirmed: int
    concerns: int


def select_figures(db: Database, since: datetime, now: datetime) -> list[Figures]:
    """The counts of each academy in scope, by name."""
    # one count a column, so that each goes by the index made for its list
    counted = {
        "received": "counted_event c WHERE c.state <> '' AND c.received_at >= :since",
        "serious": "counted_event c WHERE c.state <> '' AND c.received_at >= :since AND c.level >= 4",
        "waiting": "counted_event c WHERE c.state IN ('awaiting_moderation', 'unreadable')",
        "late": "counted_event c WHERE c.state IN ('awaiting_moderation', 'unreadable') AND c.owed_at < :now",
        "confirmed": "counted_event c WHERE c.state = 'confirmed'",
        "concerns": "counted_concern c WHERE c.state = 'open'",
    }
    params = {"since": to_text(since), "now": to_text(now)}
    found = {
        name: dict(db.conn.execute(f"SELECT c.academy_id, count(*) FROM {of} GROUP BY c.academy_id", params))
        for name, of in counted.items()
    }
    academies = db.conn.execute(
        "SELECT id, name FROM academy WHERE id IN (SELECT value FROM json_each(scope('report:view'))) ORDER BY name, id"
    )
    return [Figures(name, *(counts.get(key, 0) for counts in found.values())) for key, name in academies]
