"""What people prove themselves with: making, checking, adding and removing passwords, authenticator apps and codes."""

import secrets
from collections.abc import Callable, Collection
from datetime import datetime
from functools import cache
from pathlib import Path

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlite_utils import Database

from appliance.safeguarding.access import NotAllowedError
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.sign_in import (
    CODE_SECONDS,
    RECOVERY_CODES,
    SESSION_LIMIT,
    Session,
    code_step,
    password_problem,
    plain_code,
    recovery_code,
    recovery_digest,
    steps_accepted,
)
from appliance.store import credentials, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id at the cost of OWASP's Password Storage Cheat Sheet (2024: 19 MiB, 2 passes, 1 lane): some 30 ms. The larger
setting of RFC 9106 takes seven times as long, and at 08:45 a hundred people sign in."""

NOBODYS_HASH = _HASHER.hash("nobody has this password")
"""What to check a password against when there is no such account."""

ISSUER = "Trustkeep"


class CredentialError(Exception):
    """It can't be done. The message tells the person what to do."""


# ---- passwords ----


def hash_password(password: str) -> str:
    """The string to keep for a password."""
    return _HASHER.hash(password)


def password_is(stored: str, password: str) -> bool:
    """Whether the password is the one that was hashed."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def common_passwords() -> frozenset[str]:
    """The passwords that are tried first, bundled with the box."""
    text = (Path(__file__).parent / "common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


def require_good_password(password: str, about: Collection[str]) -> None:
    """Raise CredentialError unless the password will do. about: the person's name and address."""
    if problem := password_problem(password, about, common_passwords()):
        raise CredentialError(problem)


# ---- authenticator apps ----


def begin_authenticator(
    db: Database, seal: credentials.SecretSeal, session: Session, now: datetime, new_id: Callable[[], str]
) -> tuple[str, str]:
    """The secret and otpauth address of an authenticator app that is being added; the same until it is confirmed."""
    person = people.get_staff(db, session.staff_id)
    if person is None:
        raise NotAllowedError(f"staff {session.staff_id}")
    pending = credentials.get_pending_authenticator(db, person.id, session.id)
    secret = seal.open(pending.id, pending.secret) if pending and pending.secret else None
    if secret is None:
        secret, credential_id = pyotp.random_base32(), new_id()
        sealed = seal.seal(credential_id, secret)
        with transaction(db):
            credentials.delete_pending_authenticators(db, now - SESSION_LIMIT)
            credentials.insert_credential(
                db, credentials.Credential(credential_id, person.id, "totp", session.id, now, None, secret=sealed)
            )
    return secret, pyotp.TOTP(secret, name=person.email, issuer=ISSUER).provisioning_uri()


def confirm_authenticator(
    db: Database, seal: credentials.SecretSeal, session: Session, name: str, code: str, now: datetime
) -> None:
    """Count the app that is being added, once it makes the right code. Raises CredentialError."""
    pending = credentials.get_pending_authenticator(db, session.staff_id, session.id)
    if pending is None:
        raise CredentialError("This was begun too long ago. Scan the new picture with your app.")
    step = _step_of(seal, pending, code, now)
    if step is None:
        raise CredentialError(
            "That is not the code for this picture. Take the code your app shows now; if it keeps failing, check that"
            " your phone sets its clock by itself."
        )
    with transaction(db):
        credentials.set_credential_confirmed(db, pending.id, name.strip()[:60] or "Authenticator app", step, now)
        _note(db, session.staff_id, "credential:added", pending.id, "totp", now)


def _step_of(seal: credentials.SecretSeal, credential: credentials.Credential, code: str, now: datetime) -> int | None:
    """The step whose code was given, used or not, or None."""
    secret = seal.open(credential.id, credential.secret) if credential.secret else None
    if secret is None:
        return None
    totp, given = pyotp.TOTP(secret, interval=CODE_SECONDS), plain_code(code)
    right = [step for step in steps_accepted(now, None) if secrets.compare_digest(totp.generate_otp(step), given)]
    return right[0] if right else None


class UsedCodeError(Exception):
    """The code was right once, and has been used."""


def use_code(db: Database, seal: credentials.SecretSeal, staff_id: str, answer: str, now: datetime) -> str | None:
    """Use up a code of an authenticator app or a recovery code, inside transaction().

    Returns "totp" or "recovery_code", or None when it is neither. Raises UsedCodeError.
    """
    given = plain_code(answer)
    if not (given.isascii() and given.isalnum()):
        return None
    if len(given) == 6 and given.isdigit():
        used = False
        for credential in credentials.select_credentials(db, staff_id):
            if credential.kind == "totp" and (step := _step_of(seal, credential, given, now)) is not None:
                if credentials.set_code_used(db, credential.id, step, now):
                    return "totp"
                used = True
        if used:
            raise UsedCodeError
        return None
    if credentials.set_recovery_code_used(db, staff_id, recovery_digest(staff_id, given), now):
        return "recovery_code"
    return None


# ---- recovery codes, and removing ----


def make_recovery_codes(db: Database, staff_id: str, now: datetime, chance: Callable[[int], bytes]) -> list[str]:
    """New recovery codes, in clear for this once; the old ones stop working. chance: makes so many random bytes."""
    codes = [recovery_code(chance(16)) for _ in range(RECOVERY_CODES)]
    with transaction(db):
        credentials.set_recovery_codes(db, staff_id, [recovery_digest(staff_id, code) for code in codes], now)
        append_audit(db, AuditEntry(staff_id, "credential:added", f"staff:{staff_id}", None, now, {"kind": "recovery"}))
    return codes


def remove_credential(db: Database, staff_id: str, credential_id: str, last_may_go: bool, now: datetime) -> None:
    """Remove one of one's own second factors. Raises CredentialError for the last one, unless that may go."""
    with transaction(db):
        mine = {one.id: one for one in credentials.select_credentials(db, staff_id)}
        if credential_id not in mine:
            raise NotAllowedError(f"credential {credential_id}")
        if len(mine) == 1 and not last_may_go:
            raise CredentialError("This is your only second factor, and your role needs one. Add another one first.")
        credentials.delete_credential(db, credential_id, staff_id)
        _note(db, staff_id, "credential:removed", credential_id, mine[credential_id].kind, now)
        if len(mine) == 1:
            credentials.set_recovery_codes(db, staff_id, [], now)


def _note(db: Database, staff_id: str, kind: str, credential_id: str, what: str, now: datetime) -> None:
    detail = {"credential": credential_id, "kind": what}
    append_audit(db, AuditEntry(staff_id, kind, f"staff:{staff_id}", None, now, detail))


def code_now(secret: str, now: datetime, step: int | None = None) -> str:
    """The code of a secret, now or at a step; for the demo, whose people have no telephone."""
    return pyotp.TOTP(secret, interval=CODE_SECONDS).generate_otp(code_step(now) if step is None else step)
