"""Beginning, proving, locking and ending sessions, each with its audit entry; and holding back who tries too often."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.safeguarding.access import NotAllowedError, needs_second_factor
from appliance.safeguarding.audit import AuditEntry, Detail
from appliance.safeguarding.sign_in import (
    ADDRESS,
    HERE,
    KNOWN_DEVICE,
    KNOWN_DEVICE_LIFE,
    LONGEST_WINDOW,
    SECOND_FACTOR_ANYWHERE,
    SESSION_TRIES,
    Session,
    account_key,
    address_key,
    digest,
    network_key,
    wait_until,
)
from appliance.store import credentials, people, sessions
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.credentials import NOBODYS_HASH, UsedCodeError, password_is, use_code

_BROWSER_LENGTH = 200
KEPT_FOR = timedelta(days=30)
"""How long ended sessions are kept beside the audit."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a request comes from. device: the token of the browser's device cookie, or an empty string."""

    address: str
    browser: str
    device: str = ""


class TooManyTriesError(Exception):
    """There were too many wrong tries from here. until: when the next one is allowed."""

    def __init__(self, until: datetime) -> None:
        super().__init__("too many tries")
        self.until = until


class WrongAnswerError(Exception):
    """What was given is not right. The message says what to do. session_over: the session was ended for it."""

    def __init__(self, words: str, session_over: bool = False) -> None:
        super().__init__(words)
        self.session_over = session_over


# ---- the first factor ----


def check_password(
    db: Database, email: str, password: str, visit: Visit, now: datetime, new_id: Callable[[], str]
) -> str | None:
    """The id of the person whose address and password these are, or None.

    Raises TooManyTriesError without looking at the password. Right and wrong, known and unknown take the same way.
    """
    found = people.get_password_hash(db, email)
    staff_id, stored = found if found else (None, None)
    attempt = claim_try(db, "password", account_key(email), staff_id, visit, now, new_id)
    # an unknown address is checked against nobody's hash, so that the answer takes as long as for a known one
    right = password_is(stored or NOBODYS_HASH, password) and stored is not None
    with transaction(db):
        if right:
            sessions.set_attempt_good(db, attempt)
        else:
            note_failure(db, staff_id, "password", visit, now)
    return staff_id if right else None


def note_failed_sign_in(
    db: Database,
    method: str,
    visit: Visit,
    now: datetime,
    new_id: Callable[[], str],
    staff_id: str | None = None,
    why: str = "",
) -> None:
    """Record that a sign-in by passkey or through a directory was refused. why: a few plain words, nothing secret.

    Who fails again and again is written down as often as one may try a password, and no oftener: anybody on the network
    could fill the audit trail otherwise. Nobody is held back by it; a good passkey always opens.
    """
    try:
        claim_try(db, method, account_key(staff_id or ""), None, visit, now, new_id)
    except TooManyTriesError:
        return
    with transaction(db):
        note_failure(db, staff_id, method, visit, now, why)


def note_failure(db: Database, staff_id: str | None, method: str, visit: Visit, now: datetime, why: str = "") -> None:
    """The same for a try that was claimed already, inside the caller's transaction()."""
    subject = f"staff:{staff_id}" if staff_id else "sign-in"
    detail: dict[str, str | int | None] = {"method": method, "address": visit.address}
    if why:
        detail["why"] = why
    append_audit(db, AuditEntry("nobody", "staff:sign_in_failed", subject, None, now, detail))


def claim_try(
    db: Database,
    kind: str,
    account: str,
    staff_id: str | None,
    visit: Visit,
    now: datetime,
    new_id: Callable[[], str],
) -> str:
    """Count a try as failed before it is looked at, so that a hundred at once count as a hundred. Returns its id.

    kind: "password", "second_factor" or "directory". account: what tries are counted under (account_key). staff_id:
    whose it is, where that is known. Raises TooManyTriesError; then nothing may be looked at. Its caller
    says sessions.set_attempt_good() when it was right.
    """
    device: str | None = digest(visit.device) if visit.device else None
    with transaction(db):
        sessions.delete_attempts(db, now - 2 * LONGEST_WINDOW)
        known_since = now - KNOWN_DEVICE_LIFE
        if device and not (staff_id and sessions.is_device_known(db, device, staff_id, known_since)):
            device = None
        attempt = sessions.Attempt(
            new_id(), kind, address_key(visit.address), network_key(visit.address), account, device
        )
        until = _held_until(db, attempt, now)
        if until is not None and until > now:
            raise TooManyTriesError(until)
        sessions.insert_attempt(db, attempt, now)
    return attempt.id


