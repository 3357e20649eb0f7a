"""``appliance languages``: which languages an academy's screens are read in, beside English and Welsh."""

import contextlib
import re
from collections.abc import Callable
from datetime import datetime

from appliance.config import Config
from appliance.ocr import ALWAYS, has_language, package_of
from appliance.safeguarding.audit import SYSTEM
from appliance.store import academies, people
from appliance.store.connection import open_system
from appliance.store.migrations import require_current
from appliance.workflow.languages import LanguageError, set_academy_languages

Say = Callable[[str], None]


def show_languages(config: Config, academy_id: str | None, say: Say) -> int:
    """Say what each academy, or one, is read in. Returns the exit code: 1 if a language's data is missing."""
    missing = 0
    with contextlib.closing(open_system(config.database)) as db:
        require_current(db)
        for academy in people.select_academies(db):
            if academy_id in (None, academy.id):
                chosen = academies.get_languages(db, academy.id)
                say(f"{academy.id}  {academy.name}: {'+'.join(dict.fromkeys([*ALWAYS, *chosen]))}")
                for language in chosen:
                    if not has_language(language):
                        missing += 1
                        say(f"  {language} can't be read on this box: install the package {package_of(language)}")
    return 1 if missing else 0


def choose_languages(config: Config, academy_id: str, codes: str, now: datetime, say: Say) -> int:
    """Store an academy's languages ("none" for only English and Welsh). Returns the exit code: 1 if refused."""
    wanted = () if codes in ("", "none") else tuple(filter(None, re.split(r"[+,\s]+", codes)))
    lacking = [one for one in wanted if not has_language(one)]
    if lacking:
        packages = " ".join(package_of(one) for one in lacking)
        say(f"This box can't read {', '.join(lacking)}. Install first: {packages}. Nothing was changed.")
        return 1
    with contextlib.closing(open_system(config.database)) as db:
        require_current(db)
        try:
            set_academy_languages(db, SYSTEM, academy_id, wanted, now)
        except LanguageError as error:
            say(str(error))
            return 1
    say(f"{academy_id} is read in {'+'.join(dict.fromkeys([*ALWAYS, *wanted]))} from the next capture on.")
    return 0
