"""The verb ``import-gias``: joining a GIAS download to the box's trusts."""

import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from appliance.config import Config
from appliance.store import academies
from appliance.store.connection import open_system
from appliance.store.migrations import require_current
from appliance.workflow.academies import AcademyError, Plan, add_trust, import_academies, plan_import, read_download


def import_gias(
    config: Config, file: Path, code: str, into: str | None, dry_run: bool, now: datetime, say: Callable[[str], None]
) -> int:
    """Add a trust and its academies, or bring them up to date. Returns the exit code; says what was done."""
    db = open_system(config.database)
    try:
        require_current(db)
        with file.open("rb") as stream:
            found = read_download(stream, code)
        trust = academies.get_trust(db, into) if into else academies.get_trust_by_code(db, found.code)
        if into and trust is None:
            raise AcademyError(f"There is no trust {into!r} on this box.")
        say(f"{found.name} ({found.code}): {len(found.academies)} open schools in the file, {found.closed} not open.")
        if dry_run:
            _say_plan(plan_import(db, trust.id if trust else "", found), say, "would be ")
            return 0
        if trust is None:
            trust = add_trust(db, found.name, found.code, now, _new_id)
            say(f"The trust is new on this box; its id is {trust.id}.")
        _say_plan(import_academies(db, None, trust.id, found, now, _new_id), say, "")
    except AcademyError as error:
        say(f"appliance: {error}")
        return 1
    finally:
        db.close()
    return 0


def _say_plan(plan: Plan, say: Callable[[str], None], would: str) -> None:
    for word, rows in (("added", plan.added), ("brought up to date", plan.changed)):
        for one in rows:
            say(f"  {would}{word}: {one.name} (URN {one.urn})")
    for one in plan.strays:
        say(f"  here but not in the file, and kept: {one.name}")
    say(f"{would}{len(plan.added)} added, {len(plan.changed)} brought up to date, {plan.same} the same.")


def _new_id() -> str:
    return secrets.token_urlsafe(15)