def _held_until(db: Database, attempt: sessions.Attempt, now: datetime) -> datetime | None:
    kind, account, device = attempt.kind, attempt.account, attempt.device
    if device is not None:
        own = sessions.count_failures_on_device(db, kind, device, account, now - KNOWN_DEVICE.window)
        return wait_until(own.count, own.last_at, KNOWN_DEVICE)
    here = sessions.count_failures_here(db, kind, attempt.address, account, now - HERE.window)
    around = sessions.count_failures_of_network(db, attempt.network, now - ADDRESS.window)
    waits = [wait_until(here.count, here.last_at, HERE), wait_until(around.count, around.last_at, ADDRESS)]
    if kind == "second_factor":
        anywhere = sessions.count_failures_anywhere(db, kind, account, now - SECOND_FACTOR_ANYWHERE.window)
        waits.append(wait_until(anywhere.count, anywhere.last_at, SECOND_FACTOR_ANYWHERE))
    return max((one for one in waits if one is not None), default=None)


# ---- sessions ----


def new_token() -> str:
    """A token of 256 random bits, for a cookie or a link."""
    return secrets.token_urlsafe(32)


def begin_session(
    db: Database, staff_id: str, method: str, address: str, browser: str, now: datetime, second_factor: bool = False
) -> str:
    """Begin a session for a person who has proved the first factor, and return the token for the cookie.

    method: "password", "passkey", "oidc", "ldap" or "invitation". second_factor: whether what was proved counts as
    both. Raises NotAllowedError when there is no such account, or it is disabled.
    """
    token = new_token()
    session = Session(
        digest(token),
        staff_id,
        method,
        now,
        now,
        now,
        now if second_factor else None,
        None,
        None,
        0,
        address,
        browser[:_BROWSER_LENGTH],
    )
    with transaction(db):
        if people.get_actor(db, staff_id, now) is None:
            raise NotAllowedError(f"staff {staff_id}")
        sessions.delete_old_sessions(db, now - KEPT_FOR)
        sessions.insert_session(db, session)
        detail = {"method": method, "address": address, "second_factor": "given" if second_factor else "not given"}
        append_audit(db, AuditEntry(staff_id, "staff:signed_in", f"staff:{staff_id}", None, now, detail))
    return token


def answer_second_factor(
    db: Database,
    seal: credentials.SecretSeal,
    session: Session,
    answer: str,
    visit: Visit,
    now: datetime,
    new_id: Callable[[], str],
) -> tuple[str, str]:
    """Prove a session with a code: at sign-in, or to unlock it. Returns the new token, and what kind of code it was.

    Raises WrongAnswerError, TooManyTriesError.
    """
    attempt = claim_try(db, "second_factor", session.staff_id, session.staff_id, visit, now, new_id)
    used = False
    with transaction(db):
        try:
            method = use_code(db, seal, session.staff_id, answer, now)
        except UsedCodeError:
            method, used = None, True
        if method is not None:
            sessions.set_attempt_good(db, attempt)
            return _step_up(db, session, method, now, second_factor=True), method
        over = _note_wrong(db, session, "used code" if used else "code", visit, now)
    if used and not over:
        raise WrongAnswerError(
            "That code has been used already. Wait until your app shows the next one, and enter that."
        )
    raise WrongAnswerError("That is not the right code. Check that it is the one shown now, and for Trustkeep.", over)


def answer_password(
    db: Database, session: Session, password: str, visit: Visit, now: datetime, new_id: Callable[[], str]
) -> str:
    """Unlock the session of a person who has no second factor and needs none. Returns the new token.

    Raises WrongAnswerError, TooManyTriesError, NotAllowedError.
    """
    person, actor = people.get_staff(db, session.staff_id), people.get_actor(db, session.staff_id, now)
    stored = credentials.get_own_password_hash(db, session.staff_id)
    may_do_without = actor is not None and not needs_second_factor(actor)
    if person is None or not may_do_without or credentials.select_credential_kinds(db, session.staff_id):
        raise NotAllowedError("a password does not unlock this session")
    attempt = claim_try(db, "password", account_key(person.email), session.staff_id, visit, now, new_id)
    right = password_is(stored or NOBODYS_HASH, password) and stored is not None
    with transaction(db):
        if right:
            sessions.set_attempt_good(db, attempt)
            return _step_up(db, session, "password", now, second_factor=False)
        over = _note_wrong(db, session, "password", visit, now)
    raise WrongAnswerError("That is not your password. Check it and try again.", over)


