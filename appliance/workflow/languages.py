"""Choosing the languages in which an academy's screens are read."""

import re
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.audit import AuditEntry
from appliance.store import academies, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction

MOST_LANGUAGES = 6
"""Beside English and Welsh: every one is tried on blocks that are hard to read, and takes its time."""


class LanguageError(ValueError):
    """Languages that can't be chosen. The message says why."""


def set_academy_languages(db: Database, by: str, academy_id: str, languages: tuple[str, ...], now: datetime) -> None:
    """Store what an academy's screens are read in beside English and Welsh. Raises LanguageError."""
    if not people.get_academy_name(db, academy_id):
        raise LanguageError(f"There is no academy {academy_id!r}.")
    wrong = [one for one in languages if not re.fullmatch(r"[A-Za-z_]{3,20}", one)]
    if wrong:
        raise LanguageError(f"{wrong[0]!r} is not one of Tesseract's names for a language.")
    if len(languages) > MOST_LANGUAGES:
        raise LanguageError(f"At most {MOST_LANGUAGES} languages can be chosen.")
    with transaction(db):
        academies.set_languages(db, academy_id, tuple(dict.fromkeys(languages)))
        detail = {"languages": "+".join(languages)}
        append_audit(db, AuditEntry(by, "academy:languages", f"academy:{academy_id}", academy_id, now, detail))
