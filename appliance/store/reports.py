"""What members of staff report: kept for the DSL, and shown to the one who reported it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.report import NewReport, ReportState, state_of
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report as it stands. pupil_id: whom the DSL found it to be about."""

    id: str
    academy_id: str
    academy_name: str
    pupil_id: str | None
    about: str
    text: str
    reported_by: str
    reporter_name: str
    reported_at: datetime
    state: ReportState
    concern_id: str | None


def insert_report(db: Database, report: NewReport, reported_by: str, now: datetime) -> None:
    """Keep a report."""
    db.conn.execute(
        "INSERT INTO scoped_concern_report (id, academy_id, about, text, reported_by, reported_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [report.id, report.academy_id, report.about.strip(), report.text.strip(), reported_by, to_text(now)],
    )


def _report(row: dict[str, Any]) -> StoredReport:
    return StoredReport(
        row["id"],
        row["academy_id"],
        row["academy_name"],
        row["pupil_id"],
        row["about"],
        row["text"],
        row["reported_by"],
        row["reporter_name"],
        from_text(row["reported_at"]),
        state_of(row["read_at"] is not None, row["concern_id"] is not None),
        row["concern_id"],
    )


def _select(db: Database, rest: str, params: dict[str, object]) -> list[StoredReport]:
    return [
        _report(row)
        for row in db.query(
            "SELECT r.*, a.short_name AS academy_name, s.name AS reporter_name FROM scoped_concern_report r"
            f" JOIN academy a ON a.id = r.academy_id JOIN staff s ON s.id = r.reported_by {rest}",
            params,
        )
    ]


def get_report(db: Database, report_id: str) -> StoredReport | None:
    """A report in scope."""
    return next(iter(_select(db, "WHERE r.id = :id", {"id": report_id})), None)


def select_reports_by(db: Database, staff_id: str, limit: int = 100) -> list[StoredReport]:
    """What one person reported, newest first."""
    params: dict[str, object] = {"staff": staff_id, "limit": limit}
    return _select(db, "WHERE r.reported_by = :staff ORDER BY r.reported_at DESC LIMIT :limit", params)


def select_reports(db: Database, limit: int = 100) -> list[StoredReport]:
    """Reports in scope: those nobody has read first, then the newest."""
    return _select(db, "ORDER BY r.read_at IS NOT NULL, r.reported_at DESC LIMIT :limit", {"limit": limit})


def set_report_read(db: Database, report_id: str, staff_id: str, now: datetime) -> None:
    """Note that somebody who keeps the records has read it."""
    db.conn.execute(
        "UPDATE scoped_concern_report SET read_by = ?, read_at = ? WHERE id = ? AND read_at IS NULL",
        [staff_id, to_text(now), report_id],
    )


def set_report_concern(db: Database, report_id: str, pupil_id: str, concern_id: str) -> None:
    """Note whom it is about, and the concern it has become part of."""
    db.conn.execute(
        "UPDATE scoped_concern_report SET pupil_id = ?, concern_id = ? WHERE id = ?", [pupil_id, concern_id, report_id]
    )