def prove_with_passkey(db: Database, session: Session, now: datetime) -> str:
    """Prove a session whose passkey was just checked. Returns the new token."""
    with transaction(db):
        return _step_up(db, session, "passkey", now, second_factor=True)


def prove_by_enrolling(db: Database, session: Session, now: datetime) -> str:
    """Prove a session by the first second factor that was just added in it. Returns the new token."""
    with transaction(db):
        return _step_up(db, session, "enrolment", now, second_factor=True)


def note_wrong_passkey(db: Database, session: Session, visit: Visit, now: datetime, why: str) -> bool:
    """Record a passkey that was refused as a second factor. Returns whether the session was ended for it."""
    with transaction(db):
        return _note_wrong(db, session, f"passkey: {why}", visit, now)


def _step_up(db: Database, session: Session, method: str, now: datetime, second_factor: bool) -> str:
    # another token at every step up, so that one learnt before is worth nothing after
    token = new_token()
    if not sessions.set_session_stepped_up(db, session.id, digest(token), second_factor, now):
        raise WrongAnswerError("This session has ended meanwhile. Sign in again.", session_over=True)
    first = second_factor and session.second_factor_at is None
    kind = "staff:second_factor_given" if first else "staff:unlocked"
    append_audit(db, AuditEntry(session.staff_id, kind, f"staff:{session.staff_id}", None, now, {"method": method}))
    return token


def _note_wrong(db: Database, session: Session, why: str, visit: Visit, now: datetime) -> bool:
    detail: Detail = {"address": visit.address, "why": why}
    subject = f"staff:{session.staff_id}"
    append_audit(db, AuditEntry(session.staff_id, "staff:second_factor_failed", subject, None, now, detail))
    if sessions.set_session_failed(db, session.id) < SESSION_TRIES:
        return False
    _end(db, session, "wrong second factors", now)
    return True


def _end(db: Database, session: Session, why: str, now: datetime) -> None:
    if sessions.set_session_ended(db, session.id, session.staff_id, now):
        detail: Detail = {"why": why, "address": session.address}
        subject = f"staff:{session.staff_id}"
        append_audit(db, AuditEntry(session.staff_id, "session:ended", subject, None, now, detail))


def note_use(db: Database, session: Session, now: datetime) -> None:
    """Keep a session from locking: its person is at work."""
    with transaction(db):
        sessions.set_session_seen(db, session.id, now)


def lock_session(db: Database, session: Session, why: str, now: datetime) -> None:
    """Lock a session until the second factor is given again. why: "idle" or "asked"."""
    with transaction(db):
        if sessions.set_session_locked(db, session.id, now):
            subject = f"staff:{session.staff_id}"
            append_audit(db, AuditEntry(session.staff_id, "staff:locked", subject, None, now, {"why": why}))


def end_session(db: Database, session: Session, why: str, now: datetime) -> None:
    """End a session. why: a few plain words."""
    with transaction(db):
        _end(db, session, why, now)


def end_other_session(db: Database, staff_id: str, session_id: str, now: datetime) -> None:
    """End one of one's own sessions at another browser. Raises NotAllowedError when it is not one's own."""
    session = sessions.get_session(db, session_id)
    if session is None or session.staff_id != staff_id:
        raise NotAllowedError("session")
    end_session(db, session, "ended from another browser", now)


def end_all_sessions(db: Database, staff_id: str, why: str, now: datetime, but: str = "", by: str = "") -> int:
    """End all of a person's sessions, and forget their devices; but: the id of one to keep. Returns how many ended."""
    with transaction(db):
        return end_all_within(db, staff_id, why, now, but, by)


def end_all_within(db: Database, staff_id: str, why: str, now: datetime, but: str = "", by: str = "") -> int:
    """The same, inside the caller's transaction(). by: who did it, when not the person."""
    ended = sessions.set_all_sessions_ended(db, staff_id, now, but)
    sessions.delete_known_devices(db, staff_id)
    detail: Detail = {"why": why, "sessions": ended}
    append_audit(db, AuditEntry(by or staff_id, "session:ended", f"staff:{staff_id}", None, now, detail))
    return ended


def note_device(db: Database, staff_id: str, device: str, now: datetime) -> None:
    """Remember that the person signed in fully at this browser. device: the token of its device cookie."""
    with transaction(db):
        sessions.set_device_known(db, digest(device), staff_id, now)
