"""The command line's verbs for devices: issue a policy, make an enrolment code, shut a device out."""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance.broker.signing import make_signer
from appliance.config import Config
from appliance.safeguarding.access import NotAllowedError
from appliance.safeguarding.enrolment import CODE_CHANCE
from appliance.safeguarding.policy import Policy
from appliance.start import StartError
from appliance.store.connection import open_system
from appliance.store.people import Academy, select_academies
from appliance.workflow.enrol import make_enrolment_code, revoke_device
from appliance.workflow.ingest import UnknownDeviceError
from appliance.workflow.issue import PolicyDraftError, issue_policy


def issue_from_file(config: Config, academy_id: str, draft: Path) -> Policy:
    """Issue the policy in a draft's file for an academy. Raises StartError with what is wrong with it."""
    try:
        fields = json.loads(draft.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StartError(f"{draft} isn't JSON: {error}") from None
    db = open_system(config.database)
    try:
        now = datetime.now(UTC)
        return issue_policy(db, None, academy_id, fields, make_signer(config), now, lambda: secrets.token_urlsafe(15))
    except PolicyDraftError as error:
        raise StartError(f"{draft} can't be issued:\n{error}") from None
    except NotAllowedError:
        raise StartError(_no_academy(academy_id, select_academies(db))) from None
    finally:
        db.close()


def make_code(config: Config, academy_id: str, place: str, prefix: str, hours: float) -> str:
    """A code by which one device is taken on. Raises StartError where there is no such academy."""
    db = open_system(config.database)
    try:
        if academy_id not in {one.id for one in select_academies(db)}:
            raise StartError(_no_academy(academy_id, select_academies(db)))
        chance = secrets.token_bytes(CODE_CHANCE)
        return make_enrolment_code(
            db, None, academy_id, place, prefix, datetime.now(UTC), chance, timedelta(hours=hours)
        )
    finally:
        db.close()


def shut_out(config: Config, device_id: str) -> None:
    """Revoke a device; a running box does it within seconds. Raises StartError where it is not enrolled."""
    db = open_system(config.database)
    try:
        revoke_device(db, None, device_id, datetime.now(UTC))
    except UnknownDeviceError as error:
        raise StartError(f"{error}.") from None
    finally:
        db.close()


def _no_academy(academy_id: str, academies: Sequence[Academy]) -> str:
    known = ", ".join(f"{one.id} ({one.name})" for one in academies)
    return f"There is no academy {academy_id!r} here. There are: {known or 'none yet'}."
