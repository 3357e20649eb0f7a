"""The verb ``directory unlink``: loosening a person from the trust's directory."""

from collections.abc import Callable
from datetime import datetime

from appliance.config import Config
from appliance.safeguarding.audit import SYSTEM
from appliance.store.connection import open_system
from appliance.store.people import get_staff_by_email
from appliance.workflow.directory import unlink_directory


def untie(config: Config, email: str, now: datetime, say: Callable[[str], None]) -> int:
    """Loosen the account with this e-mail address from every directory. Returns the exit code; says what was done."""
    db = open_system(config.database)
    try:
        person = get_staff_by_email(db, email)
        if person is None:
            say(f"appliance: there is nobody with the address {email!r}")
            return 1
        ties = unlink_directory(db, SYSTEM, person.id, now)
    finally:
        db.close()
    say(f"{email} is tied to no directory now ({ties} before). The next sign-in ties it anew.")
    return 0
