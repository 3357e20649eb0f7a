"""Trying the directories from the command line, so that a technician learns what is wrong before the staff do."""

from collections.abc import Callable
from datetime import datetime

from appliance.config import Config
from appliance.directory.settings import open_directories
from appliance.safeguarding.directory import REFUSALS, DirectoryRefusedError


def check_directories(config: Config, now: datetime, say: Callable[[str], None]) -> int:
    """Try each directory of the settings and say one line for it. Returns 1 when one does not answer as it should."""
    directories = open_directories(config)
    if directories.provider is None and directories.ldap is None:
        say("No directory is set: people sign in with passwords of the box's own.")
    failed = 0
    if directories.provider is not None:
        failed |= _try(lambda: directories.provider.check(now), config.oidc_issuer, say)
    if directories.ldap is not None:
        failed |= _try(directories.ldap.check, config.ldap_url, say)
    return failed


def _try(check: Callable[[], None], name: str, say: Callable[[str], None]) -> int:
    try:
        check()
    except DirectoryRefusedError as error:
        say(f"{name}: {REFUSALS[error.refusal].reason} {error.detail}")
        return 1
    say(f"{name}: it answers, and fits.")
    return 0
