"""A member of staff reporting a concern, and the DSL reading it."""

from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, NotAllowedError, Permission, Role, require
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.concern import RecordError
from appliance.safeguarding.notice import Notice, NoticeKind
from appliance.safeguarding.report import NewReport, check_report
from appliance.store import notices, people, reports
from appliance.store.audit import append_audit
from appliance.store.connection import transaction

_TOLD = (Role.DSL, Role.DEPUTY_DSL)


def report_concern(db: Database, actor: Actor, report: NewReport, now: datetime, new_id: Callable[[], str]) -> int:
    """Keep a report and have the academy's DSL and deputies told; returns how many. Raises RecordError."""
    check_report(report)
    require(actor, Permission.CONCERN_REPORT, report.academy_id)
    with transaction(db):
        reports.insert_report(db, report, actor.staff_id, now)
        told = {
            staff.id
            for role in _TOLD
            for staff in people.select_staff_with_role(db, role, report.academy_id, now)
            if staff.id != actor.staff_id
        }
        for staff_id in sorted(told):
            subject = f"report:{report.id}"
            notice = Notice(report.academy_id, staff_id, NoticeKind.REPORT_RECEIVED, subject, actor.staff_id, now)
            notices.insert_notice(db, new_id(), notice)
        detail = {"told": len(told)}
        entry = AuditEntry(actor.staff_id, "report:made", f"report:{report.id}", report.academy_id, now, detail)
        append_audit(db, entry)
    return len(told)


def note_report_read(db: Database, actor: Actor, report_id: str, now: datetime) -> None:
    """Note that the actor has read a report; the one who reported it is shown so."""
    with transaction(db):
        report = _get(db, actor, report_id)
        reports.set_report_read(db, report_id, actor.staff_id, now)
        entry = AuditEntry(actor.staff_id, "report:read", f"report:{report_id}", report.academy_id, now)
        append_audit(db, entry)


def link_report(db: Database, actor: Actor, report_id: str, pupil_id: str, concern_id: str, now: datetime) -> None:
    """Note that a report has become part of a concern, inside the transaction that opens the concern.

    Raises RecordError when it already has, NotAllowedError.
    """
    report = _get(db, actor, report_id)
    if report.concern_id is not None:
        raise RecordError("This report is already part of a concern.")
    reports.set_report_read(db, report_id, actor.staff_id, now)
    reports.set_report_concern(db, report_id, pupil_id, concern_id)
    detail = {"concern": concern_id}
    entry = AuditEntry(actor.staff_id, "report:linked", f"report:{report_id}", report.academy_id, now, detail)
    append_audit(db, entry)


def _get(db: Database, actor: Actor, report_id: str) -> reports.StoredReport:
    report = reports.get_report(db, report_id)
    if report is None:
        raise NotAllowedError(f"report {report_id}")
    require(actor, Permission.CONCERN_RECORD, report.academy_id)
    return report
