"""What became of an event: what was read from its capture, the machine's scores, and people's verdicts."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.event import CategoryScores, Reading, Reason, Word
from appliance.safeguarding.moderation import FalsePositiveReason, Verdict
from appliance.safeguarding.severity import Category, Severity
from appliance.store.connection import from_text, to_text
from appliance.store.events import StoredEvent


def insert_reading(db: Database, reading_id: str, event_id: str, academy_id: str, reading: Reading) -> None:
    """Keep what was read from an event's capture. A second assessment replaces the first."""
    db.conn.execute("DELETE FROM reading WHERE event_id = ?", [event_id])
    words = [[word.text, *word.box, round(word.confidence, 1)] for word in reading.words]
    db.conn.execute(
        "INSERT INTO reading (id, event_id, academy_id, text, words, seconds, engine) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            reading_id,
            event_id,
            academy_id,
            reading.text,
            json.dumps(words, ensure_ascii=False),
            reading.seconds,
            reading.engine,
        ],
    )


def get_reading(db: Database, event_id: str) -> Reading | None:
    """What was read from an event's capture."""
    row = next(iter(db.query("SELECT * FROM scoped_reading WHERE event_id = ?", [event_id])), None)
    if row is None:
        return None
    words = tuple(Word(text, (x, y, w, h), confidence) for text, x, y, w, h, confidence in json.loads(row["words"]))
    return Reading(row["text"], words, row["seconds"], row["engine"])


def insert_scores(
    db: Database, score_id: str, event_id: str, academy_id: str, scores: CategoryScores, at: datetime
) -> None:
    """Keep the machine's scores of an event with their reasons. A second assessment replaces the first."""
    db.conn.execute("DELETE FROM score WHERE event_id = ?", [event_id])
    reasons = [[reason.kind, reason.text, reason.category, reason.weight] for reason in scores.reasons]
    db.conn.execute(
        "INSERT INTO score (id, event_id, academy_id, category, level, scores, reasons, model, threshold, scored_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            score_id,
            event_id,
            academy_id,
            scores.category,
            scores.level,
            json.dumps({category: round(value, 4) for category, value in scores.scores.items()}),
            json.dumps(reasons, ensure_ascii=False),
            scores.model,
            scores.threshold,
            to_text(at),
        ],
    )


def get_scores(db: Database, event_id: str) -> CategoryScores | None:
    """The machine's scores of an event."""
    row = next(iter(db.query("SELECT * FROM scoped_score WHERE event_id = ?", [event_id])), None)
    if row is None:
        return None
    return CategoryScores(
        Category(row["category"]),
        Severity(row["level"]),
        {Category(name): value for name, value in json.loads(row["scores"]).items()},
        tuple(Reason(kind, text, Category(name), weight) for kind, text, name, weight in json.loads(row["reasons"])),
        row["model"],
        row["threshold"],
    )


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """A verdict as it stands on the event: who gave it, when, and what it changed."""

    verdict: Verdict
    staff_name: str
    given_at: datetime
    level_before: Severity
    category_before: Category


def insert_verdict(
    db: Database, verdict_id: str, event: StoredEvent, staff_id: str, verdict: Verdict, given_at: datetime
) -> None:
    """Keep a verdict beside those before it."""
    db.conn.execute(
        "INSERT INTO scoped_verdict (id, event_id, academy_id, staff_id, level, category, false_positive, note,"
        " given_at, level_before, category_before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            verdict_id,
            event.id,
            event.academy_id,
            staff_id,
            verdict.level,
            verdict.category,
            verdict.false_positive,
            verdict.note,
            to_text(given_at),
            event.level,
            event.category,
        ],
    )


def select_verdicts(db: Database, event_id: str) -> list[GivenVerdict]:
    """The verdicts on an event, oldest first."""
    rows = db.query(
        "SELECT v.*, s.name AS staff_name FROM scoped_verdict v JOIN staff s ON s.id = v.staff_id"
        " WHERE v.event_id = ? ORDER BY v.given_at",
        [event_id],
    )
    return [
        GivenVerdict(
            Verdict(
                Severity(row["level"]),
                Category(row["category"]),
                row["note"],
                FalsePositiveReason(row["false_positive"]) if row["false_positive"] else None,
            ),
            row["staff_name"],
            from_text(row["given_at"]),
            Severity(row["level_before"]),
            Category(row["category_before"]),
        )
        for row in rows
    ]
