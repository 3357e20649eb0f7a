"""Passkeys (WebAuthn): asking a browser for one, and checking what it answers.

A passkey with user verification is both factors at once: the device one has, and the finger, face or PIN that opens
it. Every challenge is kept by the box, counts once, and lasts five minutes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from appliance.safeguarding.access import NotAllowedError
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.sign_in import CHALLENGE_LIFE, address_key
from appliance.store import credentials, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction

_MOST_ASKED = 60
"""Challenges kept for one person or one address; the oldest goes when there are more, so that nobody can use up
those of others."""


@dataclass(frozen=True, slots=True)
class Site:
    """The portal as browsers know it. name: the RP id, a host name. origin: scheme, host and port."""

    name: str
    origin: str


class PasskeyError(Exception):
    """The browser's answer is not good. The message says why in a few words for the audit, nothing for the person."""


def ask_for_new_passkey(
    db: Database, site: Site, staff_id: str, challenge_id: str, chance: Callable[[int], bytes], now: datetime
) -> str:
    """The options for making a passkey, as JSON for the browser."""
    person = people.get_staff(db, staff_id)
    if person is None:
        raise NotAllowedError(f"staff {staff_id}")
    challenge = _keep_challenge(db, challenge_id, "add", staff_id, staff_id, chance, now)
    options = generate_registration_options(
        rp_id=site.name,
        rp_name="Trustkeep",
        user_id=staff_id.encode(),
        user_name=person.email,
        user_display_name=person.name,
        challenge=challenge,
        timeout=int(CHALLENGE_LIFE.total_seconds() * 1000),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(db, staff_id),
    )
    return options_to_json(options)


def add_passkey(
    db: Database,
    site: Site,
    staff_id: str,
    challenge_id: str,
    answer: str,
    name: str,
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    """Keep the passkey a browser made. answer: its JSON. Raises PasskeyError."""
    challenge = _take_challenge(db, challenge_id, "add", staff_id, now)
    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except Exception as error:  # whatever a strange answer breaks in the parsers, it is a refusal
        raise PasskeyError(type(error).__name__) from None
    credential = credentials.Credential(
        new_id(),
        staff_id,
        "passkey",
        name.strip()[:60] or "Passkey",
        now,
        now,
        passkey_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
    )
    with transaction(db):
        if credentials.get_passkey(db, made.credential_id) is not None:
            raise PasskeyError("already known")
        credentials.insert_credential(db, credential)
        detail = {"credential": credential.id, "kind": "passkey"}
        append_audit(db, AuditEntry(staff_id, "credential:added", f"staff:{staff_id}", None, now, detail))


def ask_for_passkey(
    db: Database,
    site: Site,
    staff_id: str | None,
    address: str,
    challenge_id: str,
    chance: Callable[[int], bytes],
    now: datetime,
) -> str:
    """The options for using a passkey, as JSON for the browser. staff_id: whose, or None when nobody is known yet."""
    asked_from = staff_id or address_key(address)
    challenge = _keep_challenge(db, challenge_id, "use", staff_id, asked_from, chance, now)
    options = generate_authentication_options(
        rp_id=site.name,
        challenge=challenge,
        timeout=int(CHALLENGE_LIFE.total_seconds() * 1000),
        allow_credentials=_descriptors(db, staff_id) if staff_id else None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def use_passkey(db: Database, site: Site, staff_id: str | None, challenge_id: str, answer: str, now: datetime) -> str:
    """Whose passkey answered. staff_id: whose it must be, or None for anybody's. Raises PasskeyError."""
    challenge = _take_challenge(db, challenge_id, "use", staff_id, now)
    try:
        given = json.loads(answer)
        passkey_id = base64url_to_bytes(given["rawId"])
        handle = given["response"].get("userHandle")
        owner = base64url_to_bytes(handle).decode() if handle else None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PasskeyError("malformed answer") from None
    passkey = credentials.get_passkey(db, passkey_id)
    if passkey is None or passkey.public_key is None:
        raise PasskeyError("unknown passkey")
    if staff_id not in (None, passkey.staff_id) or owner not in (None, passkey.staff_id):
        raise PasskeyError("another person's passkey")
    try:
        used = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except Exception as error:  # whatever a strange answer breaks in the parsers, it is a refusal
        raise PasskeyError(type(error).__name__) from None
    with transaction(db):
        credentials.set_passkey_used(db, passkey.id, used.new_sign_count, now)
    return passkey.staff_id


def _keep_challenge(
    db: Database,
    challenge_id: str,
    purpose: str,
    staff_id: str | None,
    asked_from: str,
    chance: Callable[[int], bytes],
    now: datetime,
) -> bytes:
    challenge = chance(32)
    with transaction(db):
        credentials.delete_old_challenges(db, now)
        credentials.insert_challenge(db, challenge_id, purpose, staff_id, asked_from, challenge, now + CHALLENGE_LIFE)
        credentials.delete_surplus_challenges(db, asked_from, _MOST_ASKED)
    return challenge


def _take_challenge(db: Database, challenge_id: str, purpose: str, staff_id: str | None, now: datetime) -> bytes:
    with transaction(db):
        challenge = credentials.claim_challenge(db, challenge_id, purpose, staff_id, now)
    if challenge is None:
        raise PasskeyError("no such challenge, or too old")
    return challenge


def _descriptors(db: Database, staff_id: str) -> list[PublicKeyCredentialDescriptor]:
    own = credentials.select_credentials(db, staff_id)
    return [PublicKeyCredentialDescriptor(id=one.passkey_id) for one in own if one.passkey_id is not None]
