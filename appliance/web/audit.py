"""The audit trail in reach: by person, by pupil, by day; and a copy of it to take away, which is recorded too."""

import csv
import io
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, current_app, render_template, request

from appliance.safeguarding.access import Permission
from appliance.store import people
from appliance.store.audit import AuditFilter, AuditRow, select_audit
from appliance.web.clock import now
from appliance.web.gate import actor, db, holds, needs
from appliance.workflow.look import note_list, note_look, note_search
from appliance.workflow.note import note_export
from appliance.workflow.vault import note_vault_list

pages = Blueprint("audit", __name__)

PAGE = 200
MOST_EXPORTED = 50_000

_SEES = (Permission.AUDIT_VIEW, Permission.VAULT_VIEW)
"""The head and the chair see what was done with the vault, and nothing else."""


@pages.get("/audit")
@needs(*_SEES)
def show_audit() -> str:
    """The newest entries, newest first; of one person, one pupil or one day when asked. Looking at one is recorded."""
    wanted, chosen = _wanted(request.args.to_dict())
    entries = select_audit(db(), PAGE + 1, wanted)
    name = request.args.get("name", "").strip()
    found = people.select_pupils(db(), name, 20) if name else None
    _note(wanted, None if found is None else len(found))
    return render_template(
        "audit/audit.html",
        entries=entries[:PAGE],
        older=entries[PAGE - 1].seq if len(entries) > PAGE else None,
        chosen=chosen,
        whom=people.get_staff(db(), wanted.person_id) if wanted.person_id else None,
        pupil=people.get_pupil(db(), wanted.pupil_id) if wanted.pupil_id else None,
        found_pupils=found,
        name=name,
    )


@pages.post("/audit/export")
@needs(Permission.AUDIT_EXPORT)
def submit_export() -> Response:
    """What the page shows, as a CSV file. That it was taken, and how much, is recorded."""
    wanted, _ = _wanted(request.form.to_dict())
    entries = select_audit(db(), MOST_EXPORTED + 1, replace(wanted, before=None))
    cut, entries = len(entries) > MOST_EXPORTED, entries[:MOST_EXPORTED]
    note_export(db(), actor(), "audit", len(entries), cut, _academy(wanted), now())
    name = "audit-newest-part.csv" if cut else "audit.csv"
    return Response(
        _csv(entries, cut), mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _note(wanted: AuditFilter, found: int | None) -> None:
    """Record the look: at one person's or pupil's entries, for a pupil's name, or at the list.

    Who sees only what was done with the vault leaves their look there too, or it would tell others of it.
    """
    if not holds(Permission.AUDIT_VIEW):
        subject = _subject(wanted) if wanted.person_id or wanted.pupil_id else "list:vault_trail"
        note_vault_list(db(), actor(), subject, now())
    elif wanted.person_id or wanted.pupil_id:
        note_look(db(), actor(), "audit:viewed", _subject(wanted), _academy(wanted), now())
    elif found is None:
        note_list(db(), actor(), "audit", now())
    if found is not None:
        note_search(db(), actor(), found, now())


def _csv(entries: list[AuditRow], cut: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["number", "at", "actor", "actor_name", "did", "subject", "academy", "detail"])
    for one in entries:
        row = [one.seq, one.at.isoformat(), one.actor_id, one.actor_name, one.kind, one.subject, one.academy_id or ""]
        writer.writerow([_plain(str(value)) for value in [*row, one.detail]])
    if cut:
        writer.writerow([f"There are older entries: a copy holds the newest {MOST_EXPORTED}. Take one day at a time."])
    return out.getvalue()


def _plain(value: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in "=+-@\t\r" else value


def _wanted(values: dict[str, str]) -> tuple[AuditFilter, dict[str, str]]:
    """What is asked for, and the same as the fields of a form. What makes no sense is left out."""
    chosen = {key: values[key] for key in ("person", "pupil", "day") if values.get(key)}
    begin = end = None
    try:
        day = date.fromisoformat(chosen.get("day", ""))
        zone = ZoneInfo(current_app.config["TRUSTKEEP"].time_zone)
        begin, end = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    except (ValueError, OverflowError):
        chosen.pop("day", None)
    before = int(values["before"]) if values.get("before", "").isdecimal() and len(values["before"]) < 16 else None
    return AuditFilter(chosen.get("person"), chosen.get("pupil"), begin, end, before), chosen


def _subject(wanted: AuditFilter) -> str:
    return f"pupil:{wanted.pupil_id}" if wanted.pupil_id else f"staff:{wanted.person_id}"


def _academy(wanted: AuditFilter) -> str | None:
    pupil = people.get_pupil(db(), wanted.pupil_id) if wanted.pupil_id else None
    return pupil.academy_id if pupil else None
